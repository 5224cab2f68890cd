"""Reporting: once, late, corrected, withdrawn, and never twice."""

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steersman import ReplayBuffer
from steersman.app import Steersman
from steersman.core.errors import Conflict, InvalidInput, NotFound
from steersman.core.reward import Reward
from steersman.loops.agent import Agent
from steersman.loops.learn import refold
from steersman.testing.specs import small_agent

STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}


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
    return steersman.agent(small_agent())


def _values(agent: Agent) -> Any:
    return agent._runtime.fold.changes(replace=True).entries


def test_the_same_report_again_changes_nothing(agent: Agent) -> None:
    decision = agent.decide(STATE)
    agent.report(decision, {"reward": 0.5}).wait()
    before = _values(agent)
    agent.report(decision, {"reward": 0.5}).wait()
    agent.report(decision.id, {"reward": 0.5}).wait()
    assert _values(agent) == before
    assert len(agent._runtime.log.outcomes(decision.id)) == 1


def test_another_report_is_refused_and_audited(steersman: Steersman, agent: Agent) -> None:
    decision = agent.decide(STATE)
    agent.report(decision, {"reward": 0.5})
    before = _values(agent)
    with pytest.raises(Conflict, match="correction"):
        agent.report(decision, {"reward": 0.6}, source="ci")
    assert _values(agent) == before
    event = steersman.log.audit()[0]
    assert (event.actor, event.event, event.subject) == ("ci", "outcome refused", decision.id)


def test_a_correction_counts_where_the_first_report_stood(agent: Agent) -> None:
    made = [agent.decide(STATE) for _ in range(3)]
    for decision, reward in zip(made, (0.1, 0.9, 0.3), strict=True):
        agent.report(decision, {"reward": reward}, executed="steady")
    agent.report(made[1], {"reward": 0.2}, executed="steady", correct=True).wait()
    with Steersman.open("memory:", settings={}) as other:
        twin = other.agent(small_agent())
        for reward in (0.1, 0.2, 0.3):
            twin.report(twin.decide(STATE), {"reward": reward}, executed="steady")
        assert [e.value for e in _values(agent).values()] == [e.value for e in _values(twin).values()]
    assert [each.revision for each in agent._runtime.log.outcomes(made[1].id)] == [0, 1]


def test_a_withdrawn_outcome_teaches_nothing(agent: Agent) -> None:
    decision = agent.decide(STATE)
    agent.report(decision, {"reward": 0.5})
    agent.withdraw(decision, source="ann").wait()
    assert not _values(agent)
    agent.report(decision, {"reward": 0.7}, correct=True).wait()
    (entry,) = _values(agent).values()
    assert entry.visits == 1
    with pytest.raises(NotFound, match="no outcome to withdraw"):
        agent.withdraw(agent.decide(STATE))


def test_silence_earns_the_default_and_a_late_outcome_replaces_it(steersman: Steersman, clock: Clock) -> None:
    from dataclasses import replace

    spec = replace(small_agent(), reward=Reward.plain(-1.0, 1.0, default=-0.5))
    agent = steersman.agent(spec)
    decision = agent.decide(STATE)
    assert agent.expire() == 0
    clock.now += 86_401
    assert agent.expire() == 1
    assert agent.expire() == 0
    (entry,) = _values(agent).values()
    assert entry.reward_mean == -0.5
    agent.report(decision, {"reward": 1.0}).wait()
    (entry,) = _values(agent).values()
    assert (entry.visits, entry.reward_mean) == (1, 1.0)


def test_without_a_default_silence_teaches_nothing(agent: Agent, clock: Clock) -> None:
    agent.decide(STATE)
    clock.now += 86_401
    assert agent.expire() == 1
    assert not _values(agent)
    assert agent.diagnose().outcomes == 1


def test_outcomes_are_refused_after_their_time(agent: Agent, clock: Clock) -> None:
    decision = agent.decide(STATE)
    clock.now += 2_592_001
    with pytest.raises(Conflict, match="accept_until_s"):
        agent.report(decision, {"reward": 0.5})


def test_only_decisions_of_this_agent_are_accepted(steersman: Steersman, agent: Agent) -> None:
    from dataclasses import replace

    other = steersman.agent(replace(small_agent(), name="lab/other"))
    foreign = other.decide(STATE)
    for unknown in (foreign, "01890000-0000-7000-8000-000000000000", "", "'; drop table decisions; --"):
        with pytest.raises(NotFound, match="has made no decision"):
            agent.report(unknown, {"reward": 0.5})


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "nan", "0.5", None, 1.5, -1.01])
def test_impossible_rewards_are_refused_and_nothing_is_lost(agent: Agent, bad: Any) -> None:
    """P12 at the door in process."""
    decision = agent.decide(STATE)
    with pytest.raises(InvalidInput, match="reward"):
        agent.report(decision, {"reward": bad})
    agent.report(decision, {"reward": 0.5}).wait()
    (entry,) = _values(agent).values()
    assert math.isfinite(entry.value)


def test_a_sequential_step_must_say_where_it_led(steersman: Steersman) -> None:
    agent = steersman.agent(small_agent({"learning": {"gamma": 0.9}}))
    with agent.episode() as episode:
        decision = episode.decide(STATE)
        with pytest.raises(InvalidInput, match="next_state"):
            episode.report(decision, {"reward": 0.5})
        with pytest.raises(InvalidInput, match="not both"):
            episode.report(decision, {"reward": 0.5}, terminated=True, truncated=True)
        episode.report(decision, {"reward": 0.5}, next_state=STATE)


def test_learning_credits_the_action_that_was_carried_out(agent: Agent) -> None:
    decision = agent.decide(STATE)
    other = "heavy" if decision.choice != "heavy" else "steady"
    agent.report(decision, {"reward": 1.0}, executed=other).wait()
    assert [choice for choice, entry in agent.values(STATE)["action"].items() if entry.visits] == [other]


def test_the_live_table_is_the_fold_of_the_log(agent: Agent) -> None:
    """P3: to the bit, with corrections and withdrawals in between."""
    made = []
    for index in range(200):
        made.append(agent.decide({**STATE, "load": float(index % 100)}))
        agent.report(made[-1], {"reward": math.sin(index)})
        if index % 17 == 3:
            agent.report(made[index // 2], {"reward": 0.25}, correct=True)
        if index % 23 == 5:
            agent.withdraw(made[index // 3])
    assert _values(agent) == refold(agent._runtime).changes(replace=True).entries
    assert all(agent.replay(each.id).identical for each in made[::20])


def test_rewards_bound_the_values(agent: Agent) -> None:
    """P12: γ = 0.95 and rewards in [-1, 1] keep every value inside [-20, 20]."""
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(small_agent({"learning": {"gamma": 0.95, "alpha": 1.0}, "episodes": {"max_steps": 1000}}))
        low, high = agent._runtime.fold.bounds
        with agent.episode() as episode:
            for _ in range(900):
                episode.report(episode.decide(STATE), {"reward": 1.0}, next_state=STATE)
        values = [entry.value for entry in agent.values(STATE)["action"].values()]
        assert [low, high] == pytest.approx([-20.0, 20.0])
        assert max(values) <= high
        assert max(values) > 19.0


def test_a_change_of_settings_learns_the_log_again_and_old_decisions_still_replay(tmp_path: Path) -> None:
    """What is learned is a fold of the log under the settings in force; what was decided stays explainable."""
    store = tmp_path / "log.db"
    with Steersman.open(store, settings={}) as steersman:
        agent = steersman.agent(small_agent())
        first = [agent.decide(STATE) for _ in range(20)]
        for decision in first:
            agent.report(decision, {"reward": 0.5})
        old = agent.values(STATE)
    changed = {"learning": {"alpha": 0.5}}
    with Steersman.open(store, settings=changed) as steersman:
        agent = steersman.agent(small_agent())
        new = agent.values(STATE)
        assert new != old
        assert new["action"]["light"].visits == old["action"]["light"].visits
        second = agent.decide(STATE)
        agent.report(second, {"reward": 0.5}).wait()
        expected = _values(agent)
    with Steersman.open(store, settings=changed) as steersman:
        agent = steersman.agent(small_agent())
        assert _values(agent) == expected == refold(agent._runtime).changes(replace=True).entries
        assert all(agent.replay(each.id).identical for each in (*first, second))


def test_the_sweep_expires_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:

    from steersman.app import duties as app

    monkeypatch.setattr(app, "SWEEP_S", 0.02)
    settings = {"episodes": {"reward_wait_s": 0.05}}
    with Steersman.open("memory:", settings=settings) as steersman:
        agent = steersman.agent(small_agent())
        decision = agent.decide(STATE)
        deadline = time.monotonic() + 10
        while not steersman.outcomes(decision.id):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert steersman.outcomes(decision.id)[0].kind == "expired"


def test_what_could_not_be_appended_is_not_learned(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.report(agent.decide(STATE), {"reward": 0.5}).wait()
    before = _values(agent)
    decision = agent.decide(STATE)
    with monkeypatch.context() as patch:

        def closed(*args: Any) -> Any:
            raise Conflict("somebody was faster")

        patch.setattr(agent._runtime.log, "append", closed)
        with pytest.raises(Conflict, match="faster"):
            agent.report(decision, {"reward": 1.0})
    assert _values(agent) == before
    agent.report(decision, {"reward": 1.0}).wait()
    assert _values(agent) != before


def test_an_episode_that_is_over_stays_over_after_a_restart(tmp_path: Path) -> None:
    for ended in (True, False):
        store = tmp_path / f"{ended}.db"
        with Steersman.open(store, settings={}) as steersman, steersman.agent(small_agent()).episode("one") as episode:
            episode.report(episode.decide(STATE), {"reward": 0.1}, next_state=STATE)
            episode.report(episode.decide(STATE), {"reward": 0.1}, next_state=STATE, terminated=ended)
        with Steersman.open(store, settings={}) as steersman:
            agent = steersman.agent(small_agent())
            if ended:
                with pytest.raises(Conflict, match="is over"):
                    agent.decide(STATE, episode="one")
            else:
                assert agent.decide(STATE, episode="one").step == 2


def test_a_source_that_is_no_text_is_refused_before_anything_is_learned(agent: Agent) -> None:
    decision = agent.decide(STATE)
    with pytest.raises(InvalidInput, match="source"):
        agent.report(decision, {"reward": 0.5}, source="\ud800")
    assert not _values(agent)


def test_a_sample_of_the_log_fills_a_replay_buffer(agent: Agent) -> None:
    rewards = [index / 10 for index in range(10)]
    for reward in rewards:
        agent.report(agent.decide(STATE), {"reward": reward}).wait()
    drawn = agent.sample(400, np.random.default_rng(0))
    counts = {reward: sum(each.reward == reward for each in drawn) for reward in rewards}
    assert sum(counts.values()) == 400
    assert min(counts.values()) >= 15, "each of the ten comes up, about forty times"
    buffer = ReplayBuffer(100, {"action": ((), np.int64), "reward": ((), np.float64)})
    taken = buffer.extend(
        {"action": [each.action for each in drawn[:100]], "reward": [each.reward or 0.0 for each in drawn[:100]]}
    )
    assert (taken, len(buffer)) == (100, 100)


def test_a_sweep_of_many_lets_others_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    free: list[bool] = []

    def others_turn(seconds: float) -> None:
        def take() -> None:
            free.append(lock.acquire(blocking=False))
            if free[-1]:
                lock.release()

        thread = threading.Thread(target=take)
        thread.start()
        thread.join()

    clock = Clock()
    with Steersman.open("memory:", settings={}, clock=clock) as steersman:
        agent = steersman.agent(small_agent())
        lock = agent._runtime.lock
        made = [agent.decide(STATE) for _ in range(25)]
        clock.now += 100_000.0
        monkeypatch.setattr(time, "sleep", others_turn)
        assert agent.expire() == 25
    assert free == [True, True, True]
    assert len(made) == 25
