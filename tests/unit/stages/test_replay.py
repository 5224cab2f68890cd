"""Replay, planning and shaping inside the fold: what they move, what they leave alone, and that a refold repeats them."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.reward import Reward
from steersman.core.settings import Settings
from steersman.core.state import Category, Number, StateSchema, StateValues
from steersman.core.transition import Transition
from steersman.loops.agent import Agent
from steersman.loops.learn import refold
from steersman.maths.randomness import key_for, uniforms
from steersman.stages.learn.fold import Fold
from steersman.stages.learn.planning import SUCCESSORS, Model
from steersman.stages.learn.practice import Replay, one_step

CELLS = tuple(str(each) for each in range(12))
Values = Mapping[str, Mapping[str, Any]]
REPLAY: dict[str, dict[str, Any]] = {"replay": {"updates": 4}}
PLANNING: dict[str, dict[str, Any]] = {"learning": {"planning_steps": 6}}


def _spec(space: ActionSpace | None = None) -> AgentSpec:
    space = space or ActionSpace.flat("l", "r")
    return AgentSpec(
        name="lab/practice",
        description="For tests.",
        state=StateSchema(name="practice", fields=(Category(name="cell", options=CELLS),)),
        actions=space,
        reward=Reward.plain(-10.0, 10.0),
        baseline=lambda state: space.actions[0],
        safe_action=space.actions[0],
    )


def _settings(values: Values) -> Settings:
    base: dict[str, dict[str, Any]] = {
        "learning": {"alpha": 0.5, "gamma": 0.5},
        "exploration": {"epsilon": 0.0, "floor": 0.0},
    }
    return Settings().with_values(base, "test").with_values(values, "test")


def _fold(values: Values, spec: AgentSpec | None = None) -> Fold:
    return Fold(spec or _spec(), _settings(values), lambda count: float(uniforms(key_for(0, "coin"), count, 1)[0]))


def _step(
    cell: int,
    action: int,
    reward: float | None,
    following: int | None,
    *,
    name: str,
    at: float = 1.0,
    shaping: float = 0.0,
    truncated: bool = False,
) -> Transition:
    return Transition(
        decision_id=name,
        episode=name,
        step=0,
        key=str(cell),
        bins={"cell": cell},
        action=action,
        reward=reward,
        next_key=None if following is None else str(following),
        next_allowed=None,
        terminated=following is None,
        truncated=truncated or following is not None,
        epsilon=0.1,
        decided_at=at,
        at=at,
        shaping=shaping,
    )


def _walk(count: int, seed: int = 0) -> list[Transition]:
    rng = np.random.default_rng(seed)
    steps = []
    for index in range(count):
        cell, over = int(rng.integers(12)), rng.random() < 0.2
        following = None if over else int(rng.integers(12))
        steps.append(_step(cell, int(rng.integers(2)), float(rng.normal()), following, name=str(index), at=float(index)))
    return steps


def _value(fold: Fold, cell: int, action: int) -> float:
    return float(fold.table.value[fold.table.rows[str(cell)], action])


def test_a_replayed_update_moves_by_half_the_step_size_and_nothing_else() -> None:
    fold = _fold({"replay": {"updates": 1, "sampling": "uniform"}})
    fold.apply(_step(0, 1, 8.0, None, name="a"))  # 0.5·8 = 4, then once more by 0.25: 4 + 0.25·(8 − 4) = 5
    assert _value(fold, 0, 1) == 5.0
    entry = fold.table.entry(fold.table.rows["0"], 1)
    assert (entry.visits, entry.reward_mean, fold.carry.updates) == (1, 8.0, 1)


@pytest.mark.parametrize("values", [REPLAY, PLANNING])
@pytest.mark.parametrize("method", ["q_learning", "double_q", "expected_sarsa", "sarsa", "n_step_sarsa", "monte_carlo"])
def test_practice_counts_no_evidence(values: Values, method: str) -> None:
    """Only `value` differs: rewards and visits are those of a fold that does not practise."""
    rule = {"learning": {"method": method}}
    busy = Fold(_spec(), _settings(values).with_values(rule, "test"), lambda count: 0.3)
    plain = Fold(_spec(), _settings(rule), lambda count: 0.3)
    for fold in (plain, busy):
        fold.apply_all(_walk(300))
    assert plain.table.value.tolist() != busy.table.value.tolist()
    for name in ("visits", "reward_mean", "reward_m2", "updated_at"):
        assert getattr(plain.table, name).tolist() == getattr(busy.table, name).tolist()
    counts = ("transitions", "updates", "nonzero_rewards", "states_refused")
    assert [getattr(plain.carry, each) for each in counts] == [getattr(busy.carry, each) for each in counts]
    low, high = busy.bounds
    assert low <= busy.table.value.min() <= busy.table.value.max() <= high


@pytest.mark.parametrize("values", [REPLAY, PLANNING, {**REPLAY, **PLANNING}])
@pytest.mark.parametrize("method", ["q_learning", "double_q", "sarsa"])
def test_the_same_transitions_give_the_same_table_to_the_bit(values: Values, method: str) -> None:
    tables = []
    for _ in range(2):
        fold = Fold(_spec(), _settings({"learning": {"method": method}}).with_values(values, "test"), lambda count: 0.6)
        fold.apply_all(_walk(200))
        tables.append(fold.table.value.tobytes())
    assert tables[0] == tables[1]


def test_practice_that_is_off_changes_nothing_and_keeps_nothing() -> None:
    fold = _fold({})
    assert not fold.keeps_memory
    assert _fold(REPLAY).keeps_memory
    assert _fold(PLANNING).keeps_memory


def test_every_entry_that_practice_moved_is_handed_over_to_be_stored() -> None:
    for values in (REPLAY, PLANNING):
        fold, stored = _fold(values), dict[tuple[str, int], float]()
        for each in _walk(120):
            fold.apply(each)
            stored |= {key: entry.value for key, entry in fold.changes().entries.items()}
        whole = {key: entry.value for key, entry in fold.changes(replace=True).entries.items()}
        assert stored == whole


def test_a_decision_is_held_once_and_old_ones_leave() -> None:
    settings = _settings({"replay": {"updates": 2, "capacity": 5, "retention_s": 10.0}})
    fold = _fold({})
    memory = Replay(settings, fold.table, one_step(settings, fold._explorer), "lab/practice")
    learned: list[float] = []
    for count, (name, at) in enumerate([("a", 0.0), ("a", 1.0), ("b", 2.0), ("c", 3.0)], start=1):
        memory.after(_step(0, 0, 1.0, None, name=name, at=at), count, lambda update, share: learned.append(share))
    assert len(memory) == 3
    assert len(learned) == 8
    for count in range(10, 20):
        memory.after(_step(0, 0, 1.0, None, name=str(count), at=4.0), count, lambda update, share: 1.0)
    assert len(memory) == 5
    memory.after(_step(0, 0, 1.0, None, name="late", at=100.0), 30, lambda update, share: 1.0)
    assert len(memory) == 1


def test_outcomes_that_teach_nothing_are_not_replayed() -> None:
    fold = _fold(REPLAY)
    fold.apply(_step(0, 0, None, 1, name="a"))
    fold.apply(replace(_step(0, 0, 5.0, None, name="b"), terminated=False, truncated=True))  # nobody knows what followed
    assert fold.table.rows == {}


def test_a_state_that_was_pruned_is_neither_replayed_nor_planned_until_it_comes_back() -> None:
    settings = {**REPLAY, **PLANNING, "table": {"max_states": 2, "prune_visits": 5, "prune_age_s": 1.0}}
    fold = _fold(settings)
    for index, cell in enumerate([0, 1]):
        fold.apply(_step(cell, 0, 4.0, None, name=str(index), at=0.0))
    for index in range(2, 12):
        fold.apply(_step(2, 0, 4.0, None, name=str(index), at=100.0))
    assert set(fold.table.rows) == {"2"}


def _chain(state: int, action: int) -> tuple[int | None, float]:
    """Return what follows on a corridor of ten cells whose right end pays 1: a known answer is γ^(9 − cell)."""
    if action == 1 and state == 9:
        return None, 1.0
    return (state + 1 if action else max(state - 1, 0)), 0.0


def _until_known(values: Values, potential: Callable[[int], float] | None = None) -> int:
    """Return the real steps after which the way right is the best one in every cell of the corridor."""
    fold = _fold({**values, "learning": {"alpha": 0.5, "gamma": 0.9, **values.get("learning", {})}})
    rng = np.random.default_rng(3)
    taken, state = 0, 0
    while taken < 20_000:
        rows = [fold.table.rows.get(str(cell)) for cell in range(10)]
        if all(row is not None and fold.table.value[row, 1] > fold.table.value[row, 0] for row in rows):
            return taken
        action = int(rng.integers(2))
        following, reward = _chain(state, action)
        shaping = 0.0
        if potential is not None:
            shaping = (0.0 if following is None else 0.9 * potential(following)) - potential(state)
        fold.apply(_step(state, action, reward, following, name=str(taken), shaping=shaping))
        state = 0 if following is None else following
        taken += 1
    return taken


def test_planning_finds_the_way_in_fewer_real_steps() -> None:
    alone, planned = _until_known({}), _until_known({"learning": {"planning_steps": 20}})
    assert planned < alone / 2


def test_replay_finds_the_way_in_fewer_real_steps() -> None:
    alone = _until_known({})
    for sampling in ("uniform", "prioritised"):
        assert _until_known({"replay": {"updates": 20, "sampling": sampling}}) < 0.6 * alone


def test_planning_comes_to_the_known_values() -> None:
    fold = _fold({"learning": {"alpha": 1.0, "gamma": 0.9, "planning_steps": 50}})
    for index in range(200):
        cell, action = index % 10, index // 10 % 2
        following, reward = _chain(cell, action)
        fold.apply(_step(cell, action, reward, following, name=str(index)))
    assert [_value(fold, cell, 1) for cell in range(10)] == pytest.approx(
        [0.9 ** (9 - cell) for cell in range(10)], rel=1e-3
    )


def test_the_model_weighs_what_followed_by_how_often_it_did() -> None:
    fold = _fold({})
    fold.apply(_step(5, 0, 8.0, None, name="a"))  # Q(5, l) = 4
    model, rule = Model(), one_step(_settings({}), fold._explorer)
    for index, (following, reward) in enumerate([(5, 1.0), (5, 2.0), (5, 3.0), (None, 6.0)]):
        model.see(_step(0, 0, reward, following, name=str(index)))
    update = model.expected(0.5, rule, fold.table, 0.0)
    assert update.target == pytest.approx(3.0 + 0.75 * 0.5 * 4.0)  # mean reward 3, and three times in four to cell 5
    model.forget("0")
    assert len(model) == 0


def test_the_model_is_bounded_where_a_pair_leads_somewhere_new_each_time() -> None:
    model = Model()
    for index in range(1_000):
        model.see(_step(0, 0, 1.0, index, name=str(index)))
    assert len(model._pairs["0", 0].successors) == SUCCESSORS


def test_shaping_hurries_learning_and_keeps_the_best_policy() -> None:
    assert _until_known({}, potential=lambda cell: 0.9 ** (10 - cell)) < _until_known({}) / 2
    plain, shaped = _fold({"learning": {"alpha": 0.5, "gamma": 0.9}}), _fold({"learning": {"alpha": 0.5, "gamma": 0.9}})
    rng = np.random.default_rng(0)
    bad = rng.normal(size=11)  # a potential without sense slows learning down, but must not bend its end
    for index in range(6_000):
        cell, action = int(rng.integers(10)), int(rng.integers(2))
        following, reward = _chain(cell, action)
        shaping = (0.0 if following is None else 0.9 * bad[following]) - bad[cell]
        plain.apply(_step(cell, action, reward, following, name=str(index)))
        shaped.apply(_step(cell, action, reward, following, name=str(index), shaping=float(shaping)))
    for cell in range(10):
        assert _value(shaped, cell, 1) > _value(shaped, cell, 0)
        assert _value(shaped, cell, 1) == pytest.approx(_value(plain, cell, 1) - bad[cell], abs=1e-6)
    assert shaped.table.reward_mean.tolist() == plain.table.reward_mean.tolist()
    assert shaped.changes().episodes.keys() == plain.changes().episodes.keys()


def _walker(potential: Callable[[StateValues], float] | None = None, settings: Values | None = None) -> AgentSpec:
    return AgentSpec(
        name="lab/walker",
        description="Walks up stairs, for tests.",
        state=StateSchema(name="stairs", fields=(Number(name="step", low=0, high=4, edges=(1, 2, 3, 4)),)),
        actions=ActionSpace.flat("down", "up"),
        reward=Reward.plain(-1.0, 1.0),
        baseline=lambda state: "up",
        safe_action="down",
        settings={"learning": {"gamma": 0.5}, **(settings or {})},
        potential=potential,
    )


def _climb(agent: Agent, episodes: int) -> None:
    for _ in range(episodes):
        with agent.episode() as episode:
            for step in range(3):
                decision = episode.decide({"step": step})
                over = step == 2
                episode.report(
                    decision, {"reward": float(over)}, next_state=None if over else {"step": step + 1}, terminated=over
                ).wait()


def test_the_recorder_shapes_by_the_potential_and_rewards_stay_what_they_were() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(_walker(lambda state: float(state["step"]) * 100.0))
        with agent.episode() as episode:
            first = episode.decide({"step": 1})
            episode.report(first, {"reward": 1.0}, next_state={"step": 3})
            found = agent.values({"step": 1})["action"][first.choice]
            assert found.value == pytest.approx(0.1 * (1.0 + 0.5 * 300.0 - 100.0))
            assert found.reward_mean == 1.0
            last = episode.decide({"step": 3})
            episode.report(last, {"reward": 1.0}, terminated=True)
            found = agent.values({"step": 3})["action"][last.choice]
            assert found.value == pytest.approx(0.1 * (1.0 - 300.0))  # what follows the end is worth nothing
        assert agent._runtime.fold.carry.nonzero_rewards == 2


@pytest.mark.parametrize("bad", [lambda state: float("nan"), lambda state: float("inf"), lambda state: state["height"]])
def test_a_potential_that_is_no_number_is_refused_with_the_state(bad: Callable[[StateValues], float]) -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(_walker(bad))
        with agent.episode() as episode:
            decision = episode.decide({"step": 1})
            with pytest.raises(InvalidInput, match=r"'step': 1\.0"):
                episode.report(decision, {"reward": 1.0}, next_state={"step": 2})


def test_a_potential_is_refused_where_bounds_must_hold() -> None:
    spec = replace(_spec(ActionSpace({"a": (0, 1), "b": (0, 1)})), potential=lambda state: 0.0)
    with pytest.raises(InvalidInput, match="one dimension"):
        _fold({}, spec)


@pytest.mark.parametrize("values", [REPLAY, PLANNING])
def test_practice_goes_on_after_a_restart_as_if_there_had_been_none(values: Values, tmp_path: Path) -> None:
    spec = _walker(settings={**values, "learning": {"gamma": 0.5, **values.get("learning", {})}})
    tables = []
    for stops in (1, 3):
        store = tmp_path / f"{stops}.db"
        for _ in range(stops):
            with Steersman.open(store, settings={}) as steersman:
                agent = steersman.agent(replace(spec, settings={**spec.settings, "exploration": {"policy": "greedy"}}))
                _climb(agent, 30 // stops)
                live = agent._runtime.fold.table
                assert refold(agent._runtime).table.value.tobytes() == live.value.tobytes()
        tables.append({key: (live.visits[row].tolist(), live.value[row].tolist()) for key, row in live.rows.items()})
    assert tables[0] == tables[1]
