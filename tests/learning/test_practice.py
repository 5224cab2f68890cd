"""Replay and planning on worlds with known answers: as good as ever, in fewer real steps."""

from typing import Any

import pytest

from steersman.testing.training import train
from steersman.testing.worlds import lake_world, warehouse_world

STEPS = 1_000
SEEDS = range(3)
EXPLORATION: dict[str, dict[str, Any]] = {"exploration": {"epsilon": 0.2, "decay": 1.0}}
PRACTISED = [
    pytest.param({"learning": {"planning_steps": 10}}, id="planning"),
    pytest.param({"replay": {"updates": 10, "sampling": "uniform"}}, id="uniform"),
    pytest.param({"replay": {"updates": 10, "sampling": "prioritised"}}, id="prioritised"),
]
ONE_ALWAYS = [PRACTISED[0], *(pytest.param(*each.values, id=each.id, marks=pytest.mark.long) for each in PRACTISED[1:])]


def test_plain_learning_does_not_know_the_warehouse_after_a_thousand_steps() -> None:
    assert min(train(warehouse_world(), EXPLORATION, steps=STEPS, seed=seed).regret for seed in SEEDS) > 0.5


@pytest.mark.parametrize("practice", PRACTISED)
def test_practice_knows_the_warehouse_after_a_thousand_steps(practice: dict[str, Any]) -> None:
    settings = {**EXPLORATION, **practice}
    assert max(train(warehouse_world(), settings, steps=STEPS, seed=seed).regret for seed in SEEDS) <= 0.01


@pytest.mark.parametrize("practice", ONE_ALWAYS)
def test_practice_ends_at_the_best_policy_where_the_world_is_slippery(practice: dict[str, Any]) -> None:
    settings = {**EXPLORATION, **practice}
    settings["learning"] = {**practice.get("learning", {}), "alpha": 0.2, "alpha_schedule": "visits", "alpha_floor": 0.01}
    assert train(lake_world(), settings, steps=12_000, seed=0).regret <= 0.02
