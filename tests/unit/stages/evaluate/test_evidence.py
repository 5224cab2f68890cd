"""Evidence that does not fit is refused with the value at fault."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from steersman.core.errors import InvalidInput

if TYPE_CHECKING:
    from tests.unit.stages.evaluate.conftest import World


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("reward", 1.5, "reward is 1.5 in row 2"),
        ("reward", math.nan, "reward is nan in row 2"),
        ("propensity", 0.0, "propensity is 0.0 in row 2"),
        ("propensity", math.nan, "propensity is nan in row 2"),
        ("action", 3, "action is 3 in row 2"),
        ("state", -1, "state is -1 in row 2"),
        ("next_state", -2, "next_state is -2 in row 2"),
        ("decided_at", math.inf, "decided_at is inf in row 2"),
        ("candidate", 0.9, "sum of the probabilities of candidate"),
        ("incumbent", -0.1, "probability of incumbent is -0.1"),
        ("baseline", math.nan, "baseline"),
    ],
)
def test_a_number_that_does_not_fit_is_refused(world: "World", field: str, value: float, message: str) -> None:
    good = world.evidence(5, 0, world.better)
    bad: Any = np.array(getattr(good, field))
    bad[2] = value
    with pytest.raises(InvalidInput, match=message):
        replace(good, **{field: bad})


@pytest.mark.parametrize("field", ["reward", "propensity", "allowed", "baseline", "step"])
def test_columns_of_different_lengths_are_refused(world: "World", field: str) -> None:
    good = world.evidence(5, 0, world.better)
    shorter: Any = getattr(good, field)[:-1]
    with pytest.raises(InvalidInput, match="shape"):
        replace(good, **{field: shorter})


@pytest.mark.parametrize("wrong", [{"low": 1.0}, {"high": math.inf}, {"gamma": 1.1}])
def test_a_range_that_is_none_is_refused(world: "World", wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="low < high"):
        replace(world.evidence(5, 0, world.better), **wrong)


def test_rows_are_taken_with_all_their_columns(world: "World") -> None:
    whole = world.evidence(6, 0, world.better, left_out={"no propensity": 3})
    part = whole.take(np.array([4, 1]))
    assert part.decided_at.tolist() == [4.0, 1.0]
    assert np.array_equal(part.candidate, whole.candidate[[4, 1]])
    assert part.left_out == {"no propensity": 3}


def test_only_discounted_episodes_of_several_steps_are_sequential(world: "World") -> None:
    assert world.episodes(4, 0, world.better).sequential
    assert not world.episodes(4, 0, world.better, gamma=0.0).sequential
    assert not replace(world.evidence(4, 0, world.better), gamma=0.9).sequential
