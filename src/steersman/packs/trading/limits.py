"""How large a position may be: the guards of position sizing. The strictest wins; what is not known allows nothing.

The loss at a stop is size · 0.1 · leverage · (two average true ranges over the price), as a share of the equity.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from functools import cache

from steersman.core.guards import Guard, Refusal, limit
from steersman.core.state import StateValues
from steersman.packs.trading.account import MODES, UNIT_SHARE, Mode

SIZES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 1.8)
LEVERAGES = (1, 2, 3, 4, 5, 6, 7)
BANDS = ((0.005, 7.0), (0.015, 5.0), (0.03, 3.0))
"""Average true range over the price, and the leverage that is allowed below it; above the last one, none."""
STOP_RANGES = 2.0
"""Average true ranges between a position's price and its stop."""
DRAWDOWN_END = 0.1
"""What a drawdown counts as at most: beyond, all accounts are stopped anyway."""
GUARD_MS = 250.0
"""A quarter of a second for a guard to answer, as signals wait longer than that on a busy machine."""


def mode(state: StateValues) -> Mode:
    """Return the mode of the account."""
    return MODES[str(state["account_mode"])]


def band_leverage(atr: float) -> float:
    """Return the leverage that a band of volatility allows."""
    return next((leverage for below, leverage in BANDS if atr < below), 1.0)


def loss_at_stop(size: float, leverage: float, atr: float) -> float:
    """Return what a position loses at its stop, as a share of the equity."""
    return size * UNIT_SHARE * leverage * STOP_RANGES * atr


def _unmeasured(state: StateValues) -> Iterable[Refusal]:
    if not (float(state["atr"]) > 0.0 and float(state["drawdown"]) >= 0.0 and float(state["exposure"]) >= 0.0):
        yield Refusal(where={}, reason="range, drawdown or exposure was not measured, so no risk can be told")


def _drawdown(state: StateValues) -> Iterable[Refusal]:
    lost, most = float(state["drawdown"]), mode(state).drawdown
    if not lost < most:
        yield Refusal(where={}, reason=f"the account is {lost:.1%} below its peak; its mode stops at {most:.0%}")


def _margin(state: StateValues) -> Iterable[Refusal]:
    free = 1.0 - float(state["exposure"])
    for size in SIZES:
        if not size * UNIT_SHARE <= free:
            yield Refusal(
                where={"size": size}, reason=f"size {size} needs more margin than is free ({free:.0%} of the equity)"
            )


def _risk(state: StateValues) -> Iterable[Refusal]:
    """Refuse what loses too much at its stop."""
    distance, most = STOP_RANGES * float(state["atr"]), mode(state).risk
    margins = most / (UNIT_SHARE * distance) if distance > 0.0 else 0.0
    return _above(bisect_right(_MARGINS, margins), most)


_MARGINS = sorted({size * leverage for size in SIZES for leverage in LEVERAGES})
"""Size times leverage, of all pairs."""


@cache
def _above(rank: int, risk: float) -> tuple[Refusal, ...]:
    """Refuse the choices that take size times leverage beyond the first `rank` margins, in as few words as can be."""
    most = _MARGINS[rank - 1] if rank else 0.0
    leverages = [each for each in LEVERAGES if SIZES[0] * each <= most]
    sizes = [each for each in SIZES if each <= most]
    refused: list[Mapping[str, float]] = [
        *({"leverage": each} for each in LEVERAGES if each not in leverages),
        *({"size": each} for each in SIZES if each not in sizes),
        *({"size": size, "leverage": each} for size in sizes for each in leverages if size * each > most),
    ]
    reason = f"a stop {STOP_RANGES:g} average ranges away would lose more than {risk:.2%} of the equity"
    return tuple(Refusal(where=where, reason=reason) for where in refused)


def guards(probe: StateValues) -> tuple[Guard, ...]:
    """Return the guards. probe: a state in which nothing is wrong; each guard is proved on what goes wrong for it."""
    return (
        Guard(name="unmeasured", refuse=_unmeasured, deadline_ms=GUARD_MS, probe={**probe, "atr": 0.0}),
        Guard(name="drawdown", refuse=_drawdown, deadline_ms=GUARD_MS, probe={**probe, "drawdown": DRAWDOWN_END}),
        Guard(name="margin", refuse=_margin, deadline_ms=GUARD_MS, probe={**probe, "exposure": 1.0}),
        limit(
            "account-mode",
            "leverage",
            LEVERAGES,
            lambda state: mode(state).leverage,
            "in this account mode",
            deadline_ms=GUARD_MS,
            probe={**probe, "account_mode": "defensive"},
        ),
        limit(
            "volatility-band",
            "leverage",
            LEVERAGES,
            lambda state: band_leverage(float(state["atr"])),
            "at this volatility",
            deadline_ms=GUARD_MS,
            probe={**probe, "atr": 0.1},
        ),
        Guard(name="risk", refuse=_risk, deadline_ms=GUARD_MS, probe={**probe, "atr": 0.1}),
    )
