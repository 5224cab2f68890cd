"""Each step of a refactoring keeps what a function does, makes it easier to follow, and leaves the rest of the file."""

import itertools
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steersman.packs.qe.tools.complexity import functions
from steersman.packs.qe.tools.refactoring import Refactored, reduce_nesting, simplify_conditionals

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
NESTED = """
def f(a, b):
    found = []
    if a is not None:
        for each in range(b):  # not all of them
            if each != a:
                if each < 3:
                    found.append("low")
                else:
                    found.append("high")
        else:
            found.append("end")
        return_early = len(found)
        if return_early > 3:
            return found
        else:
            # more than this is too much
            found.append("few" if b > 1 else "none")
            if a == 1:
                found.append("one")
        return found


def untouched(a):
    if a:
        return   1
"""
SHORT_ELSE = """
def f(a, b):
    if a < b:
        total = 0
        for each in range(a, b):
            if each % 2:
                total += each
        b = total
    else:
        return None
    return b
"""
CONDITIONS = """
def f(a, b):
    if a == 1 or a == 3 or a == 5:
        if b:
            return "é" if b != 2 and b != 4 else "ü"
    if a or b > 1:
        if b or not a:
            return 7
    if a < b:
        return True
    return False
"""
OPPOSITE = """
def f(a, b):
    if a in (1, 2):
        return False
    else:
        return True
"""
VALUES: tuple[int | None, ...] = (0, 1, 2, 3, 4, 5)


def outcomes(text: str, values: tuple[int | None, ...]) -> list[Any]:
    names: dict[str, Callable[..., Any]] = {}
    exec(compile(text, "a.py", "exec"), names)
    return [names["f"](a, b) for a, b in itertools.product(values, VALUES)]


@pytest.mark.parametrize(
    ("rewrite", "text", "steps"),
    [
        (reduce_nesting, NESTED, 3),
        (reduce_nesting, SHORT_ELSE, 1),
        (simplify_conditionals, CONDITIONS, 4),
        (simplify_conditionals, OPPOSITE, 1),
    ],
)
def test_it_does_the_same_and_is_easier(rewrite: Callable[[str, str], Refactored], text: str, steps: int) -> None:
    made = rewrite(text, "f")
    assert len(made.steps) >= steps, made.text
    values = (None, *VALUES) if text is NESTED else VALUES
    assert outcomes(made.text, values) == outcomes(text, values)
    (before, *_), (after, *_) = functions("a.py", text), functions("a.py", made.text)
    assert after.cognitive < before.cognitive
    assert text.count("#") == made.text.count("#"), "comments stay"
    assert text.partition("def untouched")[2] == made.text.partition("def untouched")[2]


@pytest.mark.parametrize(
    "text",
    [
        "def f(a):\n    if a:\n        return True\n    # why not\n    return False\n",
        'def f(a):\n    if a:\n        for b in a:\n            if b:\n                g("""x\n  y""")\n',
        "def f(a):\n    if a:\n        return 1\n    elif a is None:\n        return 2\n    return 3\n",
        "def f(a, b):\n    return a.x == 1 or a.x == 2\n",
        "def f(a, b):\n    return a == 1 or b == 2\n",
        "def f(a):\n\tif a:\n\t\tfor b in a:\n\t\t\tif b:\n\t\t\t\tg()\n",
    ],
)
def test_what_would_lose_a_comment_or_change_a_string_or_a_call_is_left_alone(text: str) -> None:
    for rewrite in (reduce_nesting, simplify_conditionals):
        made = rewrite(text, "f")
        assert "# why not" not in text or made.text == text
        assert '"""x\n  y"""' not in text or '"""x\n  y"""' in made.text
        if "a.x" in text or "b == 2" in text or "\t" in text or "elif" in text:
            assert made.text == text


def test_an_unknown_function_and_a_text_that_does_not_parse_stay() -> None:
    assert reduce_nesting("def f(:\n", "f").steps == ()
    assert simplify_conditionals(CONDITIONS, "g").text == CONDITIONS


@pytest.mark.parametrize("name", ["textwrap.py", "configparser.py"])
def test_real_modules_compile_after_all_steps(name: str) -> None:
    text = (LIBRARY / name).read_text(encoding="utf-8")
    taken = 0
    for each in functions(name, text):
        if each.cognitive > 8:
            for rewrite in (reduce_nesting, simplify_conditionals):
                made = rewrite(text, each.name)
                compile(made.text, name, "exec")
                taken += len(made.steps)
    assert taken or name == "textwrap.py"
