"""What the rule decided in place of the learned policy, as evidence on others: propensities true, and no side favoured."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.influence import withheld_by
from steersman.core.versions import BASELINE
from steersman.loops.agent import Agent
from steersman.loops.cut import blank, cut
from steersman.loops.evidence import ALONE, gather, holdout
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent
from steersman.testing.traffic import Clock, Traffic, numbered, pays, steady_agent

ME = "somebody"
STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(clock: Clock) -> Iterator[Any]:
    """Open an agent on a store in memory; nobody but the test looks at releases."""
    with ExitStack() as stack:

        def make(**settings: Any) -> tuple[Steersman, Agent]:
            one = Steersman.open("memory:", agents=[steady_agent(settings)], settings={}, clock=clock, ids=numbered())
            one._duties._closing.set()
            stack.callback(one.close)
            return one, one.agent("lab/small")

        yield make


def set_mode(store: Steersman, mode: str) -> None:
    store.control("mode", "lab", actor=ME, choices={"mode": mode})


@pytest.mark.parametrize("mode", ["off", "shadow", "advisory"])
def test_what_was_only_watched_is_the_rules_alone(opened: Any, clock: Clock, mode: str) -> None:
    store, agent = opened(evaluation={"min_outcomes": 50})
    version = blank(agent._runtime, actor=ME)
    traffic = Traffic(agent=agent, clock=clock, reward=pays)
    traffic.run(60)
    live = gather(agent._runtime, version, BASELINE).evidence
    set_mode(store, mode)
    made = traffic.run(90)
    assert {(each.action_probability, each.arm_probability, each.arm) for each in made} == {(1.0, 1.0, "baseline")}
    alone = [each for each in store.log.figures() if each.arm == "baseline" and not each.drawn]
    assert sum(each.decisions for each in alone) == 90, "arms that were not drawn are never compared"
    found = gather(agent._runtime, version, BASELINE).evidence
    assert found.left_out == {ALONE: 90}
    assert np.array_equal(found.propensity, live.propensity)
    assert holdout(agent._runtime, 0.9) > 0


def test_a_log_of_nothing_but_the_rule_supports_the_rule_and_no_other_policy(opened: Any, clock: Clock) -> None:
    _, agent = opened(evaluation={"min_outcomes": 50}, influence={"mode": "shadow"})
    made = Traffic(agent=agent, clock=clock, reward=pays).run(600)
    rewards = [agent._runtime.log.outcomes(each.id)[-1].reward or 0.0 for each in made]
    other = agent.release.evaluate(against=BASELINE, actor=ME)
    assert other.verdict == "cannot tell", "nothing is known of what was never tried"
    evidence = gather(agent._runtime, blank(agent._runtime, actor=ME), BASELINE).evidence
    allowed = evidence.allowed[np.arange(len(evidence)), evidence.action]
    assert allowed.all()
    weights = evidence.baseline[np.arange(len(evidence)), evidence.action] / evidence.propensity
    assert weights.tolist() == [1.0] * 600
    assert float((weights * evidence.reward).mean()) == pytest.approx(float(np.mean(rewards)))


def test_where_the_gate_refuses_now_and_then_weights_still_average_to_one(opened: Any, clock: Clock) -> None:
    """The probabilities with which the gated policy draws: a half of the time the rule for certain, else the usual ones."""
    _, agent = opened(influence={"stale_s": 10.0}, evaluation={"min_outcomes": 50})
    rng, weights, gated = np.random.default_rng(5), [], 0
    for _ in range(4_000):
        clock.now += 1.0
        observed_at = clock.now - (20.0 if rng.random() < 0.5 else 0.0)
        made = agent.decide(sample_state(agent.spec.state, rng), observed_at=observed_at)
        agent.report(made, {"reward": pays(made, rng)})
        gated += withheld_by(made.reason) == "stale"
        weights.append((made.executed == {"action": "light"}) / (made.action_probability or np.nan))
    assert 1_800 < gated < 2_200
    error = float(np.std(weights)) / len(weights) ** 0.5
    assert abs(float(np.mean(weights)) - 1.0) < 4.0 * error, "the rule's weight is 1 on average, whoever decided"


def test_within_a_trial_the_gate_does_not_ask_who_was_drawn(opened: Any, clock: Clock) -> None:
    """A challenger that knows nothing would be refused and its champion not; so both are, in the same situations."""
    _, agent = opened(influence={"confidence": 0.2})
    unsure = blank(agent._runtime, actor=ME)
    for _ in range(300):
        agent.report(agent.decide(STATE), {"reward": 1.0}, executed="steady")
    sure = cut(agent._runtime, actor=ME).id
    agent.release.rollback(sure, actor=ME)
    assert {withheld_by(agent.decide(STATE, subject=f"s{n}").reason) for n in range(50)} == {None}
    agent.release.start(unsure, actor=ME, plan="50% 1h", despite="to see")
    made = [agent.decide(STATE, subject=f"s{n}") for n in range(50)]
    assert {each.stage for each in made} == {"canary"}
    assert {withheld_by(each.reason) for each in made} == {"confidence"}
    assert {each.arm for each in made} == {"baseline", "champion", "challenger"}, "exploring goes on around the rule"
    by_action = {(str(each.action), each.action_probability) for each in made}
    assert len(by_action) == len({str(each.action) for each in made}), "with the same probabilities on both sides"
    assert all(agent.replay(each.id).identical for each in made[:5])


def test_an_experiment_with_the_rule_asks_for_the_confidence_of_the_other_alone(opened: Any, clock: Clock) -> None:
    _, agent = opened(influence={"confidence": 0.2}, serving={"baseline_share": 0.0})
    for _ in range(300):
        agent.report(agent.decide(STATE), {"reward": 1.0}, executed="steady")
    agent.release.rollback(cut(agent._runtime, actor=ME).id, actor=ME)
    agent.release.experiment("champion", BASELINE, actor=ME, share=0.5, lasts_s=3_600.0)
    made = [agent.decide(STATE, subject=f"s{n}") for n in range(60)]
    assert {withheld_by(each.reason) for each in made} == {None}
    assert {each.arm for each in made} == {"champion", "challenger"}


def test_a_cooldown_counts_what_another_process_decided(store_url: str) -> None:
    own = {"learning": {"gamma": 0.0}, "influence": {"cooldown_s": 3_600.0}}
    with Steersman.open(store_url, settings={}) as one, Steersman.open(store_url, settings={}) as other:
        first, second = one.agent(small_agent(settings=own)), other.agent(small_agent(settings=own))
        assert withheld_by(second.decide(STATE, subject="ETH", arm="champion").reason) is None
        assert withheld_by(first.decide(STATE, subject="BTC", arm="champion").reason) is None
        one.log.flush()
        second._runtime.cooldown._looked_at = float("-inf")  # a quarter of a second later
        assert withheld_by(second.decide(STATE, subject="BTC", arm="champion").reason) == "cooldown"
