"""What processes that share a PostgreSQL store lose when it, or one of them, dies in the middle of its work.

A real server is stopped as by a crash (`stop -m immediate`), or a worker is killed (SIGKILL), again and again, while worker
processes with several clients each decide, report and wait for acknowledgements, which they write into a ledger. In the end
the log is held against the ledgers, and the learned table against a fold of the log by one thread. `--bug` plants one: the
harness must find it.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

import numpy as np

from steersman import Steersman
from steersman.core.errors import SteersmanError
from steersman.core.values import Outcome
from steersman.loops.agent import Agent
from steersman.loops.learn import refold
from steersman.loops.runtime import Runtime
from steersman.testing.postgres import PostgresServer
from steersman.testing.specs import small_agent

AGENT = "lab/small"
CLIENTS = 4
WAIT_S = 60.0
CAUGHT_UP_S = 60.0
BUGS = ("asynchronous commit", "learn twice")


@dataclass(kw_only=True)
class Report:
    """What was seen: decisions asked for and refused, outcomes acknowledged, lost, doubled, and tables that differ."""

    stops: int
    decisions: int = 0
    unavailable: int = 0
    safe: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    differences: int = 0
    caught_up_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def available(self) -> float:
        """The share of decisions that were answered."""
        return 1.0 - self.unavailable / max(self.decisions, 1)

    @property
    def held(self) -> bool:
        """Whether every promise held."""
        broken = self.lost or self.twice or self.differences
        return not broken and self.available >= 0.999 and self.caught_up_s <= CAUGHT_UP_S


def run(stops: int, *, kill: str = "server", workers: int = 2, seed: int = 0, bug: str = "") -> Report:
    """Stop the server, or kill workers, so many times under load, and say what came of it."""
    rng = random.Random(seed)
    server = PostgresServer(durable=True)
    with TemporaryDirectory() as folder:
        try:
            return _run(server, Path(folder), rng, Report(stops=stops), kill, workers, bug)
        finally:
            server.close()


def _run(
    server: PostgresServer, folder: Path, rng: random.Random, report: Report, kill: str, workers: int, bug: str
) -> Report:
    url = server.url()
    started = [_start(url, folder, number, bug) for number in range(workers)]
    try:
        began = _trouble(server, url, folder, rng, report.stops, kill, started, bug)
        (folder / "stop").touch()
        for each in started:
            if each.wait(WAIT_S + 60.0):
                raise SystemExit(f"a worker failed: {each.returncode}")
    finally:
        for each in started:
            each.kill()
    _judge(url, folder, report, began)
    return report


def _trouble(
    server: PostgresServer,
    url: str,
    folder: Path,
    rng: random.Random,
    stops: int,
    kill: str,
    started: "list[subprocess.Popen[bytes]]",
    bug: str,
) -> float:
    """Stop the server or kill workers; return when the last one was over, by the monotonic clock."""
    for number in range(len(started)):
        _wait_for_load(folder, number)
    for _ in range(stops):
        time.sleep(rng.uniform(0.1, 0.4))
        if kill == "server":
            server.stop(immediate=True)
            time.sleep(rng.uniform(0.0, 0.2))
            server.start()
        else:
            victim = rng.randrange(len(started))
            started[victim].kill()
            started[victim].wait()
            number = len(list(folder.glob("ledger-*")))
            started[victim] = _start(url, folder, number, bug)
            _wait_for_load(folder, number)
    over = time.monotonic()
    time.sleep(1.0)
    return over


def _start(url: str, folder: Path, number: int, bug: str) -> "subprocess.Popen[bytes]":
    (folder / f"ledger-{number}").touch()
    return subprocess.Popen([sys.executable, __file__, "--worker", url, str(folder), str(number), "--bug", bug])


def _wait_for_load(folder: Path, number: int) -> None:
    """Return once a worker has had its first acknowledgement."""
    deadline = time.monotonic() + 60.0
    while not (folder / f"ledger-{number}").stat().st_size:
        if time.monotonic() > deadline:
            raise SystemExit(f"worker {number} did not begin")
        time.sleep(0.05)


def _judge(url: str, folder: Path, report: Report, began: float) -> None:
    """Hold the log against the ledgers, and the table against a fold of the log."""
    lines = [json.loads(line) for each in folder.glob("ledger-*") for line in each.read_text().splitlines()]
    for line in lines:
        if "decisions" in line:
            report.decisions += line["decisions"]
            report.unavailable += line["unavailable"]
            report.safe += line["safe"]
            report.latencies_ms.append(line["p99_ms"])
    acknowledged = {line["id"]: line["reward"] for line in lines if "id" in line}
    report.acknowledged = len(acknowledged)
    with Steersman.open(url, agents=[small_agent()], settings={}) as steersman:
        agent = steersman.agent(AGENT)
        _catch_up(agent, steersman)
        report.caught_up_s = time.monotonic() - began
        rows = [row for row in steersman.log.rows(AGENT) if isinstance(row, Outcome)]
        logged = {row.decision_id: row.reward for row in rows}
        report.lost = sum(logged.get(name) != reward for name, reward in acknowledged.items())
        report.twice = sum(count - 1 for count in Counter(row.decision_id for row in rows).values())
        report.differences = differences(agent)


def _catch_up(agent: Agent, steersman: Steersman) -> None:
    runtime = agent._runtime
    deadline = time.monotonic() + CAUGHT_UP_S
    while runtime.fence is None and time.monotonic() < deadline:
        time.sleep(0.05)
    while agent.follow():
        pass
    steersman.log.flush(WAIT_S)


def differences(agent: Agent) -> int:
    """Return how many entries of the stored table differ from those of a fold of the log by one thread."""
    stored = agent._runtime.log.learned(AGENT)
    folded = refold(agent._runtime).changes(replace=True)
    if stored is None:
        return len(folded.entries)
    table, _ = stored
    places = table.entries.keys() | folded.entries.keys()
    return sum(table.entries.get(place) != folded.entries.get(place) for place in places)


# a worker


def work(url: str, folder: Path, number: int, bug: str) -> None:
    """Decide and report from several clients until told to stop."""
    _plant(bug)
    tally = _Tally()
    with (
        Steersman.open(url, agents=[small_agent()], settings={}) as steersman,
        (folder / f"ledger-{number}").open("a") as out,
    ):
        agent = steersman.agent(AGENT)
        clients = [
            threading.Thread(target=_client, args=(agent, folder, out, tally, number * CLIENTS + each))
            for each in range(CLIENTS)
        ]
        for each in clients:
            each.start()
        for each in clients:
            each.join()
        _write(out, tally.line())


class _Tally:
    def __init__(self) -> None:
        self.decisions = self.unavailable = self.safe = 0
        self.latencies: list[float] = []

    def line(self) -> dict[str, float]:
        p99 = float(np.percentile(self.latencies, 99)) if self.latencies else 0.0
        return {"decisions": self.decisions, "unavailable": self.unavailable, "safe": self.safe, "p99_ms": p99}


def _client(agent: Agent, folder: Path, out: TextIO, tally: _Tally, seed: int) -> None:
    rng = random.Random(seed)
    while not (folder / "stop").exists():
        state = {"load": rng.uniform(0, 100), "backlog": rng.randrange(1000), "weekend": rng.random() < 0.3}
        began = time.perf_counter()
        tally.decisions += 1
        try:
            decision = agent.decide(state)
        except Exception:  # noqa: BLE001 - whatever it is, the caller got no decision
            tally.unavailable += 1
            continue
        tally.latencies.append((time.perf_counter() - began) * 1e3)
        tally.safe += decision.arm == "safe"
        reward = round(rng.uniform(-1, 1), 6)
        try:
            agent.report(decision, {"reward": reward}).wait(WAIT_S)
        except SteersmanError:
            continue  # not acknowledged: nothing was promised
        _write(out, {"id": decision.id, "reward": reward})


def _write(out: TextIO, line: dict[str, object] | dict[str, float]) -> None:
    os.write(out.fileno(), (json.dumps(line) + "\n").encode())  # one write: what is in it survives this process


def _plant(bug: str) -> None:
    if bug == "asynchronous commit":
        from steersman.backends.sql.postgres import connect

        correct = connect.writer

        def writer(where: connect.Target) -> connect.Connection:
            connection = correct(where)
            connection.execute("SET synchronous_commit = off")
            return connection

        connect.writer = writer
    elif bug == "learn twice":
        from steersman.backends.sql.postgres import leases
        from steersman.loops import follow

        correct_take_over = follow._take_over

        def forgetful(agent: Runtime, fence: int) -> None:
            correct_take_over(agent, fence)
            agent.position = max(0, agent.position - 50)

        follow._take_over = forgetful
        leases.LEASE_S, leases.RENEW_S = 1.0, 0.1  # a short run sees somebody take over as well


def main() -> None:
    """Run the harness, or a worker of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stops", type=int, default=100)
    parser.add_argument("--kill", choices=("server", "worker"), default="server")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bug", default="", choices=("", *BUGS))
    parser.add_argument("--worker", nargs=3, metavar=("URL", "FOLDER", "NUMBER"))
    given = parser.parse_args()
    if given.worker:
        url, folder, number = given.worker
        work(url, Path(folder), int(number), given.bug)
        return
    report = run(given.stops, kill=given.kill, workers=given.workers, seed=given.seed, bug=given.bug)
    print(f"{given.kill} killed {report.stops} times under {given.workers} workers of {CLIENTS} clients  {given.bug}")
    print(f"{'decisions asked for':<44}{report.decisions:>12,}")
    print(f"{'answered (safe action while it was away)':<44}{report.available:>12.3%}{report.safe:>12,} safe")
    print(f"{'decide p99, worst worker (ms)':<44}{max(report.latencies_ms, default=0.0):>12.1f}")
    print(f"{'outcomes acknowledged':<44}{report.acknowledged:>12,}")
    print(f"{'lost · twice · entries that differ':<44}{report.lost:>8,} ·{report.twice:>4,} ·{report.differences:>4,}")
    print(f"{'all learned after the last one (s)':<44}{report.caught_up_s:>12.1f}")
    sys.exit(0 if report.held == (not given.bug) else 1)


if __name__ == "__main__":
    main()
