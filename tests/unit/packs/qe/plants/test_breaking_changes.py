"""Releases do what they say: those that break a caller do, and those that do not look alike."""

from typing import Any

import numpy as np
import pytest

from steersman.packs.qe.plants.breaking_changes import plant_descriptions, plant_releases
from steersman.packs.qe.plants.function_edits import KINDS
from steersman.packs.qe.tools.public_api import change_class, raised_version, version_bump

SOURCES = {
    "shop.py": (
        '"""A shop."""\n\n\n'
        "def pay(amount, rate=2):\n    if not amount:\n        return 0\n    return amount * rate\n\n\n"
        'class Cart:\n    def add(self, name, count=1):\n        """Add."""\n        return [name] * count\n'
    )
}
CALLS = {
    "pay(3)": 6,
    "pay(amount=3)": 6,
    "pay(3, 3)": 9,
    "pay(0, rate=1)": 0,
    "Cart().add('tea')": ["tea"],
    "Cart().add(name='tea', count=2)": ["tea", "tea"],
}


def _answers(text: str) -> bool:
    scope: dict[str, object] = {}
    exec(compile(text, "shop.py", "exec"), scope)
    for call, expected in CALLS.items():
        try:
            if eval(call, scope) != expected:
                return False
        except (TypeError, NameError, AttributeError):
            return False
    return True


@pytest.mark.parametrize("change", ["body", "added", "definitions"])
def test_what_is_called_breaking_breaks_a_call_and_nothing_else_does(change: str) -> None:
    seen = set()
    for seed in range(40):
        for release in plant_releases(SOURCES, np.random.default_rng(seed), change=change, count=2):
            text = release.texts["shop.py"]
            assert _answers(text) != release.breaking, f"{release.kind}:\n{text}"
            old, new = SOURCES["shop.py"].splitlines(), text.splitlines()
            removed, added = ([each for each in a if each not in b] for a, b in ((old, new), (new, old)))
            assert change_class(removed, added) == change, f"{release.kind}:\n{text}"
            seen.add(release.kind)
    assert seen == {kind for kind, (of, _, _) in KINDS.items() if of == change} - {"required parameter"}


def test_one_seed_makes_the_same_releases_and_a_file_without_functions_still_gets_one() -> None:
    first, second = (plant_releases(SOURCES, np.random.default_rng(7), change="body", count=3) for _ in range(2))
    assert first == second
    (only,) = plant_releases({"a.py": "x = 1\n"}, np.random.default_rng(1), change="definitions", count=1)
    assert (only.kind, only.breaking) == ("new function", False)


def test_a_version_rises_in_the_part_that_was_asked_for() -> None:
    texts = {"pyproject.toml": '[project]\nversion = "1.2.3"\n', "shop.py": "x = 1\n"}
    for part, expected in (("patch", "1.2.4"), ("minor", "1.3.0"), ("major", "2.0.0")):
        raised = raised_version(texts, part)
        assert expected in raised["pyproject.toml"]
        assert version_bump(texts, texts | raised) == part
    assert raised_version({"shop.py": "x = 1\n"}, "major") == {}


def test_releases_of_a_description_leave_the_given_one_as_it_was() -> None:
    document: dict[str, Any] = {"paths": {"/items": {"get": {"responses": {}}}}}
    made = plant_descriptions("openapi.json", document, np.random.default_rng(0), count=12)
    assert {each.breaking for each in made} == {True, False}
    assert document == {"paths": {"/items": {"get": {"responses": {}}}}}
