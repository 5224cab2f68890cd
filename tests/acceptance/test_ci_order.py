"""`steersman bench ci-order` from the outside."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def history(tmp_path: Path) -> str:
    """Thirty builds of eight tests: c fails in every third and h in every fourth."""
    rows = ["Name;Duration;Verdict;BuildId"]
    for build in range(30):
        failing = {"c": build % 3 == 0, "h": build % 4 == 0}
        rows += [f"{name};{place + 1};{int(failing.get(name, False))};{build}" for place, name in enumerate("abcdefgh")]
    (tmp_path / "history.csv").write_text("\n".join(rows) + "\n")
    return "history.csv"


def test_a_history_is_replayed(command: Callable[..., Any], history: str) -> None:
    done = command("bench", "ci-order", "--history", history, "--json")
    assert done.code == 0, done.err
    report = done.json
    assert (report["cycles"], report["failing"], report["tests"], report["runs"]) == (30, 15, 8, 240)
    figures = {row["name"]: row for row in report["rows"]}
    assert {"learned", "random", "shortest", "recently failed first", "failure rate", "near-oracle"} <= {*figures}
    assert figures["learned"]["late_apfd"] > 0.8 > figures["shortest"]["late_apfd"]
    assert done.json == command("bench", "ci-order", "--history", history, "--json").json | {
        "ranking_ms": report["ranking_ms"]
    }


def test_the_report_for_people(command: Callable[..., Any], history: str) -> None:
    done = command("bench", "ci-order", "--history", history, "--budget", "0.3", "--seeds", "2")
    assert done.code == 0, done.err
    for word in ("30 cycles, 15 with a failure", "near-oracle", "NAPFD at 30 %", "95 % interval", "Most say in the end"):
        assert word in done.out
    assert "2/2" in done.err


def test_what_is_no_history_is_told(command: Callable[..., Any], history: str, tmp_path: Path) -> None:
    assert command("bench", "ci-order", "--history", "nothing.csv").code == 6
    done = command("bench", "ci-order", "--history", history, "--budget", "2")
    assert (done.code, "budget in (0, 1]" in done.err) == (3, True), done.err
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    done = command("bench", "ci-order", "--history", "other.csv")
    assert (done.code, "no column Name, Duration, Verdict, Cycle or BuildId; it has a, b" in done.err) == (3, True), done.err
