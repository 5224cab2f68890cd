"""How fast a log is folded into a table, in sequence and to the bit: interpreted, compiled, and from a real store.

python benchmarks/refold.py [--updates 3000000] [--stored 50000]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from steersman import Steersman
from steersman.loops.learn import refold
from steersman.stages.learn import kernel
from steersman.testing.specs import small_agent

STATES, ACTIONS = 1_000, 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=3_000_000)
    parser.add_argument("--interpreted", type=int, default=100_000)
    parser.add_argument("--stored", type=int, default=50_000)
    options = parser.parse_args()
    _floor(options.updates)
    slow, bits_slow = _fold(kernel.interpreted, options.interpreted)
    print(f"{'the same function, interpreted (live outcomes)':<58} {slow:>14,.0f} updates/s")
    compiled = kernel.compiled()
    if compiled is None:
        print("compiled: numba is not installed (extra `fast`)")
    else:
        _fold(compiled, 1_000)
        _, bits_fast = _fold(compiled, options.interpreted)
        fast, _ = _fold(compiled, options.updates)
        print(f"{'the same function, compiled by numba (extra fast)':<58} {fast:>14,.0f} updates/s")
        print(f"{'interpreted and compiled tables equal to the bit':<58} {bits_slow == bits_fast!s:>14}")
    _stored(options.stored)


def _fold(block: object, count: int) -> tuple[float, bytes]:
    """Return updates per second and the bytes of the table."""
    rng = np.random.default_rng(0)
    shape = (STATES, ACTIONS)
    arrays = [np.zeros(shape), np.zeros(shape, dtype=np.int64), *(np.zeros(shape) for _ in range(4))]
    slots = np.arange(ACTIONS, dtype=np.int64).reshape(-1, 1)
    rows, actions = rng.integers(0, STATES, count), rng.integers(0, ACTIONS, count)
    rewards, following = rng.normal(size=count), rng.integers(-1, STATES, count)
    at = np.arange(count, dtype=np.float64)
    began = time.perf_counter()
    block(*arrays, slots, rows, actions, rewards, following, at, 0.95, 0.0, 0.1, 0.0, 0.01)  # type: ignore[operator]
    elapsed = time.perf_counter() - began
    return count / elapsed, b"".join(each.tobytes() for each in arrays)


def _floor(count: int) -> None:
    """The floor: a bare Q-learning update on lists, without statistics."""
    rng = np.random.default_rng(0)
    table = [[0.0] * ACTIONS for _ in range(STATES)]
    count = min(count, 500_000)
    columns = (
        rng.integers(0, STATES, count).tolist(),
        rng.integers(0, ACTIONS, count).tolist(),
        rng.normal(size=count).tolist(),
        rng.integers(0, STATES, count).tolist(),
    )
    began = time.perf_counter()
    for state, action, reward, following in zip(*columns, strict=True):
        row = table[state]
        row[action] += 0.1 * (reward + 0.95 * max(table[following]) - row[action])
    rate = count / (time.perf_counter() - began)
    print(f"{'floor: bare update on lists, no statistics':<58} {rate:>14,.0f} updates/s")


def _stored(count: int) -> None:
    """From the rows of a store: reading and decoding them is what takes the time."""
    with tempfile.TemporaryDirectory() as folder, Steersman.open(Path(folder) / "log.db", settings={}) as steersman:
        agent = steersman.agent(small_agent())
        rng = np.random.default_rng(0)
        for _ in range(count):
            state = {"load": float(rng.uniform(0, 100)), "backlog": float(rng.uniform(0, 1000)), "weekend": False}
            agent.report(agent.decide(state), {"reward": float(rng.uniform(-1, 1))})
        steersman.log.flush()
        live = agent._runtime.fold.changes(replace=True).entries
        began = time.perf_counter()
        again = refold(agent._runtime)
        rate = count / (time.perf_counter() - began)
        equal = again.changes(replace=True).entries == live
    print(f"{'from an SQLite log, row by row, refold() of the product':<58} {rate:>14,.0f} outcomes/s")
    print(f"{'… equal to the live table, to the bit':<58} {equal!s:>14}")


if __name__ == "__main__":
    main()
