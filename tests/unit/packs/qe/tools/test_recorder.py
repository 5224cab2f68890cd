"""Calls are made by the project's interpreter, inside a fence, and what each did is written down as it was."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from steersman.packs.qe.tools import recorder, written
from steersman.packs.qe.tools.expressions import STANDARD
from steersman.packs.qe.tools.values import Kind, Source, kind_of, kind_of_value, plain, strategy

MODULE = """
import enum, os, subprocess, sys

def double(x): return 2 * x
def first(items): return items[0]
def refuse(x):
    raise ValueError(x)
def thing(x): return object()
def count(n): return (each for each in range(n))
def endless(n):
    while True: n += 1
def start(n): return subprocess.run(["true"])
def erase(name): os.remove(name)
def save(name): open(name, "w").write("x")
def swallow(name):
    try: os.remove(name)
    except Exception: return "fine"
def branch(x):
    if x > 0:
        return "up"
    return "down"
def replace(name):
    own = sys.argv[0] + ".own"
    open(own, "w").close()
    os.rename(own, name)

class Size(enum.Enum):
    BIG = 2

class Shelf:
    def __init__(self, size=Size.BIG): self.size, self._items = size, []
    def add(self, item):
        self._items.append(item)
    def __iter__(self): return iter(self._items)
    def take(self):
        if not self._items: raise LookupError("empty")
        return self._items.pop()
"""
OBJECTS = [
    ("Shelf(Size.BIG)", ["_it_.add(1)"], "_it_.add(2)"),
    ("Shelf()", ["_it_.add('a')"], "_it_.take()"),
    ("Shelf()", [], "_it_.size"),
    ("Shelf()", ["_it_.take()"], "list(_it_)"),
]


@pytest.fixture
def recorded(tmp_path: Path) -> dict[str, dict[str, object]]:
    (tmp_path / "project").mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "project" / "things.py").write_text(MODULE)
    precious = tmp_path / "precious"
    precious.write_text("all that I have")
    script = tmp_path / "scratch" / "steersman_recorder.py"
    script.write_text(Path(recorder.__file__).read_text())
    shutil.copy(written.__file__, tmp_path / "scratch" / "steersman_written.py")
    where = repr(str(precious))
    texts = ["double(21)", "first([])", "refuse(1)", "thing(1)", "count(3)", "count(99)", "endless(1)", "start(1)"]
    texts += [f"{name}({where})" for name in ("erase", "replace", "save", "swallow")] + ["branch(1)"]
    calls: list[tuple[str, list[str], str, list[tuple[str, str]]]]
    calls = [("", [], text, [("things", text.partition("(")[0])]) for text in texts]
    calls += [(setup, steps, text, [("things", "Shelf"), ("things", "Size")]) for setup, steps, text in OBJECTS]
    out = tmp_path / "out.jsonl"
    job = {"module": "things", "inside": str(tmp_path / "project"), "calls": calls, "call_s": 0.3, "out": str(out)}
    (tmp_path / "job.json").write_text(json.dumps(job))
    subprocess.run(
        [sys.executable, str(script), str(tmp_path / "job.json")],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "project")},
        check=True,
        timeout=60,
    )
    assert precious.read_text() == "all that I have"
    lines = [json.loads(each) for each in out.read_text().splitlines()]
    return {
        text if text.startswith("count") or "_it_" in text else text.partition("(")[0]: lines[i]
        for i, (*_, text, _) in enumerate(calls)
    }


def test_each_call_is_told_apart_and_none_gets_out(recorded: dict[str, dict[str, object]]) -> None:
    told = {name: (each["status"], each["text"]) for name, each in recorded.items()}
    assert told["double"] == ("value", "42")
    assert told["refuse"] == ("raises", "ValueError")
    assert told["first"] == ("crash", "IndexError"), "nobody raised it on purpose"
    assert recorded["first"]["at"] == ["things.py", 5]
    assert told["count(3)"] == ("value", "[0, 1, 2]")
    for name in ("thing", "count(99)", "endless", "start", "erase", "replace", "save", "swallow"):
        assert told[name][0] == "skip", name
    assert recorded["count(3)"]["form"] == "list({})"
    assert recorded["branch"]["lines"] == [["things.py", 19], ["things.py", 20]]


def test_an_object_is_built_and_used_and_looked_at(recorded: dict[str, dict[str, object]]) -> None:
    added = recorded["_it_.add(2)"]
    assert (added["status"], added["view"], added["text"]) == ("value", "list(_it_)", "[1, 2]")
    assert recorded["_it_.take()"]["text"] == "'a'"
    assert (recorded["_it_.size"]["text"], recorded["_it_.size"]["needs"]) == ("Size.BIG", [["things", "Size"]])
    assert recorded["list(_it_)"]["status"] == "skip", "what goes before the call has failed"


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("int", plain("int")),
        ("list[str]", Kind(name="list", parts=(plain("str"),))),
        ("Optional[int]", Kind(name="union", parts=(plain("int"), plain("None")))),
        ("int | None", Kind(name="union", parts=(plain("int"), plain("None")))),
        ("dict[str, float]", Kind(name="dict", parts=(plain("str"), plain("float")))),
        ("tuple[int, ...]", Kind(name="tuples", parts=(plain("int"),))),
        ("Literal['a', 'b']", Kind(name="literal", options=("a", "b"))),
        ("'bytes'", plain("bytes")),
        ("Path", None),
        ("list[Path]", None),
        ("Callable[[int], int]", None),
    ],
)
def test_an_annotation_says_what_a_parameter_takes(annotation: str, expected: Kind | None) -> None:
    assert kind_of(ast.parse(annotation, mode="eval").body) == expected


def test_an_annotation_of_the_standard_library_stands_for_expressions() -> None:
    assert kind_of(ast.parse("Path", mode="eval").body, STANDARD) == STANDARD["Path"]
    assert kind_of(ast.parse("dict[str, datetime.date]", mode="eval").body, STANDARD) == Kind(
        name="dict", parts=(plain("str"), STANDARD["date"])
    )


@pytest.mark.parametrize("annotation", ["int", "list[str]", "dict[str, int]", "set[int]", "tuple[int, str]", "bytes | None"])
def test_every_value_is_a_literal_of_its_kind_and_one_seed_draws_the_same(annotation: str) -> None:
    kind = kind_of(ast.parse(annotation, mode="eval").body)
    assert kind is not None
    drawn = []
    for _ in range(2):
        source = Source(np.random.default_rng(5), constants=(7, "x"))
        drawn.append([draw(kind) for draw in (source.typical, source.edge) for _ in range(30)])
    assert drawn[0] == drawn[1]
    for value in drawn[0]:
        assert ast.literal_eval(repr(value)) == value
        assert type(source.vary(value)) is type(value)
    assert strategy(kind).startswith("st.")


def test_the_kind_of_a_value_is_that_of_what_is_in_it() -> None:
    assert kind_of_value([1, 2]) == Kind(name="list", parts=(plain("int"),))
    assert kind_of_value({"a": None}) == Kind(name="dict", parts=(plain("str"), plain("None")))
    assert kind_of_value([]) is None
