"""The bench says of each fault what is known and no more, and its report can be run again."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from steersman.cli.output import plain
from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.core.ports import Progress
from steersman.core.progress import Silent
from steersman.packs.qe.bench.faults import FaultOptions, FaultReport, faults
from steersman.packs.qe.faults.fate import Judged

Make = Callable[[Path, Mapping[str, str]], Path]
SOURCE = '''class Basket:
    """Holds amounts."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.amounts: list[int] = []

    def add(self, amount: int) -> None:
        if amount < self.limit:
            self.amounts.append(amount)


def rebate(total: int) -> int:
    """Ten off above a hundred."""
    if 0 and total:
        total = total + 1
    return total - 10 if total > 100 else total


def least(a: int, b: int) -> int:
    return a if a < b else b


def nobody(a: int) -> int:
    return a * 3


def hidden(text):
    return open(text).read() + "!"
'''
TESTS = """from shop import Basket, least, rebate


def test_rebate():
    assert rebate(200) == 190
    assert rebate(50) == 50


def test_least():
    assert least(1, 2) == 1


def test_basket():
    basket = Basket(10)
    basket.add(3)
    assert basket.amounts == [3]
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> FaultReport:
    root = tmp_path_factory.mktemp("shop")
    (root / "shop.py").write_text(SOURCE)
    (root / "test_shop.py").write_text(TESTS)
    return run(root, count=60, budget_s=600.0)


def run(root: Path, **options: Any) -> FaultReport:
    def no_agent(name: str) -> Any:
        raise AssertionError(name)

    return faults(no_agent, FaultOptions(path=str(root), git=False, **options), Silent())


def one(report: FaultReport, line: int, after: str) -> Judged:
    return next(each for each in report.faults if (each.fault.line, each.fault.after) == (line, after))


def test_each_fate_is_what_is_known(report: FaultReport) -> None:
    assert one(report, 17, "None").fate == "killed"
    assert one(report, 17, "None").killers == ("test_shop.py::test_rebate",)
    assert one(report, 16, "-").fate == "equivalent"  # after `if 0 and`
    assert one(report, 21, "<=").fate == "survived"  # equal numbers are the same number
    assert one(report, 29, "-").fate == "uncovered"  # it opens files, so nobody calls it
    assert report.fates == {fate: sum(each.fate == fate for each in report.faults) for fate in report.fates}
    assert sum(report.fates.values()) == len(report.faults)


def test_a_witness_is_a_call_that_shows_the_fault(report: FaultReport) -> None:
    edge = one(report, 17, ">=")  # 100 itself is in no test
    assert edge.fate == "witnessed"
    assert edge.witness is not None
    assert edge.witness.imports == ("from shop import rebate",)
    assert (edge.witness.call, edge.witness.without, edge.witness.with_fault) == ("rebate(100)", "returns 100", "returns 90")
    assert one(report, 25, "+").fate == "witnessed"  # no test calls `nobody`


def test_each_witness_is_true(report: FaultReport) -> None:
    """The call is made here, on the sources without the fault and with it, and both do what the report says."""
    shown = [each for each in report.faults if each.witness]
    assert len(shown) >= 3
    for each in shown:
        assert each.witness is not None
        for text, told in ((SOURCE, each.witness.without), (each.fault.apply(SOURCE), each.witness.with_fault)):
            assert does(text, each.witness.call) == told


def does(source: str, call: str) -> str:
    names: dict[str, Any] = {}
    exec(source, names)
    *steps, last = call.split("; ")
    for each in steps:
        exec(each, names)
    before = [*names["it"].amounts] if steps else []
    result = eval(last, names)
    if result is None and steps:
        return f"leaves it.amounts as {names['it'].amounts!r}" if names["it"].amounts != before else "changes nothing"
    return f"returns {result!r}"


def test_the_score_has_honest_bounds(report: FaultReport) -> None:
    fates = report.fates
    real = fates["killed"] + fates["timed out"] + fates["witnessed"]
    assert report.score.low == fates["killed"] / (real + fates["survived"] + fates["uncovered"])
    assert report.score.high == (fates["killed"] + fates["timed out"]) / real
    assert report.score.low < report.score.high < 1.0


def test_a_report_is_run_again_with_the_same_faults(report: FaultReport, tmp_path: Path, make: Make) -> None:
    kept = tmp_path / "kept.json"
    few = [each for each in report.faults if each.fault.line in (16, 21, 25)]
    kept.write_text(json.dumps({"faults": plain(few), "digests": plain(report.digests)}), encoding="utf-8")
    better = TESTS + "\n\ndef test_nobody():\n    from shop import nobody\n    assert nobody(2) == 6\n"
    root = make(tmp_path / "shop", {"shop.py": SOURCE, "test_shop.py": better})
    again = run(root, faults=str(kept), budget_s=600.0)
    assert [each.fault for each in again.faults] == [each.fault for each in few]
    assert one(again, 25, "+").killers == ("test_shop.py::test_nobody",)
    assert one(again, 16, "-").fate == "equivalent"
    (root / "shop.py").write_text(SOURCE + "\n# later\n")
    with pytest.raises(InvalidInput, match=r"not as they were: shop\.py"):
        run(root, faults=str(kept))


def test_what_there_was_no_time_for_is_said(report: FaultReport) -> None:
    late = run(Path(report.path), count=30, budget_s=0.01)
    assert late.fates["not run"] > 0
    assert late.fates["witnessed"] == 0
    assert [each.fault for each in late.faults] == [
        each.fault for each in run(Path(report.path), count=30, budget_s=0.01).faults
    ]


def test_a_suite_that_hangs_says_so(make: Make, tmp_path: Path, progress: Progress) -> None:
    text = "import time\nimport shop\n\n\ndef test_slow():\n    time.sleep(99)\n"
    root = make(tmp_path / "shop", {"shop.py": SOURCE, "test_shop.py": text})
    with pytest.raises((DeadlineExceeded, InvalidInput)):
        run(root, timeout_s=2.0)


@pytest.mark.parametrize("changed", [{"count": 0}, {"budget_s": 0.0}, {"timeout_s": -1.0}, {"seed": -1}])
def test_impossible_options_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="must be positive"):
        FaultOptions(path=".", **changed)
