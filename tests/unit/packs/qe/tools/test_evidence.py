"""A pass rate of 1 means that nothing fails, also where a file broke before any of its tests ran."""

import pytest

from steersman.packs.qe.project.suite import RunResult, TestResult
from steersman.packs.qe.tools.evidence import pass_rate


def run(*outcomes: str) -> RunResult:
    tests = {str(place): TestResult(outcome=each, reruns=0, duration_s=0.0, at_s=0.0) for place, each in enumerate(outcomes)}
    return RunResult(tests=tests)


@pytest.mark.parametrize(
    ("outcomes", "failures", "rate"),
    [
        (("passed", "passed"), frozenset[str](), 1.0),
        (("passed", "failed", "passed", "passed"), frozenset({"1"}), 0.75),
        (("failed",), frozenset[str](), 1.0),  # it failed before as well
        (("passed",), frozenset({"tests/test_broken.py"}), 0.999),
        ((), frozenset({"tests/test_broken.py"}), 0.0),
        ((), frozenset[str](), 1.0),
    ],
)
def test_by_hand(outcomes: tuple[str, ...], failures: frozenset[str], rate: float) -> None:
    assert pass_rate(run(*outcomes), failures) == rate
