"""Is a position ever allowed to be larger than the strictest limit? A million random states, judged by a second reading.

Guards narrow each state as they do for every decision. What they allow is then compared, action by action, with limits that
are computed here from the table of limits alone, for all states at once. States lie at the limits as often as anywhere else;
some hold what cannot be measured (NaN, infinity, a missing field, a negative range), where nothing may be allowed. Bugs
that are planted into the guards have to be found, or the check would prove nothing.

    python benchmarks/position_limits.py [--states 1000000] [--seed 0]
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from steersman.core.guards import Guard, Refusal
from steersman.core.state import Scalar, StateValues
from steersman.packs.trading.agents.position_sizing import agent
from steersman.stages.decide.guards import Guards

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
MODES = ("aggressive-small", "normal", "defensive")
LEVERAGE, RISK, DRAWDOWN = (7, 5, 3), (0.03, 0.015, 0.0075), (0.06, 0.05, 0.03)
BANDS, BAND_LEVERAGE = (0.005, 0.015, 0.03), (7, 5, 3, 1)
SIZES, LEVERAGES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 1.8), (1, 2, 3, 4, 5, 6, 7)
UNIT, STOP = 0.1, 2.0
ROUNDING = 1e-9
"""Within this of a limit either answer is right: the two readings multiply in another order."""
BAD = (math.nan, math.inf, -math.inf, -0.01, None, "much")
CHUNK = 20_000


def states(count: int, rng: np.random.Generator) -> list[dict[str, Scalar]]:
    """Return random states; each number lies at one of its limits in one case of three."""
    atr = _at_limits(rng, rng.exponential(0.012, count).clip(0.0, 0.1), (0.0, *BANDS, 0.1))
    drawdown = _at_limits(rng, rng.uniform(0.0, 0.1, count), (0.0, *DRAWDOWN, 0.1))
    exposure = _at_limits(rng, rng.uniform(0.0, 1.0, count), (0.0, *(1.0 - UNIT * np.array(SIZES)), 1.0))
    names = ("atr", "drawdown", "exposure", "confidence", "win_rate", "volatility", "equity_slope")
    columns = (atr, drawdown, exposure, *rng.uniform(0.0, 1.0, (4, count)))
    rows = zip(*(each.tolist() for each in columns), strict=True)
    modes = rng.integers(len(MODES), size=count).tolist()
    return [
        {**dict(zip(names, row, strict=True)), "account_mode": MODES[mode]} for row, mode in zip(rows, modes, strict=True)
    ]


def _at_limits(rng: np.random.Generator, values: Floats, limits: Iterable[float]) -> Floats:
    return np.where(rng.random(len(values)) < 1 / 3, rng.choice(list(limits), len(values)), values)


def spoiled(state: Mapping[str, Scalar], rng: np.random.Generator) -> dict[str, Scalar]:
    """Return the state with a field that guards go by missing, or holding what cannot be measured."""
    name = ("atr", "drawdown", "exposure", "account_mode")[rng.integers(4)]
    which = int(rng.integers(len(BAD) + 1))
    rest = {key: value for key, value in state.items() if key != name}
    return rest if which == len(BAD) else {**rest, name: BAD[which]}  # type: ignore[dict-item]  # wrong on purpose


def narrowed(guards: Iterable[Guard], many: Iterable[StateValues]) -> Mask:
    """Return what guards allow in each state, shape (states, actions)."""
    asked = Guards(guards, agent.actions, lambda: 0.0)  # the clock stands still: no guard is late on a busy machine
    return np.array([asked.narrow(each).allowed for each in many])


def beyond(many: list[dict[str, Scalar]]) -> tuple[Mask, Mask]:
    """Return which actions are beyond a limit, and which are inside all of them, shapes (states, actions).

    Where an action is neither, it lies so close to a limit that rounding decides.
    """
    atr, drawdown, exposure = (_column(many, name) for name in ("atr", "drawdown", "exposure"))
    mode = np.array([MODES.index(str(each["account_mode"])) for each in many])[:, None]
    size, leverage = (each.ravel() for each in np.meshgrid(SIZES, LEVERAGES, indexing="ij"))
    most = np.minimum(np.array(LEVERAGE)[mode], np.array(BAND_LEVERAGE)[(atr >= np.array(BANDS)).sum(axis=1)][:, None])
    over = np.stack(
        [
            (drawdown - np.array(DRAWDOWN)[mode]) + 0.0 * leverage,
            (leverage - most) - 0.5,
            (size * UNIT + exposure) - 1.0,
            size * leverage * atr * (UNIT * STOP) - np.array(RISK)[mode],
        ]
    )
    too_much, inside = (over > ROUNDING).any(axis=0), (over < -ROUNDING).all(axis=0)
    stopped = (drawdown >= np.array(DRAWDOWN)[mode]) | (atr <= 0.0)
    return too_much | stopped, inside & ~stopped


def _column(many: list[dict[str, Scalar]], name: str) -> Floats:
    return np.array([float(each[name]) for each in many])[:, None]


def wrong(guards: Iterable[Guard], many: list[dict[str, Scalar]]) -> tuple[int, int]:
    """Return how many actions were allowed beyond a limit, and how many were refused inside all of them."""
    allowed = narrowed(guards, many)
    too_much, inside = beyond(many)
    return int((allowed & too_much).sum()), int((~allowed & inside).sum())


def let_through(guards: Iterable[Guard], many: list[dict[str, Scalar]], rng: np.random.Generator) -> int:
    """Return how many actions were allowed in states that hold what cannot be measured."""
    return int(narrowed(guards, [spoiled(each, rng) for each in many]).sum())


def caught(guards: Iterable[Guard], rng: np.random.Generator) -> bool:
    """Return whether two thousand states show that guards let something through."""
    many = states(2_000, rng)
    return bool(wrong(guards, many)[0] or let_through(guards, many, rng))


def without(name: str) -> tuple[Guard, ...]:
    """Return the guards without one of them."""
    return tuple(each for each in agent.guards if each.name != name)


def changed(name: str, key: str, value: Callable[[Scalar], Scalar]) -> tuple[Guard, ...]:
    """Return the guards, one of which sees another value of a field than the state holds."""

    def seeing(guard: Guard) -> Callable[[StateValues], Iterable[Refusal]]:
        return lambda state: guard.refuse({**state, key: value(state[key])})

    return tuple(replace(each, refuse=seeing(each)) if each.name == name else each for each in agent.guards)


PLANTED: dict[str, tuple[Guard, ...]] = {
    **{f"no guard {each.name}": without(each.name) for each in agent.guards},
    "a stop of half the distance": changed("risk", "atr", lambda atr: float(atr) / 2.0),
    "drawdown with its sign reversed": changed("drawdown", "drawdown", lambda lost: -float(lost)),
    "drawdown at the limit is still allowed": changed("drawdown", "drawdown", lambda lost: float(lost) - 1e-12),
    "everybody is in mode normal": changed("account-mode", "account_mode", lambda mode: "normal"),
    "the band below": changed("volatility-band", "atr", lambda atr: float(atr) - 1e-6),
    "margin of others is forgotten": changed("margin", "exposure", lambda exposure: 0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, started = np.random.default_rng(options.seed), time.perf_counter()
    over = strict = bad = done = 0
    while done < options.states:
        many = states(min(CHUNK, options.states - done), rng)
        found = wrong(agent.guards, many)
        over, strict, done = over + found[0], strict + found[1], done + len(many)
        bad += let_through(agent.guards, many[: len(many) // 10], rng)
    print(f"{done:,} states, {done * len(agent.actions):,} actions, {time.perf_counter() - started:.0f} s")
    print(f"allowed beyond the strictest limit          {over}")
    print(f"refused inside all limits                   {strict}")
    print(f"allowed where something cannot be measured  {bad}   ({done // 10:,} states)")
    missed = [name for name, guards in PLANTED.items() if not caught(guards, rng)]
    print(f"planted bugs found                          {len(PLANTED) - len(missed)} of {len(PLANTED)} {missed or ''}")
    if over or strict or bad or missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
