"""Reward: clamped, then weighted, finite and inside its declared range."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.core.errors import InvalidInput
from steersman.core.reward import Component, Measurement, Reward

REWARD = Reward(
    measurements=(
        Measurement(name="seconds", unit="s", low=0),
        Measurement(name="found", low=0),
        Measurement(name="rating", low=0, high=5, optional=True),
    ),
    components=(
        Component(name="speed", low=-50, high=50, weight=0.15, value=lambda m: 50 - m["seconds"]),
        Component(name="found", low=0, high=100, weight=0.25, value=lambda m: 5 * m["found"]),
        Component(name="rating", low=0, high=100, weight=0.6, value=lambda m: 20 * m["rating"] if "rating" in m else None),
    ),
    low=-50,
    high=100,
    failure=lambda m: -50.0 if m["seconds"] > 1000 else None,
)


def test_components_are_clamped_before_they_are_weighted() -> None:
    score = REWARD.score({"seconds": 200, "found": 30, "rating": 5})
    assert score.components == {"speed": -50, "found": 100, "rating": 100}
    assert score.reward == pytest.approx(0.15 * -50 + 0.25 * 100 + 0.6 * 100)


def test_weights_are_renormalised_over_the_components_that_apply() -> None:
    assert REWARD.score({"seconds": 0, "found": 2}).reward == pytest.approx((0.15 * 50 + 0.25 * 10) / 0.4)


def test_a_failure_earns_nothing_else() -> None:
    score = REWARD.score({"seconds": 2000, "found": 30, "rating": 5})
    assert (score.reward, score.components) == (-50.0, {"failure": -50.0})


@pytest.mark.parametrize("bad", [math.nan, math.inf, "nan", None, -1, "3"])
def test_impossible_measurements_are_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput, match="seconds"):
        REWARD.check({"seconds": bad, "found": 1})


def test_missing_and_unknown_measurements_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'found' is missing"):
        REWARD.check({"seconds": 1})
    with pytest.raises(InvalidInput, match=r"unknown measurement 'secs'.*Did you mean 'seconds'"):
        REWARD.check({"seconds": 1, "found": 1, "secs": 1})


def test_a_component_that_is_not_finite_is_refused() -> None:
    broken = Reward(
        measurements=(Measurement(name="x"),),
        components=(Component(name="c", low=0, high=1, weight=1, value=lambda m: m["x"] * math.inf),),
        low=0,
        high=1,
    )
    with pytest.raises(InvalidInput, match="not a finite number"):
        broken.score({"x": 0.0})


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.none() | st.floats(0, 5))
def test_any_reward_lies_in_its_range(seconds: float, found: float, rating: float | None) -> None:
    measured = {"seconds": seconds, "found": found} | ({} if rating is None else {"rating": rating})
    assert REWARD.low <= REWARD.score(REWARD.check(measured)).reward <= REWARD.high


def test_a_reward_without_a_range_is_no_reward() -> None:
    with pytest.raises(InvalidInput, match="finite range"):
        Reward.plain(0, math.inf)
    with pytest.raises(InvalidInput, match="must lie inside"):
        Reward(
            measurements=(),
            components=(Component(name="c", low=-2, high=1, weight=1, value=lambda m: 0.0),),
            low=-1,
            high=1,
        )
