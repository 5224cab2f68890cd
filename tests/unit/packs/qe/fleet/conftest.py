"""A report with a bit of everything, hostile strings among it."""

import pytest

from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.member import Round
from steersman.packs.qe.fleet.report import AgentReport, FleetReport, Step
from steersman.packs.qe.fleet.tally import Tally
from steersman.packs.qe.fleet.verdict import Verdict

HOSTILE = '<script>alert("x")</script> | a\x00b \ud800'.encode(errors="replace").decode()


@pytest.fixture
def report() -> FleetReport:
    made = Round(
        decision_id="d1",
        arm="champion",
        action={"action": "quick"},
        reward=25.0,
        components={"found": 50.0},
        measurements={"wall_s": 1.0},
        notes=("8 of 8 found",),
    )
    return FleetReport(
        project="shop",
        path="/nowhere",
        seed=3,
        budget_s=60.0,
        wall_s=12.0,
        cpu_s=9.0,
        tests=4,
        suite_s=0.5,
        failing=(f"tests/test_a.py::test_{HOSTILE}",),
        flaky=("tests/test_b.py::test_b",),
        verdict=Verdict(word="no-go", reasons=("1 tests fail",)),
        agents=(
            AgentReport(
                agent="security-scanner",
                category="performance-security",
                reward_range=(-50.0, 100.0),
                wall_s=2.0,
                rounds=(made,),
                chose="quick",
                reward=25.0,
                tally=Tally(planted=8.0, found=8.0),
                seen="8 of 8 found",
                left_out="",
                next=None,
            ),
            AgentReport(
                agent="visual-tester",
                category="specialized",
                reward_range=(0.0, 1.0),
                wall_s=0.0,
                rounds=(),
                chose="",
                reward=None,
                tally=Tally(),
                seen="did not work: no page",
                left_out="no page",
                next=None,
            ),
        ),
        idle={"no page": ("visual-tester",)},
        steps=(
            Step(decision_id="c1", action={"action": "parallel"}, agents=("a", "b"), wall_s=3.0, reward=10.0),
            Step(decision_id="c2", action={"action": "sequential"}, agents=("c",), wall_s=1.0, reward=-5.0),
        ),
        findings=(
            Finding(tool="bandit", rule="B602", severity="high", file="shop.py", line=5, message=HOSTILE),
            Finding(tool="ruff", rule="S105", severity="low", file="shop.py", line=0, message="m", confirmed=True),
        ),
        tally=Tally(planted=8.0, found=8.0),
        coverage=(50.0, 62.5),
        achievements=("Of 8 planted faults it found 8",),
        files={"tests/test_new.py": "def test_new():\n    assert True"},
        stopped="",
    )
