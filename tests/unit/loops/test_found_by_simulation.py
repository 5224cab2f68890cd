"""What the simulation found, told plainly: a process that started again did not go on as the one before it would have."""

from collections.abc import Callable, Iterator

import pytest

from steersman.app import Steersman
from steersman.backends.memory import MemoryLog
from steersman.core.errors import Conflict
from steersman.loops.learn import refold
from steersman.testing.specs import small_agent

STATE = {"load": 10.0, "backlog": 5.0, "weekend": False}
SPEC = small_agent({"learning": {"gamma": 0.5}})

Restart = Callable[[], Steersman]


@pytest.fixture
def now() -> list[float]:
    return [1_000.0]


@pytest.fixture
def restart(now: list[float]) -> Iterator[Restart]:
    """Opens the agents anew on one log, which is not closed in between."""
    log = MemoryLog()
    yield lambda: Steersman(log, clock=lambda: now[0])
    log.close()


def test_an_end_that_was_reported_before_earlier_steps_holds_after_a_restart(restart: Restart) -> None:
    agent = restart().agent(SPEC)
    for _ in range(2):
        last = agent.decide(STATE, episode="e")
    agent.report(last, {"reward": 0.5}, terminated=True)
    for again in (agent, restart().agent(SPEC)):
        with pytest.raises(Conflict, match="is over"):
            again.decide(STATE, episode="e")


def test_steps_go_on_after_a_restart_though_the_clock_was_set_back(restart: Restart, now: list[float]) -> None:
    agent = restart().agent(SPEC)
    steps = [agent.decide(STATE, episode="e").step]
    now[0] -= 5.0
    steps.append(agent.decide(STATE, episode="e").step)
    steps.append(restart().agent(SPEC).decide(STATE, episode="e").step)
    assert steps == [0, 1, 2]


def test_an_episode_that_earned_nothing_counts_after_a_restart_as_it_does_without(
    restart: Restart, now: list[float]
) -> None:
    agent = restart().agent(SPEC)
    _, last = (agent.decide(STATE, episode="e") for _ in range(2))
    agent.report(last, {"reward": 0.0}, terminated=True)
    agent = restart().agent(SPEC)
    now[0] += 100_000
    assert agent.expire() == 1
    assert agent.diagnose().episodes_closed == 1
    assert agent._runtime.fold.carry == refold(agent._runtime).carry
