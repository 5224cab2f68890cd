"""Actions: flat or factored, masks by choices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.core.actions import ActionSpace
from steersman.core.errors import InvalidInput

SPACE = ActionSpace({"workers": (1, 2, 4), "order": ("file", "failed_first")})


@given(st.integers(0, len(SPACE) - 1))
def test_index_and_choices_round_trip(index: int) -> None:
    assert SPACE.index(SPACE.actions[index]) == index


def test_slots_name_each_choice_once() -> None:
    assert SPACE.width == 5
    assert SPACE.slot_names == (("workers", 1), ("workers", 2), ("workers", 4), ("order", "file"), ("order", "failed_first"))
    assert SPACE.slots[SPACE.index({"workers": 4, "order": "file"})].tolist() == [2, 3]


def test_a_mask_marks_all_combinations_of_a_choice() -> None:
    assert SPACE.mask({"workers": 2}).tolist() == [False, False, True, True, False, False]
    assert SPACE.mask({}).all()
    assert SPACE.mask({"workers": 2, "order": "file"}).sum() == 1
    with pytest.raises(ValueError, match="read-only"):
        SPACE.mask({"workers": 2})[0] = True


def test_a_flat_space_takes_the_choice_alone() -> None:
    flat = ActionSpace.flat("up", "down")
    assert flat.action("down") == {"action": "down"}
    assert flat.slots.tolist() == [[0], [1]]


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'workers'"):
        SPACE.index({"worker": 1, "order": "file"})
    with pytest.raises(InvalidInput, match="Did you mean 'failed_first'"):
        SPACE.index({"workers": 1, "order": "failed-first"})
    with pytest.raises(InvalidInput, match="no choice for order"):
        SPACE.index({"workers": 1})
    with pytest.raises(InvalidInput, match="3 is not a choice"):
        SPACE.mask({"workers": 3})


def test_choices_keep_their_types() -> None:
    assert isinstance(SPACE.actions[0]["workers"], int)
    assert not isinstance(SPACE.actions[0]["order"], np.str_)


def test_wrong_definitions_are_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        ActionSpace({"a": ()})
    with pytest.raises(InvalidInput, match="repeat"):
        ActionSpace.flat("a", "a")
