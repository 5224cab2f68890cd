"""The worlds do what their tables say, and their best behaviour is what their descriptions say."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.testing.planning import optimal_values, soft_values
from steersman.testing.worlds import (
    TabularWorld,
    additive_bandit_world,
    all_worlds,
    bandit_world,
    cliff_world,
    crowded_bandit_world,
    lake_world,
    warehouse_world,
)

UP, RIGHT, DOWN, LEFT = range(4)


@pytest.mark.parametrize("world", all_worlds(), ids=lambda world: world.name)
def test_steps_follow_the_tables(world: TabularWorld) -> None:
    rng = np.random.default_rng(0)
    state = int(np.flatnonzero(~world.terminal)[0])
    for action in range(world.actions):
        steps = [world.step(state, action, rng) for _ in range(2000)]
        frequencies = np.bincount([reached for reached, _, _ in steps], minlength=world.states) / 2000
        np.testing.assert_allclose(frequencies, world.transitions[state, action], atol=0.05)
        for reached, reward, terminated in set(steps):
            assert reward == world.rewards[state, action, reached]
            assert terminated == world.terminal[reached]


@pytest.mark.parametrize("world", all_worlds(), ids=lambda world: world.name)
def test_episodes_start_as_said_and_end_under_random_behaviour(world: TabularWorld) -> None:
    rng = np.random.default_rng(0)
    starts, ended = np.zeros(world.states), 0
    for _ in range(300):
        state, terminated = world.reset(rng), False
        starts[state] += 1
        for _ in range(world.time_limit):
            state, _, terminated = world.step(state, int(rng.integers(world.actions)), rng)
            if terminated:
                break
        ended += terminated
    np.testing.assert_allclose(starts / 300, world.start, atol=0.1)
    assert ended >= 200


def test_the_same_seed_gives_the_same_steps() -> None:
    world = lake_world()

    def walk() -> list[tuple[int, float, bool]]:
        rng = np.random.default_rng(5)
        return [world.step(world.reset(rng), 1, rng) for _ in range(50)]

    assert walk() == walk()


def test_on_the_cliff_the_bold_walk_along_the_edge_and_the_careful_keep_away() -> None:
    optimal, careful = optimal_values(cliff_world()), soft_values(cliff_world(), 0.2)
    assert optimal.argmax(axis=1)[[12, 6, 7, 8, 9, 10, 11]].tolist() == [UP, *[RIGHT] * 5, DOWN]
    assert optimal[12, UP] == pytest.approx(sum(-0.01 * 0.95**t for t in range(6)) + 0.95**6)
    assert careful.argmax(axis=1)[[12, 6, 0, 1, 2, 3, 4, 5, 11]].tolist() == [UP, UP, *[RIGHT] * 5, DOWN, DOWN]


def test_the_lake_slips_to_one_side_in_one_step_of_ten() -> None:
    transitions = lake_world().transitions
    assert transitions[9, RIGHT, [10, 5, 13]] == pytest.approx([0.9, 0.05, 0.05])
    assert transitions[0, UP, [0, 1]] == pytest.approx([0.95, 0.05])


def test_the_warehouse_is_refilled_when_the_shelf_is_empty() -> None:
    left, right, lift, handle = range(4)
    best = optimal_values(warehouse_world()).argmax(axis=1)
    full, order, refill = 18, 6, 12
    assert best[full + 0] == right
    assert best[[full + 2, full + 5, full + 4, full + 3]].tolist() == [lift, left, left, handle]
    assert best[[order + 3, order + 5, order + 2, order + 0]].tolist() == [right, lift, left, handle]
    assert best[[0, 1]].tolist() == [right, handle]
    assert best[[refill + 1, refill + 2, refill + 5, refill + 3]].tolist() == [right, lift, left, handle]


@pytest.mark.parametrize(
    ("world", "best", "value"),
    [
        (bandit_world(), [0, 2, 3, 1], [0.8, 0.5, 0.75, 0.9]),
        (crowded_bandit_world(), [13], [0.7]),
        (additive_bandit_world(), [0 * 8 + 1 * 4 + 2, 1 * 8 + 0 * 4 + 0, 2 * 8 + 1 * 4 + 3], [0.9, 0.9, 0.9]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_the_best_actions_of_the_bandits(world: TabularWorld, best: list[int], value: list[float]) -> None:
    q = optimal_values(world)[~world.terminal]
    assert q.argmax(axis=1).tolist() == best
    assert q.max(axis=1) == pytest.approx(value)
    assert world.gamma == 0.0


def test_the_additive_bandit_is_a_sum_over_its_dimensions() -> None:
    world = additive_bandit_world()
    chances = world.transitions[0, :, 3].reshape(world.dimensions)
    parts = np.ix_(*(range(size) for size in world.dimensions))
    assert parts[0].shape == (3, 1, 1)
    summed = chances[:, :1, :1] + chances[:1, :, :1] + chances[:1, :1, :] - 2.0 * chances[0, 0, 0]
    np.testing.assert_allclose(chances, summed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rewards": np.zeros((2, 2))}, "not \\(S, A, S\\)"),
        ({"start": np.ones(3)}, "not \\(S,\\)"),
        ({"dimensions": (3, 3)}, "dimensions"),
        ({"transitions": np.full((16, 4, 16), 0.1)}, "no probabilities"),
        ({"start": np.full(16, 0.1)}, "no distribution"),
        ({"high": 0.5}, "outside"),
        ({"terminal": np.ones(16, bool)}, "can be left"),
        ({"start": np.eye(16)[15]}, "start in a terminal"),
    ],
)
def test_tables_that_do_not_fit_together_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        replace(lake_world(), **change)
