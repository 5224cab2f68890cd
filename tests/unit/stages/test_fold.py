"""Learning rules on transitions written out by hand, and the fold as a whole."""

import numpy as np
import pytest

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.reward import Reward
from steersman.core.settings import Settings
from steersman.core.state import Category, StateSchema
from steersman.core.transition import Transition
from steersman.stages.learn import kernel
from steersman.stages.learn.fold import Fold

CELLS = ("x", "y", "z")


def _spec(space: ActionSpace | None = None) -> AgentSpec:
    space = space or ActionSpace.flat("l", "r")
    return AgentSpec(
        name="lab/hand",
        description="For tests.",
        state=StateSchema(name="hand", fields=(Category(name="cell", options=CELLS),)),
        actions=space,
        reward=Reward.plain(-10.0, 10.0),
        baseline=lambda state: space.actions[0],
        safe_action=space.actions[0],
    )


def _fold(spec: AgentSpec | None = None, coin: float = 0.0, **learning: object) -> Fold:
    values = {"learning": {"alpha": 0.5, "gamma": 0.5, **learning}, "exploration": {"epsilon": 0.0, "floor": 0.0}}
    return Fold(spec or _spec(), Settings().with_values(values, "test"), lambda count: coin)


def _step(
    cell: str,
    action: int,
    reward: float | None,
    following: str | None,
    *,
    step: int = 0,
    episode: str = "e",
    terminated: bool = False,
    truncated: bool = False,
    at: float = 1.0,
    next_allowed: list[bool] | None = None,
) -> Transition:
    return Transition(
        decision_id=f"{episode}-{step}",
        episode=episode,
        step=step,
        key=cell,
        bins={"cell": CELLS.index(cell) if cell in CELLS else 0},
        action=action,
        reward=reward,
        next_key=following,
        next_allowed=None if next_allowed is None else np.array(next_allowed),
        terminated=terminated,
        truncated=truncated,
        epsilon=0.0,
        decided_at=at,
        at=at,
    )


def _value(fold: Fold, cell: str, action: int) -> float:
    return float(fold.table.value[fold.table.rows[cell], action])


def test_q_learning_bootstraps_from_the_best_next_action() -> None:
    fold = _fold()
    fold.apply(_step("y", 1, 4.0, None, terminated=True, episode="a"))  # Q(y, r) = 0.5·4 = 2
    fold.apply(_step("x", 0, 1.0, "y", episode="b"))  # target 1 + 0.5·2 = 2 → 1
    assert _value(fold, "y", 1) == 2.0
    assert _value(fold, "x", 0) == 1.0


def test_q_learning_does_not_bootstrap_where_the_episode_terminated_but_does_where_it_was_cut() -> None:
    fold = _fold()
    fold.apply(_step("y", 1, 4.0, None, terminated=True, episode="a"))
    fold.apply(_step("x", 0, 1.0, None, terminated=True, episode="b"))
    assert _value(fold, "x", 0) == 0.5
    fold.apply(_step("x", 1, 1.0, "y", truncated=True, episode="c"))
    assert _value(fold, "x", 1) == 1.0


def test_q_learning_does_not_count_on_actions_that_the_guards_refuse_there() -> None:
    fold = _fold()
    fold.apply(_step("y", 1, 4.0, None, terminated=True, episode="a"))
    fold.apply(_step("x", 0, 1.0, "y", episode="b", next_allowed=[True, False]))
    assert _value(fold, "x", 0) == 0.5
    fold.apply(_step("x", 1, 1.0, "y", episode="c", next_allowed=[False, False]))
    assert _value(fold, "x", 1) == 0.5


def test_double_q_values_the_choice_of_one_estimator_by_the_other() -> None:
    fold = _fold(method="double_q", coin=0.0)  # the first estimator learns
    fold.apply(_step("y", 1, 4.0, None, terminated=True, episode="a"))  # A(y, r) = 2, B(y, ·) = 0
    fold.apply(_step("x", 0, 1.0, "y", episode="b"))  # A chooses r, B says 0 → target 1
    assert _value(fold, "x", 0) == 0.5
    assert fold.table.slot_values(fold.table.rows["y"]).tolist() == [0.0, 1.0]  # the mean of both


def test_expected_sarsa_takes_the_mean_over_the_policy() -> None:
    fold = _fold(method="expected_sarsa")
    fold.apply(_step("y", 1, 4.0, None, terminated=True, episode="a"))
    step = _step("x", 0, 1.0, "y", episode="b")
    explored = Transition(**{name: getattr(step, name) for name in step.__slots__} | {"epsilon": 0.5})
    fold.apply(explored)  # π(r|y) = 0.75 → 1 + 0.5·0.75·2 = 1.75 → 0.875
    assert _value(fold, "x", 0) == 0.875


def test_sarsa_waits_for_the_action_that_was_taken() -> None:
    fold = _fold(method="sarsa")
    fold.apply(_step("y", 0, 4.0, None, terminated=True, episode="a"))  # Q(y, l) = 2
    fold.apply(_step("x", 0, 1.0, "y", step=0, episode="b"))
    assert "x" not in fold.table.rows
    fold.apply(_step("y", 1, 0.0, None, step=1, episode="b", terminated=True))  # took r, whose value is 0
    assert _value(fold, "x", 0) == 0.5


def test_n_step_sarsa_sums_n_rewards_before_it_bootstraps() -> None:
    fold = _fold(method="n_step_sarsa", n_steps=2)
    fold.apply(_step("z", 0, 8.0, None, terminated=True, episode="a"))  # Q(z, l) = 4
    fold.apply(_step("x", 0, 1.0, "y", step=0))
    fold.apply(_step("y", 0, 2.0, "z", step=1))
    fold.apply(_step("z", 0, 0.0, None, step=2, terminated=True))
    # x: 1 + 0.5·2 + 0.25·Q(z, l) = 3 → 1.5, with Q(z, l) still 4; y: 2 + 0.5·0 = 2 → 1 (the episode ends within two steps)
    assert _value(fold, "x", 0) == 1.5
    assert _value(fold, "y", 0) == 1.0


def test_monte_carlo_learns_the_discounted_return_when_the_episode_ends() -> None:
    fold = _fold(method="monte_carlo", alpha=1.0, gamma=0.99)
    for step, (cell, reward) in enumerate([("x", 1.5), ("y", 2.0), ("z", -0.5)]):
        fold.apply(_step(cell, 0, reward, None if step == 2 else CELLS[step + 1], step=step, terminated=step == 2))
    assert _value(fold, "x", 0) == pytest.approx(2.98995)
    record = fold.changes().episodes["e"]
    assert record.total_return == pytest.approx(2.98995)
    assert (record.steps, record.total_reward, record.complete) == (3, 3.0, True)


def test_steps_that_come_out_of_order_are_learned_in_order() -> None:
    steps = [
        _step("x", 0, 1.0, "y", step=0),
        _step("y", 0, 2.0, "z", step=1),
        _step("z", 0, 4.0, None, step=2, terminated=True),
    ]
    for method in ("sarsa", "n_step_sarsa", "monte_carlo"):
        ordered, turned = _fold(method=method), _fold(method=method)
        ordered.apply_all(steps)
        turned.apply_all([steps[2], steps[0], steps[1]])
        assert _value(ordered, "x", 0) == _value(turned, "x", 0)
        assert not turned.episodes


def test_a_step_without_a_reward_teaches_nothing_and_does_not_block() -> None:
    fold = _fold(method="monte_carlo")
    fold.apply(_step("x", 0, 1.0, "y", step=0))
    fold.apply(_step("y", 0, None, "z", step=1))
    fold.apply(_step("z", 0, 4.0, None, step=2, terminated=True))
    assert "y" not in fold.table.rows
    assert _value(fold, "x", 0) == 0.5
    assert not fold.episodes


def test_factored_values_add_up_to_the_reward() -> None:
    space = ActionSpace({"a": (0, 1, 2), "b": (0, 1, 2), "c": (0, 1)})
    fold = _fold(_spec(space), gamma=0.0, alpha=1 / 3, alpha_schedule="visits", alpha_scale=20.0)
    rng = np.random.default_rng(0)
    effects = [rng.normal(size=3), rng.normal(size=3), rng.normal(size=2)]
    for index in range(3_000):
        action = int(rng.integers(len(space)))
        parts = space.actions[action].values()
        reward = float(sum(effect[int(part)] for effect, part in zip(effects, parts, strict=True)))
        fold.apply(_step("x", action, reward, None, terminated=True, episode=str(index)))
    learned = fold.table.action_values(fold.table.slot_values(0))
    true = [sum(effect[int(p)] for effect, p in zip(effects, a.values(), strict=True)) for a in space.actions]
    assert np.abs(learned - true).max() < 0.05


def test_statistics_of_rewards_are_welfords() -> None:
    fold = _fold(gamma=0.0)
    rewards = [1e9 + each for each in (4.0, 7.0, 13.0, 16.0)]  # the sum of squares would lose all digits
    for index, reward in enumerate(rewards):
        fold.apply(_step("x", 0, reward, None, terminated=True, episode=str(index)))
    entry = fold.table.entry(0, 0)
    assert entry.visits == 4
    assert entry.reward_mean == 1e9 + 10.0
    assert entry.reward_m2 / 3 == 30.0


def test_the_compiled_fold_gives_the_same_bits() -> None:
    compiled = kernel.compiled()
    assert compiled is not None, "numba is among the pinned requirements"
    rng = np.random.default_rng(1)
    n, states, actions = 5_000, 30, 4
    tables = []
    for block in (kernel.interpreted, compiled):
        rng = np.random.default_rng(1)
        value = np.zeros((states, actions))
        arrays = [value, np.zeros((states, actions), dtype=np.int64), *(np.zeros((states, actions)) for _ in range(4))]
        slots = np.arange(actions, dtype=np.int64).reshape(-1, 1)
        rows, chosen = rng.integers(0, states, n), rng.integers(0, actions, n)
        following = rng.integers(-2, states, n)
        total = block(
            *arrays,
            slots,
            rows,
            chosen,
            rng.normal(size=n),
            following,
            np.arange(n, dtype=float),
            0.95,
            0.0,
            0.3,
            10.0,
            0.01,
        )
        tables.append((total, [each.tobytes() for each in arrays]))
    assert tables[0] == tables[1]


def test_the_block_gives_what_the_fold_gives() -> None:
    fold = _fold(gamma=0.9, alpha=0.2, alpha_schedule="visits")
    rng = np.random.default_rng(2)
    steps = []
    for index in range(2_000):
        following = None if rng.random() < 0.2 else str(rng.choice(CELLS))
        steps.append(
            _step(
                str(rng.choice(CELLS)),
                int(rng.integers(2)),
                float(rng.normal()),
                following,
                terminated=following is None,
                episode=str(index),
            )
        )
    fold.apply_all(steps)
    table = fold.table
    rows: dict[str, int] = {}
    columns: list[list[float]] = [[], [], [], [], []]
    for each in steps:
        row = rows.setdefault(each.key, len(rows))
        then = -1 if each.next_key is None else rows.get(each.next_key, -2)
        for column, value in zip(columns, (row, each.action, each.reward or 0.0, then, each.at), strict=True):
            column.append(value)
    shape = (len(rows), 2)
    arrays = [np.zeros(shape), np.zeros(shape, dtype=np.int64), *(np.zeros(shape) for _ in range(4))]
    ints = [np.array(columns[i], dtype=np.int64) for i in (0, 1, 3)]
    kernel.interpreted(
        *arrays,
        np.array([[0], [1]]),
        ints[0],
        ints[1],
        np.array(columns[2]),
        ints[2],
        np.array(columns[4]),
        0.9,
        0.0,
        0.2,
        10.0,
        0.01,
    )
    assert [arrays[0][row].tolist() for row in rows.values()] == [table.value[table.rows[key]].tolist() for key in rows]


def test_memory_is_bounded_and_known_states_answer_as_before() -> None:
    """P15: unseen states beyond the cap are not learned; seldom and long unseen ones make room."""
    settings = {"learning": {"gamma": 0.0}, "table": {"max_states": 100, "prune_visits": 5, "prune_age_s": 50.0}}
    fold = Fold(_spec(), Settings().with_values(settings, "test"), lambda count: 0.0)
    for index in range(100):
        for visit in range(5 if index < 60 else 1):
            fold.apply(_step(f"k{index}", 0, 1.0, None, terminated=True, episode=f"{index}-{visit}", at=0.0))
    before = {key: fold.table.value[row].tolist() for key, row in fold.table.rows.items()}
    for index in range(20_000):
        fold.apply(_step(f"new{index}", 0, 1.0, None, terminated=True, episode=f"n{index}", at=1.0))
    assert fold.carry.states_refused == 20_000
    assert {key: fold.table.value[row].tolist() for key, row in fold.table.rows.items()} == before
    fold.apply(_step("late", 0, 1.0, None, terminated=True, episode="late", at=100.0))
    assert fold.carry.states_pruned == 40
    assert set(fold.table.rows) == {f"k{index}" for index in range(60)} | {"late"}
    assert len(fold.table.value) <= 128
    changes = fold.changes()
    assert changes.removed == {f"k{index}" for index in range(60, 100)}
    assert {key for key, _ in changes.entries} == set(fold.table.rows)


def test_a_restored_fold_goes_on_as_if_it_had_not_stopped() -> None:
    steps = [
        _step(str(c), int(a), float(r), None, terminated=True, episode=str(i))
        for i, (c, a, r) in enumerate(zip(["x", "y"] * 50, [0, 1, 1, 0] * 25, range(100), strict=True))
    ]
    for method in ("q_learning", "double_q"):
        whole, first = _fold(method=method, coin=0.7), _fold(method=method, coin=0.7)
        whole.apply_all(steps)
        first.apply_all(steps[:50])
        stored = first.changes(replace=True)
        second = _fold(method=method, coin=0.7)
        second.restore(stored, [])
        second.apply_all(steps[50:])
        assert second.changes(replace=True).entries == whole.changes(replace=True).entries
        assert second.epsilon == whole.epsilon


def test_epsilon_belongs_to_the_episode() -> None:
    settings = Settings().with_values({"exploration": {"epsilon": 0.2, "decay": 0.5, "floor": 0.03}}, "test")
    fold = Fold(_spec(), settings, lambda count: 0.0)
    fold.apply(_step("x", 0, 1.0, "y", step=0))
    assert fold.epsilon == 0.2
    fold.apply(_step("y", 0, 1.0, None, step=1, terminated=True))
    assert fold.epsilon == 0.1
    for index in range(5):
        fold.apply(_step("x", 0, 1.0, None, terminated=True, episode=str(index)))
    assert fold.epsilon == 0.03
