"""How long a network takes for one state by numpy, as it is served, and by its ONNX model in onnxruntime; and for 256 there.

    python benchmarks/onnx_serving.py [--rounds 5]

Networks of random weights, one thread. Both take turns in each round, and the median over the rounds is printed: µs of the
thread's CPU time for each call. Then the greatest difference of a value on 1,000 states. numpy's call is that of a decision,
which is about one state. Fails where a difference exceeds 1e-5.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from steersman.core.actions import ActionSpace
from steersman.core.state import Number, StateSchema
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.artefact import FrozenNetwork
from steersman.policies.deep.network import QNetwork
from steersman.policies.deep.onnx_writer import export
from steersman.policies.encoding import feature_names

NETS = {
    "(64, 64)": Architecture(features=8, groups=(4,), hidden=(64, 64), stream=0, layer_norm=False),
    "dueling (512, 256) + 128": Architecture(features=32, groups=(6,)),
    "attention": Architecture(features=32, groups=(6,), encoder="attention", hidden=(64, 64), stream=0),
    "LSTM of 16 steps": Architecture(features=64, groups=(6,), encoder="lstm", shape=(16, 4), hidden=(64, 64), stream=0),
    "convolution over 10 × 10": Architecture(
        features=100, groups=(6,), encoder="cnn", shape=(10, 10, 1), hidden=(64, 64), stream=0
    ),
}
ALIKE = 1e-5
BATCH = 256


def frozen(net: Architecture, schema: StateSchema) -> FrozenNetwork:
    """Return a network of random weights."""
    return FrozenNetwork(
        agent="bench/onnx",
        schema=schema.id,
        features=feature_names(schema),
        actions={"action": tuple(range(net.width))},
        settings={},
        epsilon=0.0,
        bounds=(-100.0, 100.0),
        net=net,
        weights=net.initial(np.random.default_rng(0)),
        visits=np.ones(net.width, np.int64),
        td_variance=np.ones(net.width),
        seen_low=np.zeros(net.features, np.float32),
        seen_high=np.ones(net.features, np.float32),
    )


def each_us(call: Callable[[int], object], seconds: float = 0.2) -> float:
    """Return the time of one call in µs; it is told its number, so that no two in a row need be alike."""
    count, began = 0, time.thread_time()
    while (spent := time.thread_time() - began) < seconds:
        for _ in range(10):
            call(count)
            count += 1
    return 1e6 * spent / count


def compared(net: Architecture, rounds: int) -> tuple[float, float, float, float]:
    """Return µs for one state by numpy, by onnxruntime, µs for a batch by onnxruntime, and the greatest difference."""
    schema = StateSchema(name="bench", fields=tuple(Number(name=f"x{i}", low=0, high=1) for i in range(net.features)))
    network = frozen(net, schema)
    served = QNetwork(network, schema, ActionSpace(network.actions))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(export(network, schema, ""), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).random((1_000, net.features), np.float32)
    rows, ones = [each.tobytes() for each in x], [x[i : i + 1] for i in range(len(x))]
    calls: tuple[Callable[[int], object], ...] = (
        lambda i: served.action_values(served.slot_values(rows[i % 1_000])),
        lambda i: session.run(None, {"states": ones[i % 1_000]}),
        lambda i: session.run(None, {"states": x[:BATCH]}),
    )
    here = np.stack([served.action_values(served.slot_values(each)) for each in rows])
    apart = float(np.abs(session.run(None, {"states": x})[0] - here).max())
    times = [[each_us(call) for call in calls] for _ in range(rounds)]
    one, other, batch = (statistics.median(column) for column in zip(*times, strict=True))
    return one, other, batch, apart


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    options, failed = parser.parse_args(), False
    print(f"{'network':<26} {'numpy, 1':>10} {'ORT, 1':>10} {f'ORT, {BATCH}':>10} {'differ by':>10}")
    for name, net in NETS.items():
        one, other, batch, apart = compared(net, options.rounds)
        print(f"{name:<26} {one:>7.1f} µs {other:>7.1f} µs {batch:>7.0f} µs {apart:>10.1e}")
        failed |= not apart <= ALIKE
    sys.exit(failed)


if __name__ == "__main__":
    main()
