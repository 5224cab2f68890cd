"""The pack checker passes good agents, and each of its checks can fail."""

import random
from dataclasses import replace
from typing import Any

import pytest

from steersman.core.agent import AgentSpec
from steersman.core.guards import Guard, Refusal
from steersman.core.reward import Component, Measurement, Reward
from steersman.core.state import Number, StateSchema
from steersman.testing.pack_checker import CHECKS, check_agent
from steersman.testing.specs import small_agent

GOOD = small_agent()
DRAWING = random.Random(1)


def _constant() -> Reward:
    return Reward(
        measurements=(Measurement(name="x", low=0, high=1),),
        components=(Component(name="x", low=0, high=1, weight=1, value=lambda m: 0.5),),
        low=0,
        high=1,
    )


def _meddle(state: Any) -> list[Refusal]:
    state["load"] = 0.0
    return []


def _fickle(state: Any) -> list[Refusal]:
    return [Refusal(where={"action": "heavy"}, reason="odd")] if DRAWING.random() < 0.5 else []


def _guard(refuse: Any) -> tuple[Guard, ...]:
    return (Guard(name="g", refuse=refuse),)


BAD: dict[str, AgentSpec] = {
    "has_description": replace(GOOD, description="Decides"),
    "table_is_small": replace(
        GOOD,
        state=StateSchema(name="s", fields=(Number(name="load", low=0, high=1e6, edges=tuple(range(1, 5_000))),)),
    ),
    "baseline_acts": replace(GOOD, baseline=lambda state: "nonsense"),
    "guards_answer": replace(GOOD, guards=_guard(_meddle)),
    "guards_refuse_their_probes": replace(
        GOOD, guards=(Guard(name="g", refuse=lambda state: (), probe={"load": 1.0, "backlog": 1.0, "weekend": True}),)
    ),
    "guards_leave_something": replace(GOOD, guards=_guard(lambda state: [Refusal(where={}, reason="never")])),
    "reward_is_bounded": replace(
        GOOD,
        reward=Reward(
            measurements=(Measurement(name="x", low=0, high=1),),
            components=(Component(name="x", low=0, high=1, weight=1, value=lambda m: float("nan")),),
            low=0,
            high=1,
        ),
    ),
    "reward_varies": replace(GOOD, reward=_constant()),
    "explains_and_replays": replace(GOOD, guards=_guard(_fickle)),
}


def test_a_good_agent_passes_all_checks() -> None:
    assert [each.problem for each in check_agent(GOOD)] == [""] * len(CHECKS)


@pytest.mark.parametrize("name", BAD)
def test_a_check_can_fail(name: str) -> None:
    sentence = next((check.__doc__ or "").strip().rstrip(".") for check in CHECKS if check.__name__ == name)
    found = {each.name: each.problem for each in check_agent(BAD[name])}
    assert found[sentence], f"{name} found nothing"


def test_an_agent_that_draws_for_itself_is_not_seeded() -> None:
    drawing = random.Random(0)
    fickle = replace(GOOD, baseline=lambda state: drawing.choice(["light", "steady"]))
    sentence = "The same seed gives the same decisions and the same values"
    assert {each.name: each.problem for each in check_agent(fickle)}[sentence]
