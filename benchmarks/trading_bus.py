"""What whole trading episodes cost on a bus: four events in, two answers out, two outcomes, for each of a hundred symbols.

A round: signals of all symbols go out together, then the orders that follow from the answers, then trades and closes; it is
over when all was worked off. A consumer with the routes of the trading pack works in a thread of the same process, as for
`steersman trade paper`; its store is a file, and nothing is acknowledged before it is on the disk. Redis is a real server
that fsyncs its file before each answer. Beside it, in the same run, one by one and without a bus: the same two agents in
process, and two dict-of-dict learners (the floor), both as in `trading_episodes.py`.

    python benchmarks/trading_bus.py [--rounds 20] [--json]
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from trading_episodes import LIVE, SYMBOLS, Prices, dict_episode, steersman_episode

from steersman import Steersman
from steersman.app import consumers
from steersman.app.buses import open_bus
from steersman.core.events import Event, made
from steersman.core.ports import Bus
from steersman.core.sections import Bus as Settings
from steersman.packs.trading.events import Carried, OrderProposed, PositionClosed, SignalGenerated, Sized, TradeExecuted
from steersman.packs.trading.market import WINDOW
from steersman.packs.trading.paper.exchange import Exchange
from steersman.testing.redis import RedisServer

EVENTS, ANSWERS = 4, 2
_PATIENCE_S = 120.0
Round = Callable[[], None]


class Market:
    """A hundred symbols that each hold one position in a round."""

    def __init__(self, bus: Bus, told: Bus) -> None:
        self._exchange = Exchange(bus, "market", patience_s=_PATIENCE_S)
        self._told = told
        self._prices, self._rng = Prices(0), np.random.default_rng(1)
        self._bars = {symbol: [self._bar(symbol) for _ in range(WINDOW)] for symbol in SYMBOLS}
        self._number = 0

    def _bar(self, symbol: str) -> tuple[float, float, float, float]:
        bar = self._prices.bar(symbol)
        return bar.at, bar.high, bar.low, bar.close

    def round(self) -> None:
        """Let each symbol hold a position, from its signal to its close."""
        self._number += 1
        named = {symbol: f"main/{symbol}/{self._number}" for symbol in SYMBOLS}
        for symbol in SYMBOLS:
            self._bars[symbol] = [*self._bars[symbol][1:], self._bar(symbol)]
        sure = dict(zip(SYMBOLS, self._rng.uniform(0.4, 0.95, len(SYMBOLS)).tolist(), strict=True))
        signals = [_event("signal", symbol, name, self._signal(symbol, name, sure)) for symbol, name in named.items()]
        chosen = self._exchange.ask(signals)
        orders = [_event("order", symbol, name, self._order(symbol, name, sure)) for symbol, name in named.items()]
        sized = self._exchange.ask(orders)
        if len(chosen) + len(sized) < 2 * len(SYMBOLS):
            raise SystemExit("not every question was answered")
        ends = [each for symbol, name in named.items() for each in _ends(symbol, name, chosen, sized, self._rng)]
        self._exchange.tell(ends)
        while self._told.waiting():
            time.sleep(0.002)

    def _signal(self, symbol: str, name: str, sure: dict[str, float]) -> msgspec.Struct:
        return SignalGenerated(position=name, direction=1, confidence=sure[symbol], bars=_lists(self._bars[symbol]))

    def _order(self, symbol: str, name: str, sure: dict[str, float]) -> msgspec.Struct:
        return OrderProposed(
            position=name,
            signal=f"{name}:signal",
            direction=1,
            confidence=sure[symbol],
            bars=_lists(self._bars[symbol]),
            exposure=0.0,
        )


def _lists(bars: list[tuple[float, float, float, float]]) -> Any:
    return [list(each) for each in bars]


def _event(kind: str, symbol: str, name: str, said: msgspec.Struct) -> Event:
    types = {"signal": "signal.generated", "order": "order.proposed", "trade": "trade.executed", "close": "position.closed"}
    return made(types[kind], said, id=f"{name}:{kind}", at=time.time(), source="benchmark", subject=symbol)


def _ends(
    symbol: str, name: str, chosen: dict[str, Event], sized: dict[str, Event], rng: np.random.Generator
) -> Iterator[Event]:
    """Yield what is told of a position that was opened and closed."""
    meta, size = chosen[f"{name}:signal"].data, sized[f"{name}:order"].data
    sizes = Sized(size=size["size"], leverage=size["leverage"])
    yield _event(
        "trade", symbol, name, TradeExecuted(position=name, order=f"{name}:order", price=1.0, chosen=sizes, executed=sizes)
    )
    move = float(rng.normal())
    done = Carried(
        strategy=meta["strategy"],
        model=meta["model"],
        weight=meta["weight"],
        size=sizes.size,
        leverage=sizes.leverage,
    )
    closed = PositionClosed(
        position=name,
        signal=f"{name}:signal",
        order=f"{name}:order",
        move_pct=move,
        return_pct=move,
        pnl_pct=0.1 * abs(move),
        max_drawdown_pct=abs(move),
        executed=done,
    )
    yield _event("close", symbol, name, closed)


@contextmanager
def consumed(url: str, store: Path) -> Iterator[Market]:
    """Have a consumer work in a thread, and give the market beside it."""
    stop, settings = threading.Event(), Settings(url=url, streams="market", out="market.answers")
    with ExitStack() as open_now:
        steersman = open_now.enter_context(Steersman.open(store, settings=LIVE))
        consumer, bus = consumers.open_consumer(
            steersman, settings, ["trading"], say=lambda text: print(text, file=sys.stderr)
        )
        worker = threading.Thread(target=consumer.run, args=(stop,))
        worker.start()
        try:
            market = open_now.enter_context(closing(open_bus(url, ["market.answers"], group="paper")))
            told = open_now.enter_context(closing(open_bus(url, ["market"])))
            yield Market(market, told)
        finally:
            stop.set()
            worker.join()
            bus.close()


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Return the figures of each; they take turns, so that drift of the machine meets all alike."""
    with ExitStack() as open_now:
        folder = Path(open_now.enter_context(tempfile.TemporaryDirectory()))
        server = open_now.enter_context(closing(RedisServer()))
        in_process = steersman_episode(open_now.enter_context(Steersman.open(folder / "process.db", settings=LIVE)))
        floor = dict_episode()
        contenders: dict[str, Round] = {
            "dict of dict (floor)": lambda: _each(floor),
            "in process": lambda: _each(in_process),
            "bus in memory": open_now.enter_context(consumed("memory:", folder / "memory.db")).round,
            "Redis": open_now.enter_context(consumed(server.url, folder / "redis.db")).round,
        }
        for play in contenders.values():
            play()  # what is loaded and connected once is not counted
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, play in contenders.items():
                started = time.perf_counter(), time.process_time()
                play()
                taken[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    return {name: _figures(np.array(each)) for name, each in taken.items()}


def _each(episode: Callable[[str], object]) -> None:
    for symbol in SYMBOLS:
        episode(symbol)


def _figures(taken: Any) -> dict[str, float]:
    """Return the median and the worst round by the clock, and the median of the processor, all by the episode in µs."""
    clock, processor = 1e6 * taken.T / len(SYMBOLS)
    return {
        "p50_us": float(np.median(clock)),
        "worst_us": float(clock.max()),
        "processor_us": float(np.median(processor)),
        "episodes_per_s": 1e6 / float(np.median(clock)),
        "events_per_s": (EVENTS + ANSWERS) * 1e6 / float(np.median(clock)),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.rounds)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    title = f"an episode of one of {len(SYMBOLS)} symbols"
    heads = ("p50 µs", "worst µs", "processor µs", "episodes/s", "events/s")
    print(
        f"{title:<34}{''.join(f'{each:>14}' for each in heads)}   {options.rounds} rounds, Python {sys.version.split()[0]}"
    )
    for name, each in rows.items():
        bus = "bus" in name or name == "Redis"
        events = f"{each['events_per_s']:>14,.0f}" if bus else f"{'–':>14}"
        figures = (each["p50_us"], each["worst_us"], each["processor_us"], each["episodes_per_s"])
        print(f"{name:<34}{''.join(f'{value:>14,.0f}' for value in figures)}{events}")


if __name__ == "__main__":
    main()
