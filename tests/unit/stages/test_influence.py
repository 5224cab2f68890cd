"""The gate: what may keep the learned policy from deciding, in which order, and what the rule does inside the guards."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.core.actions import ActionSpace
from steersman.core.errors import InvalidInput
from steersman.core.influence import GATES, KILLED, MODES, Mode, reason, withheld_by
from steersman.core.sections import Influence
from steersman.core.settings import Settings
from steersman.stages.decide.influence import closest, refusal

ALL = Influence(confidence=0.65, stale_s=600.0, cooldown_s=30.0)
FRESH: dict[str, Any] = {"age_s": 600.0, "since_s": 30.0, "confidence": lambda: 0.65}


@pytest.mark.parametrize(
    ("mode", "limits", "asked", "gate"),
    [
        ("live", Influence(), {"age_s": 1e9, "since_s": 0.0, "confidence": lambda: 0.0}, None),
        ("live", ALL, FRESH, None),
        ("live", ALL, FRESH | {"age_s": None, "since_s": None}, None),
        ("off", Influence(), {}, "off"),
        ("off", ALL, FRESH, "off"),
        ("shadow", Influence(), {}, "shadow"),
        ("advisory", ALL, FRESH, "advisory"),
        ("live", ALL, FRESH | {"age_s": 600.001}, "stale"),
        ("live", ALL, FRESH | {"age_s": -600.001}, "stale"),
        ("live", ALL, FRESH | {"age_s": math.nan}, "stale"),
        ("live", ALL, FRESH | {"since_s": 29.999}, "cooldown"),
        ("live", ALL, FRESH | {"since_s": 0.0}, "cooldown"),
        ("live", ALL, FRESH | {"confidence": lambda: 0.649}, "confidence"),
        ("live", ALL, FRESH | {"confidence": lambda: math.nan}, "confidence"),
        ("live", ALL, {"age_s": 1e9, "since_s": 0.0, "confidence": lambda: 0.0}, "stale"),
        ("live", ALL, {"age_s": 0.0, "since_s": 0.0, "confidence": lambda: 0.0}, "cooldown"),
        ("live", Influence(stale_s=1.0), {"age_s": 2.0}, "stale"),
        ("live", Influence(cooldown_s=1.0), {"since_s": 0.5}, "cooldown"),
        ("live", Influence(confidence=1.0), {"confidence": lambda: 0.999}, "confidence"),
    ],
)
def test_the_gate(mode: Mode, limits: Influence, asked: dict[str, Any], gate: str | None) -> None:
    said = refusal(mode, limits, **asked)
    assert withheld_by(said) == gate
    assert bool(said) == (gate is not None)


def test_confidence_is_asked_last_and_only_where_it_is_limited() -> None:
    def never() -> float:
        raise AssertionError("asked")

    assert not refusal("live", Influence(stale_s=1.0), confidence=never)
    assert refusal("live", ALL, age_s=601.0, confidence=never)
    assert refusal("live", ALL, since_s=1.0, confidence=never)
    assert refusal("off", ALL, confidence=never)


def test_a_reason_says_the_number_and_the_limit() -> None:
    assert refusal("live", ALL, age_s=700.0) == "influence stale: observed 700 s ago, over 600 s; the rule decides"
    assert "observed 700 s from now" in refusal("live", ALL, age_s=-700.0)
    assert "12 s ago, under 30 s" in refusal("live", ALL, since_s=12.0)
    assert "0.31, under 0.65" in refusal("live", ALL, confidence=lambda: 0.31)


def test_each_gate_is_found_again_in_the_reason_that_it_gave() -> None:
    assert [withheld_by(reason(each, "…")) for each in GATES] == [*GATES]
    assert withheld_by(f"{KILLED} of 'lab' by ann: it smokes") == "kill"
    assert [withheld_by(each) for each in ("", "learned values", "influence of the moon: full", "influence")] == [None] * 4
    assert {*MODES} - {"live"} < {*GATES}


@pytest.mark.parametrize("values", [{"mode": "on"}, {"confidence": 1.1}, {"confidence": -0.1}, {"stale_s": -1.0}])
def test_settings_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"influence\."):
        Settings().with_values({"influence": values}, "here")


def test_how_far_a_policy_decides_does_not_change_what_it_is() -> None:
    assert Settings().with_values({"influence": {"mode": "off", "confidence": 0.5}}, "here").hash == Settings().hash


SPACE = ActionSpace({"size": (0.2, 0.6, 1.0), "leverage": (1, 2, 3, 4)})


def index(size: float, leverage: int) -> int:
    return SPACE.index({"size": size, "leverage": leverage})


def test_the_rule_changes_as_few_dimensions_as_it_must_and_those_toward_the_safe_action() -> None:
    safe, wanted = index(0.2, 1), index(0.6, 4)
    allowed = np.array([float(each["leverage"]) <= 2 for each in SPACE.actions])
    assert SPACE.actions[closest(SPACE, wanted, safe, allowed)] == {"size": 0.6, "leverage": 1}
    allowed = np.array([each["leverage"] == 3 for each in SPACE.actions])
    assert SPACE.actions[closest(SPACE, wanted, safe, allowed)] == {"size": 0.6, "leverage": 3}
    allowed = np.array([each["size"] != 0.6 and each["leverage"] != 4 for each in SPACE.actions])
    assert closest(SPACE, wanted, safe, allowed) == safe


@given(
    st.integers(0, len(SPACE) - 1),
    st.integers(0, len(SPACE) - 1),
    st.lists(st.booleans(), min_size=len(SPACE), max_size=len(SPACE)).filter(any),
)
def test_what_the_rule_does_is_always_allowed_and_its_own_action_where_that_is(
    wanted: int, safe: int, allowed: list[bool]
) -> None:
    found = closest(SPACE, wanted, safe, np.array(allowed))
    assert allowed[found]
    if allowed[wanted]:
        assert found == wanted
    differing = (SPACE.slots != SPACE.slots[wanted]).sum(axis=1)
    assert differing[found] == differing[allowed].min()
