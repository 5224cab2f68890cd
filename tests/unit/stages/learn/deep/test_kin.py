"""What kin tell each other, worked out by hand: words, roles of several dimensions, masks, units, discounts, potentials."""

from dataclasses import replace

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.guards import Guard, Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.loops.experience import gather
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import kin
from steersman.stages.learn.deep.batch import Batch
from steersman.stages.learn.deep.kin import Network, SharedReplay
from steersman.stages.learn.deep.quality import Row


def no_large(state: StateValues) -> list[Refusal]:
    return [Refusal(where={"size": "large"}, reason="it is hot")] if float(state["heat"]) > 5 else []


SPEC = AgentSpec(
    name="lab/pump",
    description="Chooses a size, and a colour that nobody else has.",
    state=StateSchema(name="pump", fields=(Number(name="heat", low=0, high=10),)),
    actions=ActionSpace({"size": ("small", "large"), "colour": ("red", "blue")}),
    reward=Reward.plain(-4.0, 2.0),
    baseline=lambda state: {"size": "small", "colour": "red"},
    safe_action={"size": "small", "colour": "red"},
    guards=(Guard(name="heat", refuse=no_large, deadline_ms=2_000.0),),
    settings={"learning": {"gamma": 0.5}, "exploration": {"schedule": "constant", "epsilon": 1.0}},
    kinship=Kinship(
        category="pumps",
        project=lambda state: {"warmth": float(state["heat"]) / 10},
        roles={"size=small": "few", "size=large": "many"},
    ),
)


@pytest.fixture(scope="module")
def rows() -> tuple[Row, ...]:
    """Two steps of an episode: cold, then hot, where it ends."""
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(SPEC)
        first = agent.decide({"heat": 2}, episode="day")
        agent.report(first, {"reward": 1.0}, next_state={"heat": 8})
        last = agent.decide({"heat": 8}, episode="day")
        agent.report(last, {"reward": -4.0}, terminated=True)
        return gather(agent._runtime, agent._runtime.log.position).rows


def heard() -> Network:
    """By this network "few" is worth 0.1 + warmth, "many" 3 · warmth; there were 7 outcomes of "many", and none of "few"."""
    none = np.zeros((0, 1), np.float32)
    batch = Batch(none, none, none, none, none, none, none)
    actions = (frozenset({"few"}), frozenset({"many"}))
    return Network(
        replay=SharedReplay(
            names=("warmth",), roles=("few", "many"), actions=actions, source=np.zeros(0, np.str_), batch=batch
        ),
        net=Architecture(features=1, groups=(2,), hidden=(), stream=0),
        weights={"head.kernel": np.array([[1.0, 3.0]], np.float32), "head.bias": np.array([0.1, 0.0], np.float32)},
        counts=np.array([0, 7]),
        trust=np.inf,
    )


def test_an_agent_tells_what_it_has_seen_in_shared_words(rows: tuple[Row, ...]) -> None:
    told = kin.tell(SPEC, rows, 0.5, {"few": "little"})
    assert told.names == ("warmth",)
    assert told.actions == (*[frozenset({"little"})] * 2, *[frozenset({"many"})] * 2)  # colours play no part
    np.testing.assert_allclose(told.batch.states[:, 0], [0.2, 0.8])
    np.testing.assert_allclose(told.batch.next_states[0], [0.8])
    np.testing.assert_allclose(told.batch.rewards, [0.25, -1.0])  # of 4, the largest size
    np.testing.assert_allclose(told.batch.discounts, [0.5, 0.0])


def test_actions_that_play_one_part_are_one_in_the_replay_and_those_without_one_are_left_out(rows: tuple[Row, ...]) -> None:
    told = kin.tell(SPEC, rows, 0.5)
    forbidden = np.array([[False, True, False, False]] * 2)
    told = replace(told, batch=told.batch._replace(actions=np.array([1, 3]), next_allowed=forbidden))
    both = kin.replay_of([told, replace(told, source="lab/odd", actions=(*told.actions[:3], frozenset()))])
    assert (both.actions, both.roles) == ((frozenset({"few"}), frozenset({"many"})), ("few", "many"))
    np.testing.assert_array_equal(both.incidence, np.eye(2))
    assert both.source.tolist() == ["lab/pump", "lab/pump", "lab/odd"]
    assert both.batch.actions.tolist() == [0, 1, 0]
    assert both.batch.next_allowed.tolist() == [[True, False]] * 3


def test_what_kin_say_is_in_the_agents_own_units_with_its_own_potential() -> None:
    network = heard()
    states: list[StateValues] = [{"heat": 2}, {"heat": 8}]
    values, known = kin.prior_values(network, SPEC, states)
    few, many = [4 * (0.1 + 0.2), 4 * (0.1 + 0.8)], [4 * 3 * 0.2, 4 * 3 * 0.8]
    np.testing.assert_allclose(values, np.array([few, few, many, many]).T, rtol=1e-6)
    assert known.tolist() == [0, 0, 7, 7]
    shaped, _ = kin.prior_values(network, replace(SPEC, potential=lambda state: float(state["heat"])), states)
    np.testing.assert_allclose(values - shaped, [[2.0] * 4, [8.0] * 4], rtol=1e-5)


def test_only_what_was_allowed_and_kin_know_is_said(rows: tuple[Row, ...]) -> None:
    network = heard()
    said = kin.pseudo_experience(network, SPEC, rows, count=3.0, rng=np.random.default_rng(0))
    cold = said.states[:, 0] < 0.5  # where it is hot, a guard refuses what kin know of
    assert 0 < cold.sum() < len(cold)
    assert not said.weights[~cold].any()
    assert set(said.actions[cold].tolist()) <= {2, 3}
    np.testing.assert_allclose(said.rewards[cold], 2.4, rtol=1e-6)
    assert said.weights.sum() == pytest.approx(3.0)
    doubted = kin.pseudo_experience(replace(network, trust=0.5), SPEC, rows, count=3.0, rng=np.random.default_rng(0))
    assert doubted.weights.sum() == pytest.approx(0.5)


def test_an_agent_without_kinship_shares_nothing() -> None:
    with pytest.raises(InvalidInput, match="no kinship"):
        kin.shared_features(replace(SPEC, kinship=None), [{"heat": 1}])
