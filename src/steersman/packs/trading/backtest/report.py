"""What a backtest reports: how each arm did, how sure it is that what was learned is better, and what it did."""

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Choice
from steersman.packs.trading.backtest import figures
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.figures import Interval
from steersman.packs.trading.backtest.played import Decided, Played, Trade
from steersman.packs.trading.regime import REGIMES

Floats = NDArray[np.float64]

LEARNED, RULE, HOLD, NOTHING = "learned", "fixed rule", "buy and hold", "no trade"
LEVEL = 0.95
MIN_TRADES = 20


@dataclass(frozen=True, kw_only=True)
class ArmReport:
    """How an arm did in all tests strung together. Shares are of the equity; what is by the year says so.

    growth, volatility, sharpe, turnover (value traded over mean equity), costs: by the year. exposure: mean value held.
    equity: at the start and after each bar. stops: how often its drawdown shut the account. final: what 1 has become.
    """

    name: str
    final: float
    growth: float
    volatility: float
    sharpe: Interval
    drawdown: float
    trades: int
    won: float | None
    turnover: float
    costs: float
    exposure: float
    stops: int
    liquidated: int
    equity: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Learned minus another arm, paired by bar: mean return and Sharpe ratio by the year, with intervals and verdicts.

    The intervals of all arms hold together with 95 %: each has its share of the 5 % (Bonferroni).
    """

    other: str
    gain: Interval
    gain_verdict: str
    sharpe: Interval
    sharpe_verdict: str


@dataclass(frozen=True, kw_only=True)
class RegimeRow:
    """What was learned does in a regime: signals, the share that became positions, the choices it made there most often.

    Choices are shares of the signals (strategy, model, weight) or of the positions (size, leverage). return_pct: mean over
    closed positions, by their value, after costs; None without any.
    """

    regime: str
    signals: int
    positions: float
    choices: Mapping[str, tuple[tuple[Choice, float], ...]]
    size: float | None
    leverage: float | None
    return_pct: float | None


@dataclass(frozen=True, kw_only=True)
class TradeRow:
    """One closed position of what was learned."""

    symbol: str
    side: str
    opened: str
    closed: str
    entry: float
    exit: float
    regime: str
    strategy: str
    model: str
    weight: str
    size: float
    leverage: float
    return_pct: float
    pnl_pct: float
    costs_pct: float
    why: str


@dataclass(frozen=True, kw_only=True)
class FoldRow:
    """One test: what was learned from until when, and what each arm returned in it."""

    train_until: str
    first: str
    last: str
    returns: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class BacktestReport:
    """The result of `steersman trade backtest`.

    deflated_sharpe: the probability that the learned arm's true Sharpe ratio is above what the best of all `tried` owes to
    luck. overfitting: the probability that the best of them in one half of the time is below the median in the other.
    best_tried: which always-the-same choice would have done best, known only afterwards, with its Sharpe ratio by the year.
    """

    symbols: tuple[str, ...]
    first: str
    last: str
    bars: int
    bars_per_year: float
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    options: Mapping[str, object]
    arms: tuple[ArmReport, ...]
    comparisons: tuple[Comparison, ...]
    verdict: str
    deflated_sharpe: float
    overfitting: float
    tried: int
    best_tried: tuple[str, float]
    regimes: tuple[RegimeRow, ...]
    folds: tuple[FoldRow, ...]
    trades: tuple[TradeRow, ...]
    days: tuple[str, ...]


def arm_report(name: str, run: Played, bars_per_year: float, rng: np.random.Generator) -> ArmReport:
    """Return the figures of an arm. Each arm is drawn from the same bars, so that equal curves have equal intervals."""
    returns, count = run.returns, len(run.equity)
    curve, years = figures.equity(returns), count / bars_per_year
    won = [each.exit.pnl > 0.0 for each in run.trades]
    return ArmReport(
        name=name,
        final=float(curve[-1]),
        growth=figures.yearly_growth(returns, bars_per_year),
        volatility=float(np.std(returns, ddof=1) * np.sqrt(bars_per_year)),
        sharpe=figures.yearly_sharpe(returns, bars_per_year, deepcopy(rng), level=LEVEL),
        drawdown=float(figures.drawdown(returns).max()),
        trades=len(run.trades),
        won=sum(won) / len(won) if won else None,
        turnover=run.traded / float(curve.mean()) / years,
        costs=run.paid / float(curve.mean()) / years,
        exposure=float(np.mean(run.exposure)),
        stops=run.stops,
        liquidated=sum(each.exit.why == "liquidated" for each in run.trades),
        equity=tuple(round(each, 6) for each in curve.tolist()),
    )


def compare(
    learned: Floats, others: Mapping[str, Floats], trades: int, bars_per_year: float, rng: np.random.Generator
) -> tuple[Comparison, ...]:
    """Return learned minus each other arm, all drawn from the same bars.

    Nothing can be told of fewer than 20 positions.
    """
    level = 1.0 - (1.0 - LEVEL) / len(others)
    found = []
    for name, returns in others.items():
        gain = figures.mean_difference(learned, returns, bars_per_year, deepcopy(rng), level=level)
        ratio = figures.sharpe_difference(learned, returns, bars_per_year, deepcopy(rng), level=level)
        count = len(learned) if trades >= MIN_TRADES else 0
        found.append(
            Comparison(
                other=name,
                gain=gain,
                gain_verdict=figures.verdict(gain, count),
                sharpe=ratio,
                sharpe_verdict=figures.verdict(ratio, count),
            )
        )
    return tuple(found)


def overall(comparisons: Sequence[Comparison]) -> str:
    """Return "better" where both figures are, than the fixed rule and than no trade.

    "worse" where a figure is worse than one of theirs and none is better; else "cannot tell".
    """
    told = {each.other: (each.gain_verdict, each.sharpe_verdict) for each in comparisons}
    both = {*told[RULE], *told[NOTHING]}
    if both == {"better"}:
        return "better"
    return "worse" if "worse" in both and "better" not in both else "cannot tell"


def regime_rows(decided: Sequence[Decided], trades: Sequence[Trade]) -> tuple[RegimeRow, ...]:
    """Return what was done in each regime in which there was a signal."""
    rows = []
    for regime in REGIMES:
        seen = [each for each in decided if each.meta_state["regime"] == regime]
        if seen:
            rows.append(_regime_row(regime, seen, [each for each in trades if each.decided.meta_state["regime"] == regime]))
    return tuple(rows)


def _regime_row(regime: str, seen: Sequence[Decided], trades: Sequence[Trade]) -> RegimeRow:
    sized = [each.sizing for each in seen if each.sizing is not None]
    meta = {name: _shares([each.meta[name] for each in seen]) for name in ("strategy", "model", "weight")}
    return RegimeRow(
        regime=regime,
        signals=len(seen),
        positions=len(sized) / len(seen),
        choices={**meta, **{name: _shares([each[name] for each in sized]) for name in ("size", "leverage")}},
        size=_mean([float(each["size"]) for each in sized]),
        leverage=_mean([float(each["leverage"]) for each in sized]),
        return_pct=_mean([each.exit.return_pct for each in trades]),
    )


def _shares(choices: Sequence[Choice]) -> tuple[tuple[Choice, float], ...]:
    counted = Counter(choices)
    return tuple(
        (choice, count / len(choices))
        for choice, count in sorted(counted.items(), key=lambda each: (-each[1], str(each[0])))
    )


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def trade_row(trade: Trade, market: Market) -> TradeRow:
    """Return a closed position as it is shown."""
    gone, decided, sizing = trade.exit, trade.decided, trade.decided.sizing or {}
    return TradeRow(
        symbol=gone.symbol,
        side="long" if gone.side > 0 else "short",
        opened=market.day(gone.opened),
        closed=market.day(gone.closed),
        entry=round(gone.entry, 6),
        exit=round(gone.exit, 6),
        regime=str(decided.meta_state["regime"]),
        strategy=str(decided.meta["strategy"]),
        model=str(decided.meta["model"]),
        weight=str(decided.meta["weight"]),
        size=float(sizing["size"]),
        leverage=float(sizing["leverage"]),
        return_pct=gone.return_pct,
        pnl_pct=trade.pnl_pct,
        costs_pct=trade.pnl_pct * gone.costs / gone.pnl if gone.pnl else 0.0,
        why=gone.why,
    )
