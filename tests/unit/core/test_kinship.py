"""Kinship: names that agents share, a function of the bins alone, and mistakes answered with the nearest."""

from typing import Any

import pytest

from steersman.core.actions import ActionSpace
from steersman.core.errors import InvalidInput
from steersman.core.kinship import Kinship, shared_key
from steersman.core.state import Category, Flag, Number, StateSchema

SCHEMA = StateSchema(
    name="kin",
    fields=(
        Number(name="lines", low=0, high=90, edges=(30, 60)),
        Number(name="unkeyed", low=0, high=1),
        Flag(name="late"),
        Category(name="size", options=("small", "large")),
    ),
)
SPACE = ActionSpace({"speed": ("slow", "fast"), "retry": (0, 1)})


def _kinship(**changes: Any) -> Kinship:
    values: dict[str, Any] = {
        "category": "core-testing",
        "group": "execution",
        "project": lambda state: {"urgency": float(state["late"]), "complexity": state["lines"] / 90},
        "roles": {"speed=slow": "careful", "speed=fast": "quick"},
    }
    return Kinship(**{**values, **changes})


def test_the_shared_key_is_readable_and_sorted_by_feature() -> None:
    assert shared_key(_kinship(), SCHEMA, {"lines": 0, "late": 1, "size": 0}) == "complexity=low urgency=high"
    assert shared_key(_kinship(), SCHEMA, {"lines": 2, "late": 0, "size": 1}) == "complexity=high urgency=low"


def test_numbers_are_projected_from_the_middle_of_their_bin() -> None:
    seen: list[Any] = []

    def project(state: Any) -> dict[str, float]:
        seen.append(dict(state))
        return {}

    shared_key(_kinship(project=project), SCHEMA, {"lines": 1, "late": 0, "size": 1})
    assert seen == [{"lines": 45.0, "unkeyed": 0.5, "late": False, "size": "large"}]


@pytest.mark.parametrize("bad", [1.5, -0.1, float("nan"), "high"])
def test_a_feature_outside_0_to_1_is_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput, match="urgency"):
        shared_key(_kinship(project=lambda state: {"urgency": bad}), SCHEMA, {"lines": 0, "late": 0, "size": 0})


def test_an_unknown_slot_is_answered_with_the_nearest() -> None:
    _kinship().check(SPACE)
    with pytest.raises(InvalidInput, match="Did you mean 'speed=slow'"):
        _kinship(roles={"speed=slowly": "careful", "speed=fast": "quick"}).check(SPACE)


def test_a_dimension_is_named_whole_or_not_at_all() -> None:
    with pytest.raises(InvalidInput, match="no role for speed=fast"):
        _kinship(roles={"speed=slow": "careful"}).check(SPACE)


def test_a_mapping_leads_to_roles_of_the_agent() -> None:
    assert _kinship(mapping={"qe/other": {"gentle": "careful"}}).mapping
    with pytest.raises(InvalidInput, match="Did you mean 'careful'"):
        _kinship(mapping={"qe/other": {"gentle": "carefull"}})


@pytest.mark.parametrize("changes", [{"category": "Core Testing"}, {"category": ""}, {"group": "a/b"}])
def test_names_of_pools_are_plain_words(changes: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="lower case"):
        _kinship(**changes)


def test_an_agent_shares_with_its_group_its_category_and_the_fleet() -> None:
    assert _kinship().pools() == ("group/execution", "category/core-testing", "fleet")
    assert _kinship(group="").pools() == ("category/core-testing", "fleet")
