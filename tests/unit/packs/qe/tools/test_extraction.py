"""A part that is taken out of a function leaves it doing the same; where a name is not certain, nothing is taken out."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from steersman.packs.qe.tools.complexity import cognitive_complexity, function_nodes
from steersman.packs.qe.tools.extraction import extract_method

SUMS = """
class Sums:
    def count(self, a, b):
        total, seen = a, []
        for each in range(b):
            # a comment moves along
            if each % 2:
                for low in range(each):
                    if low > a:
                        total += low
                    else:
                        seen.append(low)
        return total, seen


def f(a, b):
    return Sums().count(a, b)
"""
PICK = """
def f(a, b):
    found = "none"
    for each in range(b):
        if each > a:
            try:
                found = str(each // (each - 3))
            except ZeroDivisionError as error:
                found = type(error).__name__
            if each > 4:
                found += "!"
                break
    return found
"""
CARRIED = """
def f(a, b):
    out = []
    for each in range(b):
        if each == 0:
            if a:
                kept = a
        elif a:
            if each > 1:
                out.append(kept + each)
    return out
"""


def outcomes(text: str) -> list[Any]:
    names: dict[str, Callable[..., Any]] = {}
    exec(compile(text, "a.py", "exec"), names)
    return [names["f"](a, b) for a, b in itertools.product(range(5), range(8))]


@pytest.mark.parametrize(("text", "name"), [(SUMS, "Sums.count"), (PICK, "f"), (CARRIED, "f")])
def test_it_does_the_same_and_the_hardest_function_left_is_easier(text: str, name: str) -> None:
    made = extract_method(text, name)
    assert outcomes(made.text) == outcomes(text)
    assert text.count("#") == made.text.count("#")
    before, after = ({k: cognitive_complexity(node) for k, node in function_nodes(each)} for each in (text, made.text))
    assert len(made.steps) == len(after) - len(before)
    if made.steps:
        assert max(after.values()) < max(before.values())
    assert bool(made.steps) == (text is not CARRIED), "what a loop carries over from one turn to the next stays"


@pytest.mark.parametrize(
    "inside",
    [
        "            return a",
        "            continue",
        "            yield a",
        "            kept = a",
        "            del kept",
        "            print(locals())",
        "            print(self.__hidden)",
        "            print(lambda: a)",
        "            print(os.sep)",
        "            print('''a\nb''')",
    ],
)
def test_what_leaves_or_needs_the_function_stays(inside: str) -> None:
    text = (
        "def f(self, a):\n    import os\n    for each in a:\n        if each:\n            print(each)\n            if a:\n"
    )
    text += f"    {inside}\n        print(kept)\n"
    assert extract_method(text, "f").steps == ()


def test_a_name_that_is_taken_gets_a_number_and_an_unknown_function_stays() -> None:
    assert "def _count_part_2(" in extract_method(SUMS + "\n\n_count_part = 1\n", "Sums.count").text
    assert extract_method(SUMS, "none").steps == extract_method("def f(:\n", "f").steps == ()
