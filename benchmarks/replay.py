"""What a step of prioritised replay costs: draw a batch, then set its priorities, from a full buffer.

python benchmarks/replay.py [--capacity 1000000] [--batch 256] [--rounds 2000]

An entry is two states of 64 float32, an action, a reward and an end: 525 bytes. The floor draws nothing: it gathers 256
rows that were chosen before. Peers that are not installed are left out, and said to be. The contenders take turns in
blocks, so none has the machine to itself; the median over all rounds is printed.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from steersman.stages.learn.replay.buffer import Priorities, ReplayBuffer
from steersman.stages.learn.replay.compiled import compiled

FIELDS: dict[str, tuple[tuple[int, ...], Any]] = {
    "state": ((64,), np.float32),
    "action": ((), np.int64),
    "reward": ((), np.float32),
    "next_state": ((64,), np.float32),
    "terminated": ((), np.bool_),
}
BLOCK = 100
CHUNK = 50_000
Rows = dict[str, np.ndarray[Any, Any]]


class Contender:
    """One buffer, filled: `sample` draws a batch and returns what `update` needs beside the errors."""

    def __init__(
        self, name: str, sample: Callable[[], Any], update: Callable[[Any, Any], None], nbytes: int | None = None
    ) -> None:
        self.name = name
        self.sample = sample
        self.update = update
        self.nbytes = nbytes
        self.sampled_us: list[float] = []
        self.updated_us: list[float] = []

    def run(self, errors: Any) -> None:
        """Draw and update once, and keep the times."""
        started = time.perf_counter()
        drawn = self.sample()
        between = time.perf_counter()
        self.update(drawn, errors)
        self.sampled_us.append((between - started) * 1e6)
        self.updated_us.append((time.perf_counter() - between) * 1e6)


def chunks(capacity: int) -> Iterator[Rows]:
    """Yield the entries that every buffer holds."""
    rng = np.random.default_rng(0)
    for start in range(0, capacity, CHUNK):
        count = min(CHUNK, capacity - start)
        yield {
            "state": rng.random((count, 64), dtype=np.float32),
            "action": rng.integers(0, 8, count),
            "reward": rng.random(count, dtype=np.float32),
            "next_state": rng.random((count, 64), dtype=np.float32),
            "terminated": rng.random(count) < 0.05,
        }


def floor(capacity: int, batch: int) -> Contender:
    arrays = {name: np.zeros((capacity, *shape), dtype=dtype) for name, (shape, dtype) in FIELDS.items()}
    start = 0
    for rows in chunks(capacity):
        for name, column in rows.items():
            arrays[name][start : start + len(column)] = column
        start += len(rows["action"])
    rng = np.random.default_rng(1)
    chosen = iter(rng.integers(0, capacity, (100_000, batch)))
    held = sum(each.nbytes for each in arrays.values())
    return Contender(
        "floor: gather rows already chosen",
        lambda: [each[now] for now in [next(chosen)] for each in arrays.values()],
        lambda drawn, errors: None,
        held,
    )


def ours(capacity: int, batch: int, *, fast: bool) -> Contender:
    buffer = ReplayBuffer(capacity, FIELDS, rng=np.random.default_rng(1), priorities=Priorities(), compiled=fast)
    for rows in chunks(capacity):
        buffer.extend(rows)
    return Contender(
        f"Steersman, {'compiled by numba (extra fast)' if fast else 'numpy alone'}",
        lambda: buffer.sample(batch),
        lambda drawn, errors: buffer.update(drawn.indices, errors),
        buffer.nbytes,
    )


def cpprb(capacity: int, batch: int) -> Contender:
    from cpprb import PrioritizedReplayBuffer  # type: ignore[import-not-found, import-untyped, unused-ignore]

    spec = {name: {"shape": shape or 1, "dtype": dtype} for name, (shape, dtype) in FIELDS.items()}
    buffer = PrioritizedReplayBuffer(capacity, spec, alpha=0.6)
    for rows in chunks(capacity):
        buffer.add(**rows)
    return Contender(
        "cpprb",
        lambda: buffer.sample(batch, beta=0.4),
        lambda drawn, errors: buffer.update_priorities(drawn["indexes"], errors),
    )


def tianshou(capacity: int, batch: int) -> Contender:
    from tianshou.data import Batch, PrioritizedReplayBuffer  # type: ignore[import-not-found]

    buffer = PrioritizedReplayBuffer(capacity, alpha=0.6, beta=0.4)
    first = next(chunks(1))
    buffer.add(_tianshou_row(Batch, first, 0))
    start = 0
    for rows in chunks(capacity):  # its own way in takes one entry at a time; the arrays behind it are the same
        stop = start + len(rows["action"])
        for name, field in (("obs", "state"), ("act", "action"), ("rew", "reward"), ("obs_next", "next_state")):
            buffer._meta[name][start:stop] = rows[field]
        buffer._meta.terminated[start:stop] = buffer._meta.done[start:stop] = rows["terminated"]
        start = stop
    buffer._size, buffer._index = capacity, 0
    buffer.weight[np.arange(capacity)] = 1.0
    return Contender(
        "Tianshou",
        lambda: buffer.sample(batch),
        lambda drawn, errors: buffer.update_weight(drawn[1], errors),
    )


def _tianshou_row(kind: Any, rows: Rows, at: int) -> Any:
    ended = bool(rows["terminated"][at])
    return kind(
        obs=rows["state"][at],
        act=rows["action"][at],
        rew=float(rows["reward"][at]),
        obs_next=rows["next_state"][at],
        terminated=ended,
        truncated=False,
        done=ended,
        info={},
    )


def torchrl(capacity: int, batch: int) -> Contender:
    import torch  # type: ignore[import-not-found]
    from tensordict import TensorDict  # type: ignore[import-not-found]
    from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer  # type: ignore[import-not-found]
    from torchrl.data.replay_buffers.samplers import PrioritizedSampler  # type: ignore[import-not-found]

    torch.set_num_threads(1)
    buffer = TensorDictReplayBuffer(
        storage=LazyTensorStorage(capacity),
        sampler=PrioritizedSampler(capacity, alpha=0.6, beta=0.4),
        batch_size=batch,
        priority_key="td_error",
    )
    for rows in chunks(capacity):
        tensors = {name: torch.from_numpy(column) for name, column in rows.items()}
        buffer.extend(TensorDict(tensors, batch_size=[len(rows["action"])]))
    return Contender(
        "TorchRL",
        buffer.sample,
        lambda drawn, errors: buffer.update_priority(drawn["index"], torch.from_numpy(errors)),
    )


PEERS = {"cpprb": cpprb, "tianshou": tianshou, "torchrl": torchrl}


def contenders(capacity: int, batch: int) -> list[Contender]:
    """Return floor, ours and those peers that can be imported."""
    made = [floor(capacity, batch), ours(capacity, batch, fast=False)]
    if compiled() is None:
        print("Steersman, compiled: numba is not installed (extra `fast`)")
    else:
        made.append(ours(capacity, batch, fast=True))
    for name, make in PEERS.items():
        try:
            made.append(make(capacity, batch))
        except ImportError as error:
            print(f"{name}: not installed ({error.name})")
        except RuntimeError as error:  # TorchRL's compiled part fits some releases of torch only
            print(f"{name}: installed, but does not run here ({error})")
    return made


def measure(made: list[Contender], batch: int, rounds: int) -> None:
    """Let the contenders take turns and print what each step took."""
    rng = np.random.default_rng(2)
    gc.disable()
    for block in range(-1, rounds // BLOCK):  # the first block warms up
        for each in made:
            for _ in range(BLOCK):
                each.run(np.abs(rng.normal(size=batch)) + 1e-9)
            if block < 0:
                each.sampled_us.clear()
                each.updated_us.clear()
    base = statistics.median(made[0].sampled_us)
    print(f"{'what':<44} {'sample µs':>10} {'update µs':>10} {'sum':>7} {'of the floor':>13}")
    for each in made:
        sampled, updated = statistics.median(each.sampled_us), statistics.median(each.updated_us)
        total = sampled + updated
        print(f"{each.name:<44} {sampled:>10.0f} {updated:>10.0f} {total:>7.0f} {total / base:>13.2f}")
    for each in made[1:]:
        if each.nbytes is not None and made[0].nbytes is not None:
            print(f"{each.name}: memory {each.nbytes / made[0].nbytes - 1:.1%} above the bare arrays")


def adds(capacity: int, count: int) -> None:
    """Print how many single entries an empty buffer takes in a second, wide ones and those of three scalars."""
    scalars = {name: FIELDS[name] for name in ("action", "reward", "terminated")}
    rows = next(chunks(1))
    for label, fields in (("two states of 64, action, reward, end", FIELDS), ("three scalars", scalars)):
        buffer = ReplayBuffer(capacity, fields, rng=np.random.default_rng(0), priorities=Priorities())
        row = {name: rows[name][0] for name in fields}
        started = time.perf_counter()
        for _ in range(count):
            buffer.add(row)
        print(f"single adds, {label}: {count / (time.perf_counter() - started):,.0f} a second")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--capacity", type=int, default=1_000_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2_000)
    options = parser.parse_args()
    measure(contenders(options.capacity, options.batch), options.batch, options.rounds)
    adds(options.capacity, 300_000)


if __name__ == "__main__":
    main()
