"""`trade paper`: a series replayed as live events over a bus, and what came of it beside a rule, holding and nothing."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from steersman.core.errors import InvalidInput, StoreError, nearest
from steersman.core.ports import Bus, Progress
from steersman.packs.trading.account import check_mode
from steersman.packs.trading.backtest import report as reports
from steersman.packs.trading.backtest.arms import SIZING
from steersman.packs.trading.backtest.broker import Costs
from steersman.packs.trading.backtest.data import Market, read_market
from steersman.packs.trading.backtest.report import ArmReport, TradeRow
from steersman.packs.trading.backtest.simulation import Terms
from steersman.packs.trading.backtest.stage import Stage, staged
from steersman.packs.trading.backtest.walk import Walk
from steersman.packs.trading.paper.exchange import Exchange
from steersman.packs.trading.paper.market import PaperMarket, Why
from steersman.packs.trading.paper.series import Series

PAPER = "paper"
_SCOPES = ("*", "trading", SIZING)
_NAPS_S = 0.1


@dataclass(frozen=True, kw_only=True)
class PaperOptions:
    """data: files of prices. bus: on which the market talks, one that takes from the stream of answers; stream: where to.

    account: the first part of the names of its positions. speed: bars a second; 0: as fast as they are answered. patience_s:
    how long an answer is waited for; settle_s, known, say, silence: see `Exchange`. stop: whether to end. stopped, why: see
    `PaperMarket`. begins: is told of the prices and terms, and raises what it has against them. watch: is shown the market
    after each bar.
    """

    data: Sequence[str]
    bus: Bus
    stream: str
    account: str
    symbols: Sequence[str] = ()
    accept: Sequence[str] = ()
    train: int = Walk.train
    embargo: int = Walk.embargo
    test: int = Walk.test
    commission_bps: float = Costs.commission_bps
    spread_bps: float = Costs.spread_bps
    slippage_bps: float = Costs.slippage_bps
    borrow_pct: float = Costs.borrow_pct
    mode: str = "normal"
    hold_bars: int = Terms.hold_bars
    resume_bars: int = Terms.resume_bars
    speed: float = 100.0
    patience_s: float = 5.0
    settle_s: float = 0.0
    known: Callable[[str], bool] = lambda _: False
    say: Callable[[str], None] = lambda _: None
    silence: str = ""
    begins: Callable[[Series], None] = lambda _: None
    stop: Callable[[], bool] = lambda: False
    stopped: Callable[[], str] = lambda: ""
    why: Why = lambda _, reason: reason
    watch: Callable[[PaperMarket], None] = lambda _: None

    def __post_init__(self) -> None:
        check_mode(self.mode)
        for name, value, fits, least in (
            ("speed", self.speed, self.speed >= 0.0, "0 or more bars a second"),
            ("patience", self.patience_s, self.patience_s > 0.0, "more than 0 seconds"),
            ("hold", self.hold_bars, self.hold_bars >= 1, "at least 1 bar"),
            ("resume", self.resume_bars, self.resume_bars >= 0, "0 or more bars"),
        ):
            if not fits:
                raise InvalidInput(f"--{name} {value}: needs {least}.")
        if not self.account or "/" in self.account or not self.account.isprintable():
            raise InvalidInput(f"account {self.account!r}: use a name without '/'.")

    @property
    def terms(self) -> Terms:
        """How positions are held, and what they cost."""
        names = ("commission_bps", "spread_bps", "slippage_bps", "borrow_pct")
        costs = Costs(**{name: getattr(self, name) for name in names})
        return Terms(costs=costs, mode=self.mode, hold_bars=self.hold_bars, resume_bars=self.resume_bars)

    @property
    def walk(self) -> Walk:
        """In how many bars models learn first, and how often anew."""
        return Walk(train=self.train, embargo=self.embargo, test=self.test)


@dataclass(frozen=True, kw_only=True)
class PaperReport:
    """What came of a series. whole: whether it was played to its end. asked, answered: questions on the bus, and answers.

    again: questions that the log had answered before. withheld: why nothing was opened, by reason. gates: what kept the
    learned policy from deciding. untold: events that the bus has not taken. arms: the account, and beside it what learns
    nothing, over the same bars.
    """

    account: str
    accounts: int
    symbols: tuple[str, ...]
    first: str
    last: str
    bars: int
    whole: bool
    took_s: float
    notes: tuple[str, ...]
    asked: int
    answered: int
    again: int
    too_late: int
    untold: int
    withheld: dict[str, int]
    gates: dict[str, int]
    open: tuple[str, ...]
    trades: tuple[TradeRow, ...]
    arms: tuple[ArmReport, ...]


def paper(agent: Callable[[str], Any], options: PaperOptions, progress: Progress) -> PaperReport:
    """Read prices, replay them over the bus, and return the report. The agents are asked for on the bus alone.

    Raises what `read_market` does, InvalidInput for too few bars, unknown symbols or options that do not fit.
    """
    market = chosen(read_market(options.data, accept=options.accept), options.symbols)
    first = options.train
    if len(market) <= first + 1:
        raise InvalidInput(f"{len(market)} bars are too few to trade after {first} that models learn from: --train N.")
    options.begins(Series(account=options.account, market=market, terms=options.terms, walk=options.walk))
    for note in market.notes:
        progress.note(note)
    stage = staged(market, options.walk, options.terms, progress)
    return replayed(stage, first, options)


def replayed(stage: Stage, first: int, options: PaperOptions) -> PaperReport:
    """Replay the bars of a stage from one on, and return the report. Raises StoreError if there is no bus to begin with."""
    exchange = Exchange(
        options.bus,
        options.stream,
        patience_s=options.patience_s,
        scopes=_SCOPES,
        stop=options.stop,
        settle_s=options.settle_s,
        known=options.known,
        say=options.say,
        silence=options.silence,
    )
    exchange.listen()
    if why := options.bus.health():
        raise StoreError(f"the bus cannot be reached: {why.rstrip('.')}. Start it, or name another one with --url.")

    def stopped() -> str:
        return options.stopped() or next(iter(exchange.stopped.values()), "")

    played = PaperMarket(stage, exchange, account=options.account, stopped=stopped, why=options.why)
    due = began = time.monotonic()
    for bar in range(first, len(stage.market)):
        if options.stop() or not _due(due, options.stop):
            break
        due = max(due, time.monotonic() - _NAPS_S) + (1.0 / options.speed if options.speed else 0.0)
        exchange.listen()
        played.pass_bar(bar)
        options.watch(played)
    exchange.finish()
    return _report(stage, first, played, exchange, options, time.monotonic() - began)


def chosen(market: Market, symbols: Sequence[str]) -> Market:
    """Return a market of some of its symbols only; of all for none. Raises InvalidInput for one that is not there."""
    if not symbols:
        return market
    unknown = next((each for each in symbols if each not in market.symbols), None)
    if unknown is not None:
        raise InvalidInput(f"no symbol {unknown!r} in these prices.{nearest(unknown, market.symbols)}")
    columns = [index for index, each in enumerate(market.symbols) if each in symbols]
    rows = np.isfinite(market.close[:, columns]).any(axis=1)
    prices = {name: getattr(market, name)[rows][:, columns] for name in ("open", "high", "low", "close")}
    return replace(market, symbols=tuple(market.symbols[each] for each in columns), at=market.at[rows], **prices)


def _due(at: float, stop: Callable[[], bool]) -> bool:
    """Wait until it is time for a bar (monotonic seconds), and return whether to go on."""
    while (left := at - time.monotonic()) > 0.0:
        if stop():
            return False
        time.sleep(min(left, _NAPS_S))
    return True


def _report(
    stage: Stage, first: int, played: PaperMarket, exchange: Exchange, options: PaperOptions, took_s: float
) -> PaperReport:
    market = stage.market
    last = max(played.bar, first)
    cut = replace(
        market,
        at=market.at[: last + 1],
        **{name: getattr(market, name)[: last + 1] for name in ("open", "high", "low", "close")},
    )
    runs = {PAPER: played.played, **replace(stage, market=cut).others(first)} if played.bar >= first else {}
    return PaperReport(
        account=options.account,
        accounts=played.accounts,
        symbols=market.symbols,
        first=market.day(first),
        last=market.day(last),
        bars=max(played.bar - first + 1, 0),
        whole=played.bar == len(market) - 1,
        took_s=took_s,
        notes=market.notes,
        asked=exchange.asked,
        answered=exchange.answered,
        again=exchange.again,
        too_late=exchange.too_late,
        untold=exchange.due,
        withheld=dict(played.withheld.most_common()),
        gates=dict(played.gates.most_common()),
        open=tuple(each.symbol for each in played.lines if each.side),
        trades=tuple(reports.trade_row(each, market) for each in played.played.trades),
        arms=tuple(
            reports.arm_report(
                name, run, market.bars_per_year, np.random.default_rng([0, 12])
            )  # equal curves, equal intervals
            for name, run in runs.items()
        ),
    )
