"""The policy as a table: what it does where, and why."""

from collections.abc import Iterator
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.loops.agent import Agent
from steersman.testing.specs import small_agent

QUIET: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}
BUSY: dict[str, Any] = {"load": 60.0, "backlog": 5.0, "weekend": False}
SETTINGS: dict[str, dict[str, Any]] = {
    "learning": {"gamma": 0.0, "alpha": 0.5},
    "exploration": {"epsilon": 0.2, "decay": 1.0, "floor": 0.2},
    "serving": {"baseline_share": 0.0, "cold_visits": 3},
}


@pytest.fixture
def agent() -> Iterator[Agent]:
    with Steersman.open("memory:", settings=SETTINGS) as steersman:
        yield steersman.agent(small_agent())


def teach(agent: Agent, state: dict[str, Any], action: str, reward: float, times: int = 1) -> None:
    for _ in range(times):
        agent.report(agent.decide(state), {"reward": reward}, executed=action).wait()


def test_before_any_outcome_there_is_nothing_to_tell(agent: Agent) -> None:
    policy = agent.policy()
    assert (policy.rows, policy.states_seen, policy.states_possible, policy.entropy) == ((), 0, 24, 0.0)


def test_it_says_what_it_does_where_and_why(agent: Agent) -> None:
    teach(agent, QUIET, "heavy", 0.8, 6)
    teach(agent, QUIET, "light", 0.2, 6)
    row = agent.policy().rows[0]
    assert row.situation == {"load": "under 20 %", "backlog": "under 10 jobs", "weekend": "no"}
    assert (row.visits, row.learned) == (12, True)
    ruling = row.rulings[0]
    assert (ruling.dimension, ruling.best.choice, ruling.best.visits) == ("action", "heavy", 6)
    assert ruling.runner_up is not None
    assert ruling.runner_up.choice == "light"
    assert ruling.because == "worth 0.788, 0.59 more than light; not tried: rest, steady"
    assert {each.choice: round(each.probability, 3) for each in ruling.options} == {
        "heavy": 0.85,
        "light": 0.05,
        "rest": 0.05,
        "steady": 0.05,
    }


def test_a_lead_that_may_be_noise_is_said_to_be_unsure(agent: Agent) -> None:
    for reward in (0.9, -0.9, 0.9, -0.8):
        teach(agent, QUIET, "heavy", reward)
        teach(agent, QUIET, "light", reward - 0.05)
    because = agent.policy().rows[0].rulings[0].because
    assert "not surely more than" in because


def test_a_situation_that_was_seldom_seen_is_left_to_the_baseline(agent: Agent) -> None:
    teach(agent, BUSY, "light", 0.5, 2)
    row = agent.policy().rows[0]
    assert not row.learned
    assert row.rulings[0].because == "seen 2 of the 3 times it takes, so the baseline rule decides"


def test_the_most_frequent_situations_come_first_and_the_limit_holds(agent: Agent) -> None:
    teach(agent, BUSY, "light", 0.5, 3)
    teach(agent, QUIET, "light", 0.5, 5)
    policy = agent.policy(1)
    assert [row.visits for row in policy.rows] == [5]
    assert policy.states_seen == 2


def test_it_tells_what_replay_holds() -> None:
    settings = {**SETTINGS, "replay": {"updates": 1, "capacity": 50}}
    with Steersman.open("memory:", settings=settings) as steersman:
        agent = steersman.agent(small_agent())
        teach(agent, QUIET, "light", 0.5, 5)
        replayed = agent.policy().replayed
    assert replayed is not None
    assert (replayed.size, replayed.capacity, replayed.updates, replayed.sampling) == (5, 50, 1, "prioritised")


def test_reading_changes_nothing(agent: Agent) -> None:
    teach(agent, QUIET, "heavy", 0.8, 3)
    before = agent.values(QUIET)
    assert agent.policy() == agent.policy()
    assert agent.values(QUIET) == before


def test_no_state_is_looked_at_by_itself_but_for_those_shown(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the table of the policy nor by the doctor, for both hold the lock that deciding waits for."""
    table = agent._runtime.fold.table
    looked: list[int] = []
    for number in range(2_000):
        row = table.intern(f"state {number}", dict.fromkeys(("load", "backlog", "weekend"), 0))
        table.visits[row] = number % 7
    whole = table.state_visits

    def state_visits(row: int) -> int:
        looked.append(row)
        return whole(row)

    monkeypatch.setattr(table, "state_visits", state_visits)
    policy = agent.policy(3)
    assert (policy.states_seen, agent.diagnose().states_seen) == (2_000, 2_000)
    assert [row.visits for row in policy.rows] == [6 * table.width] * 3
    assert looked == [table.rows[f"state {number}"] for number in (6, 13, 20)]
