"""What is planted as a flaky test, or as one that looks like it, is made up anew each time and says what it is."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from steersman.packs.qe.plants.flakiness import FLAKY, STABLE, PlantedTests, plant_flaky_tests

NOW = 1_800_000_000.0


def planted(seed: int, flaky: int = 10, stable: int = 10, tests: tuple[str, ...] = ("tests/test_a.py",)) -> PlantedTests:
    return plant_flaky_tests(tests, np.random.default_rng(seed), flaky=flaky, stable=stable, now=NOW)


def test_one_seed_plants_the_same_and_another_something_else() -> None:
    assert planted(3) == planted(3)
    assert not planted(3).texts.keys() & planted(4).texts.keys()


def test_kinds_take_turns_and_every_node_stands_in_its_file() -> None:
    made = planted(5, flaky=2 * len(FLAKY), stable=2 * len(STABLE))
    assert sorted(made.flaky.values()) == sorted([*FLAKY] * 2)
    for node in (*made.flaky, *made.stable):
        file, _, name = node.partition("::")
        assert f"def {name}(" in made.texts[file]
    for file, text in made.texts.items():
        compile(text, file, "exec")
    assert not made.flaky.keys() & made.stable


def test_no_name_tells_what_is_flaky() -> None:
    made = planted(6)
    for node in (*made.flaky, *made.stable):
        assert not any(kind.split()[0] in node for kind in (*FLAKY, *STABLE))


def test_nothing_flaky_can_be_planted() -> None:
    made = planted(7, flaky=0)
    assert (made.flaky, len(made.stable)) == ({}, 10)


@pytest.mark.parametrize(
    ("beside", "start", "end"),
    [
        ("test_a.py", "test_planted_", ".py"),
        ("tests/unit/a_test.py", "tests/unit/planted_", "_test.py"),
        ("checks/check_a.py", "checks/check_a_planted_", ".py"),
    ],
)
def test_new_files_are_named_as_the_project_names_its_own(beside: str, start: str, end: str) -> None:
    for file in planted(8, tests=(beside,)).texts:
        assert file.startswith(start)
        assert file.endswith(end)


def test_all_look_alikes_pass_in_any_order(tmp_path: Path) -> None:
    made = plant_flaky_tests(("test_a.py",), np.random.default_rng(1), flaky=0, stable=20)
    for file, text in made.texts.items():
        (tmp_path / file).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    done = subprocess.run([*command, *sorted(made.texts, reverse=True)], cwd=tmp_path, check=True, capture_output=True)
    assert b"20 passed" in done.stdout
