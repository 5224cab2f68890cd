"""Planted requirements stand where they say, and a clean theme leaves nothing open."""

import itertools

import numpy as np

from steersman.packs.qe.plants.requirement_gaps import THEMES, plant_requirements


def test_plants_stand_where_they_say_and_one_seed_plants_the_same() -> None:
    for seed in range(20):
        first, second = (plant_requirements(np.random.default_rng(seed), count=5) for _ in range(2))
        assert first == second
        ((file, text),) = first.texts.items()
        lines = text.splitlines()
        ends = [(each.first, each.last) for each in first.plants]
        assert all(a < b < c for (a, b), (c, _) in itertools.pairwise(ends))
        assert all(each.file == file and "lanted" in "".join(lines[each.first - 1 : each.last]) for each in first.plants)


def test_every_theme_comes_and_only_a_clean_one_has_no_gap() -> None:
    made = [plant_requirements(np.random.default_rng(seed), count=6, gap_rate=1.0) for seed in range(40)]
    assert {each.theme for each in made} == set(THEMES)
    for each in made:
        assert all(bool(plant.kind) == (each.theme != "clean") for plant in each.plants)
