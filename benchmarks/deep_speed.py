"""How many gradient steps a second a network learns by, beside other libraries, on one core.

    python benchmarks/deep_speed.py [--peers PYTHON] [--seconds 5] [--rounds 3] [--agents 18]

Two networks: layers of (64, 64) with batches of 64, and a dueling network of (512, 256) and streams of 128 with batches of
256. Each contender draws its batches from a replay of 10,000 steps. Ours (Double DQN, AdamW, clipping, a soft target, none
of which others lack a counterpart of but Double DQN, which costs one more forward pass) learns 50 updates in one compiled
call, or one; then 18 agents with networks of (64, 64) as one program, where peers would train 18 in turn: the rate of all
together against Stable-Baselines3's. Peers (see deep_peers.py) have layers of (512, 256, 128),
Tianshou's with dueling streams as ours.
Contenders take turns in each round; printed are medians over the rounds, and ratios to Stable-Baselines3 in the same run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import device_replay, fleet, q_learning
from steersman.stages.learn.deep.device_replay import Replay, Steps
from steersman.stages.learn.deep.q_learning import QSettings

NETS = {
    "small": Architecture(features=4, groups=(2,), hidden=(64, 64), stream=0, layer_norm=False),
    "large": Architecture(features=32, groups=(6,), hidden=(512, 256), stream=128, layer_norm=False),
}
BATCHES = {"small": 64, "large": 256}
SCAN = 50


def full_replay(net: Architecture, count: int = 10_000) -> Replay:
    """Return a replay full of noise."""
    rng = np.random.default_rng(0)
    states, following = rng.standard_normal((2, count, 1, net.features)).astype(np.float32)
    allowed, never = np.ones((count, 1, net.width), bool), np.zeros((count, 1), bool)
    steps = Steps(
        states=states,
        actions=rng.integers(net.width, size=(count, 1)).astype(np.int32),
        rewards=rng.random((count, 1)).astype(np.float32),
        next_states=following,
        terminated=never,
        ended=never,
        allowed=allowed,
        next_allowed=allowed,
        valid=~never,
    )
    return device_replay.add(device_replay.empty(net, net.width, count), steps)  # type: ignore[no-any-return]


def ours(size: str, updates: int, seconds: float) -> float:
    """Return gradient steps a second of one learner, so many in each call."""
    net, settings = NETS[size], QSettings(batch=BATCHES[size])
    state, replay = q_learning.begin(net, settings, np.random.default_rng(0)), full_replay(net)
    key, each = jax.random.key(0), np.eye(net.width, dtype=np.float32)

    def call() -> None:
        nonlocal state, replay, key
        key, own = jax.random.split(key)
        state, replay, metrics = device_replay.learn(net, settings, each, state, replay, own, updates=updates)
        metrics.finite.block_until_ready()

    return updates * rate(call, seconds)


def ours_as_one(agents: int, seconds: float) -> float:
    """Return gradient steps a second of all agents together, as one program."""
    net, settings = NETS["small"], QSettings(batch=BATCHES["small"])
    states = fleet.begin_fleet(net, settings, [np.random.default_rng(seed) for seed in range(agents)])
    replays = fleet.stack([full_replay(net)] * agents)
    key, each = jax.random.key(0), np.eye(net.width, dtype=np.float32)

    def call() -> None:
        nonlocal states, replays, key
        key, own = jax.random.split(key)
        keys = jax.random.split(own, agents)
        states, replays, metrics = fleet.learn_fleet(net, settings, each, states, replays, keys, updates=SCAN)
        metrics.finite.block_until_ready()

    return agents * SCAN * rate(call, seconds)


def rate(call: Callable[[], None], seconds: float) -> float:
    """Return calls a second, after a first one that compiles."""
    call()
    calls, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        call()
        calls += 1
    return calls / (time.perf_counter() - start)


def peer(python: str, name: str, size: str, seconds: float) -> float:
    """Return gradient steps a second of another library, in a process of its own on the same core."""
    script = Path(__file__).with_name("deep_peers.py")
    command = [python, str(script), "speed", name, size, str(seconds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["steps_per_s"])


def contenders(size: str, options: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """Return what is measured for one size of network, by name."""
    made: dict[str, Callable[[], float]] = {
        f"ours, {SCAN} a call": lambda: ours(size, SCAN, options.seconds),
        "ours, one a call": lambda: ours(size, 1, options.seconds),
    }
    if size == "small":
        made[f"ours, {options.agents} agents as one"] = lambda: ours_as_one(options.agents, options.seconds)
    if options.peers:
        made["torch, as in CleanRL"] = lambda: peer(options.peers, "torch", size, options.seconds)
        made["Tianshou"] = lambda: peer(options.peers, "tianshou", size, options.seconds)
        made["Stable-Baselines3"] = lambda: peer(options.peers, "sb3", size, options.seconds)
    return made


def main() -> int:
    """Print one table for each size; return 1 where a stated ratio to Stable-Baselines3 was missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--agents", type=int, default=18)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(f"one core; load average when it began {os.getloadavg()[0]:.1f}")
    missed = False
    for size in NETS:
        measured = contenders(size, options)
        rounds = [{name: call() for name, call in measured.items()} for _ in range(options.rounds)]
        rates = {name: statistics.median(each[name] for each in rounds) for name in measured}
        base = rates.get("Stable-Baselines3")
        for name, value in rates.items():
            print(f"{size:6} {name:28} {value:10,.0f} gradient steps/s", f"{value / base:6.1f} ×" if base else "")
        if base:
            least = {f"ours, {SCAN} a call": 5.0 if size == "small" else 1.0, f"ours, {options.agents} agents as one": 5.0}
            missed |= any(rates[name] < factor * base for name, factor in least.items() if name in rates)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
