"""A network is a version like any other: judged on the log, tried in steps, served, replayed, rolled back, drilled."""

from collections.abc import Iterator

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.errors import NotPermitted
from steersman.core.values import Decision
from steersman.loops import promote
from steersman.loops.agent import Agent
from steersman.loops.cut import keep
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.artefact import FrozenNetwork, of_agent
from steersman.testing.traffic import PAYS, Clock, Traffic, numbered, pays, steady_agent

ME = "somebody"
COUNT = 1_200


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(clock: Clock) -> Iterator[Agent]:
    """An agent of which the log knows what each action pays; the rule decides, exploring."""
    spec = steady_agent({"serving": {"cold_visits": 10}})
    with Steersman.open("memory:", agents=[spec], settings={}, clock=clock, ids=numbered()) as steersman:
        steersman._duties._closing.set()
        yield steersman.agent("lab/small")


def kept(agent: Agent, preferred: str, *, kind: str = "value", seen: float = 1.0) -> str:
    """Keep a network that holds one action for the best in each state, and return the version's name."""
    spec = agent.spec
    fields = of_agent(spec, agent.settings)
    count = len(fields["features"])
    net = Architecture(features=count, groups=(len(spec.actions),), hidden=(8,), stream=0)
    weights = net.initial(np.random.default_rng(0), head_scale=0.01)
    likes = [choice == preferred for _, choice in spec.actions.slot_names]
    weights["head.bias"] = np.where(likes, 0.5, -0.5).astype(np.float32) * (1.0 if kind == "value" else 4.0)
    frozen = FrozenNetwork(
        **fields,
        epsilon=0.1,
        bounds=(-30.0, 30.0),
        net=net,
        weights=weights,
        visits=np.full(net.width, 500),
        td_variance=np.full(net.width, 0.1),
        seen_low=np.zeros(count, np.float32),
        seen_high=np.full(count, seen, np.float32),
        kind="policy" if kind == "policy" else "value",
    )
    box = agent._runtime
    assert box.world.production is not None
    return keep(box, box.world.production, frozen, position=0, outcomes=500, actor=ME, reason="trained").id


def best() -> str:
    return str(max(PAYS, key=PAYS.__getitem__))


def worst() -> str:
    return str(min(PAYS, key=PAYS.__getitem__))


def chosen(made: list[Decision], action: str) -> float:
    return sum(each.proposed == {"action": action} for each in made) / len(made)


def test_a_good_network_is_judged_better_and_goes_the_whole_way(agent: Agent, clock: Clock) -> None:
    traffic = Traffic(agent=agent, clock=clock, reward=pays)
    traffic.run(COUNT)
    good = kept(agent, best())
    promote.begin(agent._runtime, "baseline", actor=ME, reason="the rule, exploring")
    judged = agent.release.evaluate(good, against="baseline", actor=ME)
    assert (judged.verdict, judged.body["gate"]["passed"]) == ("better", True)
    agent.release.start(good, actor=ME)
    traffic.run(9_000, until=lambda move: move.move == "promoted")
    assert agent.release.now.champion == good
    made = Traffic(agent=agent, clock=clock, reward=pays, seed=5).run(200)
    assert {each.version for each in made} == {good}
    assert chosen(made, best()) > 0.7  # the rest is exploring, and the rule's own share
    assert all(agent.replay(each.id).identical for each in made[:20])
    agent.release.rollback(actor=ME)
    assert agent.release.now.champion != good


def test_a_bad_network_does_not_pass_the_gate(agent: Agent, clock: Clock) -> None:
    Traffic(agent=agent, clock=clock, reward=pays).run(COUNT)
    bad = kept(agent, worst())
    assert agent.release.evaluate(bad, against="baseline", actor=ME).verdict == "worse"
    with pytest.raises(NotPermitted, match="may not be released"):
        agent.release.start(bad, actor=ME)


def test_a_bad_network_that_was_let_through_is_rolled_back(agent: Agent, clock: Clock) -> None:
    traffic = Traffic(agent=agent, clock=clock, reward=pays)
    traffic.run(COUNT)
    good, bad = kept(agent, best()), kept(agent, worst())
    promote.roll_back(agent._runtime, actor=ME, reason="known to be good", to=good)
    promote.start(agent._runtime, bad, actor=ME, reason="planted")
    traffic.run(8_000, until=lambda move: move.move == "rolled back")
    assert (traffic.moves[-1].move, traffic.moves[-1].champion) == ("rolled back", good)


def test_where_nothing_was_seen_the_rule_decides(agent: Agent, clock: Clock) -> None:
    blind = kept(agent, best(), seen=0.0)
    promote.roll_back(agent._runtime, actor=ME, reason="served", to=blind)
    made = Traffic(agent=agent, clock=clock, reward=pays).run(100)
    assert {each.version for each in made} == {blind}
    assert any("cold state (0 visits): baseline" in each.reason for each in made)
    assert all(each.confidence == 0.0 for each in made)


def test_a_policy_network_draws_by_its_logits(agent: Agent, clock: Clock) -> None:
    drawn = kept(agent, best(), kind="policy")
    promote.roll_back(agent._runtime, actor=ME, reason="served", to=drawn)
    made = Traffic(agent=agent, clock=clock, reward=pays).run(300)
    others = len(agent.spec.actions) - 1
    wanted = np.exp(2.0) / (np.exp(2.0) + others * np.exp(-2.0))  # softmax of ±2; the network itself adds next to nothing
    learned = [each for each in made if each.arm == "champion" and each.reason == "learned values"]
    share = np.mean([each.propensity for each in learned if each.proposed == {"action": best()}])
    assert len(learned) > 200
    assert share == pytest.approx(wanted, abs=0.05)
    assert all(agent.replay(each.id).identical for each in made[:20])


def test_the_drill_fires_with_a_network_in_production(agent: Agent, clock: Clock) -> None:
    Traffic(agent=agent, clock=clock, reward=pays).run(COUNT)
    promote.roll_back(agent._runtime, actor=ME, reason="known to be good", to=kept(agent, best()))
    assert agent.release.drill(actor=ME, share=0.2).passed
