"""A subject of a trial is scored once a round, the same time after its first decision, whatever the order of looking."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from steersman.core.values import Arm, Decision, Outcome, OutcomeKind
from steersman.stages.release import cohorts
from steersman.stages.release.assignment import to_challenger
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


def fresh(*, capacity: int = 100_000, round_s: float = 86_400.0, lag_s: float = 1.0) -> Cohorts:
    return Cohorts(RELEASE, metrics=METRICS, wait_s=WAIT_S, capacity=capacity, round_s=round_s, lag_s=lag_s)


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


def test_a_subject_that_comes_back_is_a_unit_once_in_each_round_from_its_turn_on() -> None:
    """Once a minute for three rounds of 1,000 s: the first time, and then three times as of round 1, 2 and 3."""
    rows = [decided(f"{at}", "ann", float(at)) for at in range(0, 3_000, 70)]
    made, units = fresh(round_s=1_000.0), list[Unit]()
    for row in rows:
        made.decided(row)
        made.reported(reported(row.id, row.decided_at, 1.0))
        units += made.due(row.decided_at - 1.0)
    assert [each.round for each in (*units, *made.due(1e9))] == [0, 1, 2, 3]
    assert made.left_out["seen before"] + made.left_out["not its turn"] == len(rows) - 4


def test_turns_are_spread_over_a_round_and_know_nothing_of_arms() -> None:
    """Subjects that are there all the time are looked at all the time; a wait is left at the end."""
    made, began = fresh(round_s=10_000.0), dict[str, float]()
    for at in range(0, 10_000, 50):
        for number in range(200):
            before = made.open
            made.decided(decided(f"{at}/{number}", f"s{number}", float(at), share=0.5))
            if at and made.open > before:
                began[f"s{number}"] = at
    assert len(began) == 200
    assert sorted(began.values())[100] == pytest.approx(5_000.0, abs=1_000.0)
    assert max(began.values()) <= 10_000.0 - WAIT_S + 100.0
    arms = np.array([to_challenger(RELEASE, subject, 0.5) for subject in began])
    turns = np.array(list(began.values()))
    assert abs(turns[arms].mean() - turns[~arms].mean()) < 3.0 * 2_900.0 / math.sqrt(50.0)


def test_a_round_lasts_four_waits_at_least() -> None:
    made = fresh(round_s=1.0)
    for at in range(0, 480, 2):
        made.decided(decided(f"{at}", "ann", float(at)))
    assert [each.round for each in made.due(1e9)] == [0, 1, 2]


def test_a_unit_that_still_waits_is_not_mixed_with_the_next_one_of_its_subject() -> None:
    """Ann comes back before anybody looked at her first unit."""
    made, rows = fresh(lag_s=1e6, round_s=240.0), [decided(f"{at}", "ann", float(at)) for at in range(0, 240, 10)]
    for row in rows:
        made.decided(row)
        made.reported(reported(row.id, row.decided_at, float(row.decided_at <= WAIT_S)))
    assert [(each.round, each.scores["reward"]) for each in made.due(1e9)] == [(0, 1.0), (1, 0.0)]


def test_what_was_not_known_by_then_is_missing() -> None:
    made, early = fold([decided("a", "ann", 0.0), reported("a", 60.1, 1.0)])
    (unit,) = made.due(100.0)
    assert unit.arrived == 0.0
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


def test_arrival_is_the_share_of_decisions_of_which_anything_came() -> None:
    """A challenger whose failed runs tell nothing is seen by it, though each of its subjects told something."""
    made, _ = fold([*(decided(f"{n}", "ann", float(n)) for n in range(4)), reported("0", 5.0, 1.0), reported("2", 5.0, 1.0)])
    (unit,) = made.due(100.0)
    assert unit.arrived == 0.5


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
    assert (bob.scores["reward"], bob.arrived) == (None, 0.0)
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
    assert made.left_out == {"too many of one subject": 2, "too many at once": 1, "not its turn": 1}
    assert len(list(made.due(61.0))) == 1
    made.decided(decided("c", "cat", 61.0))
    assert made.open == 1, "there is room again"


def test_units_that_are_ripe_take_no_room_though_nobody_looked() -> None:
    made = fresh(capacity=1)
    for number in range(50):
        made.decided(decided(f"{number}", f"s{number}", number * 62.0))
    assert made.open == 1
    assert not made.left_out
    assert len(list(made.due(1e9))) == 50


def test_what_is_read_behind_a_row_that_is_later_than_its_wait_counts_as_late_whoever_looked() -> None:
    made, _ = fold([decided("a", "ann", 0.0), decided("b", "bob", 61.5), reported("a", 59.0, 1.0)])
    (unit,) = made.due(70.0)
    assert (unit.arrived, unit.scores["reward"], made.left_out["late"]) == (0.0, None, 1)


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
        st.floats(-2.0, 40.0),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.integers(0, 2),
    ),
    max_size=40,
)


@given(ROWS, st.sets(st.integers(0, 40)))
@settings(max_examples=60, deadline=None)
def test_looking_more_often_changes_nothing(rows: list[tuple[bool, int, int, float, float, int]], looks: set[int]) -> None:
    """Looks after any rows, by the time of the last one, or only at the end, give the same units in the same order."""
    often, once = (fresh(capacity=2, round_s=1.0) for _ in range(2))
    at, units = 0.0, list[Unit]()
    for number, (is_decision, decision, subject, later, reward, revision) in enumerate(rows):
        at += later
        for made in (often, once):
            if is_decision:
                made.decided(decided(f"d{number}", f"s{subject}", at))
            else:
                made.reported(reported(f"d{decision}", at, reward, revision=revision))
        if number in looks:
            units += often.due(at - 1.0)
    units += often.due(1e9)
    assert units == list(once.due(1e9))
    assert often.left_out == once.left_out
