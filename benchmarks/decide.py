"""How long a decision takes, in process: beside a plain dict-of-dict learner and Vowpal Wabbit, in the same run.

Prints p50 and p99 in microseconds. The rows of Steersman do everything the product does: check the state, guards,
distribution, propensity, a row for the log. The dict learner does none of that (the floor). Vowpal Wabbit predicts with
`--cb_explore_adf` and learns from one labelled example (the peer). The store is SQLite with synchronous=FULL; its writer
runs in the same process meanwhile.

    python benchmarks/decide.py [--decisions 20000] [--json]
"""

import argparse
import importlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from steersman import Steersman
from steersman.stages.decide.choose import Situation
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

ACTIONS = ("rest", "light", "steady", "heavy")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    states = [sample_state(small_agent().state, rng) for _ in range(256)]
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(states, options.decisions, Path(folder))
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{'what':<58} {'p50 µs':>8} {'p99 µs':>8}   {options.decisions} of each, Python {sys.version.split()[0]}")
    for name, each in rows.items():
        print(f"{name:<58} {each['p50_us']:>8.1f} {each['p99_us']:>8.1f}")


def measure(states: list[dict[str, Any]], count: int, folder: Path) -> dict[str, dict[str, float]]:
    """Return p50 and p99 of each contender; the contenders take turns, so that drift of the machine meets all alike."""
    memory = Steersman.open("memory:", settings={})
    store = Steersman.open(folder / "log.db", settings={})
    contenders = {
        "dict of dict, ε-greedy + update (floor: no guard, no log)": _dict_learner(),
        "Steersman choice alone: greedy, table to action": _choice(memory),
        "Steersman decide, greedy, in memory": _decide(memory, "greedy"),
        "Steersman decide, ε-greedy, in memory": _decide(memory, "epsilon_greedy"),
        "Steersman decide + report, ε-greedy, in memory": _both(memory),
        "Steersman decide + report, ε-greedy, SQLite (enqueued)": _both(store),
    }
    vowpal = _vowpal()
    if vowpal is not None:
        contenders["Vowpal Wabbit --cb_explore_adf, predict + learn"] = vowpal
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    block = 500
    for start in range(0, count, block):
        for name, act in contenders.items():
            for index in range(start, start + block):
                state = states[index % len(states)]
                began = time.perf_counter()
                act(state)
                seconds[name].append(time.perf_counter() - began)
    memory.close()
    store.close()
    return {
        name: {"p50_us": float(np.percentile(each, 50) * 1e6), "p99_us": float(np.percentile(each, 99) * 1e6)}
        for name, each in seconds.items()
    }


def _dict_learner() -> Callable[[dict[str, Any]], None]:
    table: dict[Any, dict[str, float]] = {}
    rng = random.Random(0)

    def act(state: dict[str, Any]) -> None:
        key = (state["load"] // 25, state["backlog"] // 100, state["weekend"])
        values = table.setdefault(key, dict.fromkeys(ACTIONS, 0.0))
        action = rng.choice(ACTIONS) if rng.random() < 0.1 else max(values, key=values.__getitem__)
        values[action] += 0.1 * (0.5 - values[action])

    return act


def _decide(steersman: Steersman, policy: str) -> Callable[[dict[str, Any]], None]:
    from dataclasses import replace

    spec = replace(small_agent({"exploration": {"policy": policy}}), name=f"lab/{policy}")
    agent = steersman.agent(spec)
    return lambda state: void(agent.decide(state))


def _choice(steersman: Steersman) -> Callable[[dict[str, Any]], None]:
    """The tabular decision itself: from a table row and a mask to an action with its propensity."""
    from dataclasses import replace

    spec = replace(small_agent({"exploration": {"policy": "greedy"}}), name="lab/choice")
    agent = steersman.agent(spec)
    rng = np.random.default_rng(0)
    for _ in range(500):
        agent.report(agent.decide(sample_state(spec.state, rng)), {"reward": float(rng.uniform(-1, 1))})
    runtime = agent._runtime
    uniforms = np.full(4, 0.5)

    def act(state: dict[str, Any]) -> None:
        row = runtime.fold.table.rows.get(runtime.encoder.key(runtime.encoder.bins(state)))
        allowed = runtime.guards.narrow(state).allowed
        now = Situation(row=row, allowed=allowed, baseline=1, epsilon=0.0, uniforms=uniforms)
        runtime.chooser.choose(runtime.fold.table, now)

    return act


def _both(steersman: Steersman) -> Callable[[dict[str, Any]], None]:
    agent = steersman.agent(small_agent())

    def act(state: dict[str, Any]) -> None:
        agent.report(agent.decide(state), {"reward": 0.5})

    return act


def _vowpal() -> Callable[[dict[str, Any]], None] | None:
    try:
        vowpalwabbit = importlib.import_module("vowpalwabbit")
    except ImportError:
        print("Vowpal Wabbit is not installed: pip install -r requirements-bench.txt", file=sys.stderr)
        return None
    workspace = vowpalwabbit.Workspace("--cb_explore_adf --epsilon 0.1 --quiet")
    rng = random.Random(0)

    def act(state: dict[str, Any]) -> None:
        shared = f"shared |s load={state['load'] // 25} backlog={state['backlog'] // 100} weekend={state['weekend']}"
        actions = [f"|a kind={name}" for name in ACTIONS]
        probabilities = workspace.predict([shared, *actions])
        chosen = rng.choices(range(len(ACTIONS)), probabilities)[0]
        actions[chosen] = f"0:-0.5:{probabilities[chosen]} " + actions[chosen]
        workspace.learn([shared, *actions])

    return act


def void(value: object) -> None:
    """Drop a result."""


if __name__ == "__main__":
    main()
