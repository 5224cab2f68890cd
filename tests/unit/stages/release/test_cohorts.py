"""Each subject of a trial is scored once, the same time after its first decision, whatever the order of looking."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from steersman.core.values import Arm, Decision, Outcome, OutcomeKind
from steersman.stages.release import cohorts
from steersman.stages.release.cohorts import Cohorts
from steersman.stages.release.comparison import Unit
from steersman.testing import log_rows

RELEASE, WAIT_S = "release-7", 60.0
METRICS = ("reward", "success", "override", "found", "speed")


def decided(
    name: str,
    subject: str,
    at: float,
    *,
    arm: Arm = "challenger",
    share: float = 0.1,
    overridden: bool = False,
    release: str = RELEASE,
    probability: float = 0.09,
) -> Decision:
    return structs.replace(
        log_rows.decision(name, at=at),
        subject=subject,
        arm=arm,
        challenger_share=share,
        overridden=overridden,
        release=release,
        arm_probability=probability,
    )


def reported(
    name: str,
    at: float,
    reward: float | None,
    *,
    revision: int = 0,
    kind: OutcomeKind = "reported",
    success: bool | None = None,
) -> Outcome:
    row = log_rows.outcome(log_rows.decision(name), reward=reward, revision=revision, at=at)
    return structs.replace(row, kind=kind, success=success)


def fresh(**given: int) -> Cohorts:
    return Cohorts(RELEASE, metrics=METRICS, wait_s=WAIT_S, **given)


def fold(rows: Sequence[Decision | Outcome]) -> tuple[Cohorts, list[Unit]]:
    """Take rows in; return the cohorts and the early units."""
    made, early = fresh(), []
    for row in rows:
        if isinstance(row, Decision):
            made.decided(row)
        elif (unit := made.reported(row)) is not None:
            early.append(unit)
    return made, early


def test_a_unit_is_the_mean_of_what_its_subject_came_to() -> None:
    made, _ = fold(
        [
            decided("a", "ann", 0.0, overridden=True),
            decided("b", "ann", 10.0),
            reported("a", 20.0, 1.0, success=True),
            reported("b", 60.0, 0.0, success=False),
        ]
    )
    (unit,) = made.due(60.1)
    assert (unit.arm, unit.share, unit.arrived) == ("challenger", 0.1, True)
    assert unit.scores == {"reward": 0.5, "success": 0.5, "override": 0.5, "found": 2.0, "speed": 0.5}


def test_a_unit_is_due_after_its_wait_and_once() -> None:
    made, _ = fold([decided("a", "ann", 0.0), reported("a", 1.0, 1.0)])
    assert list(made.due(60.0)) == []
    assert len(list(made.due(60.1))) == 1
    assert list(made.due(1e9)) == []
    assert made.open == 0


def test_a_subject_that_was_scored_is_no_unit_again() -> None:
    made, _ = fold([decided("a", "ann", 0.0), decided("b", "ann", 60.5), decided("c", "ann", 1_000.0)])
    assert len(list(made.due(1e9))) == 1
    assert made.left_out["seen before"] == 2


def test_what_was_not_known_by_then_is_missing() -> None:
    made, early = fold([decided("a", "ann", 0.0), reported("a", 60.1, 1.0)])
    (unit,) = made.due(100.0)
    assert not unit.arrived
    assert unit.scores == {"reward": None, "success": None, "override": 0.0, "found": None, "speed": None}
    assert early == []
    assert made.left_out["late"] == 1


def test_what_comes_after_a_unit_was_scored_is_counted_as_late_and_what_is_no_part_of_the_trial_is_not() -> None:
    made, _ = fold([decided("a", "ann", 0.0)])
    assert len(list(made.due(100.0))) == 1
    assert made.reported(reported("a", 101.0, 1.0)) is None
    assert made.reported(reported("never followed", 101.0, 1.0)) is None
    assert made.left_out == {"late": 1}


def test_that_the_wait_for_a_reward_expired_is_no_outcome() -> None:
    made, early = fold([decided("a", "ann", 0.0), reported("a", 30.0, -1.0, kind="expired")])
    (unit,) = made.due(100.0)
    assert not unit.arrived
    assert early == []


def test_an_outcome_without_a_reward_has_arrived() -> None:
    made, _ = fold([decided("a", "ann", 0.0), reported("a", 30.0, None)])
    (unit,) = made.due(100.0)
    assert unit.arrived
    assert unit.scores["reward"] is None


def test_a_correction_counts_if_it_comes_in_time_and_a_withdrawal_as_well() -> None:
    rows: list[Decision | Outcome] = [
        decided("a", "ann", 0.0),
        decided("b", "bob", 0.0),
        decided("c", "cat", 0.0),
        reported("a", 1.0, 1.0),
        reported("b", 1.0, 1.0),
        reported("c", 1.0, 1.0),
        reported("a", 2.0, 0.25, revision=1),
        reported("b", 2.0, None, revision=1, kind="withdrawn"),
        reported("c", 61.0, 0.0, revision=1),
    ]
    made, _ = fold(rows)
    ann, bob, cat = made.due(100.0)
    assert (ann.scores["reward"], cat.scores["reward"]) == (0.25, 1.0)
    assert (bob.scores["reward"], bob.arrived) == (None, False)
    assert made.left_out["late"] == 1


def test_a_revision_that_was_overtaken_changes_nothing() -> None:
    made, _ = fold([decided("a", "ann", 0.0), reported("a", 2.0, 0.5, revision=2), reported("a", 3.0, 1.0, revision=1)])
    (unit,) = made.due(100.0)
    assert unit.scores["reward"] == 0.5


def test_the_first_outcome_of_a_unit_is_told_at_once_and_alone() -> None:
    _, early = fold(
        [
            decided("a", "ann", 0.0),
            decided("b", "ann", 1.0),
            reported("b", 2.0, 0.25),
            reported("a", 3.0, 1.0),
            reported("b", 4.0, 0.5, revision=1),
        ]
    )
    assert [each.scores["reward"] for each in early] == [0.25]


@pytest.mark.parametrize("arm", ["champion", "challenger"])
def test_when_the_share_is_raised_a_unit_counts_no_further_in_either_arm(arm: Arm) -> None:
    made, _ = fold(
        [
            decided("a", "ann", 0.0, arm=arm),
            decided("b", "ann", 10.0, arm=arm, share=0.5),
            reported("a", 20.0, 1.0),
            reported("b", 20.0, 0.0),
        ]
    )
    (unit,) = made.due(100.0)
    assert (unit.share, unit.scores["reward"]) == (0.1, 1.0)
    assert made.left_out["share changed"] == 1


def test_what_was_not_drawn_or_belongs_elsewhere_is_left_out_and_counted() -> None:
    made, _ = fold(
        [
            decided("a", "ann", 0.0, release="another"),
            decided("b", "ann", 0.0, arm="baseline"),
            decided("c", "ann", 0.0, arm="safe"),
            decided("d", "ann", 0.0, share=1.0),
            decided("e", "ann", 0.0, probability=1.0),
        ]
    )
    assert made.open == 0
    assert made.left_out == {"baseline": 1, "safe": 1, "not drawn": 2}


def test_units_come_in_the_order_in_which_they_ripen_then_by_subject() -> None:
    made, _ = fold(
        [
            decided("a", "eve", 5.0, share=0.2),
            decided("b", "dan", 5.0, share=0.3),
            decided("c", "ann", 9.0, share=0.4),
            decided("d", "zoe", 1.0, share=0.5),
        ]
    )
    assert [each.share for each in made.due(100.0)] == [0.5, 0.3, 0.2, 0.4]


def test_memory_is_bounded_and_what_does_not_fit_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohorts, "_MOST", 2)
    made = fresh(capacity=1)
    for number in range(4):
        made.decided(decided(f"a{number}", "ann", 0.0))
    made.decided(decided("b", "bob", 1.0))
    made.decided(decided("b2", "bob", 2.0))
    assert made.left_out == {"too many of one subject": 2, "too many at once": 1, "seen before": 1}
    assert len(list(made.due(61.0))) == 1
    made.decided(decided("c", "cat", 61.0))
    assert made.open == 1, "there is room again"


def test_new_subjects_are_hardly_ever_taken_for_old_ones() -> None:
    made = fresh()
    for number in range(5_000):
        made.decided(decided(f"{number}", f"subject {number}", float(number)))
    assert made.left_out["seen before"] == 0


ROWS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 20),
        st.integers(0, 3),
        st.floats(0.0, 20.0),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(ROWS, st.sets(st.integers(0, 40)))
@settings(max_examples=60, deadline=None)
def test_looking_more_often_changes_nothing(rows: list[tuple[bool, int, int, float, float, int]], looks: set[int]) -> None:
    """Rows in the order of time, with looks at any of them or only at the end, give the same units in the same order."""
    often, once, at, units = fresh(), fresh(), 0.0, list[Unit]()
    for number, (is_decision, decision, subject, later, reward, revision) in enumerate(rows):
        at += later
        for made in (often, once):
            if is_decision:
                made.decided(decided(f"d{number}", f"s{subject}", at))
            else:
                made.reported(reported(f"d{decision}", at, reward, revision=revision))
        if number in looks:
            units += often.due(at)
    units += often.due(1e9)
    assert units == list(once.due(1e9))
    assert often.left_out == once.left_out
