"""A person's hand: pins hold inside what guards allow, pauses stop exploring, all of it can be replayed and is audited."""

from collections.abc import Iterator
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.guards import PINNED, Guard
from steersman.core.reward import Component, Measurement, Reward
from steersman.core.state import Number, StateSchema
from steersman.core.values import Control, Decision, Outcome
from steersman.loops.agent import Agent
from steersman.testing.specs import small_agent

STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}
BUSY: dict[str, Any] = {"load": 90.0, "backlog": 5.0, "weekend": False}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def steersman(clock: Clock) -> Iterator[Steersman]:
    with Steersman.open("memory:", settings={}, clock=clock) as opened:
        yield opened


@pytest.fixture
def agent(steersman: Steersman) -> Agent:
    return steersman.agent(small_agent(settings={"learning": {"gamma": 0.0}, "exploration": {"floor": 0.2}}))


def factored() -> AgentSpec:
    return AgentSpec(
        name="lab/factored",
        description="Chooses in two dimensions, for tests.",
        state=StateSchema(name="factored", fields=(Number(name="load", low=0, high=1, edges=(0.5,)),)),
        actions=ActionSpace({"workers": (1, 2, 4), "order": ("file", "fast")}),
        reward=Reward.plain(0.0, 1.0),
        baseline=lambda state: {"workers": 1, "order": "file"},
        safe_action={"workers": 1, "order": "file"},
        settings={"learning": {"gamma": 0.0}},
    )


def test_a_pin_holds_one_dimension_and_leaves_the_others_free(steersman: Steersman) -> None:
    agent = steersman.agent(factored())
    steersman.control("pin", "lab", actor="ann", choices={"workers": 2})
    made = [agent.decide({"load": 0.1}) for _ in range(200)]
    assert {each.action["workers"] for each in made} == {2}
    assert {each.action["order"] for each in made} == {"file", "fast"}
    assert {each.guard for each in made[0].refusals} == {PINNED}
    assert "ann pinned 2" in made[0].refusals[0].reason
    assert not any(each.overridden for each in made), "a person's pin is no override by a guard"
    assert all(agent.replay(each.id).identical for each in made[:20])
    steersman.control("pin", "lab", actor="ann", active=False)
    assert {agent.decide({"load": 0.1}).action["workers"] for _ in range(200)} == {1, 2, 4}


def test_a_pin_never_reaches_over_a_guard(steersman: Steersman, agent: Agent) -> None:
    steersman.control("pin", "lab/small", actor="ann", choices={"action": "heavy"})
    assert agent.decide(STATE).action == {"action": "heavy"}
    decision = agent.decide(BUSY)
    assert (decision.action, decision.arm, decision.reason) == ({"action": "rest"}, "safe", "no action is allowed")


def test_a_pin_lets_go_when_its_time_is_over(steersman: Steersman, agent: Agent, clock: Clock) -> None:
    steersman.control("pin", "*", actor="ann", choices={"action": "steady"}, expires_in_s=60.0)
    clock.now += 59.0
    assert agent.decide(STATE).action == {"action": "steady"}
    clock.now += 2.0
    assert agent.decide(STATE).refusals == ()


def test_a_kill_switch_with_a_time_lets_go_by_itself(steersman: Steersman, agent: Agent, clock: Clock) -> None:
    steersman.control("kill", "lab", actor="ann", expires_in_s=60.0)
    assert agent.decide(STATE).arm == "safe"
    clock.now += 61.0
    assert agent.decide(STATE).arm != "safe"


def test_the_nearest_pin_wins(steersman: Steersman, agent: Agent) -> None:
    steersman.control("pin", "lab/small", actor="ann", choices={"action": "steady"})
    steersman.control("pin", "*", actor="ben", choices={"action": "light"})
    assert agent.decide(STATE).action == {"action": "steady"}


def test_a_pin_of_something_else_in_its_scope_is_no_pin_here(steersman: Steersman, agent: Agent) -> None:
    steersman.agent(factored())
    steersman.control("pin", "lab", actor="ann", choices={"workers": 4})
    assert agent.decide(STATE).refusals == ()


def test_a_pause_stops_exploring_and_says_so(steersman: Steersman, agent: Agent) -> None:
    for _ in range(30):
        agent.report(agent.decide(STATE, arm="champion"), {"reward": 0.5})
    steersman.control("pause", "lab", actor="ann", reason="release week")
    made = [agent.decide(STATE, arm="champion") for _ in range(100)]
    assert len({str(each.action) for each in made}) == 1
    assert {each.propensity for each in made} == {1.0}
    assert {each.may_explore for each in made} == {False}
    assert all(agent.replay(each.id).identical for each in made[:5])
    steersman.control("pause", "lab", actor="ann", active=False)
    assert len({str(agent.decide(STATE, arm="champion").action) for _ in range(200)}) > 1


def test_controls_are_audited_by_kind_with_what_they_hold(steersman: Steersman, agent: Agent) -> None:
    steersman.control("pin", "lab", actor="ann", choices={"action": "light"}, reason="calm", expires_in_s=30.0)
    steersman.control("pause", "lab", actor="ann")
    said = [(each.event, each.subject, each.detail) for each in steersman.log.audit(2)]
    assert said == [
        ("pause of exploring on", "lab", "no reason given"),
        ("pin on", "lab", "action 'light': calm (for 30 s)"),
    ]


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("pin", {}, "needs choices"),
        ("pin", {"choices": {"acton": "light"}}, "Did you mean 'action'"),
        ("pin", {"choices": {"action": "lihgt"}}, "Did you mean 'light'"),
        ("kill", {"choices": {"action": "light"}}, "only a pin"),
        ("kill", {"expires_in_s": 0.0}, "seconds above 0"),
        ("kill", {"expires_in_s": float("nan")}, "seconds above 0"),
        ("kill", {"reason": "x\x00"}, "printable"),
        ("stop", {}, "none of kill, pin, pause"),
    ],
)
def test_a_control_that_means_nothing_is_refused(
    steersman: Steersman, agent: Agent, kind: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        steersman.control(kind, "lab", actor="ann", **options)
    assert steersman.log.controls() == []


def test_a_guard_may_not_be_called_like_a_pin() -> None:
    with pytest.raises(InvalidInput, match=PINNED):
        small_agent(guards=(Guard(name=PINNED, refuse=lambda state: ()),))


def test_what_guards_took_away_is_told_as_an_override(steersman: Steersman, agent: Agent) -> None:
    assert not agent.decide(BUSY).overridden, "in a cold state the rule is best, and allowed"
    for state in (STATE, BUSY):
        for _ in range(20):
            agent.report(agent.decide(state, arm="baseline"), {"reward": -0.5})
    row = agent._runtime.fold.table
    row.value[row.rows[agent._runtime.encoder.key(agent._runtime.encoder.bins(BUSY))], 3] = 0.9  # "heavy"
    assert agent.decide(BUSY).overridden
    assert not agent.decide(STATE).overridden


class Notes:
    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def decided(self, decision: Decision) -> None:
        self.told.append(("decided", decision.id))

    def recorded(self, decision: Decision, outcome: Outcome) -> None:
        self.told.append((f"recorded {outcome.revision}", decision.id))

    def learned(self, decision: Decision, outcome: Outcome) -> None:
        self.told.append(("learned", decision.id))


class Broken(Notes):
    def decided(self, decision: Decision) -> None:
        raise RuntimeError("the meter is broken")


def test_meters_are_told_what_happens_and_break_nothing() -> None:
    notes = Notes()
    with Steersman.open("memory:", settings={}, meters=(Broken(), notes)) as steersman:
        agent = steersman.agent(small_agent())
        decision = agent.decide(STATE)
        agent.report(decision, {"reward": 0.5})
        agent.report(decision, {"reward": 0.5})  # the same again is no news
        agent.report(decision, {"reward": 0.25}, correct=True)
        assert [each for each, _ in notes.told] == ["decided", "recorded 0", "learned", "recorded 1", "learned"]
        assert {each for _, each in notes.told} == {decision.id}
        assert "the meter is broken" in agent.diagnose().last_error


def test_a_trace_goes_with_its_decision(agent: Agent) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert agent.decide(STATE, trace_id=trace).trace_id == trace
    with pytest.raises(InvalidInput):
        agent.decide(STATE, trace_id="\n")


def test_an_outcome_says_whether_it_succeeded_what_it_cost_and_whether_it_was_wrong_to_block(steersman: Steersman) -> None:
    spec = AgentSpec(
        name="lab/gate",
        description="Blocks or lets pass, for tests.",
        state=StateSchema(name="gate", fields=(Number(name="risk", low=0, high=1, edges=(0.5,)),)),
        actions=ActionSpace.flat("pass", "block"),
        reward=Reward(
            measurements=(
                Measurement(name="score", low=0, high=1),
                Measurement(name="cpu_s", unit="s", low=0),
                Measurement(name="wrong", low=0, high=1, optional=True),
            ),
            components=(Component(name="score", low=0.0, high=1.0, weight=1.0, value=lambda m: m["score"]),),
            low=0.0,
            high=1.0,
            default=0.0,
        ),
        baseline=lambda state: "pass",
        safe_action="block",
        settings={"learning": {"gamma": 0.0}},
        success_reward=0.8,
        cost="cpu_s",
        false_block="wrong",
    )
    agent = steersman.agent(spec)

    def told(**measured: float) -> tuple[bool | None, float | None, bool | None]:
        decision = agent.decide({"risk": 0.2})
        agent.report(decision, measured)
        last = steersman.outcomes(decision.id)[-1]
        return last.success, last.cost, last.false_block

    assert told(score=0.8, cpu_s=2.5) == (True, 2.5, None)
    assert told(score=0.7, cpu_s=0.0, wrong=True) == (False, 0.0, True)
    assert told(score=0.7, cpu_s=0.0, wrong=0.0) == (False, 0.0, False)


def test_a_measurement_that_is_named_must_exist() -> None:
    from dataclasses import replace

    with pytest.raises(InvalidInput, match="cost 'cpu' is no measurement"):
        replace(small_agent(), cost="cpu")


def test_a_control_in_a_store_of_another_process_counts_there(tmp_path: Any) -> None:
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
        agent = steersman.agent(small_agent())
        agent.decide(STATE)
        said = Steersman.control_in(tmp_path / "log.db", "pin", "lab", actor="ann", choices={"action": "steady"})
        agent.look_again()
        assert agent.decide(STATE).action == {"action": "steady"}
        assert (
            steersman.log.controls() == [said] == [Control(**{each: getattr(said, each) for each in said.__struct_fields__})]
        )
        assert steersman.verify_audit() == []
        assert (tmp_path / "log.db.audit-key").stat().st_mode & 0o077 == 0


def test_a_kill_switch_waits_for_no_definition(steersman: Steersman, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[str]:
        raise RuntimeError("a pack cannot be loaded")

    monkeypatch.setattr(steersman.catalog, "names", broken)
    steersman.kill("lab", actor="ann", reason="enough")
    assert agent.decide(STATE).arm == "safe"
