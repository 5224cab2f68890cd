"""Cognitive complexity is counted as its paper counts it, and radon's numbers come from radon."""

from pathlib import Path

import pytest

from steersman.packs.qe.tools.complexity import cyclomatic, functions, maintainability

PRIMES = """
def sum_of_primes(maximum):
    total = 0
    for i in range(1, maximum):
        for j in range(2, i):
            if i % j == 0:
                break
        else:
            total += i
    return total


def words(number):
    match number:
        case 1:
            return "one"
        case 2:
            return "a couple"
        case _:
            return "lots"


class Door:
    def open(self, key, guest):
        try:
            if key and not guest or self.free:
                return True
            elif guest:
                return [each for each in guest if each]
            else:
                return False
        except ValueError:
            return lambda: 1 if key else self.open(key, guest)
"""


def counted(body: str) -> int:
    (found,) = functions("a.py", f"def f(a, b):\n    {body}\n")
    return found.cognitive


def test_the_examples_of_the_paper() -> None:
    found = {each.name: each for each in functions("a.py", PRIMES)}
    assert found["sum_of_primes"].cognitive == 1 + 2 + 3 + 1, "loops and an if by their depth, and the loop's else"
    assert found["words"].cognitive == 1, "a match costs as much as one if"
    assert found["Door.open"].cognitive == 1 + 2 + 1 + 1 + 1 + 3, "if, and + or, elif, else, except, a ternary two deep"
    assert (found["words"].first, found["words"].length) == (13, 8)


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        ("return a and b and a", 1),
        ("return a and b or a", 2),
        ("return f(a, b)", 1),
        ("return [each for each in a if each]", 0),
        ("return a if b else 1", 1),
    ],
)
def test_small_things(body: str, cost: int) -> None:
    assert counted(body) == cost


def test_what_does_not_parse_has_no_functions() -> None:
    assert functions("a.py", "def f(:\n") == ()


def test_radon_counts_paths_and_maintainability_of_what_parses(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(PRIMES)
    (tmp_path / "b.py").write_text("def f(:\n")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    paths = cyclomatic(tmp_path, ["a.py", "b.py"], scratch, 60.0)
    assert paths.of["a.py", 2] == 5
    assert not [file for file, _ in paths.of if file == "b.py"]
    index = maintainability(tmp_path, ["a.py", "b.py"], scratch, 60.0)
    assert set(index.of) == {"a.py"}
    assert 0.0 < index.of["a.py"] < 100.0
