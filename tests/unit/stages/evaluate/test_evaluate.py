"""An evaluation finds known values, says better and worse where that is so, and "cannot tell" where nobody could."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from steersman.core.sections import Evaluation as Settings
from steersman.stages.evaluate.evaluate import Evaluation, evaluate
from steersman.stages.evaluate.evidence import GAPS, Evidence

if TYPE_CHECKING:
    from tests.unit.stages.evaluate.conftest import World

SETTINGS = Settings(bootstrap=300)


def judge(evidence: Evidence, settings: Settings = SETTINGS) -> Evaluation:
    return evaluate(evidence, settings, np.random.default_rng(0))


def test_a_better_candidate_is_better_and_its_estimates_hold_its_value(world: "World") -> None:
    found = judge(world.evidence(4_000, 1, world.better))
    assert found.verdict == "better"
    assert found.more == 0
    for name in ("ips", "snips", "direct", "doubly robust", "switch"):
        each = found.standings["candidate"].estimates[name]
        assert each.low <= world.value(world.better) <= each.high, name
        assert each.high - each.low < 0.12, name
    gain = world.value(world.better) - world.value(world.incumbent)
    assert found.differences["incumbent"].low <= gain <= found.differences["incumbent"].high


def test_a_worse_candidate_is_worse(world: "World") -> None:
    found = judge(world.evidence(4_000, 2, world.worse))
    assert found.verdict == "worse"
    assert "earns less than the incumbent" in found.reason
    assert not found.differences["incumbent"].not_worse


def test_a_candidate_that_is_the_incumbent_is_not_worse_and_cannot_be_told_from_it(world: "World") -> None:
    found = judge(world.evidence(1_000, 3, world.incumbent))
    difference = found.differences["incumbent"]
    assert (difference.low, difference.value, difference.high) == (0.0, 0.0, 0.0)
    assert found.verdict == "cannot tell"
    assert difference.not_worse
    assert found.reason == "It decides as the incumbent does: no outcome can tell them apart."
    assert found.more is None


def test_too_few_outcomes_cannot_tell_and_say_how_many_are_missing(world: "World") -> None:
    found = judge(world.evidence(60, 4, world.better))
    assert found.verdict == "cannot tell"
    assert found.reason == "There are 60 outcomes; at least 100 are needed."
    assert found.more is not None
    assert found.more >= 40


@pytest.mark.parametrize("rows", [0, 1])
def test_no_evidence_at_all_cannot_tell(world: "World", rows: int) -> None:
    found = judge(world.evidence(rows, 5, world.better, left_out={"no propensity": 7}))
    assert found.verdict == "cannot tell"
    assert found.standings == {}
    assert found.left_out == {"no propensity": 7}
    assert found.more == 100 - rows


def test_a_small_effective_sample_size_cannot_tell(world: "World") -> None:
    found = judge(world.evidence(400, 6, world.better), replace(SETTINGS, min_ess=395.0))
    assert found.verdict == "cannot tell"
    assert "at least 395 are needed" in found.reason
    assert found.more is not None
    assert found.more > 0


def test_a_policy_of_which_ten_thousand_rows_show_next_to_nothing_cannot_tell_however_many_more(world: "World") -> None:
    log = np.array([0.9997, 0.0002, 0.0001])
    rng = np.random.default_rng(7)
    action = rng.choice(3, p=log, size=10_000)
    always = np.tile([0.0, 0.0, 1.0], (10_000, 1))
    base = world.evidence(10_000, 7, world.better)
    evidence = replace(
        base,
        action=action,
        propensity=log[action],
        candidate=always,
        incumbent=np.tile(log, (10_000, 1)),
        reward=base.reward,
    )
    found = judge(evidence)
    assert found.standings["candidate"].effective < 5.0
    told = found.standings["candidate"].estimates["snips"]
    assert 0.0 <= told.low < told.high <= 1.0
    assert told.high - told.low > 0.4
    assert found.verdict == "cannot tell"
    assert found.more is None


def test_an_action_that_was_never_drawn_leaves_the_candidate_without_support(world: "World") -> None:
    base = world.evidence(3_000, 8, world.better)
    even = np.full(base.candidate.shape, 0.5) * np.array([1.0, 1.0, 0.0])
    action = np.random.default_rng(8).integers(0, 2, 3_000)
    new = np.tile([0.4, 0.3, 0.3], (3_000, 1))
    found = judge(replace(base, action=action, propensity=np.full(3_000, 0.5), incumbent=even, baseline=even, candidate=new))
    assert found.standings["candidate"].support.never == pytest.approx(0.3)
    assert found.verdict == "cannot tell"
    assert found.more is None
    assert "cannot speak" in found.reason


def test_a_rule_that_drew_nothing_cannot_speak_for_another_choice(world: "World") -> None:
    base = world.evidence(3_000, 9, world.better)
    first = np.tile([1.0, 0.0, 0.0], (3_000, 1))
    action = np.random.default_rng(9).integers(0, 3, 3_000)  # every action is drawn, some of them by rules
    rule = np.where(action == 0, 1.0, 1.0 / 3.0)
    found = judge(replace(base, action=action, propensity=rule, incumbent=first, candidate=np.roll(first, 1, axis=1)))
    assert found.verdict == "cannot tell"


def test_propensities_that_are_not_true_cannot_tell(world: "World") -> None:
    base = world.evidence(4_000, 10, world.better)
    found = judge(replace(base, propensity=np.minimum(1.5 * base.propensity, 1.0)))
    assert found.verdict == "cannot tell"
    assert "should be 1" in found.reason
    assert found.even is not None
    assert not found.even.plausible


def test_cutting_weights_states_what_it_may_hide_and_widens_the_interval_by_it(world: "World") -> None:
    evidence = world.evidence(4_000, 11, world.better)
    whole = judge(evidence)
    cut = judge(evidence, replace(SETTINGS, clip=1.5, margin=1.0))
    assert whole.standings["candidate"].cut == 0.0
    assert cut.standings["candidate"].cut > 0.0
    difference = cut.differences["incumbent"]
    gain = world.value(world.better) - world.value(world.incumbent)
    assert difference.hidden > 0.0
    assert difference.high - difference.low > 2.0 * difference.hidden
    assert difference.low <= gain <= difference.high


def test_weights_are_not_cut_where_that_would_hide_too_much_for_ever(world: "World") -> None:
    evidence = world.evidence(4_000, 11, world.better)
    found = judge(evidence, replace(SETTINGS, clip=1.5))
    assert judge(evidence).limit == SETTINGS.clip
    assert found.limit is None
    assert found.standings["candidate"].cut == 0.0
    difference = found.differences["incumbent"]
    gain = world.value(world.better) - world.value(world.incumbent)
    assert difference.hidden == 0.0
    assert difference.low <= gain <= difference.high
    assert difference.anytime[0] <= gain <= difference.anytime[1]
    assert found.verdict == "better"


def test_episodes_are_valued_by_their_discounted_returns(world: "World") -> None:
    evidence = world.episodes(3_000, 12, world.better)
    found = judge(evidence)
    value = world.value(world.better) * (1.0 + 0.9 + 0.81)
    assert found.sequential
    assert found.units == 3_000
    assert found.scale == pytest.approx(2.71)
    estimates = dict(found.standings["candidate"].estimates)
    del estimates["direct"]  # its model does not know that three steps are all
    for name, each in estimates.items():
        assert each.low - 0.02 <= value <= each.high + 0.02, name
    assert found.verdict == "better"


def test_an_episode_that_lacks_a_step_is_left_out_and_counted(world: "World") -> None:
    whole = world.episodes(400, 16, world.better)
    rows = np.flatnonzero((whole.episode >= 100) | (whole.step != 1))  # the first hundred lack their second step
    found = judge(replace(whole.take(rows), left_out={"without a propensity": 100}))
    assert found.units == 300
    assert found.left_out == {"without a propensity": 100, GAPS: 200}
    assert found.standings == judge(whole.take(np.flatnonzero(whole.episode >= 100))).standings


def test_rows_of_one_episode_are_one_unit_of_noise(world: "World") -> None:
    base = world.evidence(300, 13, world.better)
    again = np.repeat(np.arange(300), 5)
    alike = replace(base.take(again), episode=again, step=np.tile(np.arange(5), 300))
    apart = replace(alike, episode=np.arange(1_500))
    honest, fooled = (judge(each).differences["incumbent"] for each in (alike, apart))
    assert honest.value == pytest.approx(fooled.value, abs=0.01)
    assert honest.high - honest.low > 1.5 * (fooled.high - fooled.low)


def test_a_seed_gives_the_same_evaluation_and_evidence_is_not_changed(world: "World") -> None:
    evidence = world.evidence(500, 14, world.better)
    before = evidence.reward.copy(), evidence.candidate.copy()
    assert judge(evidence) == judge(evidence)
    assert np.array_equal(evidence.reward, before[0])
    assert np.array_equal(evidence.candidate, before[1])


def test_the_estimator_is_the_less_noisy_of_the_two_that_are_right(world: "World") -> None:
    found = judge(world.evidence(2_000, 15, world.better))
    assert found.estimator == "doubly robust"
    assert "propensities or the model" in found.why


def test_a_policy_that_is_worse_is_called_better_in_few_of_many_logs(world: "World") -> None:
    """A candidate exactly as good as the incumbent, in other states and actions: better in at most 5 % of the logs."""
    mirrored = 0.5 * world.incumbent + 0.5 * world.incumbent[:, ::-1]
    shift = world.value(world.incumbent) - world.value(mirrored)
    wrong = 0
    for seed in range(60):
        found = judge(world.evidence(300, 100 + seed, mirrored), replace(SETTINGS, bootstrap=100))
        wrong += found.differences["incumbent"].low > -shift
    assert wrong <= 6  # 1.5 expected; more than 6 in 60 has a probability below 0.002


def test_intervals_of_the_difference_hold_it_as_often_as_they_say(world: "World") -> None:
    gain = world.value(world.better) - world.value(world.incumbent)
    held: dict[str, list[bool]] = {"bootstrap": [], "certain": [], "anytime": []}
    for seed in range(60):
        evidence = world.evidence(300, 400 + seed, world.better)
        each = judge(evidence, replace(SETTINGS, bootstrap=200)).differences["incumbent"]
        held["bootstrap"].append(each.low <= gain <= each.high)
        held["certain"].append(each.certain[0] <= gain <= each.certain[1])
        held["anytime"].append(each.anytime[0] <= gain <= each.anytime[1])
    assert np.mean(held["bootstrap"]) >= 0.88
    assert np.mean(held["certain"]) >= 0.95
    assert np.mean(held["anytime"]) >= 0.95
