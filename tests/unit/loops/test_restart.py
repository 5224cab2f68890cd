"""What must be the same after a restart, an import or a change of the definition."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.errors import Conflict, DeadlineExceeded, InvalidInput
from steersman.core.guards import Guard
from steersman.core.reward import Reward
from steersman.core.state import Flag, Number, StateSchema
from steersman.loops.agent import Agent
from steersman.loops.learn import refold
from steersman.testing.specs import small_agent

STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}
NO_GUARDS: tuple[Guard, ...] = ()


def _table(agent: Agent) -> Any:
    return agent._runtime.fold.changes(replace=True).entries


def test_values_follow_their_actions_when_the_space_changes(tmp_path: Path) -> None:
    spec = small_agent(guards=NO_GUARDS)
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
        agent = steersman.agent(spec)
        for choice, reward in (("light", 0.25), ("steady", 1.0), ("heavy", -1.0)):
            agent.report(agent.decide(STATE), {"reward": reward}, executed=choice)
    wider = replace(spec, actions=ActionSpace.flat("rest", "light", "new", "steady", "heavy"))
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
        values = steersman.agent(wider).values(STATE)["action"]
        assert {choice: entry.reward_mean for choice, entry in values.items() if entry.visits} == {
            "light": 0.25,
            "steady": 1.0,
            "heavy": -1.0,
        }
    narrower = replace(spec, actions=ActionSpace.flat("rest", "light"))
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
        agent = steersman.agent(narrower)
        assert [choice for choice, entry in agent.values(STATE)["action"].items() if entry.visits] == ["light"]
        agent.report(agent.decide(STATE), {"reward": 0.0}).wait()


def test_rows_of_an_older_schema_are_left_out(tmp_path: Path) -> None:
    for method in ("q_learning", "monte_carlo"):
        store = tmp_path / f"{method}.db"
        spec = small_agent({"learning": {"method": method, "gamma": 0.5}})
        with Steersman.open(store, settings={}) as steersman:
            first = steersman.agent(spec).decide(STATE)
            steersman.agent(spec).report(first, {"reward": 0.5})
        fields = (*spec.state.fields, Flag(name="holiday"))
        newer = replace(spec, state=StateSchema(name="small", version=2, fields=fields))
        with Steersman.open(store, settings={}) as steersman:
            agent = steersman.agent(newer)
            assert not _table(agent)
            decision = agent.decide({**STATE, "holiday": True})
            agent.report(decision, {"reward": 0.5})
            agent.report(decision, {"reward": 0.25}, correct=True).wait()
            assert len(_table(agent)) == 1
            assert "definition was changed" in agent.replay(first.id).differences[0]


def test_threads_that_ask_for_an_agent_get_the_same_one(tmp_path: Path) -> None:
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman, ThreadPoolExecutor(8) as pool:
        steersman.catalog.add(small_agent())
        agents = list(pool.map(lambda _: steersman.agent("lab/small"), range(32)))
        assert len({id(each) for each in agents}) == 1


def test_an_import_without_the_definition_is_learned_when_the_agent_is_opened(tmp_path: Path) -> None:
    with Steersman.open(tmp_path / "a.db", settings={}) as steersman:
        agent = steersman.agent(small_agent())
        for index in range(5):
            agent.report(agent.decide(STATE), {"reward": index / 5})
        lines = list(steersman.export())
        learned = _table(agent)
    with Steersman.open(tmp_path / "b.db", settings={}) as steersman:
        assert steersman.import_lines(lines) == 10
    with Steersman.open(tmp_path / "b.db", settings={}) as steersman:
        assert _table(steersman.agent(small_agent())) == learned


def test_an_import_of_impossible_rewards_is_refused_whole(tmp_path: Path) -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(small_agent())
        for _ in range(3):
            agent.report(agent.decide(STATE), {"reward": 0.5})
        lines = list(steersman.export())
    poisoned = [*lines[:-1], lines[-1].replace(b'"reward":0.5,"next', b'"reward":1e9,"next')]
    assert poisoned != lines
    with Steersman.open("memory:", settings={}, agents=[small_agent()]) as steersman:
        with pytest.raises(InvalidInput, match="outside the range"):
            steersman.import_lines(poisoned)
        assert len(list(steersman.export())) == 1


def test_waiting_too_long_is_not_the_end_of_the_world() -> None:
    """An expired step of a sequential agent says nothing about where it led, so it must not be learned as terminal."""
    now = [1_000.0]
    spec = replace(
        small_agent({"learning": {"gamma": 0.95, "alpha": 0.5}, "episodes": {"max_steps": 10_000}}),
        reward=Reward.plain(-1.0, 1.0, default=1.0),
    )
    with Steersman.open("memory:", settings={}, clock=lambda: now[0]) as steersman:
        agent = steersman.agent(spec)
        with agent.episode("long") as episode:
            for _ in range(300):
                episode.report(episode.decide(STATE), {"reward": 1.0}, next_state=STATE)
        before = _table(agent)
        for _ in range(30):
            agent.decide(STATE)
        now[0] += 100_000
        assert agent.expire() == 30
        assert _table(agent) == before


def test_an_expired_step_does_not_end_its_episode() -> None:
    now = [1_000.0]
    with Steersman.open("memory:", settings={}, clock=lambda: now[0]) as steersman:
        agent = steersman.agent(small_agent({"learning": {"gamma": 0.5, "method": "n_step_sarsa"}}))
        with agent.episode("one") as episode:
            first, second = episode.decide(STATE), episode.decide(STATE)
            episode.report(first, {"reward": 0.5}, next_state=STATE)
            now[0] += 90_000
            assert agent.expire() == 1
            third = episode.decide(STATE)
            episode.report(third, {"reward": 0.5}, terminated=True)
            episode.report(second, {"reward": 0.25}, next_state=STATE)  # late: replaces the silence
            with pytest.raises(Conflict, match="is over"):
                episode.decide(STATE)
        assert agent.diagnose().episodes_open == 0
        assert sum(entry.visits for entry in _table(agent).values()) == 3


def test_an_end_that_was_reported_early_is_remembered(tmp_path: Path) -> None:
    spec = small_agent({"learning": {"gamma": 0.5}})
    results = []
    for stops in (False, True):
        store = tmp_path / f"{stops}.db"
        steersman = Steersman.open(store, settings={}, clock=lambda: 1_000.0)
        agent = steersman.agent(spec)
        first, last = agent.decide(STATE, episode="e"), agent.decide(STATE, episode="e")
        agent.report(last, {"reward": 0.5}, terminated=True).wait()
        if stops:
            steersman.close()
            steersman = Steersman.open(store, settings={}, clock=lambda: 1_000.0)
            agent = steersman.agent(spec)
        agent.report(first.id, {"reward": 0.25}, next_state=STATE).wait()
        facts = agent.diagnose()
        results.append((facts.episodes_open, facts.episodes_closed, facts.epsilon, _table(agent)))
        assert _table(agent) == refold(agent._runtime).changes(replace=True).entries
        steersman.close()
    assert results[0] == results[1]
    assert results[0][:2] == (0, 1)


def test_old_episodes_are_found_in_the_log(tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    with Steersman.open(store, settings={}) as steersman:
        agent = steersman.agent(small_agent())
        agent.report(agent.decide(STATE, episode="done"), {"reward": 0.5}, terminated=True)
        agent.report(agent.decide(STATE, episode="open"), {"reward": 0.5}, next_state=STATE)
        for _ in range(1_200):
            agent.decide(STATE)
    with Steersman.open(store, settings={}) as steersman:
        agent = steersman.agent(small_agent())
        with pytest.raises(Conflict, match="is over"):
            agent.decide(STATE, episode="done")
        assert agent.decide(STATE, episode="open").step == 1


def test_decisions_without_an_episode_leave_none_open() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(small_agent({"learning": {"gamma": 0.9}}))
        for _ in range(50):
            agent.report(agent.decide(STATE), {"reward": 1.0}, next_state=STATE)
        facts = agent.diagnose()
        assert (facts.episodes_open, facts.episodes_closed) == (0, 50)
        assert max(entry.value for entry in _table(agent).values()) > 1.0, "it bootstraps from the next state"


def test_the_kill_switch_needs_no_room_in_the_queue_and_no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    from steersman.app import steersman as app

    monkeypatch.setattr(app, "CONTROL_WAIT_S", 0.05)
    with Steersman.open("memory:", settings={"store": {"queue_rows": 2}}) as steersman:
        agent = steersman.agent(small_agent())
        log: Any = steersman.log
        log.stall("the disk is full")
        while "not recorded" not in agent.decide(STATE).reason:
            pass
        with pytest.raises(DeadlineExceeded):
            steersman.kill("*", actor="ann", reason="enough")
        log.resume()
        assert "enough" in agent.decide(STATE).reason


@pytest.mark.parametrize("wrong", [{"subject": 42}, {"episode": 7}, {"arm": "shadow"}, {"subject": "a\nb"}])
def test_arguments_of_a_wrong_type_are_refused_before_they_are_logged(wrong: dict[str, Any]) -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(small_agent())
        with pytest.raises(InvalidInput):
            agent.decide(STATE, **wrong)
        decision = agent.decide(STATE)
        for bad in ({"terminated": 1}, {"truncated": "no"}, {"source": 5}):
            with pytest.raises(InvalidInput):
                agent.report(decision, {"reward": 0.5}, **bad)
        with pytest.raises(InvalidInput):
            agent.withdraw(decision, source="\ud800")
        assert len(list(steersman.export())) == 2


def test_the_safe_arm_is_the_safe_action_and_draws_follow_the_log() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(small_agent())
        asked = agent.decide(STATE, arm="safe")
        assert (asked.action, asked.propensity, asked.arm) == ({"action": "rest"}, None, "safe")
        assert agent.replay(asked.id).identical


def test_the_probability_of_an_action_counts_both_arms() -> None:
    settings: dict[str, dict[str, Any]] = {
        "learning": {"gamma": 0.0},
        "serving": {"baseline_share": 0.25, "cold_visits": 0},
        "exploration": {"policy": "greedy"},
    }
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(small_agent(settings, guards=NO_GUARDS))
        for _ in range(40):  # four actions, equally good: the champion takes each with 1/4
            decision = agent.decide(STATE)
            expected = 0.25 + 0.75 / 4 if decision.choice == "light" else 0.75 / 4
            assert decision.action_probability == pytest.approx(expected)
            assert agent.replay(decision.id).identical


def test_a_state_with_another_range_is_another_definition(tmp_path: Path) -> None:
    spec = small_agent()
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
        agent = steersman.agent(spec)
        agent.report(agent.decide(STATE), {"reward": 0.5})
    edges = Number(name="load", low=0, high=100, edges=(5, 50, 80), unit="%")
    moved = replace(spec, state=StateSchema(name="small", fields=(edges, *spec.state.fields[1:])))
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
        assert steersman.agent(moved).values(STATE)
