"""A paper broker: orders are filled at the next bar's open, at a price that costs; positions on credit can be liquidated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from steersman.core.errors import InvalidInput

_BPS = 1e-4


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What trading costs. Commission, spread and slippage are basis points of what is traded; half a spread is paid a side.

    borrow_pct: interest by the year on what is bought on credit, and on what is sold short. maintenance: the share of the
    value of a position that its margin must be worth at any moment, else it is liquidated.
    """

    commission_bps: float = 1.0
    spread_bps: float = 2.0
    slippage_bps: float = 2.0
    borrow_pct: float = 5.0
    maintenance: float = 0.05

    def __post_init__(self) -> None:
        for name in ("commission", "spread", "slippage"):
            value = getattr(self, f"{name}_bps")
            if not 0.0 <= value <= 1_000.0:
                raise InvalidInput(f"--{name} must lie in 0 to 1,000 basis points, got {value:g}.")
        if not 0.0 <= self.borrow_pct <= 100.0:
            raise InvalidInput(f"--borrow must lie in 0 to 100 % a year, got {self.borrow_pct:g}.")
        if not 0.0 <= self.maintenance < 0.14:
            raise InvalidInput(f"maintenance must lie in 0 to 0.14, got {self.maintenance:g}.")

    @property
    def free(self) -> list[str]:
        """The names of costs that are 0, which no market offers."""
        return [name for name in ("commission_bps", "spread_bps", "slippage_bps", "borrow_pct") if not getattr(self, name)]

    def filled(self, price: float, side: int) -> float:
        """Return what a price is for who buys (side 1) or sells (−1)."""
        return price * (1.0 + side * (self.spread_bps / 2.0 + self.slippage_bps) * _BPS)

    def commission(self, value: float) -> float:
        """Return what trading a value costs beside the price."""
        return abs(value) * self.commission_bps * _BPS


@dataclass(kw_only=True, slots=True)
class Holding:
    """An open position: units of a symbol bought (side 1) or sold short (−1), and the margin that stands for it.

    entry is a price; margin and costs, what was paid so far, are money. worst: the deepest fall from its best, by closes, as
    a share of its value at the start.
    """

    symbol: str
    side: int
    units: float
    entry: float
    margin: float
    opened: int
    costs: float
    peak: float = 0.0
    worst: float = 0.0

    @property
    def value(self) -> float:
        """What was put into the market at the start."""
        return self.units * self.entry

    def gain(self, price: float) -> float:
        """Return what it has gained at a price, costs apart."""
        return self.side * self.units * (price - self.entry)

    def liquidation_price(self, maintenance: float) -> float:
        """Return the price at which what is left of the margin is worth `maintenance` of the position.

        margin + side·units·(p − entry) = maintenance·units·p. Below 0 for a position that can never get there.
        """
        return (self.side * self.entry - self.margin / self.units) / (self.side - maintenance)

    def mark(self, price: float) -> None:
        """Follow the price of a close."""
        share = self.gain(price) / self.value
        self.peak = max(self.peak, share)
        self.worst = max(self.worst, self.peak - share)


@dataclass(frozen=True, kw_only=True)
class Fill:
    """What was traded: at which bar, which symbol, how many units (below 0: sold), the price, all costs, and why."""

    bar: int
    symbol: str
    units: float
    price: float
    costs: float
    why: str


@dataclass(frozen=True, kw_only=True)
class Exit:
    """A position that is over: bars and prices of both ends, and what it came to.

    costs and pnl, which is after all costs, are money. move_pct: of the market's price, in the direction of the position.
    return_pct: pnl by the position's value. max_drawdown_pct: its deepest fall from its best, by its value.
    """

    symbol: str
    side: int
    opened: int
    closed: int
    entry: float
    exit: float
    leverage: float
    costs: float
    pnl: float
    move_pct: float
    return_pct: float
    max_drawdown_pct: float
    why: str


@dataclass(kw_only=True)
class Account:
    """Money and positions at one broker. traded: the value of all fills. paid: all costs so far, those in prices too."""

    costs: Costs
    cash: float = 1.0
    holdings: dict[str, Holding] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    traded: float = 0.0
    paid: float = 0.0

    def open(self, symbol: str, side: int, value: float, margin: float, *, bar: int, price: float) -> Holding:
        """Fill an order for a value at the open of a bar. Raises InvalidInput where the symbol is held already."""
        if symbol in self.holdings or value <= 0.0 or margin <= 0.0:
            raise InvalidInput(
                f"{symbol}: needs no open position, and a value and margin above 0; got {value} and {margin}."
            )
        paid = self.costs.filled(price, side)
        units = value / paid
        commission = self.costs.commission(value)
        held = Holding(symbol=symbol, side=side, units=units, entry=paid, margin=margin, opened=bar, costs=commission)
        self.holdings[symbol] = held
        self._note(bar, symbol, side * units, paid, commission + units * abs(paid - price), "open")
        self.cash -= commission
        return held

    def close(self, symbol: str, *, bar: int, price: float, why: str) -> Exit:
        """Fill the end of a position at a price of a bar."""
        held = self.holdings.pop(symbol)
        got = self.costs.filled(price, -held.side)
        commission = self.costs.commission(held.units * got)
        self._note(bar, symbol, -held.side * held.units, got, commission + held.units * abs(got - price), why)
        gain = held.gain(got)
        self.cash += gain - commission
        held.mark(got)
        pnl = gain - commission - held.costs
        asked = held.entry / self.costs.filled(1.0, held.side)
        return Exit(
            symbol=symbol,
            side=held.side,
            opened=held.opened,
            closed=bar,
            entry=held.entry,
            exit=got,
            leverage=held.value / held.margin,
            costs=held.costs + commission,
            pnl=pnl,
            move_pct=100.0 * held.side * (price / asked - 1.0),
            return_pct=100.0 * pnl / held.value,
            max_drawdown_pct=100.0 * held.worst,
            why=why,
        )

    def liquidated(self, symbol: str, *, bar: int, prices: tuple[float, float, float]) -> Exit | None:
        """Close a position whose margin does not last through a bar's (open, low, high); None where it does.

        It is filled at the price at which the margin is used up, or at the open where that is worse already.
        """
        held = self.holdings[symbol]
        limit = held.liquidation_price(self.costs.maintenance)
        open_, low, high = prices
        if held.side > 0 and low <= limit:
            return self.close(symbol, bar=bar, price=min(open_, limit), why="liquidated")
        if held.side < 0 and high >= limit:
            return self.close(symbol, bar=bar, price=max(open_, limit), why="liquidated")
        return None

    def charge(self, symbol: str, price: float, share_of_year: float) -> None:
        """Pay the interest of a position for a time: on what was borrowed to buy it, on all of it where it is sold short."""
        held = self.holdings[symbol]
        borrowed = held.units * price if held.side < 0 else max(held.value - held.margin, 0.0)
        interest = borrowed * self.costs.borrow_pct / 100.0 * share_of_year
        held.costs += interest
        self.cash -= interest
        self.paid += interest

    def worth(self, prices: Mapping[str, float]) -> float:
        """Return what the account is worth at the prices of all that it holds."""
        return self.cash + sum(held.gain(prices[symbol]) for symbol, held in self.holdings.items())

    def _note(self, bar: int, symbol: str, units: float, price: float, costs: float, why: str) -> None:
        self.fills.append(Fill(bar=bar, symbol=symbol, units=units, price=price, costs=costs, why=why))
        self.traded += abs(units) * price
        self.paid += costs
