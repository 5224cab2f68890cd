"""`trade backtest`: what the agents would have done in the past, learning as they went, beside plainer ways."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.agent import AgentSpec
from steersman.core.ports import Progress
from steersman.packs.trading.backtest import figures
from steersman.packs.trading.backtest import report as reports
from steersman.packs.trading.backtest.arms import agents_of
from steersman.packs.trading.backtest.broker import Costs
from steersman.packs.trading.backtest.data import Market, read_market
from steersman.packs.trading.backtest.overfitting import deflated_sharpe, overfitting_probability
from steersman.packs.trading.backtest.played import Played
from steersman.packs.trading.backtest.report import LEARNED, RULE, BacktestReport, FoldRow
from steersman.packs.trading.backtest.simulation import Terms
from steersman.packs.trading.backtest.stage import Practice, Stage, staged, walked
from steersman.packs.trading.backtest.walk import Fold, Walk

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BacktestOptions:
    """data: files of prices. Sizes are in bars. epochs: how often the agents practise on bars that are past.

    accept: what is taken although it looks wrong, "gaps" or "jumps".
    """

    data: Sequence[str]
    accept: Sequence[str] = ()
    train: int = Walk.train
    embargo: int = Walk.embargo
    test: int = Walk.test
    epochs: int = Practice.epochs
    seed: int = Practice.seed
    commission_bps: float = Costs.commission_bps
    spread_bps: float = Costs.spread_bps
    slippage_bps: float = Costs.slippage_bps
    borrow_pct: float = Costs.borrow_pct
    account: str = "normal"
    hold_bars: int = Terms.hold_bars
    resume_bars: int = Terms.resume_bars

    def __post_init__(self) -> None:
        """Refuse options that do not fit before any file is read. Raises InvalidInput."""
        _ = self.walk, self.practice, self.terms

    @property
    def walk(self) -> Walk:
        """How the bars are cut."""
        return Walk(train=self.train, embargo=self.embargo, test=self.test)

    @property
    def practice(self) -> Practice:
        """How the agents practise."""
        return Practice(epochs=self.epochs, seed=self.seed)

    @property
    def terms(self) -> Terms:
        """How positions are held, and what they cost."""
        names = ("commission_bps", "spread_bps", "slippage_bps", "borrow_pct")
        costs = Costs(**{name: getattr(self, name) for name in names})
        return Terms(costs=costs, mode=self.account, hold_bars=self.hold_bars, resume_bars=self.resume_bars)


def backtest(agent: Callable[[AgentSpec], Any], options: BacktestOptions, progress: Progress) -> BacktestReport:
    """Read the prices, play them, and return the report.

    Raises what `read_market` does, InvalidInput for too few bars or options that do not fit, NotFound for a missing extra.
    """
    return played(read_market(options.data, accept=options.accept), agents_of(agent), options, progress)


def played(market: Market, agents: Mapping[str, Any], options: BacktestOptions, progress: Progress) -> BacktestReport:
    """Play a market with all arms, and return the report."""
    folds = options.walk.folds(len(market))
    stage = staged(market, options.walk, options.terms, progress)
    runs = {LEARNED: walked(stage, folds, agents, options.practice, progress)}
    runs |= stage.others(folds[0].first)
    tried = stage.tried(folds[0].first, progress)
    return _report(stage, folds, runs, tried, options)


def warnings(options: BacktestOptions) -> tuple[str, ...]:
    """Return what a reader of the figures has to know first."""
    free = options.terms.costs.free
    return (f"no market is free: {', '.join(free)} {'is' if len(free) == 1 else 'are'} 0",) if free else ()


def _report(
    stage: Stage,
    folds: Sequence[Fold],
    runs: Mapping[str, Played],
    tried: Mapping[str, Floats],
    options: BacktestOptions,
) -> BacktestReport:
    market, first, yearly = stage.market, folds[0].first, stage.market.bars_per_year
    rng = np.random.default_rng([options.seed, 12])
    learned, returns = runs[LEARNED], {name: run.returns for name, run in runs.items()}
    everything = {**tried, RULE: returns[RULE], LEARNED: returns[LEARNED]}
    ratios = {name: figures.sharpe(each) for name, each in everything.items()}
    deflated = deflated_sharpe(returns[LEARNED], np.array(list(ratios.values())))
    others = {name: each for name, each in returns.items() if name != LEARNED}
    comparisons = reports.compare(returns[LEARNED], others, len(learned.trades), yearly, rng)
    best = max(tried, key=lambda name: ratios[name])
    return BacktestReport(
        symbols=market.symbols,
        first=market.day(first),
        last=market.day(len(market) - 1),
        bars=len(market) - first,
        bars_per_year=yearly,
        notes=market.notes,
        warnings=warnings(options),
        options={each.name: getattr(options, each.name) for each in dataclasses.fields(options)},
        arms=tuple(reports.arm_report(name, run, yearly, rng) for name, run in runs.items()),
        comparisons=comparisons,
        verdict=reports.overall(comparisons),
        deflated_sharpe=deflated,
        overfitting=overfitting_probability(np.column_stack(list(everything.values()))),
        tried=len(everything),
        best_tried=(best, float(ratios[best] * np.sqrt(yearly))),
        regimes=reports.regime_rows(learned.decided, learned.trades),
        folds=tuple(_fold_row(market, fold, returns, first) for fold in folds),
        trades=tuple(reports.trade_row(each, market) for each in learned.trades),
        days=tuple(market.day(place) for place in range(first - 1, len(market))),
    )


def _fold_row(market: Market, fold: Fold, returns: Mapping[str, Floats], first: int) -> FoldRow:
    part = slice(fold.first - first, fold.last - first)
    return FoldRow(
        train_until=market.day(fold.train_last - 1),
        first=market.day(fold.first),
        last=market.day(fold.last - 1),
        returns={name: float(np.prod(1.0 + each[part]) - 1.0) for name, each in returns.items()},
    )
