"""Same seed, same calls: the same decisions and the same learned table in memory, in SQLite and in PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from steersman.app import Steersman, open_log
from steersman.core.catalog import Catalog
from steersman.core.values import Decision, Learned, Outcome
from steersman.loops.agent import Agent
from steersman.testing.specs import small_agent

NAME = "lab/small"
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "bandit": {"learning": {"gamma": 0.0}},
    "episodes": {"learning": {"gamma": 0.9, "method": "expected_sarsa"}},
    "planning": {"learning": {"gamma": 0.9, "planning_steps": 5}, "exploration": {"policy": "thompson"}},
}


@contextmanager
def agent_on(url: str, settings: dict[str, dict[str, Any]]) -> Iterator[Agent]:
    """Give an agent on a store, in a world whose time and ids are counted. Nothing happens there but what the test does."""
    ticks, names = count(1_000), count()
    catalog = Catalog()
    catalog.add(small_agent(settings))
    log = open_log(url, queue_rows=1_000)
    with Steersman(
        log,
        catalog=catalog,
        seed=11,
        clock=lambda: float(next(ticks)),
        ids=lambda: f"{next(names):08d}-0000-7000-8000-000000000000",
    ) as steersman:
        yield steersman.agent(NAME)


def state(index: int) -> dict[str, float | bool]:
    return {"load": float(index * 37 % 100), "backlog": index * 13 % 500, "weekend": index % 7 > 4}


def settle(agent: Agent) -> None:
    """Have the agent learn all that is durable; where it learns at once, nothing is left to do."""
    agent._runtime.log.flush(10)
    while agent.follow():
        pass


def act(agent: Agent) -> None:
    """Decide and report: alone and in episodes, with corrections, withdrawals and refused outcomes in between."""
    made: list[Decision] = []
    for index in range(80):
        episode = None if index % 3 else f"episode {index // 12}"
        made.append(agent.decide(state(index), episode=episode))
        ends = episode is None or index % 12 == 9
        options: dict[str, Any] = {"terminated": True} if ends else {"next_state": state(index + 3)}
        agent.report(made[-1], {"reward": (made[-1].draw * 31 % 21) / 10 - 1}, **options)
        settle(agent)
        if index % 24 == 23:
            agent.report(made[index - 1], {"reward": 0.125}, terminated=True, correct=True)
            agent.withdraw(made[index - 3])
            settle(agent)


def found(url: str, settings: dict[str, dict[str, Any]]) -> tuple[list[dict[str, Any]], Learned]:
    """Act, and return the log's rows and the learned table as they are after opening the store again, where it is kept."""
    with agent_on(url, settings) as agent:
        act(agent)
        rows = list(agent._runtime.log.rows())
        learned = agent._runtime.log.learned(NAME)
        assert learned is not None
        assert all(agent.replay(each.id).identical for each in rows if isinstance(each, Decision))
    if url != "memory:":
        with agent_on(url, settings) as again:
            assert again._runtime.log.learned(NAME) == learned
            assert list(again._runtime.log.rows()) == rows
    return [plain(each) for each in rows], learned[0]


def plain(row: Decision | Outcome) -> dict[str, Any]:
    """Return a row without the one thing that no clock of ours gives: how long deciding took."""
    return {name: value for name, value in msgspec.to_builtins(row).items() if name != "latency_us"}


@pytest.fixture
def stores(store_url: str, tmp_path: Path) -> dict[str, str]:
    return {"sqlite": str(tmp_path / "log.db"), "postgresql": store_url}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_all_stores_decide_and_learn_alike_to_the_bit(stores: dict[str, str], settings: dict[str, dict[str, Any]]) -> None:
    rows, learned = found("memory:", settings)
    assert len({each["executed"]["action"] for each in rows if "executed" in each and "state" in each}) > 2
    assert len(learned.entries) > 10
    for name, url in stores.items():
        others, theirs = found(url, settings)
        for mine, other in zip(rows, others, strict=True):
            assert other == mine, name
        for part in ("entries", "states", "episodes", "carry"):
            assert getattr(theirs, part) == getattr(learned, part), (name, part)
