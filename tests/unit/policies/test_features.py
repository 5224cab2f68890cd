"""Features: what counts as what, names that do not mix, rows of length 1, and limits."""

from typing import Any

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.maths.hashing import name_hash
from steersman.maths.scaling import Scales
from steersman.policies.features import MOST_FEATURES, features, note, rows

BITS = 12


def _scales() -> Scales:
    return Scales.blank(1 << BITS)


def test_text_and_booleans_are_categories_and_numbers_are_magnitudes() -> None:
    found = features([{"user": {"segment": "new", "age": 35, "vip": True, "note": None}, "tags": ["a", "b"]}], "context")
    names = ["user\x1fsegment=new", "user\x1fage", "user\x1fvip=True", "tags=a", "tags=b"]
    assert found.hashes.tolist() == [name_hash(f"context\x1f{each}") for each in names]
    assert found.values.tolist() == [1.0, 35.0, 1.0, 1.0, 1.0]
    assert found.numbers.tolist() == [1]


def test_a_context_and_an_action_never_share_a_name() -> None:
    one, other = features([{"a": 1}], "context"), features([{"a": 1}], "action")
    assert one.hashes.tolist() != other.hashes.tolist()


def test_numbers_in_a_list_are_known_by_their_place() -> None:
    assert len(features([{"a": [5, 5, 5.0]}], "context").hashes) == 3
    assert len(features([{"a": ["x", "x"]}], "context").hashes) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, b"bytes", {1, 2}])
def test_what_is_no_feature_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput):
        features([{"a": value}], "context")


def test_their_number_is_limited() -> None:
    assert len(features([{f"f{each}": 1 for each in range(MOST_FEATURES)}], "context").hashes) == MOST_FEATURES
    with pytest.raises(InvalidInput, match="more than 500 features"):
        features([{f"f{each}": 1 for each in range(MOST_FEATURES + 1)}], "context")


def test_each_row_has_length_one_and_all_pairs() -> None:
    context = features([{"age": 35, "vip": True}], "context")
    actions = [features([{"a": 1}], "action"), features([{"b": 2, "c": "x", "d": -7}], "action")]
    made = rows(context, actions, _scales(), BITS)
    for index, own in enumerate((1, 3)):
        places, values = made.row(index)
        assert len(places) == len(values) == 3 + 3 * own
        assert values @ values == pytest.approx(1.0)


def test_rows_of_several_actions_are_those_of_each() -> None:
    scales = _scales()
    context = features([{"age": 35, "vip": True}], "context")
    actions = [features([{"a": each, "kind": str(each)}], "action") for each in (1, 20, 300)]
    for each in (context, *actions):
        note(each, scales, BITS)
    together = rows(context, actions, scales, BITS)
    for index, each in enumerate(actions):
        alone, beside = rows(context, [each], scales, BITS).row(0), together.row(index)
        assert alone[0].tolist() == beside[0].tolist()
        np.testing.assert_allclose(alone[1], beside[1])
