"""A paper market: bars pass as they did, and who decides sits behind a bus.

It is the simulation of the backtest, with its signals, broker, costs and book: the same decisions lead to the same fills. At
each close the signals of all symbols go out together, and then the orders of those that are followed. Without an answer in
time there is no trade.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from steersman.core.events import Event
from steersman.core.influence import KILLED, withheld_by
from steersman.packs.trading.account import MODES
from steersman.packs.trading.account import Account as Told
from steersman.packs.trading.backtest.arms import META, SIZING, Chosen, Rule
from steersman.packs.trading.backtest.broker import Exit
from steersman.packs.trading.backtest.simulation import Simulation
from steersman.packs.trading.backtest.stage import Stage
from steersman.packs.trading.book import MAIN
from steersman.packs.trading.events import SizeChosen, StrategyChosen
from steersman.packs.trading.paper.exchange import Exchange
from steersman.packs.trading.paper.messages import Asked, Messages

LATE = "no answer in time"
OBJECTED = "the chosen strategy or its model does not follow"
T = TypeVar("T", StrategyChosen, SizeChosen)
Why = Callable[[str, str], str]
"""Says in a word why nothing is to be opened, by a decision's id and its reason."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One symbol now. side: 0 where nothing is held; gain: what is held has gained, as a share of its value."""

    symbol: str
    side: int
    size: float
    leverage: float
    gain: float
    closed: int
    pnl_pct: float


class PaperMarket(Simulation):
    """One account, and after each reopening a new one, whose decisions are asked for on a bus.

    withheld: why nothing was opened, by reason. gates: what kept the learned policy from deciding. stopped: says why nothing
    may be opened at this moment, "" if it may. why: see `Why`.
    """

    def __init__(
        self,
        stage: Stage,
        exchange: Exchange,
        *,
        account: str,
        stopped: Callable[[], str] = lambda: "",
        why: Why = lambda _, reason: reason,
    ) -> None:
        super().__init__(stage.market, stage.signals, stage.seen, Rule(), stage.terms)
        self._exchange, self._stopped, self._why = exchange, stopped, why
        self._messages = Messages(stage.market)
        self._first_account = account
        self._reopened = 0
        self._heard: list[Asked] = []
        self._named: dict[str, tuple[Asked, float]] = {}
        self._told = Told(mode=stage.terms.mode, equity=1.0)
        self._stuck = 0
        self._closed: Counter[str] = Counter()
        self._earned: dict[str, float] = dict.fromkeys(stage.market.symbols, 0.0)
        self.due: list[Event] = []
        self.bar = -1
        self.withheld: Counter[str] = Counter()
        self.gates: Counter[str] = Counter()

    def pass_bar(self, bar: int) -> None:
        """Let a bar pass, tell what happened in it, and have its signals answered."""
        self.bar = bar
        self.run(bar, bar + 1)
        self._exchange.tell(self.due)
        self.due = []
        heard, self._heard = self._heard, []
        self._size(self._follow(heard))

    @property
    def day(self) -> str:
        """The date of the last bar."""
        return self._market.day(max(self.bar, 0))

    @property
    def accounts(self) -> int:
        """How many accounts there were."""
        return self._reopened + 1

    @property
    def account(self) -> str:
        """The name of the account that signals go to now: a new one after each time that a drawdown shut the last."""
        return f"{self._first_account}.{self.accounts}" if self._reopened else self._first_account

    @property
    def lines(self) -> list[Line]:
        """Each symbol now."""
        return [self._line(symbol) for symbol in self._market.symbols]

    @property
    def drawdown(self) -> float:
        """What the account is below its peak, as what is told of closed positions has it, or as it is marked: the larger."""
        return max(self._book.accounts[MAIN].drawdown, self._told.drawdown)

    def _line(self, symbol: str) -> Line:
        held = self._account.holdings.get(symbol)
        sizing = self._open[symbol].order.choices[1].action if held else {}
        return Line(
            symbol=symbol,
            side=held.side if held else 0,
            size=float(sizing.get("size", 0.0)),
            leverage=float(sizing.get("leverage", 0.0)),
            gain=held.gain(self._prices.get(symbol, held.entry)) / held.value if held else 0.0,
            closed=self._closed[symbol],
            pnl_pct=self._earned[symbol],
        )

    def _fill(self, bar: int, column: int) -> None:
        """Fill as the backtest does, unless a kill switch came after the answer; and keep what is to be told of it."""
        symbol = self._market.symbols[column]
        if symbol in self._orders and (why := self._stopped()):
            del self._orders[symbol]
            self._withhold(why)
        order = self._orders.get(symbol)
        super()._fill(bar, column)
        if order is not None:
            asked, _ = self._named[symbol]
            self._named[symbol] = asked, self._told.equity
            entry = self._account.holdings[symbol].entry
            self.due.append(self._messages.executed(asked, order.choices[1].action, entry))

    def _settle(self, gone: Exit) -> None:
        """Take a closed position off the book, and keep what is to be told of it."""
        (meta, sizing), (asked, equity) = self._open[gone.symbol].order.choices, self._named[gone.symbol]
        super()._settle(gone)
        pnl_pct = self._trades[-1].pnl_pct
        self._closed[gone.symbol] += 1
        self._earned[gone.symbol] += pnl_pct
        if asked.account == self.account:
            self._told.book(equity * pnl_pct / 100.0)
        self.due.append(self._messages.closed(asked, meta.action, sizing.action, gone, pnl_pct))

    def _reopen(self) -> None:
        """Go on under a new account when the backtest counts the peak anew; whoever hears only of closes must know."""
        account, terms = self._book.accounts[MAIN], self._terms
        peak, limit = account.peak, MODES[terms.mode].drawdown
        super()._reopen()
        idle = account.drawdown < limit <= self._told.drawdown and not self._account.holdings
        self._stuck = self._stuck + 1 if idle else 0
        if account.peak < peak or (terms.resume_bars and self._stuck > terms.resume_bars):
            self._reopened += 1
            self._stuck, self._told = 0, Told(mode=terms.mode, equity=1.0)

    def _consider(self, bar: int, column: int) -> None:
        """Keep a signal until all of this close are together."""
        symbol = self._market.symbols[column]
        sides = (int(each[bar, column]) for each in self._signals.sides.values())
        asked = Asked(
            account=self.account,
            mode=self._terms.mode,
            symbol=symbol,
            bar=bar,
            column=column,
            at=float(self._market.at[bar]),
            confidence=float(self._signals.confidence[bar, column]),
            direction=sum(sides),
        )
        self._heard.append(asked)

    def _follow(self, heard: list[Asked]) -> list[tuple[Asked, Chosen, int]]:
        """Ask how signals are followed, and return those that lead to an order, with its side."""
        found = []
        answers = self._exchange.ask([self._messages.signal(each) for each in heard])
        for each in heard:
            said = self._heeded(answers.get(each.signal), StrategyChosen)
            if said is None:
                continue
            meta = Chosen(agent=META, action={"strategy": said.strategy, "model": said.model, "weight": said.weight})
            side = self._signals.side(each.bar, each.column, meta.action)
            if side:
                found.append((each, meta, side))
            else:
                self._withhold(OBJECTED)
                state = self._book.meta_state(each.symbol, each.confidence, each.at)
                self._note(each.bar, each.symbol, state, meta.action, 0)
        return found

    def _size(self, followed: list[tuple[Asked, Chosen, int]]) -> None:
        """Ask how large positions are to be, and order what is answered."""
        exposure, lost = self._book.exposure(), min(self.drawdown, 1.0)
        orders = [self._messages.order(each, side, exposure=exposure, drawdown=lost) for each, _, side in followed]
        answers = self._exchange.ask(orders)
        for each, meta, side in followed:
            said = self._heeded(answers.get(each.order), SizeChosen)
            sizing = None if said is None else Chosen(agent=SIZING, action={"size": said.size, "leverage": said.leverage})
            states = (
                self._book.meta_state(each.symbol, each.confidence, each.at),
                self._book.sizing_state(each.symbol, each.confidence, each.at),
            )
            decided = self._note(each.bar, each.symbol, states[0], meta.action, side, states[1], sizing)
            if sizing is not None:
                self._named[each.symbol] = each, self._told.equity
                self._orders[each.symbol] = self._order(decided, (meta, sizing), each.confidence, each.at)

    def _heeded(self, answer: Event | None, kind: type[T]) -> T | None:
        """Return an answer that something may be opened on, and count why where there is none."""
        if answer is None:
            self._withhold(LATE)
            return None
        said = msgspec.convert(answer.data, kind)
        gate = withheld_by(said.reason)
        if gate is not None and gate != "kill":  # no rule decides then: nothing is opened, and counted as that
            self.gates[gate] += 1
        if said.arm == "safe":
            self._withhold(self._why(said.decision_id, said.reason))
            return None
        return said

    def _withhold(self, why: str) -> None:
        self.withheld[KILLED if why.startswith(KILLED) else why] += 1
