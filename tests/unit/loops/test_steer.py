"""The decorator: learns from calls, and never breaks them."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.reward import Reward
from steersman.core.state import Number, StateSchema
from steersman.loops.agent import Agent
from steersman.loops.steer import Call

SPEC = AgentSpec(
    name="lab/batch",
    description="Decides in how large batches work is done.",
    state=StateSchema(name="batch", fields=(Number(name="items", low=0, high=1_000, edges=(100,)),)),
    actions=ActionSpace({"size": (1, 10, 100), "sort": ("no", "yes")}),
    reward=Reward.plain(-1.0, 1.0),
    baseline=lambda state: {"size": 10, "sort": "no"},
    safe_action={"size": 10, "sort": "no"},
    settings={"learning": {"gamma": 0.0, "alpha": 0.25}},
)


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Steersman.open("memory:", settings={}) as steersman:
        yield steersman.agent(SPEC)


def _state(items: list[int], *rest: Any, **options: Any) -> dict[str, Any]:
    return {"items": len(items)}


def _measure(call: Call) -> dict[str, float] | None:
    if call.error is not None:
        return {"reward": -1.0}
    return {"reward": 1.0 if call.action["size"] == 100 else 0.0}


def test_a_steered_call_gets_its_arguments_and_is_learned_from(agent: Agent) -> None:
    sizes = []

    @agent.steer(_state, _measure)
    def work(items: list[int], *, size: int = 10, sort: str = "no") -> int:
        """Do it."""
        sizes.append(size)
        return sum(items)

    for _ in range(200):
        assert work([1, 2, 3]) == 6
    assert work.__name__ == "work"
    assert sizes[-50:].count(100) > 35
    assert agent.diagnose().outcomes == 200


def test_the_callers_own_arguments_win_and_are_credited(agent: Agent) -> None:
    @agent.steer(_state, _measure)
    def work(items: list[int], *, size: int = 10, sort: str = "no") -> int:
        return size

    assert work([1], size=1) == 1
    values = agent.values({"items": 1})
    assert [choice for choice, entry in values["size"].items() if entry.visits] == [1]


def test_exceptions_pass_through_after_they_were_measured(agent: Agent) -> None:
    @agent.steer(_state, _measure)
    def work(items: list[int], *, size: int = 10, sort: str = "no") -> int:
        raise ValueError("broken work")

    with pytest.raises(ValueError, match="broken work"):
        work([1])
    assert agent.diagnose().outcomes == 1


@pytest.mark.parametrize("fault", ["state", "decide", "measure", "report"])
def test_failures_of_steering_never_reach_the_caller(
    agent: Agent, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(f"{fault} is broken")

    if fault in ("decide", "report"):
        monkeypatch.setattr(agent, fault, broken)

    @agent.steer(broken if fault == "state" else _state, broken if fault == "measure" else _measure)
    def work(items: list[int], *, size: int = 10, sort: str = "no") -> int:
        return 7

    with caplog.at_level(logging.WARNING, logger="steersman"):
        assert work([1]) == 7
    assert f"{fault} is broken" in caplog.text


def test_a_call_may_go_unmeasured(agent: Agent) -> None:
    @agent.steer(_state, lambda call: None)
    def work(items: list[int], *, size: int = 10, sort: str = "no") -> int:
        return 7

    assert work([1]) == 7
    assert agent.diagnose().outcomes == 0


def test_arguments_given_by_place_win_too_and_measure_sees_them(agent: Agent) -> None:
    seen: list[Call] = []

    def measure(call: Call) -> dict[str, float]:
        seen.append(call)
        return {"reward": 0.5}

    @agent.steer(_state, measure)
    def work(items: list[int], size: int = 10, sort: str = "no") -> tuple[int, str]:
        return size, sort

    assert work([1, 2], 100)[0] == 100
    assert seen[0].arguments == {"items": [1, 2], "size": 100}
    assert seen[0].action["size"] == 100
    assert agent.values({"items": 2})["size"][100].visits == 1


def test_a_callable_of_any_options_is_steered_and_a_coroutine_is_refused(agent: Agent) -> None:
    @agent.steer(lambda **options: {"items": 1}, lambda call: {"reward": 0.0})
    def work(**options: Any) -> Any:
        return options["size"]

    assert work(size=10) == 10
    assert work() in (1, 10, 100)

    async def later(*, size: int = 1, sort: str = "no") -> int:
        return size

    with pytest.raises(InvalidInput, match="coroutine"):
        agent.steer(lambda **options: {"items": 1}, lambda call: None)(later)
