"""Influence: in each mode and for each reason the rule decides inside the guards, propensities are true, replays exact."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace as changed

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.guards import Guard, Refusal
from steersman.core.influence import withheld_by
from steersman.core.values import Arm, Decision
from steersman.loops.agent import Agent
from steersman.testing.simulation.agents import some_state
from steersman.testing.specs import small_agent

STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}
BUSY: dict[str, Any] = {"load": 90.0, "backlog": 5.0, "weekend": False}
WATCHED = ("off", "shadow", "advisory")
ARMS: tuple[Arm | None, ...] = (None, "champion", "baseline")


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


def spec(**influence: Any) -> AgentSpec:
    own = {"learning": {"gamma": 0.0}, "exploration": {"floor": 0.2, "epsilon": 0.3}, "influence": influence}
    return small_agent(settings=own)


def taught(agent: Agent, action: str = "heavy", times: int = 60) -> Agent:
    """Have the agent learn that an action that the rule does not take is the best one."""
    for _ in range(times):
        made = agent.decide(STATE, subject="a teacher")
        agent.report(made, {"reward": 1.0 if action == "heavy" else 0.0}, executed=action)
    return agent


def the_rule(made: Decision) -> None:
    """Assert that the rule decided, for certain, and that this is what the log says."""
    assert (made.executed, made.proposed, made.arm) == ({"action": "light"}, {"action": "light"}, "baseline")
    assert (made.propensity, made.action_probability, made.arm_probability) == (1.0, 1.0, 1.0)


def test_the_rule_of_these_tests_is_not_what_they_teach(steersman: Steersman) -> None:
    agent = taught(steersman.agent(spec()))
    assert agent.spec.baseline(STATE) == "light"
    made = [agent.decide(STATE) for _ in range(100)]
    assert sum(each.executed == {"action": "heavy"} for each in made) > 50
    assert {(each.mode, withheld_by(each.reason)) for each in made} == {("live", None)}


@pytest.mark.parametrize("mode", WATCHED)
@pytest.mark.parametrize("by", ["a setting", "a control"])
def test_in_any_mode_but_live_the_rule_decides_whatever_arm_is_asked_for(steersman: Steersman, mode: str, by: str) -> None:
    agent = taught(steersman.agent(spec(mode=mode if by == "a setting" else "live")))
    if by == "a control":
        steersman.control("mode", "lab", actor="ann", choices={"mode": mode})
    for arm in (*ARMS, None):
        made = agent.decide(STATE, arm=arm)
        the_rule(made)
        assert (made.mode, withheld_by(made.reason)) == (mode, mode)
        assert agent.replay(made.id).identical, agent.replay(made.id).differences
    assert agent.decide(STATE, arm="safe").arm == "safe"


def test_off_says_nothing_of_what_was_learned(steersman: Steersman) -> None:
    made = taught(steersman.agent(spec(mode="off"))).decide(STATE)
    assert (made.shadow, made.shadow_probability) == (None, None)


def test_a_shadow_does_what_the_learned_policy_would_have_done_with_its_probabilities(steersman: Steersman) -> None:
    agent = taught(steersman.agent(spec(mode="shadow")))
    made = [agent.decide(STATE) for _ in range(400)]
    epsilon = made[0].epsilon
    assert [each.shadow_probability for each in made] == pytest.approx([epsilon / 4.0] * 400), "what is best has the rest"
    share = sum(each.shadow == {"action": "heavy"} for each in made) / len(made)
    assert share == pytest.approx(1.0 - 0.75 * epsilon, abs=0.08)
    assert len({str(each.shadow) for each in made}) > 1, "a shadow explores as it would have done"
    assert all(agent.replay(each.id).identical for each in made[:20])
    tampered = changed(made[0], shadow={"action": "rest"}, shadow_probability=0.9)
    differences = steersman_replay(agent, tampered)
    assert any("shadow probability" in each for each in differences)


def steersman_replay(agent: Agent, made: Decision) -> list[str]:
    from steersman.loops.explain import replay

    return replay(agent._runtime, made).differences


def test_advice_is_what_is_held_for_best_without_exploring(steersman: Steersman) -> None:
    agent = taught(steersman.agent(spec(mode="advisory")))
    made = [agent.decide(STATE) for _ in range(100)]
    assert {str(each.shadow) for each in made} == {"{'action': 'heavy'}"}
    assert {each.shadow_probability for each in made} == {0.0}, "it would never have done what the rule does"
    assert all(agent.replay(each.id).identical for each in made[:10])
    assert agent.explain(made[0].id).decision.shadow == {"action": "heavy"}


def test_advice_that_is_followed_is_told_by_the_outcome_and_learned_from(steersman: Steersman) -> None:
    agent = steersman.agent(spec(mode="advisory"))
    before = agent.values(STATE)
    made = agent.decide(STATE)
    agent.report(made, {"reward": 0.75}, executed="steady")
    assert before == {}
    assert agent.values(STATE)["action"]["steady"].visits == 1
    assert agent.values(STATE)["action"]["light"].visits == 0


def test_what_is_only_asked_breaks_nothing(steersman: Steersman, monkeypatch: pytest.MonkeyPatch) -> None:
    agent = taught(steersman.agent(spec(mode="shadow")))

    def boom(*args: Any) -> Any:
        raise RuntimeError("fault")

    monkeypatch.setattr(agent._runtime.chooser, "beside", boom)
    made = agent.decide(STATE)
    the_rule(made)
    assert made.shadow is None
    assert "fault" in agent.diagnose().last_error


def test_observations_that_are_too_old_are_left_to_the_rule(steersman: Steersman, clock: Clock) -> None:
    agent = taught(steersman.agent(spec(stale_s=600.0)))
    for observed_at, gate in [(None, None), (400.0, None), (399.0, "stale"), (1_600.0, None), (1_601.0, "stale")]:
        made = agent.decide(STATE, arm="champion", observed_at=observed_at)
        assert withheld_by(made.reason) == gate, (observed_at, made.reason)
        assert made.mode == "live"
        if gate:
            the_rule(made)
        assert agent.replay(made.id).identical
    for wrong in (float("nan"), float("inf"), "yesterday", True):
        with pytest.raises(InvalidInput, match="observed_at"):
            agent.decide(STATE, observed_at=wrong)  # type: ignore[arg-type]  # wrong on purpose


def test_a_policy_that_is_unsure_is_left_out_whatever_it_would_draw(steersman: Steersman) -> None:
    agent = steersman.agent(spec(confidence=0.5))
    cold = agent.decide(STATE, arm="champion")
    assert withheld_by(cold.reason) == "confidence"
    taught(agent, times=300)
    made = [agent.decide(STATE, arm="champion") for _ in range(200)]
    assert {withheld_by(each.reason) for each in made} == {None}, "it is the state that must be known, not what is drawn"
    assert len({str(each.executed) for each in made}) > 1
    total = {str(each.executed): each.propensity for each in made}
    assert sum(filter(None, total.values())) == pytest.approx(1.0), "nothing of the distribution went to the rule"
    assert withheld_by(agent.decide(BUSY).reason) == "confidence"
    assert all(agent.replay(each.id).identical for each in (cold, *made[:5]))


def test_while_unsure_the_rule_decides_but_for_exploring_and_the_policy_grows_surer(steersman: Steersman) -> None:
    agent = steersman.agent(spec(confidence=0.7))
    agent.report(agent.decide(STATE), {"reward": 1.0}, executed="heavy")  # luck: the best of what is known, and unsure
    unsure: list[Decision] = []
    for _ in range(3_000):
        made = agent.decide(STATE, arm="champion")
        if withheld_by(made.reason) is None:
            break
        unsure.append(made)
        agent.report(made, {"reward": 1.0 if made.action == {"action": "heavy"} else 0.0})
    assert withheld_by(made.reason) is None, "it was never tried, and so it was never known"
    shares = {str(each.action["action"]): each.propensity for each in unsure}
    assert len(shares) == len(agent.spec.actions)
    assert (shares["light"] or 0.0) >= 0.7, "the rule, and epsilon shared by all"
    assert all(agent.replay(each.id).identical for each in unsure[:: len(unsure) // 10 + 1])


def test_a_budget_of_exploring_counts_what_is_tried_around_the_rule(steersman: Steersman) -> None:
    exploration = {"budget": 5, "epsilon": 1.0, "schedule": "constant"}
    limits: dict[str, Any] = {"learning": {"gamma": 0.0}, "exploration": exploration, "influence": {"confidence": 0.9}}
    agent = taught(steersman.agent(small_agent(settings=limits)), times=3)
    tried = [agent.decide(STATE, arm="champion").action for _ in range(100)]
    assert sum(each != {"action": "light"} for each in tried) <= 5


def test_the_learned_policy_decides_once_in_a_while_for_each_subject(steersman: Steersman, clock: Clock) -> None:
    agent = steersman.agent(spec(cooldown_s=30.0))

    def ask(subject: str, arm: Any = "champion") -> str | None:
        made = agent.decide(STATE, subject=subject, arm=arm)
        assert agent.replay(made.id).identical
        return withheld_by(made.reason)

    assert ask("BTC") is None
    assert ask("BTC") == "cooldown"
    assert ask("ETH") is None, "each subject by itself"
    clock.now += 29.0
    assert ask("BTC") == "cooldown", "what the rule did counts for nothing"
    clock.now += 1.0
    assert ask("BTC") is None
    assert ask("SOL", "baseline") is None
    assert ask("SOL", "safe") is None
    assert ask("SOL") is None, "the rule and the safe action are no influence"
    assert len(agent._runtime.cooldown._at) <= 3
    clock.now += 1_000.0
    ask("ADA")
    assert [*agent._runtime.cooldown._at] == ["ADA"], "memory is bounded by the time that counts"


def test_a_cooldown_survives_a_restart_and_is_shared_by_processes(tmp_path: Path, clock: Clock) -> None:
    for expected in (None, "cooldown"):
        with Steersman.open(tmp_path / "log.db", settings={}, clock=clock) as steersman:
            made = steersman.agent(spec(cooldown_s=30.0)).decide(STATE, subject="BTC", arm="champion")
            assert withheld_by(made.reason) == expected
    clock.now += 31.0
    with Steersman.open(tmp_path / "log.db", settings={}, clock=clock) as steersman:
        assert (
            withheld_by(steersman.agent(spec(cooldown_s=30.0)).decide(STATE, subject="BTC", arm="champion").reason) is None
        )


def test_the_nearest_word_of_a_mode_holds_until_its_time_is_over(steersman: Steersman, clock: Clock) -> None:
    agent = steersman.agent(spec(mode="off"))
    steersman.control("mode", "lab/small", actor="ann", choices={"mode": "live"}, expires_in_s=60.0)
    steersman.control("mode", "*", actor="ben", choices={"mode": "shadow"})
    assert agent.decide(STATE).mode == "live"
    clock.now += 61.0
    assert agent.decide(STATE).mode == "shadow"
    steersman.control("mode", "lab", actor="ann", choices={"mode": "advisory"})
    assert agent.decide(STATE).mode == "advisory"
    for scope in ("lab", "*"):
        steersman.control("mode", scope, actor="ann", active=False)
    assert agent.decide(STATE).mode == "off", "the settings say again"
    assert [(each.event, each.detail) for each in steersman.log.audit(5)][-1] == (
        "mode on",
        "mode 'live': no reason given (for 1 min)",
    )


def test_the_doctor_says_that_the_rule_decides_and_who_says_so(steersman: Steersman) -> None:
    agent = steersman.agent(spec(mode="shadow"))
    assert any("the mode 'shadow', by the settings" in each for each in agent.diagnose().findings)
    steersman.control("mode", "lab", actor="ann", choices={"mode": "off"})
    assert any("the mode 'off', by steersman mode" in each for each in agent.diagnose().findings)
    steersman.control("mode", "lab", actor="ann", choices={"mode": "live"})
    assert not any("The rule decides" in each for each in agent.diagnose().findings)


@pytest.mark.parametrize("choices", [{}, {"mode": "on"}, {"mode": "live", "size": 1}, {"action": "heavy"}, {"mode": 1}])
def test_a_mode_that_is_none_is_refused(steersman: Steersman, choices: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="a mode is one of off, shadow, advisory, live"):
        steersman.control("mode", "lab", actor="ann", choices=choices)
    assert steersman.log.controls() == []


@pytest.mark.parametrize("mode", [*WATCHED, "live"])
def test_the_kill_switch_stands_above_each_mode(steersman: Steersman, mode: str) -> None:
    agent = taught(steersman.agent(spec(mode=mode, confidence=0.1)))
    steersman.kill("lab", actor="ann", reason="odd")
    made = agent.decide(STATE)
    assert (made.arm, made.executed, made.propensity, made.mode) == ("safe", {"action": "rest"}, None, mode)
    assert withheld_by(made.reason) == "kill"


def guarded(mode: str) -> AgentSpec:
    """Return an agent whose rule wants what guards often refuse, and that is sometimes left with nothing."""
    space = ActionSpace({"size": (1, 2, 3), "speed": ("slow", "fast")})

    def by_load(state: Any) -> list[Refusal]:
        if state["load"] >= 95:
            return [Refusal(where={}, reason="full")]
        return [Refusal(where={"size": 3}, reason="load")] if state["load"] >= 20 else []

    own: dict[str, Any] = {"learning": {"gamma": 0.0}, "influence": {"mode": mode, "confidence": 0.3}}
    return replace(
        small_agent(guards=(Guard(name="load", refuse=by_load),), settings=own),
        name="lab/guarded",
        actions=space,
        baseline=lambda state: {"size": 3, "speed": "fast"},
        safe_action={"size": 1, "speed": "slow"},
    )


@pytest.mark.parametrize("mode", [*WATCHED, "live"])
def test_guards_and_pins_are_never_bypassed_in_any_mode(steersman: Steersman, mode: str) -> None:
    agent, rng = steersman.agent(guarded(mode)), np.random.default_rng(7)
    for number in range(400):
        if number == 300:
            steersman.control("pin", "lab", actor="ann", choices={"speed": "slow"})
        state = some_state(rng)
        made = agent.decide(state, arm=ARMS[number % 3])
        loaded = min(float(state["load"]), 100.0)
        if loaded >= 95:
            assert (made.arm, made.executed) == ("safe", {"size": 1, "speed": "slow"})
            continue
        assert not (loaded >= 20 and made.executed["size"] == 3)
        assert number < 300 or made.executed["speed"] == "slow"
        if mode != "live":
            wanted = {"size": 1 if loaded >= 20 else 3, "speed": "fast" if number < 300 else "slow"}
            assert (made.executed, made.arm, made.action_probability) == (wanted, "baseline", 1.0)
        if number % 20 == 0:
            assert agent.replay(made.id).identical, agent.replay(made.id).differences
        agent.report(made, {"reward": float(rng.random())})


def test_what_only_watches_spends_no_exploration_budget(steersman: Steersman) -> None:
    exploration = {"budget": 5, "epsilon": 1.0, "schedule": "constant"}
    own: dict[str, Any] = {"learning": {"gamma": 0.0}, "exploration": exploration, "influence": {"mode": "shadow"}}
    agent = steersman.agent(small_agent(settings=own))
    made = [agent.decide(STATE) for _ in range(100)]
    assert {each.may_explore for each in made[1:]} == {True}, "the first asks for a token"
    steersman.control("mode", "lab", actor="ann", choices={"mode": "live"})
    made = [agent.decide(STATE, arm="champion") for _ in range(100)]
    assert sum(not each.may_explore for each in made) > 50, "live it does, and no more than the budget"


def trace(influence: dict[str, Any]) -> list[Decision]:
    """Return a seeded run without what depends on the time it took."""
    ids, ticks, rng = itertools.count(), itertools.count(1_000), np.random.default_rng(3)
    with Steersman.open(
        "memory:", settings={}, seed=11, clock=lambda: float(next(ticks)), ids=lambda: f"{next(ids):08d}"
    ) as steersman:
        agent, made = steersman.agent(spec(**influence)), []
        for _ in range(300):
            made.append(agent.decide(some_state(rng)))
            agent.report(made[-1], {"reward": float(rng.random())})
        return [changed(each, latency_us=0.0, decided_at=0.0) for each in made]


def test_a_gate_that_refuses_nothing_changes_no_bit_of_any_decision() -> None:
    usual = trace({})
    assert usual == trace({"mode": "live", "stale_s": 1.0, "cooldown_s": 1e-9})


def test_a_run_under_each_mode_is_the_same_again_from_its_seed() -> None:
    assert trace({"mode": "shadow"}) == trace({"mode": "shadow"})
    assert [each.executed for each in trace({"mode": "shadow"})] == [each.executed for each in trace({"mode": "off"})]
