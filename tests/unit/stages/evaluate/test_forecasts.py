"""Forecasts hold in a world that stays as it is, about as often as they say, and break in one that moves."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from steersman.stages.evaluate.forecasts import forecast_accuracy

if TYPE_CHECKING:
    from tests.unit.stages.evaluate.conftest import World


def test_in_a_world_that_stays_forecasts_hold_about_as_often_as_their_level(world: "World") -> None:
    held = [forecast_accuracy(world.evidence(6_000, seed, world.better)) for seed in range(20)]
    inside, made = sum(each.inside for each in held), sum(each.forecasts for each in held)
    assert made > 2_000
    assert 0.93 <= inside / made <= 0.98


def test_rare_rewards_in_small_blocks_keep_their_forecasts(world: "World") -> None:
    found = []
    for seed in range(40):
        evidence = world.evidence(1_100, seed, world.better)
        rare = np.random.default_rng(seed).random(1_100) < 0.1
        found.append(forecast_accuracy(replace(evidence, reward=rare.astype(float), state=np.zeros(1_100, dtype=np.int64))))
    assert sum(each.inside for each in found) / sum(each.forecasts for each in found) >= 0.93


def test_a_lower_level_makes_narrower_forecasts(world: "World") -> None:
    evidence = world.evidence(6_000, 1, world.better)
    assert forecast_accuracy(evidence, level=0.5).inside < forecast_accuracy(evidence, level=0.95).inside


def test_a_policy_of_the_log_that_changes_breaks_no_forecast(world: "World") -> None:
    early, late = (
        world.evidence(3_000, 2, world.better),
        replace(world, incumbent=world.worse).evidence(3_000, 3, world.better),
    )
    columns = ("reward", "propensity", "action", "state", "candidate", "incumbent", "baseline")
    both: dict[str, Any] = {name: np.concatenate([getattr(early, name), getattr(late, name)]) for name in columns}
    evidence = replace(
        world.evidence(6_000, 4, world.better), **both, episode=np.arange(6_000), decided_at=np.arange(6_000.0)
    )
    share = forecast_accuracy(evidence).share
    assert share is not None
    assert share >= 0.9


def test_the_order_of_rows_is_that_of_their_times(world: "World") -> None:
    evidence = world.evidence(6_000, 5, world.better)
    order = np.random.default_rng(0).permutation(6_000)
    assert forecast_accuracy(evidence.take(order)) == forecast_accuracy(evidence)


def test_few_outcomes_make_too_few_forecasts_to_judge_by(world: "World") -> None:
    assert forecast_accuracy(world.evidence(50, 6, world.better)).share is None
    assert forecast_accuracy(world.evidence(0, 6, world.better)).forecasts == 0


def test_rewards_that_never_varied_forecast_more_of_the_same(world: "World") -> None:
    evidence = replace(world.evidence(2_000, 7, world.better), reward=np.ones(2_000))
    assert forecast_accuracy(evidence).share == 1.0
