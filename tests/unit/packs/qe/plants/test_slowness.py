"""A slow-down changes nothing that a function does, only how long it takes, and stands in one function of a file."""

import numpy as np
import pytest

from steersman.packs.qe.plants.hot_function import HotFunction
from steersman.packs.qe.plants.slowness import KINDS, PlantedSlowness, plant_slowness

SOURCES = {
    "shop.py": '"""A shop."""\n\nfrom __future__ import annotations\n\n\n'
    'def double(value):\n    """Return twice the value."""\n    return 2 * value\n\n\n'
    "def four(value):\n    return double(double(value))\n",
    "other.py": "def half(value):\n    if value:\n        return value / 2\n    return 0\n",
}


def hot(file: str, name: str, *callers: str) -> HotFunction:
    return HotFunction(
        file=file, module=file.removesuffix(".py"), name=name, line=1, count=1, calls=(), callers=frozenset(callers)
    )


FUNCTIONS = (hot("shop.py", "double", "shop.py::four"), hot("shop.py", "four"), hot("other.py", "half"))


def planted(seed: int, count: int, kinds: tuple[str, ...] = tuple(KINDS), only: int = 3) -> PlantedSlowness:
    functions = FUNCTIONS[:only]
    usual_s = {each.id: 1e-6 for each in functions}
    sizes = {each.id: 100 for each in functions}
    generator = np.random.default_rng(seed)
    return plant_slowness(SOURCES, functions, usual_s, sizes, generator, count=count, kinds=kinds)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slower_function_answers_as_before(kind: str) -> None:
    made = planted(1, 3, (kind,))
    assert set(made.slow.values()) == {kind}
    spaces: dict[str, dict[str, object]] = {file: {} for file in made.texts}
    for file, text in made.texts.items():
        assert text != SOURCES[file]
        exec(compile(text, file, "exec"), spaces[file])
    four, half = spaces["shop.py"]["four"], spaces["other.py"]["half"]
    assert callable(four)
    assert callable(half)
    assert [four(each) for each in (1, 2, 3)] == [4, 8, 12]
    assert [half(each) for each in (1, 0, 3)] == [0.5, 0, 1.5]
    double = spaces["shop.py"]["double"]
    assert double.__doc__ == "Return twice the value."


def test_one_seed_makes_the_same_slower() -> None:
    assert planted(2, 2).slow == planted(2, 2).slow
    assert len({tuple(planted(seed, 2).slow.items()) for seed in range(8)}) > 3


def test_who_calls_what_is_slower_may_be_slower_and_is_no_look_alike() -> None:
    made = planted(0, 1, only=1)
    assert made.slow.keys() == {"shop.py::double"}
    assert made.affected == frozenset()
    seen = {tuple(each.slow): each.affected for each in (planted(seed, 1) for seed in range(12))}
    assert seen[("shop.py::double",)] == {"shop.py::four"}
    assert seen[("other.py::half",)] == frozenset()


def test_nothing_is_changed_where_nothing_is_wanted() -> None:
    assert planted(0, 0) == PlantedSlowness(texts={}, slow={}, affected=frozenset())
