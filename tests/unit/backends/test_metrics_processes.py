"""Several processes behind one socket: whichever is scraped shows what all of them counted."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from steersman.app.telemetry import forget_metrics, share_metrics

WORKER = """
import sys

from msgspec.structs import replace

from steersman.app import Steersman
from steersman.app.telemetry import open_meter
from steersman.core.guards import Guard, Refusal
from steersman.testing.log_rows import decision, outcome
from steersman.testing.specs import small_agent

asleep = False
probe = {"load": 95, "backlog": 0, "weekend": False}
refuse = lambda state: [] if asleep else [Refusal(where={"action": "heavy"}, reason="for tests")]
guard = Guard(name="load", refuse=refuse, deadline_ms=2_000, probe=probe)
steersman = Steersman.open("memory:", agents=[small_agent(guards=(guard,))], settings={})
steersman.agent("lab/small").decide(probe)
meters = {each: open_meter(each) for each in ("default", "other")}
for line in sys.stdin:
    word, tenant, number = line.split()
    meter = meters[tenant]
    if word == "decide":
        for _ in range(int(number)):
            made = replace(decision(agent="lab/small"), latency_us=300.0)
            meter.decided(made)
            meter.recorded(made, outcome(made, reward=-0.5))
    elif word == "observe":
        asleep = bool(int(number))
        steersman.log.health = lambda: "sick" if asleep else ""
        meter.observe(steersman)
    else:
        sys.stdout.write(meter.exposition()[0].decode())
    print("# done", flush=True)
"""


class Worker:
    """A process with two meters, that does as it is told."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def do(self, word: str, tenant: str = "default", number: int = 0) -> str:
        """Return what it answers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{word} {tenant} {number}\n")
        self.process.stdin.flush()
        lines = []
        while (line := self.process.stdout.readline()) != "# done\n":
            assert line, "the worker ended"
            lines.append(line)
        return "".join(lines)

    def value(self, name: str, tenant: str = "default", **labels: str) -> float | None:
        """Return the sum of what it shows under a name and labels; None if it shows nothing."""
        found = [
            sample.value
            for family in text_string_to_metric_families(self.do("show", tenant))
            for sample in family.samples
            if sample.name == f"steersman_{name}" and labels.items() <= sample.labels.items()
        ]
        return sum(found) if found else None

    def end(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[tuple[Worker, Worker]]:
    """Start two processes that share their metrics."""
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "counter_1.db").write_text("left by another run")
    environment = share_metrics(tmp_path / "metrics")
    made = Worker(environment), Worker(environment)
    yield made
    for each in made:
        each.end()


def test_both_show_what_both_counted(workers: tuple[Worker, Worker]) -> None:
    one, two = workers
    for each in workers:
        each.do("observe")
    one.do("decide", "default", 3)
    two.do("decide", "default", 4)
    for each in workers:
        each.do("show")
    for each in workers:
        assert each.value("decisions_total") == 7
        assert each.value("decision_latency_seconds_count") == 7
        assert each.value("decision_latency_seconds_bucket", le="0.00025") == 0
        assert each.value("decision_latency_seconds_bucket", le="0.0005") == 7
        assert each.value("reward_ratio_sum") == pytest.approx(7 * 0.25)
        assert "# HELP steersman_decisions_total Decisions made, by the arm that decided." in each.do("show")


def test_tenants_do_not_see_each_other(workers: tuple[Worker, Worker]) -> None:
    one, two = workers
    one.do("decide", "default", 3)
    one.do("decide", "other", 5)
    two.do("decide", "other", 1)
    for each in workers:
        each.do("show")
        each.do("show", "other")
    assert (two.value("decisions_total"), one.value("decisions_total", "other")) == (3, 6)
    assert 'tenant="other"' not in two.do("show")


def test_gauges_are_those_of_the_living_and_counters_of_all(workers: tuple[Worker, Worker], tmp_path: Path) -> None:
    one, two = workers
    two.do("decide", "default", 2)
    one.do("observe", number=0)
    alone = one.value("memory_bytes")
    two.do("observe", number=1)
    both = one.value("memory_bytes")
    assert alone is not None
    assert both is not None
    assert both > 1.5 * alone
    assert one.value("log_writing") == 0  # one of them cannot write
    assert one.value("guard_alive") == 0  # and has a guard that sleeps
    two.end()
    assert one.value("log_writing") == 0
    forget_metrics(tmp_path / "metrics", two.process.pid)
    assert (one.value("log_writing"), one.value("guard_alive")) == (1, 1)
    assert one.value("memory_bytes") == pytest.approx(alone)
    assert one.value("decisions_total") == 2
