"""Difference rewards, worked out by hand."""

from collections.abc import Mapping

import pytest

from steersman.core.errors import InvalidInput
from steersman.maths.credit import difference_rewards


def _most(joint: Mapping[str, int]) -> float:
    """What a team earns of which only the best counts."""
    return float(max(joint.values()))


def test_each_is_credited_with_what_would_be_missing_without_it() -> None:
    joint, default = {"a": 7, "b": 3, "c": 7}, dict.fromkeys("abc", 0)
    assert difference_rewards(_most, joint, default) == {"a": 0.0, "b": 0.0, "c": 0.0}  # a and c stand in for each other
    assert difference_rewards(_most, {**joint, "c": 5}, default) == {"a": 2.0, "b": 0.0, "c": 0.0}


def test_of_a_sum_each_is_credited_with_its_own_part() -> None:
    joint = {"a": 1.5, "b": -2.0}
    assert difference_rewards(lambda z: sum(z.values()), joint, {"a": 0.5, "b": 0.0}) == {"a": 1.0, "b": -2.0}


def test_the_joint_action_is_left_as_it_was_and_asked_about_once_for_each() -> None:
    joint, asked = {"a": 1, "b": 2}, []

    def utility(z: Mapping[str, int]) -> float:
        asked.append(dict(z))
        return 0.0

    difference_rewards(utility, joint, {"a": 0, "b": 0})
    assert asked == [{"a": 1, "b": 2}, {"a": 0, "b": 2}, {"a": 1, "b": 0}]
    assert joint == {"a": 1, "b": 2}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_utility_that_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(InvalidInput, match="'a': 1"):
        difference_rewards(lambda z: value, {"a": 1}, {"a": 0})


def test_an_agent_without_a_default_is_named() -> None:
    with pytest.raises(InvalidInput, match="no default action for b"):
        difference_rewards(_most, {"a": 1, "b": 2}, {"a": 0})
