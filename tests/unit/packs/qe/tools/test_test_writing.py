"""The text of generated tests says what was recorded, runs, and is the same for the same recording."""

from dataclasses import replace
from typing import Any

import pytest

from steersman.packs.qe.tools.functions import Target
from steersman.packs.qe.tools.ghostwriter import drafts_of
from steersman.packs.qe.tools.properties import properties
from steersman.packs.qe.tools.recording import Call, Recorded
from steersman.packs.qe.tools.test_writing import example, named_apart, write_file
from steersman.packs.qe.tools.values import Kind, plain

LIST = Kind(name="list", parts=(plain("int"),))
TARGET = Target(
    file="a.py",
    module="a",
    name="tidy",
    kinds=(LIST,),
    required=1,
    line=1,
    end=3,
    branches=0,
    constants=(),
    calls=frozenset(),
    parameters=("items", "least"),
)
METHOD = replace(TARGET, owner="SortedBox", how="method")


def recorded(values: tuple[object, ...], text: str, status: str = "value", **more: Any) -> Recorded:
    target: Target = more.pop("target", TARGET)
    setup = more.pop("setup", "")
    needs = target.needs | ({(target.module, target.owner)} if setup else set())
    call = Call(
        target=target, text=target.called(values), values=values, setup=setup, steps=more.pop("steps", ()), needs=needs
    )
    return Recorded(call=call, status=status, text=text, **more)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (recorded(([2, 1],), "[1, 2]"), "assert tidy([2, 1]) == [1, 2]"),
        (recorded(([],), "None"), "assert tidy([]) is None"),
        (recorded(([],), "[1]", form="list({})"), "assert list(tidy([])) == [1]"),
        (recorded(([0],), "KeyError", "raises", origin="builtins"), "with pytest.raises(KeyError):\n        tidy([0])"),
        (recorded((1, 2), "3"), "assert tidy(1, 2) == 3"),
        (recorded((1,), "3", target=METHOD, setup="SortedBox(9)"), "assert SortedBox(9).tidy(1) == 3"),
        (
            recorded((1,), "[1]", target=METHOD, setup="SortedBox(9)", steps=("_it_.clear()",), view="list(_it_)"),
            "sorted_box = SortedBox(9)\n    sorted_box.clear()\n    sorted_box.tidy(1)\n    assert list(sorted_box) == [1]",
        ),
        (
            recorded((1,), "False", target=replace(METHOD, name="__contains__"), setup="SortedBox(9)"),
            "assert 1 not in SortedBox(9)",
        ),
    ],
)
def test_an_example_states_what_was_recorded(given: Recorded, line: str) -> None:
    draft = example(given)
    assert line in draft.text
    assert example(given) == draft
    text = write_file("a", [draft])
    assert f"from a import {given.call.target.owner or 'tidy'}" in text
    assert ("import pytest" in text) == ("raises" in line)
    compile(text, "test_generated_a.py", "exec")


def test_an_error_of_the_project_is_imported_from_where_it_is() -> None:
    assert "from a.errors import Bad" in write_file("a", [example(recorded(([],), "Bad", "raises", origin="a.errors"))])


def test_only_properties_that_held_for_every_recorded_call_are_drafted() -> None:
    sorts = [recorded((each,), repr(sorted(each))) for each in ([2, 1], [], [3], [5, 4, 4])]
    texts = "\n".join(each.text for each in properties(TARGET, [LIST], sorts))
    for held in (
        "result == sorted(result)",
        "len(result) == len(items)",
        "sorted(result) == sorted(items)",
        "isinstance(result, list)",
    ):
        assert f"assert {held}\n" in texts
    one_off = [*sorts, recorded(([1, 1],), "[1]")]
    assert "assert len(result) == len(items)\n" not in "\n".join(each.text for each in properties(TARGET, [LIST], one_off))
    assert not properties(TARGET, [LIST], sorts[:3]), "three calls say too little"
    (first, *_) = properties(TARGET, [LIST], sorts, edges=[recorded(([],), "[]").call])
    assert first.edge
    assert "@example(items=[])" in first.text


def test_a_name_says_what_is_checked_and_no_two_tests_share_one() -> None:
    assert example(recorded(([2, -1],), "[1]")).name == "test_tidy_of_2_minus_1_is_1"
    assert example(recorded(([],), "KeyError", "raises", origin="builtins")).name == "test_tidy_raises_key_error_for_empty"
    alike = [example(recorded((text,), "1")) for text in ("a b", "a_b", "a b")]
    names = [each.name for each in named_apart(alike, ())]
    assert names == ["test_tidy_of_a_b_is_1", "test_tidy_of_a_b_is_1_2"], "the third is the first"
    assert not named_apart(alike[:1], alike), "it is there already"


def test_what_cannot_be_imported_beside_the_others_is_left_out() -> None:
    other = replace(example(recorded((1,), "2")), name="test_other", imports=frozenset({("b", "tidy")}))
    assert not named_apart([other], [example(recorded(([],), "1"))])


def test_examples_that_differ_in_their_values_only_stand_in_a_table() -> None:
    boxes = [recorded((1,), each, target=METHOD, setup=f"SortedBox({each})") for each in ("3", "4")]
    refused = [recorded((each,), "KeyError", "raises", origin="builtins") for each in (7, 8)]
    drafts = [example(each) for each in (*boxes, *refused, recorded((1,), "True"), recorded((2, 3), "5"))]
    text = write_file("a", drafts, tables=True)
    assert '("sorted_box", "items", "expected")'.replace('"', "'") in text
    assert "        (SortedBox(4), 1, 4),\n" in text
    assert "def test_sorted_box_tidy(sorted_box, items, expected):\n    assert sorted_box.tidy(items) == expected\n" in text
    assert "    'items',\n    [\n        7,\n        8,\n    ],\n" in text
    assert "def test_tidy_raises_key_error(items):\n    with pytest.raises(KeyError):\n        tidy(items)\n" in text
    assert "assert tidy(1) is True" in text, "alone, and not among others"
    compile(text, "test_generated_a.py", "exec")


def test_a_ghostwritten_test_is_taken_unless_it_needs_more_than_hypothesis() -> None:
    text = (
        "import a\nimport typing\nfrom hypothesis import given, strategies as st\n\n\n"
        "@given(x=st.integers())\ndef test_fuzz_f(x: int) -> None:\n    a.f(x=x)\n\n\n"
        "@given(x=st.from_type(typing.Hashable))\ndef test_fuzz_g(x: typing.Hashable) -> None:\n    a.g(x=x)\n"
    )
    (draft,) = drafts_of(text, "a")
    assert draft.name == "test_fuzz_f"
    compile(write_file("a", [draft]), "test_generated_a.py", "exec")
    assert not [*drafts_of("Error: no such module", "a")]
