"""Risk scores add up as their weights say, and bands begin where they should."""

from dataclasses import replace

import pytest

from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.tools.risk import ReleaseEvidence, band, change_risk, release_risk, security_worth

BEST = ReleaseEvidence(failures=0, unseen=0.0, security=0.0, coverage=1.0, lint=0, history=0.0)


def test_nothing_against_a_release_is_no_risk_and_everything_is_nearly_all() -> None:
    worst = ReleaseEvidence(failures=1000, unseen=1.0, security=99.0, coverage=0.0, lint=9, history=1.0)
    assert release_risk(BEST) == 0.0
    assert 99.9 < release_risk(worst) <= 100.0


def test_by_hand() -> None:
    seen = ReleaseEvidence(failures=1, unseen=0.2, security=8.0, coverage=0.8, lint=1, history=0.4)
    assert release_risk(seen) == pytest.approx(55.0 * 3 / 4 + 4.4 + 4.0 + 1.0 + 2.5 + 2.0)
    assert change_risk(history=0.5, branches=5, callers=100) == pytest.approx(20.0 + 15.0 + 30.0)


def test_a_failing_test_is_beyond_monitor_and_a_change_that_no_test_saw_is_beyond_go() -> None:
    assert band(release_risk(replace(BEST, failures=1))) == "conditional"
    assert band(release_risk(replace(BEST, unseen=1.0))) == "monitor"


@pytest.mark.parametrize(
    ("risk", "name"),
    [(0, "go"), (20, "go"), (20.1, "monitor"), (40, "monitor"), (60, "conditional"), (60.1, "no-go"), (100, "no-go")],
)
def test_bands_end_at_20_40_and_60(risk: float, name: str) -> None:
    assert band(risk) == name


def test_what_was_only_suspected_weighs_half() -> None:
    finding = Finding(tool="t", rule="r", severity="high", file="a.py", line=1, message="m")
    shown = Finding(tool="t", rule="r", severity="critical", file="a.py", line=1, message="m", confirmed=True)
    assert security_worth([finding, shown]) == 2.0 + 8.0
