"""What is proved equivalent is the same program; what merely looks alike, or does the same by chance, is not proved."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from steersman.packs.qe.faults.byte_code import compiled, same_program
from steersman.packs.qe.faults.equivalence import standings
from steersman.packs.qe.faults.mutation import Fault, candidates, is_valid
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.sandbox import Sandbox, open_sandbox
from tests.unit.packs.qe.conftest import write

SOURCE = '''def area(side: int) -> int:
    """Return the area."""
    scale: "tuple[int, 1]" = 2 * 2
    if 0 and side:
        side = side + 1
    while 1:
        return side * side * scale
        side = 3


def least(a, b):
    return a if a < b else b
'''


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    files = {"shape.py": SOURCE, "test_shape.py": "from shape import area\n\ndef test():\n    assert area(2) == 16\n"}
    with open_sandbox(discover(write(tmp_path_factory.mktemp("shape"), files))) as opened:
        yield opened


def found() -> list[Fault]:
    return candidates("shape.py", SOURCE)


def by_standing(sandbox: Sandbox) -> dict[str, set[tuple[int, str, str]]]:
    told = standings(sandbox, found(), {"shape.py": SOURCE})
    return {
        standing: {
            (each.line, each.before, each.after) for each, said in zip(found(), told, strict=True) if said == standing
        }
        for standing in told
    }


def test_what_the_compiler_drops_or_folds_alike_is_proved_equivalent(sandbox: Sandbox) -> None:
    assert by_standing(sandbox)["equivalent"] == {
        (3, "*", "+"),  # 2 * 2 and 2 + 2
        (5, "+", "-"),  # after `if 0 and`, never compiled
        (5, "1", "2"),
        (5, "side = side + 1", "pass"),
        (6, "1", "2"),  # while 1
        (8, "3", "4"),  # after a return in a loop that does not end
        (8, "side = 3", "pass"),
    }


def test_what_does_the_same_for_another_reason_is_not_proved(sandbox: Sandbox) -> None:
    told = by_standing(sandbox)
    assert (12, "<", "<=") in told["other"]  # equivalent for numbers, but not for what only has an order of its own
    assert (7, "*", "+") in told["other"]


def test_what_does_not_compile_is_invalid(sandbox: Sandbox) -> None:
    start = SOURCE.index("if a <")
    broken = replace(found()[0], operator="x", start=start, end=start + 2, before="if", after="of")
    assert standings(sandbox, [broken], {"shape.py": SOURCE}) == ["invalid"]


def test_an_equivalent_is_no_valid_fault_anywhere(sandbox: Sandbox) -> None:
    told = standings(sandbox, found(), {"shape.py": SOURCE})
    assert [is_valid(each, SOURCE) for each in found()] == [each == "other" for each in told]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1\n", "\n\nx  =  1  # a note\n", True),
        ("x = 1\n", "x = True\n", False),
        ("x = 1\n", "x = 1.0\n", False),
        ("x = 0.0\n", "x = -0.0\n", False),
        ("x = (1, 2)\n", "x = (1, 2.0)\n", False),
        ("x = 1e999 - 1e999\n", "x = -(1e999 - 1e999)\n", False),  # two bits of a NaN
        ("def f(a):\n    return a\n", "def f(b):\n    return b\n", False),
        ("def f():\n    'one'\n", "def f():\n    'two'\n", False),
        (
            "def f():\n    return 1\n    yield\n",
            "def f():\n    return 1\n    pass\n",
            False,
        ),  # a generator is none without it
        ("def f():\n    return 1\n    x = 2\n", "def f():\n    return 1\n    pass\n", True),
        ("def f():\n    x\n    x = 2\n", "def f():\n    x\n    pass\n", False),  # a local name, and a global one
        ("def f(a, *, b=1): pass\n", "def f(a, b=1): pass\n", False),
        ("try:\n    f()\nexcept E:\n    g()\n", "try:\n    f()\nexcept F:\n    g()\n", False),
        ("def f(x):\n    def g(): return x\n    return g\n", "def f(x):\n    def g(): return 1\n    return g\n", False),
        ("f(a=1)\n", "f(b=1)\n", False),
        ("f.g()\n", "(f.g)()\n", True),
        ("f.g()\n", "f.h()\n", False),
        ("class A:\n    def f(self): return 1\n", "class A:\n    def f(self): return 2\n", False),
    ],
)
def test_programs_are_compared_to_the_bit(one: str, other: str, same: bool) -> None:
    assert same_program(compiled(one, "a.py"), compiled(other, "a.py")) is same


def test_the_interpreter_of_the_project_answers(sandbox: Sandbox, tmp_path: Path) -> None:
    """Under -O an assertion is not compiled, so a fault in it is none."""
    source = "def f(a):\n    assert a + 1\n    return a\n"
    faults = candidates("f.py", source)
    plain = dict(zip(((each.operator) for each in faults), standings(sandbox, faults, {"f.py": source}), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONOPTIMIZE", "1")
        bare = dict(zip(((each.operator) for each in faults), standings(sandbox, faults, {"f.py": source}), strict=True))
    assert plain == {"arithmetic": "other", "off by one": "other", "return value": "other"}
    assert bare == {"arithmetic": "equivalent", "off by one": "equivalent", "return value": "other"}


def test_a_text_that_the_interpreter_cannot_compile_spoils_no_other(sandbox: Sandbox) -> None:
    """As of a project whose Python is older than ours, or with a file that is nested too deeply."""
    deep = "def f(a):\n    return " + "-" * 5_000 + "a\n"
    texts = {"new.py": "def f(a):\n    return a +\n", "deep.py": deep, "shape.py": SOURCE}
    for name in ("new.py", "deep.py"):
        at = texts[name].index("return")
        broken = Fault(
            file=name, line=2, function="f", operator="made", start=at, end=at + 6, before="return", after="pass #"
        )
        assert standings(sandbox, [broken, *found()], texts) == ["invalid", *standings(sandbox, found(), texts)]
        assert not is_valid(broken, texts[name])
        assert candidates(name, texts[name]) == []


def test_what_is_too_deep_to_be_walked_has_no_faults() -> None:
    assert candidates("deep.py", "def f(a):\n    return " + "a + " * 1_400 + "a\n") == []
