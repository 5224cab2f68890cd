"""What a whole trading episode costs in process: a signal, two decisions, and two reports when the position is closed.

A hundred symbols take turns. Each episode adds a bar, computes the features, asks both agents inside their guards, enters
the position in the book, closes it, and reports to both. The store is embedded, in memory. Beside
it, in the same run: two plain dict-of-dict learners without features, guards, log or book (the floor). Aim: 1 ms.
The time of the processor is told apart: on a busy machine it says what an episode costs, and the clock how long one waits.

    python benchmarks/trading_episodes.py [--episodes 5000] [--json]
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from steersman import Steersman
from steersman.packs.trading.agents import meta_strategy, position_sizing
from steersman.packs.trading.book import Book, Closed, Opened
from steersman.packs.trading.market import WINDOW, Bar

SYMBOLS = [f"S{index:03}" for index in range(100)]
BLOCK = 100
LIVE = {"influence": {"mode": "live", "confidence": 0.0, "stale_s": 0.0, "cooldown_s": 0.0}}
STEP_S = 60.0
Episode = Callable[[str], tuple[float, float]]


def _now() -> tuple[float, float]:
    """Return the clock and this thread's time of the processor, in seconds."""
    return time.perf_counter(), time.thread_time()


def _since(started: tuple[float, float]) -> tuple[float, float]:
    clock, processor = _now()
    return clock - started[0], processor - started[1]


class Prices:
    """A random walk for each symbol."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._close = dict.fromkeys(SYMBOLS, 100.0)
        self.at = 0.0

    def bar(self, symbol: str) -> Bar:
        """Return the next bar of a symbol."""
        move, wick = self._rng.normal(0.0, 0.01), abs(self._rng.normal(0.0, 0.004))
        close = self._close[symbol] = self._close[symbol] * float(np.exp(move))
        self.at += STEP_S
        return Bar(at=self.at, high=close * (1.0 + wick), low=close * (1.0 - wick), close=close)


def steersman_episode(steersman: Steersman) -> Episode:
    """Return an episode of the product, which answers how long it took, in seconds: by the clock, and of the processor."""
    prices, book, count = Prices(0), Book(), iter(range(10**9))
    meta, sizing = steersman.agent(meta_strategy.agent), steersman.agent(position_sizing.agent)
    for symbol in SYMBOLS:
        book.add_bars(symbol, [prices.bar(symbol) for _ in range(WINDOW)])
    made = random.Random(0)

    def episode(symbol: str) -> tuple[float, float]:
        bar, confidence, move, name = prices.bar(symbol), made.uniform(0.4, 0.95), made.gauss(0.0, 1.0), f"p{next(count)}"
        started = _now()
        book.add_bars(symbol, [bar])
        chosen = meta.decide(book.meta_state(symbol, confidence, bar.at), subject=symbol)
        sized = sizing.decide(book.sizing_state(symbol, confidence, bar.at), subject=symbol)
        size, leverage = float(sized.action["size"]), float(sized.action["leverage"])
        book.opened(Opened(id=name, symbol=symbol, confidence=confidence, size=size, leverage=leverage, volatility=0.01))
        pnl = 0.1 * size * leverage * move
        measured = book.closed(Closed(id=name, move_pct=move, return_pct=move, pnl_pct=pnl, max_drawdown_pct=abs(move)))
        meta.report(chosen, measured.meta)
        sizing.report(sized, measured.sizing)
        return _since(started)

    return episode


def dict_episode() -> Episode:
    """Return an episode of two learners that are dictionaries: ε-greedy, one value for each action, no more."""
    made = random.Random(0)
    tables: list[dict[tuple[int, int], list[float]]] = [{}, {}]
    sizes = (len(meta_strategy.ACTIONS), len(position_sizing.ACTIONS))

    def episode(symbol: str) -> tuple[float, float]:
        confidence, move = made.uniform(0.4, 0.95), made.gauss(0.0, 1.0)
        started = _now()
        for table, actions in zip(tables, sizes, strict=True):
            row = table.setdefault((int(confidence * 5), int(move > 0)), [0.0] * actions)
            action = made.randrange(actions) if made.random() < 0.1 else max(range(actions), key=row.__getitem__)
            row[action] += 0.1 * (move - row[action])
        return _since(started)

    return episode


def additions(symbol: str) -> tuple[float, float]:
    """Take a thousand additions, which tell how fast the machine is just now."""
    started, total = _now(), 0
    for number in range(1_000):
        total += number
    return _since(started)


def measure(episodes: int) -> dict[str, dict[str, float]]:
    """Return the figures of each; they take turns, so that drift of the machine meets both alike."""
    with Steersman.open("memory:", settings=LIVE) as steersman:
        contenders = {
            "a thousand additions (yardstick)": additions,
            "dict of dict (floor)": dict_episode(),
            "Steersman": steersman_episode(steersman),
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for start in range(0, episodes, BLOCK):
            for name, episode in contenders.items():
                taken[name] += [episode(SYMBOLS[(start + index) % len(SYMBOLS)]) for index in range(BLOCK)]
    return {name: _figures(np.array(each) * 1e6) for name, each in taken.items()}


def _figures(taken_us: NDArray[np.float64]) -> dict[str, float]:
    clock, processor = taken_us.T
    return {
        "p50_us": float(np.median(clock)),
        "p99_us": float(np.quantile(clock, 0.99)),
        "processor_us": float(np.median(processor)),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--episodes", type=int, default=5_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.episodes)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    version = sys.version.split()[0]
    print(f"{'an episode of one of 100 symbols':<40} {'p50 µs':>8} {'p99 µs':>8} {'processor µs':>13}", end="   ")
    print(f"{options.episodes} each, Python {version}")
    for name, each in rows.items():
        print(f"{name:<40} {each['p50_us']:>8.1f} {each['p99_us']:>8.1f} {each['processor_us']:>13.1f}")
    _, floor, ours = (each["processor_us"] for each in rows.values())
    print(f"{ours / floor:.0f} times the floor, of the processor; aim 1000 µs: {'met' if ours <= 1000 else 'missed'}")


if __name__ == "__main__":
    main()
