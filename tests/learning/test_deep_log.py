"""A network that is trained from the log alone decides as well as planning does, over many steps and several dimensions."""

from pathlib import Path

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.loops.agent import Agent
from steersman.policies import content
from steersman.policies.deep.artefact import FrozenNetwork
from steersman.policies.deep.network import QNetwork
from steersman.testing.planning import optimal_values, soft_policy, start_value
from steersman.testing.specs import agent_for
from steersman.testing.traffic import numbered
from steersman.testing.worlds import TabularWorld, additive_bandit_world, cliff_world

SMALL = {"hidden": "64", "stream": 0, "batch": 64, "tracker": "none"}
EXPLORING = {"exploration": {"schedule": "constant", "epsilon": 0.5}, "training": SMALL}


def act(agent: Agent, world: TabularWorld, steps: int) -> None:
    """Fill the log with episodes in the world."""
    rng, taken = np.random.default_rng(0), 0
    while taken < steps:
        state = world.reset(rng)
        with agent.episode() as episode:
            for step in range(1, world.time_limit + 1):
                decision = episode.decide({"cell": str(state)})
                state, reward, terminated = world.step(state, agent.spec.actions.index(decision.executed), rng)
                cut = not terminated and step == world.time_limit
                receipt = episode.report(
                    decision,
                    {"reward": reward},
                    next_state={"cell": str(state)},
                    terminated=terminated,
                    truncated=cut,
                )
                taken += 1
                if terminated:
                    break
    receipt.wait()


def greedy_value(agent: Agent, version: str, world: TabularWorld) -> float:
    """Return what a version's best actions are worth from the start, exactly."""
    production = agent._runtime.world.production
    assert production is not None
    frozen = content.unpack(production.registry.artefact(agent.spec.name, version), version)
    assert isinstance(frozen, FrozenNetwork)
    network = QNetwork(frozen, agent.spec.state, agent.spec.actions)
    places = [network.place("", {"cell": str(state)}) for state in range(world.states)]
    q = np.array([network.action_values(network.slot_values(place)) for place in places])
    return start_value(world, soft_policy(q, 0.0))


def learned_from(url: str, world: TabularWorld, steps: int) -> float:
    """Return how much of the best value a network reaches that was trained from a log of so many steps."""
    spec = agent_for(world, EXPLORING)
    with Steersman.open(url, agents=[spec], settings={}, ids=numbered()) as steersman:
        agent = steersman.agent(spec.name)
        act(agent, world, steps)
        version = agent.pipeline.run(actor="me").version
        return greedy_value(agent, version, world) / start_value(world, soft_policy(optimal_values(world), 0.0))


def test_what_comes_many_steps_later_is_learned_from_the_log(tmp_path: Path) -> None:
    assert learned_from(f"sqlite:///{tmp_path / 'store.db'}", cliff_world(), 3_000) > 0.95


@pytest.mark.long
def test_each_dimension_is_learned_from_a_log_in_postgresql(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # checkpoints of a store that is no file are kept in the working folder
    assert learned_from(store_url, additive_bandit_world(), 1_200) > 0.95
