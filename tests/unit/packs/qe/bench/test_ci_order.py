"""Histories are read as they are, and a replay ranks each cycle by those before it alone."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from steersman.core.errors import InvalidInput, NotFound
from steersman.core.ports import Progress
from steersman.packs.qe.bench.ci_history import read_history
from steersman.packs.qe.bench.ci_order import LEARNED, ORACLE, OrderOptions, OrderReport, ci_order
from steersman.packs.qe.ordering.learner import OrderLearner


def write(path: Path, rows: Sequence[tuple[object, ...]], *, head: str = "Name,Duration,Verdict,Cycle") -> Path:
    path.write_text("\n".join([head, *(",".join(str(each) for each in row) for row in rows)]) + "\n", encoding="utf-8")
    return path


Replay = Callable[..., OrderReport]


def history(path: Path, *, cycles: int = 40, seed: int = 0) -> Path:
    """Twelve tests, of which 3 and 8 keep failing."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"t{test}", test + 1, int(test in (3, 8) and rng.random() < 0.4), cycle)
        for cycle in range(cycles)
        for test in range(12)
    ]
    return write(path, rows)


@pytest.fixture
def replay(progress: Progress) -> Replay:
    def run(file: Path, budget: float = 0.5, seeds: int = 1) -> OrderReport:
        return ci_order(lambda name: None, OrderOptions(history=str(file), budget=budget, seeds=seeds), progress)

    return run


def test_cycles_come_by_number_and_other_columns_are_not_read(tmp_path: Path) -> None:
    head = "Name;Duration;Verdict;Cycle;LastResults"
    (tmp_path / "h.csv").write_text(f"{head}\na;2;0;10;[1]\nb;1.5;1;9;[0]\na;1;passed;9;[1]\n", encoding="utf-8")
    first, second = read_history(tmp_path / "h.csv")
    assert (first.name, first.tests, first.durations.tolist(), first.failed.tolist()) == (
        "9",
        ("b", "a"),
        [1.5, 1.0],
        [True, False],
    )
    assert second.tests == ("a",)


def test_parquet_is_read_by_its_build(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows = {"Name": [1, 2], "Duration": [0.5, 1.0], "Verdict": [0, 1], "BuildId": [7, 7], "Cycle": [1, 9], "Id": [1, 2]}
    parquet.write_table(arrow.table(rows), tmp_path / "h.parquet")
    (cycle,) = read_history(tmp_path / "h.parquet")
    assert (cycle.name, cycle.tests, cycle.failed.tolist()) == ("7", ("1", "2"), [False, True])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Name,Verdict\na,1\n", "no column Duration, Cycle or BuildId"),
        ("Name,Duration,Verdict,Cycle\na,nan,1,1\n", "row 1: Duration 'nan'"),
        ("Name,Duration,Verdict,Cycle\na,-1,1,1\n", "Duration '-1'"),
        ("Name,Duration,Verdict,Cycle\na,1,0,1\na,1,maybe,2\n", "row 2: Verdict 'maybe'"),
        ("Name,Duration,Verdict,Cycle\na,1\n", "Verdict None"),
        ("Name,Duration,Verdict,Cycle\n", "has no rows"),
        ("", "has no rows"),
        ("Name,Duration,Verdict,Cycle\na,1,0,1\n", "no test fails"),
    ],
)
def test_a_file_that_is_no_history_is_refused_with_its_row(replay: Replay, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "h.csv"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        replay(file)


def test_files_that_are_missing_or_are_something_else(replay: Replay, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no file"):
        replay(tmp_path / "nothing.csv")
    (tmp_path / "h.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(InvalidInput, match="no Parquet file"):
        replay(tmp_path / "h.parquet")
    (tmp_path / "h.csv").write_bytes(b"\xff\xfe\x00Name")
    with pytest.raises(InvalidInput, match="no CSV file"):
        replay(tmp_path / "h.csv")
    for budget in (0.0, 1.5, float("nan")):
        with pytest.raises(InvalidInput, match="budget"):
            OrderOptions(history="", budget=budget)


def test_what_keeps_failing_is_found_nearly_as_early_as_can_be(replay: Replay, tmp_path: Path) -> None:
    report = replay(history(tmp_path / "h.csv"), seeds=2)
    rows = {row.name: row for row in report.rows}
    assert report.cycles == 40
    assert 0 < report.failing < 40
    assert (report.tests, report.runs) == (12, 480)
    assert rows["random"].apfd == pytest.approx(0.5, abs=0.1)
    assert rows[LEARNED].late_apfd == pytest.approx(rows[ORACLE].late_apfd, abs=0.06)
    assert rows[ORACLE].napfd >= max(row.napfd for row in report.rows)
    assert [row.name for _, row in report.against] == ["NAPFD at 50 % of the time", "APFD, all tests"]


def test_with_all_the_time_there_is_one_figure(replay: Replay, tmp_path: Path) -> None:
    report = replay(history(tmp_path / "h.csv"), budget=1.0)
    assert len(report.against) == 1
    assert all(row.napfd == row.apfd for row in report.rows)


def test_no_order_knows_the_cycle_that_it_ranks(tmp_path: Path) -> None:
    """Whatever the last cycle shows, its own order is the same; and what it shows does change the next."""
    cycles = read_history(history(tmp_path / "h.csv"))
    orders, later = [], []
    for failing in range(12):
        learner = OrderLearner(seed=1, budget=0.5)
        for cycle in cycles[:-1]:
            learner.learn(cycle.tests, cycle.durations, cycle.failed)
        last = cycles[-1]
        orders.append(tuple(learner.rank(last.tests).tolist()))
        learner.learn(last.tests, last.durations, np.arange(12) == failing)
        later.append(tuple(learner.rank(last.tests).tolist()))
    assert len({*orders}) == 1
    assert len({*later}) > 1
