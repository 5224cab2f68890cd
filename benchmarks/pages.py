"""How long each page of the dashboard takes, with 100 agents and a million decisions in the store.

Rows are appended straight to the SQLite log; the agents then learn them, as after an import. Pages are asked of the whole
service in process, without a network between. Printed are the time to read the log for the figures, once; each page the
first time; its median when something was decided and reported of every agent before; and how much of that the processor
was at work. Usage: python benchmarks/pages.py
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

import httpx
import numpy as np
from msgspec import structs

from steersman.app import Steersman
from steersman.backends.sql import SqliteLog
from steersman.core.agent import AgentSpec
from steersman.core.ids import TimeOrderedIds
from steersman.core.ports import Meter
from steersman.core.state import Scalar
from steersman.core.values import Decision, Outcome
from steersman.service import table
from steersman.service.app import Service
from steersman.service.ledger import ledger_of
from steersman.testing.log_rows import outcome
from steersman.testing.specs import small_agent

DAYS = 7
WAITING = 40
BATCH = 1_000
BASELINE_SHARE = 0.05


def fleet(count: int) -> list[AgentSpec]:
    """Return agents that differ by name alone."""
    made = []
    for number in range(count):
        spec = small_agent({"learning": {"gamma": 0.0}, "table": {"max_states": 500}})
        object.__setattr__(spec, "name", f"lab/agent-{number:03}")
        made.append(spec)
    return made


def history(specs: Sequence[AgentSpec], each: int) -> Iterator[Decision | Outcome]:
    """Yield decisions of all agents over some days, in turns, each with its outcome behind it."""
    rng, now = np.random.default_rng(3), time.time()
    at = [now]
    ids = TimeOrderedIds(lambda: at[0])
    with Steersman.open("memory:", agents=specs, settings={}) as steersman:
        models = [steersman.agent(spec.name).decide(_state(rng)) for spec in specs]
    for step in range(each):
        at[0] = now - DAYS * 86_400.0 * (1.0 - step / each)
        for model in models:
            made = _made(model, ids(), at[0], rng)
            yield made
            earned = 0.3 if made.executed["action"] == "steady" else 0.1
            reward = float(np.clip(earned + rng.normal(0.0, 0.2), -1.0, 1.0))
            yield structs.replace(outcome(made, reward=reward, at=at[0] + 1.0), next_state=None, next_refusals=())


def _made(model: Decision, name: str, at: float, rng: np.random.Generator) -> Decision:
    baseline = bool(rng.random() < BASELINE_SHARE)
    action = {"action": "light" if baseline else str(rng.choice(["steady", "steady", "light", "rest"]))}
    return structs.replace(
        model,
        id=name,
        episode=name,
        subject=name,
        state=_state(rng),
        proposed=action,
        executed=action,
        arm="baseline" if baseline else "champion",
        arm_probability=BASELINE_SHARE if baseline else 1.0 - BASELINE_SHARE,
        decided_at=at,
        latency_us=float(rng.uniform(40, 120)),
    )


def _state(rng: np.random.Generator) -> dict[str, Scalar]:
    return {"load": float(rng.uniform(0, 79)), "backlog": float(rng.uniform(0, 500)), "weekend": bool(rng.random() < 0.3)}


def write(store: Path, specs: Sequence[AgentSpec], each: int) -> float:
    """Append the history to a new store and return how long it took."""
    started, log = time.perf_counter(), SqliteLog(store)
    rows, receipts = history(specs, each), []
    while batch := list(islice(rows, BATCH)):
        receipts.append(log.append(batch))
        if len(receipts) >= WAITING:
            receipts.pop(0).wait()
    log.close()
    return time.perf_counter() - started


def learn(store: Path, specs: Sequence[AgentSpec]) -> float:
    """Let each agent learn its part of the log, and store that with one more outcome; return how long it took."""
    started = time.perf_counter()
    with Steersman.open(store, agents=specs, settings={}) as steersman:
        for spec in specs:
            agent = steersman.agent(spec.name)
            agent.report(agent.decide(_state(np.random.default_rng(0))), {"reward": 0.2}).wait()
    return time.perf_counter() - started


async def measure(store: Path, specs: Sequence[AgentSpec], rounds: int) -> None:
    """Serve the store and print how long pages take."""

    def opener(name: str, meters: Sequence[Meter]) -> Steersman:
        return Steersman.open(store, agents=specs, settings={}, meters=meters)

    service = Service(table.operations(), opener)
    started = time.perf_counter()
    await service.start()
    print(f"{'agents opened':<44}{time.perf_counter() - started:>10.2f} s")
    steersman = service.tenants["default"]
    ledger = ledger_of(steersman)
    started = time.perf_counter()
    await service.in_thread(ledger.refresh)
    print(f"{'log read for the figures, once':<44}{time.perf_counter() - started:>10.2f} s")
    agent = steersman.agent(specs[0].name)
    newest = agent.decide(_state(np.random.default_rng(1)))
    pages = [
        "/",
        f"/agents/{specs[0].name}",
        f"/decisions/{newest.id}",
        "/on-call",
        f"/debug?agent={specs[0].name}",
        "/audit",
    ]
    transport = httpx.ASGITransport(app=service)
    headers = {"host": "127.0.0.1", "accept": "text/html"}
    print(f"\nms; all but the first of {rounds} times, after news of all agents")
    print(f"{'page':<30}{'first':>12}{'median':>12}{'largest':>12}{'processor':>12}")
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
        for path in pages:
            times, busy = [], []
            for _ in range(rounds + 1):
                for spec in specs:
                    made = steersman.agent(spec.name)
                    made.report(made.decide(_state(np.random.default_rng(2))), {"reward": 0.3})
                steersman.log.flush()
                started, began = time.perf_counter(), time.process_time()
                answer = await client.get(path)
                times.append(1e3 * (time.perf_counter() - started))
                busy.append(1e3 * (time.process_time() - began))
                assert answer.status_code == 200, answer.text
            shown = path.replace(newest.id, "…")
            print(f"{shown:<30}{times[0]:>12.0f}{median(times[1:]):>12.0f}{max(times[1:]):>12.0f}{median(busy[1:]):>12.0f}")
    await service.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--decisions", type=int, default=1_000_000, help="of all agents together")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    specs = fleet(options.agents)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "log.db"
        seconds = write(store, specs, options.decisions // options.agents)
        print(f"{f'{options.decisions:,} decisions with outcomes written':<44}{seconds:>10.1f} s")
        print(f"{'learned by all agents':<44}{learn(store, specs):>10.1f} s")
        asyncio.run(measure(store, specs, options.rounds))


if __name__ == "__main__":
    main()
