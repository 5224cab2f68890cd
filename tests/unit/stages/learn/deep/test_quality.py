"""What a network may not learn from is left out, and counted by its reason; a time limit is no end of the world."""

from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from steersman.app import Steersman
from steersman.core.values import Decision, Outcome
from steersman.loops.learn import transition
from steersman.stages.learn.deep.quality import Filter, Row, contradicted, experience, spread
from steersman.testing.specs import small_agent

STATE = {"load": 50.0, "backlog": 5.0, "weekend": False}
NEXT = {"load": 90.0, "backlog": 5.0, "weekend": True}


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Decision, Outcome]:
    """An agent's runtime with one decision and its outcome, of an episode that goes on."""
    spec = small_agent({"learning": {"gamma": 0.9}})
    with Steersman.open("memory:", agents=[spec], settings={}) as steersman:
        agent = steersman.agent("lab/small")
        decision = agent.decide(STATE, episode="e")
        agent.report(decision, {"reward": 0.5}, next_state=NEXT)
        return agent._runtime, decision, steersman.outcomes(decision.id)[0]


@pytest.mark.parametrize(
    ("of_decision", "of_outcome", "why"),
    [
        ({}, {}, ""),
        ({"schema": "other@1"}, {}, "made under another definition"),
        ({"state": {"load": 1.0}}, {}, "made under another definition"),
        ({"executed": {"action": "sleep"}}, {}, "made under another definition"),
        ({}, {"reward": None}, "without a reward"),
        ({}, {"kind": "withdrawn"}, "without a reward"),
        ({}, {"reward": 1.5}, "with a reward outside of its range"),
        ({}, {"reward": float("nan")}, "with a reward outside of its range"),
        ({"version": "bad"}, {}, "of a version in quarantine"),
        ({}, {"next_state": None}, "without the next state"),
        ({}, {"next_state": None, "terminated": True}, ""),
        ({"state": {**STATE, "load": float("inf")}}, {}, "with a state that is no number"),
    ],
)
def test_each_fault_has_its_reason(
    pair: tuple[Any, Decision, Outcome], of_decision: dict[str, Any], of_outcome: dict[str, Any], why: str
) -> None:
    agent, decision, outcome = pair
    quality = Filter(agent.spec, 0.9, {"bad"})
    assert quality.keeps(replace(decision, **of_decision), replace(outcome, **of_outcome)) is (why == "")
    assert dict(quality.left_out) == ({why: 1} if why else {})


def test_what_comes_twice_counts_once_and_a_bandit_asks_for_no_next_state(pair: tuple[Any, Decision, Outcome]) -> None:
    agent, decision, outcome = pair
    quality = Filter(agent.spec, 0.0, ())
    assert quality.keeps(decision, replace(outcome, next_state=None))
    assert not quality.keeps(decision, outcome)
    assert dict(quality.left_out) == {"a second time": 1}


def test_a_cut_step_is_bootstrapped_from_and_an_end_is_not(pair: tuple[Any, Decision, Outcome]) -> None:
    agent, decision, outcome = pair
    kinds = (outcome, replace(outcome, truncated=True), replace(outcome, terminated=True))
    rows = [Row(position=1, decision=decision, outcome=each, made=transition(agent, decision, each)) for each in kinds]
    found = experience(rows, agent.spec, 0.9)
    assert np.allclose(found.discounts, [0.9, 0.9, 0.0])
    assert np.allclose(found.states[0], [0.5, 0.005, 0.0])
    assert np.allclose(found.next_states[0], [0.9, 0.005, 1.0])
    assert found.next_allowed.tolist()[0] == [True, True, True, False]  # "heavy" is refused at a load of 80
    assert found.rewards.tolist() == [0.5, 0.5, 0.5]


def test_the_spread_of_errors_is_that_of_each_slot() -> None:
    found = spread(np.array([1.0, -1.0, 3.0]), np.array([[0], [0], [1]]), 3)
    assert np.allclose(found, [1.0, 11 / 3, 11 / 3])


def steps(agent: Any, decision: Decision, outcome: Outcome, *, ends: dict[str, Any] | None = None) -> list[Row]:
    """Rows of an episode of four steps with rewards 0.1, 0.2, 0.4, 0.8, of which the last one ends in a way."""
    found = []
    for step, reward in enumerate((0.1, 0.2, 0.4, 0.8)):
        made = replace(decision, id=f"d{step}", step=step)
        said = replace(outcome, decision_id=f"d{step}", reward=reward, **(ends or {} if step == 3 else {}))
        found.append(Row(position=step, decision=made, outcome=said, made=transition(agent, made, said)))
    return found


def test_rewards_of_an_episode_are_summed_over_n_steps_and_no_further_than_they_are_known(
    pair: tuple[Any, Decision, Outcome],
) -> None:
    agent, _, _ = pair
    rows = steps(*pair, ends={"terminated": True, "next_state": None})
    found = experience(rows, agent.spec, 0.5, n_step=3)
    assert np.allclose(found.rewards, [0.1 + 0.1 + 0.1, 0.2 + 0.2 + 0.2, 0.4 + 0.4, 0.8])
    assert np.allclose(found.discounts, [0.125, 0.0, 0.0, 0.0])
    gap = experience([rows[0], rows[1], rows[3]], agent.spec, 0.5, n_step=3)
    assert np.allclose(gap.rewards, [0.2, 0.2, 0.8])  # the third step is held out: what follows it is another sum
    assert np.allclose(gap.discounts, [0.25, 0.5, 0.0])


def test_a_sum_stops_where_an_episode_was_cut_and_bootstraps_there(pair: tuple[Any, Decision, Outcome]) -> None:
    agent, _, _ = pair
    found = experience(steps(*pair, ends={"truncated": True}), agent.spec, 0.5, n_step=4)
    assert np.allclose(found.discounts, [0.0625, 0.125, 0.25, 0.5])
    assert found.rewards[0] == pytest.approx(0.1 + 0.1 + 0.1 + 0.1)


def test_decisions_without_an_episode_are_never_summed(pair: tuple[Any, Decision, Outcome]) -> None:
    agent, decision, outcome = pair
    alone = [
        Row(position=place, decision=each, outcome=outcome, made=transition(agent, each, outcome))
        for place, each in enumerate(replace(decision, id=f"d{step}", step=step, episode="") for step in range(2))
    ]
    assert experience(alone, agent.spec, 0.5, n_step=3).rewards.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("shift", "noise", "count", "wrong"),
    [(0.0, 0.5, 400, False), (0.04, 0.1, 400, False), (0.3, 0.5, 400, True), (-0.3, 0.5, 400, True), (0.3, 0.5, 20, False)],
)
def test_learning_is_contradicted_by_a_mean_error_that_is_large_and_sure(
    shift: float, noise: float, count: int, wrong: bool
) -> None:
    """Noise alone contradicts nothing, whatever its size; nor does an error within the margin, nor a few outcomes."""
    errors = np.random.default_rng(0).normal(0.0, noise, 2 * count)
    errors[:count] += shift
    slots = np.repeat([[0], [1]], count, axis=0)
    assert contradicted(errors, slots, 3, 0.05) is wrong
