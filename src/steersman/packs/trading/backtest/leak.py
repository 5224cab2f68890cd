"""`trade leak`: does anything before a time change when what comes after it does?

A backtest is played on the prices as they are, and again with everything from one bar on changed: shifted by a bar, in
another order, with noise, or cut off. Signals, states, decisions and fills before that bar must be the same, to the bit;
one that differs has looked ahead. What is learned on the way is part of it: the agents learn anew in each run.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput, nearest
from steersman.core.ports import Progress
from steersman.packs.trading.backtest.arms import Rule, agents_of
from steersman.packs.trading.backtest.boosters import Stretch, forecasts
from steersman.packs.trading.backtest.command import BacktestOptions
from steersman.packs.trading.backtest.data import Market, read_market
from steersman.packs.trading.backtest.played import Played
from steersman.packs.trading.backtest.seen import Seen
from steersman.packs.trading.backtest.signals import STRATEGIES, Prices, Sides, Signals, signals
from steersman.packs.trading.backtest.stage import Stage, staged, walked
from steersman.packs.trading.market import Features

Row = tuple[int, str, object]

NONE, SHIFT, PERMUTE, NOISE, CUT = "none", "shift", "permute", "noise", "cut"
TAMPERS = (NONE, SHIFT, PERMUTE, NOISE, CUT)
PLANTS = ("", "signal", "model", "state", "fill")
KINDS = ("signals", "states", "decisions", "fills")
_PRICES = ("open", "high", "low", "close")
_NOISE = 0.05
_ROUNDING = 1e-6
_PROBES, _PROBE_BACK, _PROBE_AHEAD = 40, 150, 20
"""Bars that are looked at for themselves, and how many before and after each are needed for it."""


@dataclass(frozen=True, kw_only=True)
class LeakOptions(BacktestOptions):
    """How a backtest is played for the leak test. from_share: where the change begins, as a share of the bars.

    tamper: what is changed from there on. plant: a leak to be planted, so that one can see it caught: rules that know the
    next bar ("signal"), models trained on the future ("model"), features of it ("state"), fills at a later price ("fill").
    against: the trace of the run without a change, to compare with; it says from which bar on.
    """

    epochs: int = 1
    from_share: float = 0.7
    tamper: str = NONE
    plant: str = ""
    against: "Trace | None" = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, known in (("tamper", self.tamper, TAMPERS), ("--plant", self.plant, PLANTS)):
            if value not in known:
                raise InvalidInput(f"{name} {value!r} is none.{nearest(value, [each for each in known if each])}")
        if self.tamper != NONE and self.against is None:
            raise InvalidInput(f"tamper {self.tamper!r} needs the trace of a run without a change to compare with.")
        if not 0.0 < self.from_share < 1.0:
            raise InvalidInput(f"--since must lie between 0 and 1, got {self.from_share}.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What happened before a bar, by kind: what and when (bar, symbol), and its value, in the order of time."""

    bar: int
    rows: dict[str, list[Row]]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """The first thing of a kind that differs: when, of which symbol, and what it was before and after the change."""

    kind: str
    day: str
    symbol: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class LeakRun:
    """One run. compared: how many things of each kind; leaks: the first difference of each kind, none where all is well.

    notes: what was mended in the prices.
    """

    tamper: str
    since: str
    notes: tuple[str, ...]
    compared: dict[str, int]
    leaks: tuple[Leak, ...]
    trace: Trace


def leak(agent: Callable[[AgentSpec], Any], options: LeakOptions, progress: Progress) -> LeakRun:
    """Play one run, and compare it with the trace of another where one is given.

    Raises what `backtest` does, and InvalidInput where the change would begin before one test is over.
    """
    market = read_market(options.data, accept=options.accept)
    return traced(market, agents_of(agent), options, progress)


def traced(market: Market, agents: dict[str, Any], options: LeakOptions, progress: Progress) -> LeakRun:
    """Play one run of a market that is known, and compare it."""
    before = options.against
    wanted = _wanted(options, len(market))
    seen = market if before is None else tampered(market, before.bar, options.tamper, _rng(options))
    stage = _planted(seen, options, progress)
    folds = options.walk.folds(len(seen))
    runs = [walked(stage, folds, agents, options.practice, progress), stage.simulation(Rule()).run(0, len(seen)).played]
    bar = _after_a_fill(wanted, runs, len(market)) if before is None else before.bar
    trace = Trace(bar=bar, rows=dict(zip(KINDS, _rows(stage, runs, bar), strict=True)))
    leaks = () if before is None else (*differences(before, trace, market), *probed(market, options))
    first = {each.kind: each for each in reversed(leaks)}
    return LeakRun(
        tamper=options.tamper,
        since=market.day(bar),
        notes=market.notes,
        compared={**{kind: len(rows) for kind, rows in trace.rows.items()}, "points": len(_points(options, len(market)))},
        leaks=tuple(first[kind] for kind in KINDS if kind in first),
        trace=trace,
    )


def _rng(options: LeakOptions) -> np.random.Generator:
    return np.random.default_rng([options.seed, 13])


def _wanted(options: LeakOptions, bars: int) -> int:
    """Return the bar at the share that is asked for. Raises InvalidInput where no whole test lies before it."""
    options.walk.folds(bars)
    needed, share = options.train + options.test, options.from_share
    wanted = int(share * bars + _ROUNDING)
    if wanted < needed:
        enough = math.ceil(100.0 * needed / bars) / 100.0
        raise InvalidInput(
            f"--since {share:g} is bar {wanted:,} of {bars:,}, before the end of the first test at bar {needed:,}. Give "
            + (f"--since {enough:g}, " if enough < 1.0 else "")
            + f"at least {math.ceil(needed / share - _ROUNDING):,} bars, or smaller --train and --test."
        )
    return wanted


def _after_a_fill(wanted: int, runs: Sequence[Played], bars: int) -> int:
    """Return the bar from which on prices are changed: right after a fill, so that one that knew too much would show."""
    return min((fill.bar + 1 for run in runs for fill in run.fills if wanted <= fill.bar < bars - 1), default=wanted)


def probed(market: Market, options: LeakOptions) -> Iterator[Leak]:
    """Yield the first rule and the first state that are not the same right before a change, at any of many bars.

    What looks a single bar ahead shows in the bar before the change alone, and a rule only where it turns. Neither needs
    what was learned, so that many bars can be looked at.
    """
    for kind, found in (("signals", _rules), ("states", _states)):
        for bar in _points(options, len(market)):
            part = _part(market, bar - _PROBE_BACK, bar + _PROBE_AHEAD)
            one, other = (
                found(each, options) for each in (part, tampered(part, _PROBE_BACK, options.tamper, _rng(options)))
            )
            if one != other:
                day = market.day(bar - 1)
                yield Leak(kind=kind, day=day, symbol=", ".join(market.symbols), before=str(one), after=str(other))
                break


def _points(options: LeakOptions, bars: int) -> list[int]:
    if options.tamper == NONE:
        return []
    return [int(each) for each in np.linspace(_PROBE_BACK, bars - _PROBE_AHEAD, _PROBES)]


def _part(market: Market, first: int, last: int) -> Market:
    cut: dict[str, Any] = {name: getattr(market, name)[first:last] for name in ("at", *_PRICES)}
    return replace(market, **cut)


def _rules(part: Market, options: LeakOptions) -> dict[str, list[int]]:
    """Return what rules say in the last bar before a change."""
    said = signals(part, {}, _strategies(options.plant))
    return {name: each[_PROBE_BACK - 1].tolist() for name, each in said.sides.items()}


def _states(part: Market, options: LeakOptions) -> list[Features]:
    """Return what is seen in the last bar before a change."""
    seen = Seen(part, ahead=int(options.plant == "state"))
    return [seen.features(symbol, float(part.at[_PROBE_BACK - 1])) for symbol in part.symbols]


def tampered(market: Market, bar: int, how: str, rng: np.random.Generator) -> Market:
    """Return a market whose bars from one on are changed, and those before are not."""
    if how == CUT:
        return _part(market, 0, bar)
    late = np.arange(bar, len(market))
    order = {SHIFT: np.minimum(late + 1, len(market) - 1), PERMUTE: rng.permutation(late)}.get(how, late)
    factor = np.exp(rng.normal(0.0, _NOISE, (len(late), 1))) if how == NOISE else 1.0
    changed: dict[str, Any] = {
        name: np.concatenate([getattr(market, name)[:bar], getattr(market, name)[order] * factor]) for name in _PRICES
    }
    return replace(market, **changed)


def differences(before: Trace, after: Trace, market: Market) -> Iterator[Leak]:
    """Yield the first difference of each kind."""
    for kind in KINDS:
        for one, other in zip_longest(before.rows[kind], after.rows[kind]):
            if one != other:
                yield _leak(kind, one, other, market)
                break


def _leak(kind: str, before: Row | None, after: Row | None, market: Market) -> Leak:
    rows: tuple[Row | None, ...] = (before, after)
    bar, symbol = min((row[0], row[1]) for row in rows if row is not None)
    values = ["nothing" if row is None else str(row[2]) for row in rows]
    return Leak(kind=kind, day=market.day(bar), symbol=symbol, before=values[0], after=values[1])


def _rows(stage: Stage, runs: Sequence[Played], bar: int) -> Iterator[list[Row]]:
    yield list(_said(stage.signals, stage.market.symbols, bar))
    decided = sorted((each for run in runs for each in run.decided if each.bar < bar), key=lambda each: each.bar)
    yield [(each.bar, each.symbol, (each.meta_state, each.sizing_state)) for each in decided]
    yield [(each.bar, each.symbol, (each.meta, each.side, each.sizing)) for each in decided]
    fills = sorted((each for run in runs for each in run.fills if each.bar < bar), key=lambda each: each.bar)
    yield [(each.bar, each.symbol, (each.units, each.price, each.costs, each.why)) for each in fills]


def _said(said: Signals, symbols: Sequence[str], bar: int) -> Iterator[Row]:
    """Yield all that is said at each bar before one, NaN as None, which is equal to itself."""
    columns: dict[str, NDArray[Any]] = {**said.sides, **said.forecasts, "confidence": said.confidence}
    for at in range(bar):
        for column, symbol in enumerate(symbols):
            values = {name: float(each[at, column]) for name, each in columns.items()}
            yield at, symbol, {name: None if np.isnan(value) else value for name, value in values.items()}


def _planted(market: Market, options: LeakOptions, progress: Progress) -> Stage:
    """Return the stage, with the leak that is to be planted, if one is."""
    plant = options.plant
    if plant in ("signal", "model"):
        stretches = options.walk.stretches(len(market))
        known = len(market) if plant == "model" else 0
        stretches = [Stretch(known=max(each.known, known), first=each.first, last=each.last) for each in stretches]
        progress.phase("training models on what was past", len(stretches))
        said = signals(market, forecasts(market, stretches, progress.step), _strategies(plant))
        return Stage(market=market, signals=said, seen=Seen(market), terms=options.terms)
    stage = staged(market, options.walk, options.terms, progress)
    if plant == "state":
        return replace(stage, seen=Seen(market, ahead=1))
    later = np.concatenate([market.open[1:], market.open[-1:]])
    return replace(stage, market=replace(market, open=later)) if plant == "fill" else stage


def _strategies(plant: str) -> Mapping[str, Callable[[Prices], Sides]]:
    return {name: _ahead(rule) for name, rule in STRATEGIES.items()} if plant == "signal" else STRATEGIES


def _ahead(rule: Callable[[Prices], Sides]) -> Callable[[Prices], Sides]:
    """Return a rule that says a bar too early what it says."""

    def early(prices: Prices) -> Sides:
        said = rule(prices)
        return np.concatenate([said[1:], said[-1:]])

    return early
