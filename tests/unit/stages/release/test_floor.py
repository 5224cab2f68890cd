"""The floor: units by their coins, exploring left out, and a change seen whenever it comes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from steersman.core.errors import InvalidInput
from steersman.core.values import Decision, Outcome
from steersman.stages.release import floor as floors
from steersman.stages.release.comparison import Metric
from steersman.stages.release.floor import Floor
from steersman.testing import log_rows

CANARY = {"release": "r", "stage": "canary", "challenger_share": 0.2}
REWARD = Metric(name="reward", low=0.0, high=1.0, margin=0.05)
SHARE, WAIT_S = 0.1, 10.0


def floor(**changed: Any) -> Floor:
    given: dict[str, Any] = {"run_length": 10_000, "wait_s": WAIT_S, "allowed": lambda _: 0, **changed}
    return Floor("v", REWARD, **given)


def decided(name: str = "1", *, arm: str = "champion", **changed: Any) -> Decision:
    probability = 1.0 - SHARE if arm == "champion" else SHARE
    given = {"version": "v", "arm": arm, "arm_probability": probability, "propensity": 1.0, "decided_at": 0.0, **changed}
    return structs.replace(log_rows.decision(name), **given)


def reported(name: str = "1", reward: float | None = 1.0, **changed: Any) -> Outcome:
    return structs.replace(log_rows.outcome(log_rows.decision(name), reward=reward, at=1.0), **changed)


def lived(
    to: Floor,
    count: int,
    pays: Callable[[Decision], float],
    *,
    seed: int = 0,
    epsilon: float = 0.0,
    actions: int = 2,
) -> int:
    """Let decisions be made, a second apart, until the floor gives its alarm; return how many, −1 for all without one.

    The version takes action 0 and explores evenly, the rule takes action 1.
    """
    rng = np.random.default_rng(seed)
    for number in range(count):
        arm = "baseline" if rng.random() < SHARE else "champion"
        chances = np.full(actions, epsilon / actions) + (1.0 - epsilon) * np.eye(actions)[0]
        action = 1 if arm == "baseline" else int(rng.choice(actions, p=chances))
        row = decided(
            f"{seed}/{number}",
            arm=arm,
            propensity=1.0 if arm == "baseline" else float(chances[action]),
            epsilon=epsilon,
            executed={"action": action},
            decided_at=float(number),
        )
        to.decided(row)
        to.reported(reported(row.id, float(rng.random() < pays(row))))
        to.score(float(number))
        if number % 50 == 0 and to.report().below:
            return number
    return -1


def by_action(*chances: float) -> Callable[[Decision], float]:
    return lambda row: chances[int(row.executed["action"])]


def test_each_decision_is_scored_after_its_wait_with_its_latest_revision() -> None:
    seen = floor()
    seen.decided(decided("1"))
    seen.decided(decided("2", arm="baseline"))
    for row in (reported("1", 0.0), reported("1", 1.0, revision=2), reported("1", 0.5, revision=1), reported("2", 0.25)):
        seen.reported(row)
    seen.score(WAIT_S)
    assert seen.report().means == (None, None)
    seen.score(WAIT_S + 0.1)
    assert seen.report().units == (1.0, 1.0)
    assert seen.report().means == (1.0, 0.25)
    seen.reported(reported("1", 0.0, revision=3))  # too late
    assert seen.report().means == (1.0, 0.25)


@pytest.mark.parametrize(
    ("row", "outcome", "counted"),
    [
        ({}, {}, (1.0, 0.0)),
        ({"arm": "baseline"}, {}, (0.0, 1.0)),
        ({"version": "another"}, {}, (0.0, 0.0)),
        ({"mode": "shadow"}, {}, (0.0, 0.0)),
        ({"arm": "safe"}, {}, (0.0, 0.0)),
        ({"arm_probability": 1.0}, {}, (0.0, 0.0)),
        ({"propensity": None}, {}, (0.0, 0.0)),
        ({}, {"kind": "withdrawn", "revision": 1}, (0.0, 0.0)),
        ({}, {"kind": "expired"}, (0.0, 0.0)),
        ({}, {"reward": None}, (0.0, 0.0)),
        ({}, {"reward": 1.5}, (0.0, 0.0)),
        ({"release": "r", "stage": "canary", "challenger_share": 0.5, "arm_probability": 0.45}, {}, (1.0, 0.0)),
        ({**CANARY, "arm": "challenger", "arm_probability": 0.18}, {}, (1.0, 0.0)),
        ({**CANARY, "arm": "baseline", "arm_probability": 0.1}, {}, (0.0, 1.0)),
    ],
)
def test_only_what_a_coin_drew_and_what_earned_something_is_a_unit(
    row: dict[str, Any], outcome: dict[str, Any], counted: tuple[float, float]
) -> None:
    seen = floor()
    seen.decided(decided(**row))
    seen.reported(reported(**outcome))
    seen.score(100.0)
    assert seen.report().units == counted


@pytest.mark.parametrize(
    ("arm", "assigned"), [("champion", 0.8), ("challenger", 0.2)], ids=["as champion", "on trial as challenger"]
)
def test_within_a_trial_the_coin_is_that_between_the_version_and_the_rule(arm: str, assigned: float) -> None:
    """The share of subjects that the trial gives the version is not counted in: both arms are among these subjects."""
    seen = floor()
    seen.decided(decided("1", arm=arm, arm_probability=(1.0 - SHARE) * assigned, **CANARY))
    seen.decided(decided("2", arm="baseline", arm_probability=SHARE, **CANARY))
    assert [each.chance for each in seen._open.values()] == pytest.approx([1.0 - SHARE] * 2)


def test_a_change_is_seen_and_what_was_before_delays_it_little() -> None:
    soon = [lived(floor(), 10_000, by_action(0.3, 0.7), seed=seed) for seed in range(4)]
    assert min(soon) > 0
    late = []
    for seed in range(4):
        seen = floor()
        assert lived(seen, 2_000, by_action(0.9, 0.7), seed=100 + seed) == -1
        late.append(lived(seen, 10_000, by_action(0.3, 0.7), seed=seed))
    assert min(late) > 0
    assert np.median(late) < 2.0 * np.median(soon)


def test_what_is_as_good_as_the_rule_or_only_a_little_worse_gives_no_alarm() -> None:
    """A false alarm comes after 10,000 decisions on the mean, or later; 10 runs of 1,000 right at the margin see few."""
    assert sum(lived(floor(), 1_000, by_action(0.65, 0.7), seed=seed) >= 0 for seed in range(10)) <= 3
    assert [lived(floor(), 2_000, by_action(0.7, 0.7), seed=seed) for seed in range(2)] == [-1] * 2


def test_exploring_is_held_against_nobody() -> None:
    """Half of the time it explores, mostly to no good; yet what it has learned is better than the rule."""
    pays = by_action(0.9, 0.8, 0.0, 0.0, 0.0, 0.0)
    fair = floor(allowed=lambda _: 6)
    assert lived(fair, 3_000, pays, epsilon=0.5, actions=6) == -1
    learned, rule = fair.report().means
    assert learned == pytest.approx(0.9, abs=0.03)
    assert rule == pytest.approx(0.8, abs=0.1)
    assert fair.left_out["explored"] == pytest.approx(3_000 * 0.9 * 0.5, rel=0.1)
    assert lived(floor(), 3_000, pays, epsilon=0.5, actions=6) > 0  # where it is not left out, it is an alarm


def test_memory_is_bounded_and_old_means_fade(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floors, "_MEMORY", 100)
    seen = floor(capacity=50, run_length=10**300)
    for name in range(80):
        seen.decided(decided(str(name)))
    assert seen.left_out["too many at once"] == 30
    lived(seen, 1_000, by_action(1.0, 1.0))
    lived(seen, 1_500, by_action(0.0, 1.0), seed=1)
    learned, rule = seen.report().means
    assert learned is not None
    assert learned < 0.01
    assert rule == 1.0
    assert max(seen.report().units) < 200.0


def test_evidence_stays_a_number_however_long_it_goes_on() -> None:
    seen = floor(run_length=10**300)
    lived(seen, 3_000, by_action(0.0, 1.0))
    assert 100.0 < seen.report().evidence < math.inf


def test_outcomes_that_arrive_too_unevenly_are_not_compared() -> None:
    """What a version is slow to succeed in looks like failing, if only what came in time is counted."""
    seen, rng = floor(), np.random.default_rng(2)
    for number in range(3_000):
        arm = "baseline" if rng.random() < SHARE else "champion"
        good = rng.random() < (0.8 if arm == "baseline" else 0.9)
        slow = arm == "champion" and good and rng.random() < 0.85
        seen.decided(decided(str(number), arm=arm, decided_at=float(number)))
        late = number + (2.0 * WAIT_S if slow else 1.0)
        seen.reported(reported(str(number), float(good), reported_at=late))
    seen.score(3_000.0)
    found = seen.report()
    assert found.evidence > found.limit
    assert found.uneven
    assert not found.below
    assert "unevenly" in found.sentence


def test_what_is_reported_after_the_wait_counts_for_nothing_whenever_it_is_read() -> None:
    seen = floor()
    seen.decided(decided("1"))
    seen.reported(reported("1", reported_at=WAIT_S + 0.5))
    seen.score(WAIT_S + 5.0)
    assert seen.report().units == (0.0, 0.0)
    assert seen.report().arrived == (0.0, None)


def test_a_margin_or_a_run_length_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidInput, match="run length of 0"):
        floor(run_length=0)
    with pytest.raises(InvalidInput, match="margin"):
        Floor(
            "v",
            Metric(name="reward", low=0.0, high=1.0, margin=1.0),
            run_length=100,
            wait_s=0.0,
            allowed=lambda _: 0,
        )
