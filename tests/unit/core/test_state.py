"""State: checked, finite, binned with explicit edges."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.core.errors import InvalidInput
from steersman.core.state import Category, Flag, Number, StateSchema
from steersman.policies.encoding import Encoder, describe

LOAD = Number(name="load", low=0, high=100, edges=(20, 50), unit="%")
SCHEMA = StateSchema(name="s", fields=(LOAD, Flag(name="busy"), Category(name="kind", options=("unit", "system"))))
GOOD: dict[str, Any] = {"load": 10, "busy": True, "kind": "unit"}


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (19.999, 0), (20, 1), (49, 1), (50, 2), (100, 2), (-0.0, 0)])
def test_a_bin_holds_its_lower_edge(value: float, expected: int) -> None:
    assert LOAD.bin(LOAD.check(value)) == expected


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "nan", "12", None, True, 10**400, [1]])
def test_what_is_no_finite_number_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput, match="load"):
        SCHEMA.check({**GOOD, "load": bad})


def test_values_outside_are_clamped_and_counted_at_both_ends() -> None:
    assert SCHEMA.check({**GOOD, "load": 1e300}) == ({**GOOD, "load": 100}, 1)
    assert SCHEMA.check({**GOOD, "load": -5}) == ({**GOOD, "load": 0}, 1)
    assert SCHEMA.check(GOOD)[1] == 0


def test_a_field_may_refuse_instead_of_clamping() -> None:
    strict = Number(name="load", low=0, high=100, outside="refuse")
    with pytest.raises(InvalidInput, match=r"101.* lies outside \[0, 100\]"):
        strict.check(101)


def test_negative_zero_becomes_zero() -> None:
    assert math.copysign(1.0, LOAD.check(-0.0)) == 1.0


def test_an_unknown_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidInput, match=r"unknown field 'lod'\. Did you mean 'load'\?"):
        SCHEMA.check({**GOOD, "lod": 1})


def test_a_missing_field_and_an_unknown_option_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'busy' is missing"):
        SCHEMA.check({"load": 1, "kind": "unit"})
    with pytest.raises(InvalidInput, match="Did you mean 'system'"):
        SCHEMA.check({**GOOD, "kind": "sistem"})
    with pytest.raises(InvalidInput, match="true or false"):
        SCHEMA.check({**GOOD, "busy": 1})


def test_wrong_definitions_are_refused() -> None:
    with pytest.raises(InvalidInput, match="edges must rise"):
        Number(name="x", low=0, high=1, edges=(0.5, 0.5))
    with pytest.raises(InvalidInput, match="low < high"):
        Number(name="x", low=0, high=math.inf)
    with pytest.raises(InvalidInput, match="repeat"):
        StateSchema(name="s", fields=(LOAD, LOAD))


def test_a_key_depends_on_names_and_not_on_the_order_of_the_fields_given() -> None:
    encoder = Encoder(SCHEMA)
    turned = dict(reversed(list(GOOD.items())))
    one, two = (encoder.key(encoder.bins(SCHEMA.check(each)[0])) for each in (GOOD, turned))
    assert one == two
    assert len(one) == 64


def test_keys_do_not_collide_where_sorted_values_would() -> None:
    schema = StateSchema(
        name="s", fields=(Number(name="a", low=0, high=9, edges=(1, 2)), Number(name="b", low=0, high=9, edges=(1, 2)))
    )
    encoder = Encoder(schema)
    assert encoder.key((0, 1)) != encoder.key((1, 0))


def test_a_key_changes_with_the_schema_version() -> None:
    other = Encoder(StateSchema(name="s", version=2, fields=SCHEMA.fields))
    assert Encoder(SCHEMA).key((0, 0, 0)) != other.key((0, 0, 0))


@given(st.floats(0, 100), st.booleans(), st.sampled_from(["unit", "system"]))
def test_the_vector_is_scaled_and_one_hot(load: float, busy: bool, kind: str) -> None:
    vector = Encoder(SCHEMA).vector({"load": load, "busy": busy, "kind": kind})
    assert vector.shape == (4,)
    assert vector.dtype == "float32"
    assert vector.min() >= 0.0
    assert vector.max() <= 1.0
    assert vector[2:].sum() == 1.0


def test_the_cache_of_keys_is_bounded() -> None:
    schema = StateSchema(name="s", fields=(Number(name="a", low=0, high=1e6, edges=tuple(range(1, 20_000))),))
    encoder = Encoder(schema)
    for index in range(20_000):
        encoder.key((index,))
    assert len(encoder._keys) <= 8_192


def test_bins_are_described_in_words() -> None:
    assert describe(SCHEMA, {"load": 1, "busy": 1, "kind": 0}) == {"load": "20 to 50 %", "busy": "yes", "kind": "unit"}
    assert describe(SCHEMA, {"load": 0}) == {"load": "under 20 %"}
    assert describe(SCHEMA, {"load": 2}) == {"load": "50 or more %"}
