"""Windows: what they hold, when they close, and that live, refolded and restarted agents see the same ones."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.reward import Reward
from steersman.core.settings import Settings
from steersman.core.state import Category, StateSchema
from steersman.core.transition import Transition
from steersman.core.values import Window
from steersman.loops.learn import refold
from steersman.stages.learn.fold import Fold
from steersman.stages.learn.windows import td_bias
from steersman.testing.specs import small_agent

CELLS = ("x", "y", "z")
FLAT = ActionSpace.flat("l", "r")
FACTORED = ActionSpace({"a": (0, 1), "b": (0, 1, 2)})


def _spec(space: ActionSpace = FLAT, **more: Any) -> AgentSpec:
    return AgentSpec(
        name="lab/hand",
        description="For tests.",
        state=StateSchema(name="hand", fields=(Category(name="cell", options=CELLS),)),
        actions=space,
        reward=Reward.plain(-1.0, 1.0),
        baseline=lambda state: space.actions[0],
        safe_action=space.actions[0],
        **more,
    )


def _fold(spec: AgentSpec | None = None, **sections: Any) -> Fold:
    values = {"learning": {"alpha": 0.5, "gamma": 0.0}, "convergence": {"window_outcomes": 4, "window_least": 2}}
    settings = Settings().with_values(values, "test").with_values(sections, "test")
    return Fold(spec or _spec(), settings, lambda count: 0.0)


def _step(
    reward: float | None, *, cell: str = "x", action: int = 0, at: float = 1.0, epsilon: float = 0.0, by_rule: bool = False
) -> Transition:
    return Transition(
        decision_id="",
        episode=f"{at}",
        step=0,
        key=cell,
        bins={"cell": 0},
        action=action,
        reward=reward,
        next_key=None,
        next_allowed=None,
        terminated=True,
        truncated=False,
        epsilon=epsilon,
        decided_at=at,
        at=at + 0.5,
        by_rule=by_rule,
    )


def _windows(fold: Fold, steps: Iterable[Transition]) -> list[Window]:
    fold.apply_all(steps)
    return fold.changes().windows


def test_a_window_holds_what_happened() -> None:
    steps = [
        _step(1.0, at=10.0, epsilon=0.5),  # δ 1 → Q(x, l) 0.5
        _step(0.0, at=11.0, epsilon=0.25),  # δ −0.5 → 0.25
        _step(None, at=12.0, epsilon=0.25),  # says nothing
        _step(1.0, at=13.0, action=1),  # δ 1 → Q(x, r) 0.5: now the best
        _step(-1.0, at=14.0, cell="y"),  # δ −1 → Q(y, l) −0.5: now r is the best
        _step(1.0, at=15.0),
    ]
    (found,) = _windows(_fold(), steps)
    assert (found.agent, found.number, found.started_at, found.ended_at) == ("lab/hand", 0, 10.0, 14.0)
    assert (found.outcomes, found.updates, found.successes, found.varied) == (4, 4, 3, 2)
    assert (found.reward_mean, found.reward_m2) == (0.25, 2.75)
    assert found.noise == 0.5, "x, l was paid 1 and 0: mean 0.5, sum of squares 0.5, and one value beyond the first"
    assert (found.policy_changes, found.states_seen, found.explored) == (2, 2, 0.75)
    assert found.epsilon == pytest.approx(0.2 * 0.995**4)


def test_the_next_window_begins_where_the_last_one_ended() -> None:
    found = _windows(_fold(), [_step(float(index % 2), at=float(index)) for index in range(13)])
    assert [each.number for each in found] == [0, 1, 2]
    assert [(each.started_at, each.ended_at, each.outcomes) for each in found] == [
        (0.0, 3.0, 4),
        (4.0, 7.0, 4),
        (8.0, 11.0, 4),
    ]


def test_a_window_closes_with_its_last_outcome() -> None:
    fold = _fold()
    assert [len(_windows(fold, [_step(0.5, at=float(index))])) for index in range(8)] == [0, 0, 0, 1, 0, 0, 0, 1]


def test_time_closes_a_window_that_holds_enough_and_no_other() -> None:
    fold = _fold(convergence={"window_outcomes": 100, "window_least": 2, "window_s": 10.0})
    found = _windows(fold, [_step(0.5, at=at) for at in (0.0, 20.0, 21.0, 22.0, 31.0, 32.0)])
    assert [(each.started_at, each.ended_at, each.outcomes) for each in found] == [(0.0, 20.0, 2), (21.0, 22.0, 2)]


def test_a_late_outcome_of_an_old_decision_closes_nothing() -> None:
    fold = _fold(convergence={"window_outcomes": 100, "window_least": 2, "window_s": 10.0})
    assert _windows(fold, [_step(0.5, at=at) for at in (100.0, 101.0, 1.0, 109.0)]) == []


def test_success_is_the_middle_of_the_range_unless_it_is_declared() -> None:
    steps = [_step(reward, at=float(index)) for index, reward in enumerate((0.0, 0.4, 0.5, 1.0, 0.0))]
    assert _windows(_fold(), steps)[0].successes == 4
    assert _windows(_fold(_spec(success_reward=0.5)), steps)[0].successes == 2
    with pytest.raises(InvalidInput, match=r"success_reward 1.5 lies outside \[-1.0, 1.0\]"):
        _spec(success_reward=1.5)


def test_what_the_baseline_chose_is_no_exploring() -> None:
    steps = [_step(0.5, at=float(index), epsilon=0.5, by_rule=index > 0) for index in range(5)]
    assert _windows(_fold(), steps)[0].explored == 0.5


def test_a_rule_without_epsilon_explores_where_it_leaves_the_best_action() -> None:
    for space, taken in ((FLAT, (0, 1, 1, 0)), (FACTORED, (0, 3, 3, 0))):  # 3 differs from 0 in one dimension
        steps = [_step(0.5, at=float(index), action=action, epsilon=0.9) for index, action in enumerate((*taken, 0))]
        thompson = _fold(_spec(space), exploration={"policy": "thompson"})
        assert _windows(thompson, steps)[0].explored == 2.0  # the third leaves nothing: both are equal then
        assert _windows(_fold(_spec(space), exploration={"policy": "greedy"}), steps)[0].explored == 0.0


def test_a_change_in_one_dimension_is_a_policy_change() -> None:
    steps = [
        _step(reward, at=float(index), action=action) for index, (action, reward) in enumerate([(0, 0.5), (1, 1.0)] * 3)
    ]
    (found,) = _windows(_fold(_spec(FACTORED), learning={"alpha": 0.5}), steps)
    assert (found.updates, found.policy_changes) == (4, 1), "b = 1 overtakes b = 0 once, and a stays as it is"


def test_bias_is_told_from_noise_by_pairs() -> None:
    size, noise, pairs = td_bias([3.0, 0.0], [3, 0], 3.0)  # δ = 1, 1, 1
    assert (size, pairs) == (1.0, 6)
    assert noise == pytest.approx(math.sqrt(math.sqrt(2 / 6)))
    size, _, pairs = td_bias([0.0], [2], 2.0)  # δ = 1, −1
    assert (size, pairs) == (-1.0, 2)
    assert td_bias([1.0, 1.0], [1, 1], 2.0) == (0.0, 0.0, 0), "no pairs, no evidence"


@pytest.mark.parametrize(("bias", "noise"), [(0.0, 0.5), (0.1, 0.5), (0.1, 0.05)])
def test_the_estimate_of_bias_is_right_on_average(bias: float, noise: float) -> None:
    rng = np.random.default_rng(0)
    squares = []
    for _ in range(2_000):
        errors = rng.normal(bias, noise, (8, 5))
        size, _, _ = td_bias(errors.sum(axis=1).tolist(), [5] * 8, float((errors**2).sum()))
        squares.append(size * abs(size))
    assert np.mean(squares) == pytest.approx(bias**2, abs=4 * float(np.std(squares)) / math.sqrt(2_000))


def test_states_are_counted_to_within_some_per_cent() -> None:
    for states in (10, 100, 400):
        fold = _fold(convergence={"window_outcomes": states})
        found = _windows(fold, [_step(0.5, cell=f"cell {index}", at=float(index)) for index in range(states + 1)])
        assert found[0].states_seen == pytest.approx(states, rel=0.1)


@pytest.mark.parametrize("method", ["q_learning", "double_q", "monte_carlo"])
@pytest.mark.parametrize("space", [FLAT, FACTORED])
def test_a_restart_within_a_window_changes_no_bit(method: str, space: ActionSpace) -> None:
    rng = np.random.default_rng(3)
    steps = [
        _step(
            float(rng.uniform(-1, 1)),
            cell=str(rng.choice(CELLS)),
            action=int(rng.integers(len(space))),
            at=float(index),
            epsilon=0.1,
        )
        for index in range(50)
    ]
    sections = {"learning": {"method": method, "alpha": 0.3}, "convergence": {"window_outcomes": 7}}
    expected = _windows(_fold(_spec(space), **sections), steps)
    first = _fold(_spec(space), **sections)
    begun = _windows(first, steps[:24])
    second = _fold(_spec(space), **sections)
    second.restore(first.changes(replace=True), [])
    assert [*begun, *_windows(second, steps[24:])] == expected
    assert len(expected) == 7


def test_the_open_window_stays_small_whatever_the_table_is() -> None:
    rng = np.random.default_rng(4)
    fold = _fold(convergence={"window_outcomes": 100_000})
    fold.apply_all(_step(float(rng.uniform(-1, 1)), cell=f"c{index}", at=float(index)) for index in range(1_500))
    assert len(msgspec.json.encode(fold.carry)) < 2_000


STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}


def test_the_log_keeps_the_windows_of_a_live_agent_as_a_refold_finds_them(tmp_path: Path) -> None:
    spec = small_agent({"learning": {"gamma": 0.0}, "convergence": {"window_outcomes": 10}})
    for url in ("memory:", tmp_path / "log.db"):
        with Steersman.open(url, settings={}) as steersman:
            agent = steersman.agent(spec)
            for index in range(45):
                agent.report(agent.decide({**STATE, "load": float(index % 7 * 10)}), {"reward": index % 3 / 3})
            kept = steersman.log.windows(spec.name)
            assert [each.number for each in kept] == [3, 2, 1, 0]
            assert kept[::-1] == refold(agent._runtime).changes(replace=True).windows


def test_a_correction_makes_the_windows_again(tmp_path: Path) -> None:
    spec = small_agent({"learning": {"gamma": 0.0}, "convergence": {"window_outcomes": 10}})
    for url in ("memory:", tmp_path / "log.db"):
        with Steersman.open(url, settings={}) as steersman:
            agent = steersman.agent(spec)
            made = [agent.decide(STATE) for _ in range(25)]
            for each in made:
                agent.report(each, {"reward": 0.5})
            agent.report(made[3], {"reward": -0.5}, correct=True).wait()
            later, earlier = steersman.log.windows(spec.name)
            assert (earlier.successes, later.successes) == (9, 10)
            assert agent.diagnose().convergence.windows == 2


def test_a_restarted_agent_goes_on_with_its_window(tmp_path: Path) -> None:
    spec = small_agent({"learning": {"gamma": 0.0}, "convergence": {"window_outcomes": 10}})
    for _ in range(2):
        with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
            agent = steersman.agent(spec)
            for index in range(6):
                agent.report(agent.decide(STATE), {"reward": index / 20})
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
        (found,) = steersman.log.windows(spec.name)
        assert [found] == refold(steersman.agent(spec)._runtime).changes(replace=True).windows


def test_other_settings_close_the_windows_to_come_and_keep_what_was_learned(tmp_path: Path) -> None:
    spec = small_agent({"learning": {"gamma": 0.0}, "convergence": {"window_outcomes": 10}})
    with Steersman.open(tmp_path / "log.db", settings={}) as steersman:
        agent = steersman.agent(spec)
        for _ in range(21):
            agent.report(agent.decide(STATE), {"reward": 0.5})
    changed = {"convergence": {"window_outcomes": 5}}
    with Steersman.open(tmp_path / "log.db", settings=changed) as steersman:
        agent = steersman.agent(spec)
        assert agent.diagnose().updates == 21
        for _ in range(4):
            agent.report(agent.decide(STATE), {"reward": 0.5}).wait()
        assert [each.outcomes for each in steersman.log.windows(spec.name)] == [5, 10, 10]
