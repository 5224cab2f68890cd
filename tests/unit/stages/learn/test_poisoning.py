"""P14: whoever owns some of the legal outcomes shifts no value by more than its share in it allows."""

import numpy as np
import pytest

from steersman.core.reward import Measurements, Reward, Score
from steersman.stages.learn.sources import Shares
from steersman.testing.poisoning import ENEMY, HIGH, HONEST, LOW, Attack, Lies, attack, settings, told

ROUNDING = 1e-9
COUNT = 1_500
CAP = 0.3
FLOOD = 0.6


def _attack(share: float, gamma: float, *, lies: Lies = "reward", focus: bool = False, **learning: float | str) -> Attack:
    log = told(np.random.default_rng(14), COUNT, share, lies=lies, focus=focus)
    return attack(log, settings(gamma, **learning), lies=lies)


def _reach(share: float, gamma: float, lies: Lies = "reward") -> float:
    """Return the largest shift that a share in every entry allows: f·(hi − lo)/(1 − γ), for lies about the reward.

    What lies about everything shift is bootstrapped from with γ·(1 − f): f/(1 − γ·(1 − f)) of the range of values.
    """
    values = (HIGH - LOW) / (1.0 - gamma)
    return values * (share if lies == "reward" else share / (1.0 - gamma * (1.0 - share)))


@pytest.mark.parametrize("schedule", ["constant", "visits"])
@pytest.mark.parametrize("lies", ["reward", "everything"])
@pytest.mark.parametrize("gamma", [0.0, 0.9])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_no_value_is_shifted_beyond_the_share_of_the_enemy_in_it(
    share: float, gamma: float, lies: Lies, schedule: str
) -> None:
    found = _attack(share, gamma, lies=lies, alpha_schedule=schedule)
    assert len(found.entries) == 24
    assert found.excess <= ROUNDING
    assert found.shift <= _reach(found.largest_share, gamma, lies) + ROUNDING
    assert found.quarantined == {}


@pytest.mark.parametrize("gamma", [0.0, 0.9])
def test_an_enemy_that_floods_one_state_is_bounded_there_and_elsewhere(gamma: float) -> None:
    found = _attack(0.2, gamma, focus=True)
    assert found.excess <= ROUNDING
    here, elsewhere = (max(each.share for each in found.entries if (each.state == "s0") == first) for first in (True, False))
    assert here > 0.5
    assert elsewhere == 0.0


def test_the_bound_is_nearly_reached_so_that_it_says_something() -> None:
    assert _attack(0.2, 0.0).tightness > 0.9
    assert _attack(0.2, 0.9).tightness > 0.5


@pytest.mark.parametrize("schedule", ["constant", "visits"])
@pytest.mark.parametrize("lies", ["reward", "everything"])
@pytest.mark.parametrize("gamma", [0.0, 0.9])
def test_with_a_limit_a_source_that_floods_shifts_nothing_beyond_it(gamma: float, lies: Lies, schedule: str) -> None:
    found = _attack(FLOOD, gamma, lies=lies, alpha_schedule=schedule, source_share=CAP)
    assert found.largest_share <= CAP + ROUNDING
    assert found.excess <= ROUNDING
    assert found.shift <= _reach(CAP, gamma, lies) + ROUNDING
    assert found.quarantined[ENEMY] > COUNT / 4


def test_without_the_limit_the_same_flood_shifts_values_beyond_it() -> None:
    assert _attack(FLOOD, 0.0).shift > 2.0 * _reach(CAP, 0.0)


def test_honest_sources_that_say_as_much_as_each_other_are_heard() -> None:
    log = told(np.random.default_rng(14), COUNT, 0.0)
    falling = settings(0.0, alpha_schedule="visits", source_share=0.5)
    assert sum(attack(log, falling).quarantined.values()) < 0.01 * COUNT
    assert set(attack(log, settings(0.0, source_share=CAP)).quarantined) <= set(HONEST)


def test_a_reward_that_is_not_clamped_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def unclamped(self: Reward, measurements: Measurements) -> Score:
        return Score(reward=measurements["gain"], components={})

    monkeypatch.setattr(Reward, "score", unclamped)
    assert _attack(0.01, 0.0).excess > 1.0


def test_a_limit_that_is_not_kept_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shares, "take", lambda self, key, columns, source, steps: True)
    found = _attack(FLOOD, 0.0, source_share=CAP)
    assert found.largest_share > CAP
    assert found.shift > _reach(CAP, 0.0)
