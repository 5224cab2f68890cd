"""A commander's word makes a batch, a verdict follows from the evidence, and the composite reward from its parts."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from steersman.core.ports import AgentHandle
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.member import Member, commander, roster
from steersman.packs.qe.fleet.plan import CATEGORIES, MODES, next_batch
from steersman.packs.qe.fleet.reward import composite
from steersman.packs.qe.fleet.verdict import judge
from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.project.reference import Reference

CALM = Reference(
    collected=("t",),
    at_s={},
    durations_s={},
    wall_s=1.0,
    cpu_s=1.0,
    peak_mb=1.0,
    coverage=CoverageMap(),
    failing=frozenset(),
    flaky=frozenset(),
)
SUSPECTED = Finding(tool="t", rule="r", severity="critical", file="f", line=1, message="m")


@pytest.fixture
def members(small_handle: Callable[[str], AgentHandle]) -> list[Member]:
    """Four agents: of two categories, the second of which measures time."""
    spec = commander()
    kinds = (
        ("qe/test-generator", "core-testing"),
        ("qe/performance-tester", "performance-security"),
        ("qe/coverage-analyzer", "core-testing"),
        ("qe/security-scanner", "performance-security"),
    )
    assert spec.kinship is not None
    made = [replace(spec, name=name, kinship=replace(spec.kinship, category=category)) for name, category in kinds]
    return [Member(each, small_handle(each.name), None, "test") for each in made]  # type: ignore[arg-type]  # nobody works here


@pytest.mark.parametrize(
    ("mode", "names", "at_once"),
    [
        ("sequential", ["test-generator"], 1),
        ("parallel", ["test-generator", "performance-tester"], 2),
        ("hybrid", ["test-generator", "coverage-analyzer"], 2),
        ("core-testing", ["test-generator", "coverage-analyzer"], 1),
        ("strategic", ["test-generator"], 1),
    ],
)
def test_who_works_next(members: list[Member], mode: str, names: list[str], at_once: int) -> None:
    batch = next_batch(mode, members, cores=2)
    assert ([each.name for each in batch.members], batch.at_once) == (names, at_once)


def test_who_measures_time_works_alone_in_hybrid(members: list[Member]) -> None:
    batch = next_batch("hybrid", members[1:], cores=2)
    assert ([each.name for each in batch.members], batch.at_once) == (["performance-tester"], 1)


def test_who_works_side_by_side_shares_the_cores(members: list[Member]) -> None:
    assert next_batch("parallel", members, cores=3).side_by_side == 3
    assert next_batch("parallel", members, cores=16).side_by_side == 4, "no more than there are"
    assert next_batch("core-testing", members, cores=16).side_by_side == 1


def test_every_choice_leaves_somebody_to_work(members: list[Member]) -> None:
    for mode in (*MODES, *CATEGORIES):
        waiting = list(members)
        while waiting:
            batch = next_batch(mode, waiting, cores=3)
            assert batch.members
            waiting = [each for each in waiting if each not in batch.members]


def test_the_commander_knows_every_category(members: list[Member]) -> None:
    assert {each.category for each in members} <= {*CATEGORIES}
    assert {*commander().actions.dimensions["action"]} == {*MODES, *CATEGORIES}
    assert "fleet-commander" not in roster()


@pytest.mark.parametrize(
    ("changes", "findings", "word", "reason"),
    [
        ({}, [], "go", "nothing speaks against"),
        ({"failing": frozenset({"t"})}, [], "no-go", "1 test fails: t"),
        (
            {"failing": frozenset("th"), "hanging": frozenset("h")},
            [],
            "no-go",
            "1 test fails: t; 1 test took longer than a quarter of --timeout, or ended the whole run: h",
        ),
        ({}, [replace(SUSPECTED, confirmed=True)], "no-go", "confirmed: f:1 m"),
        ({}, [SUSPECTED], "conditional", "1 serious"),
        ({"flaky": frozenset("abcde")}, [], "conditional", "5 tests are flaky: a, b, c and 2 more"),
        ({}, [replace(SUSPECTED, severity="medium")], "go", "nothing"),
    ],
)
def test_the_verdict_follows_from_the_evidence(
    changes: Mapping[str, frozenset[str]], findings: list[Finding], word: str, reason: str
) -> None:
    reference = replace(CALM, **changes)  # type: ignore[arg-type]
    verdict = judge(reference, "", findings)
    assert verdict.word == word
    assert reason in "; ".join(verdict.reasons)


def test_a_suite_that_cannot_run_is_no_go() -> None:
    assert judge(None, "it hangs", []).reasons == ("nothing can be said of the tests: it hangs",)


def test_crossing_the_goal_is_paid_once() -> None:
    reward = composite("coverage")
    gained = {"coverage_before": 88.0, "coverage_after": 91.0, "failed": 0.0}
    assert reward.score(gained).reward == 50.0, "10 for each of three per cent, and 20 for the step over 90"
    assert reward.score(gained | {"coverage_before": 91.0, "coverage_after": 91.0}).reward == 0.0
    assert reward.score(gained | {"failed": 1.0}).reward == -50.0


def test_parts_that_do_not_apply_do_not_weigh() -> None:
    reward = composite("faults", "reuse")
    found = {"faults_found": 2.0, "critical_found": 1.0, "reused": 0.0, "failed": 0.0}
    assert reward.score(found).reward == 30.0
    assert reward.score(found | {"reused": -1.0}).reward == pytest.approx((0.25 * 30.0 + 0.10 * -10.0) / 0.35)
