"""The text of generated tests says what was recorded, runs, and is the same for the same recording."""

from dataclasses import replace

import pytest

from steersman.packs.qe.tools.functions import Target
from steersman.packs.qe.tools.ghostwriter import drafts_of
from steersman.packs.qe.tools.recording import Call, Recorded
from steersman.packs.qe.tools.test_writing import example, properties, write_file
from steersman.packs.qe.tools.values import Kind, plain

LIST = Kind(name="list", parts=(plain("int"),))
TARGET = Target(
    file="a.py",
    module="a",
    name="tidy",
    kinds=(LIST,),
    required=1,
    line=1,
    branches=0,
    constants=(),
    calls=frozenset(),
)


def recorded(arguments: str, text: str, status: str = "value", origin: str = "") -> Recorded:
    return Recorded(call=Call(target=TARGET, arguments=arguments), status=status, text=text, origin=origin)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (recorded("([2, 1],)", "[1, 2]"), "assert tidy([2, 1]) == [1, 2]"),
        (recorded("([],)", "None"), "assert tidy([]) is None"),
        (recorded("([],)", "[1]", "items"), "assert list(tidy([])) == [1]"),
        (recorded("([0],)", "KeyError", "raises", "builtins"), "with pytest.raises(KeyError):\n        tidy([0])"),
        (recorded("(1, 2)", "3"), "assert tidy(1, 2) == 3"),
    ],
)
def test_an_example_states_what_was_recorded(given: Recorded, line: str) -> None:
    draft = example(given)
    assert line in draft.text
    assert example(given) == draft
    text = write_file("a", [draft])
    assert "from a import tidy" in text
    assert ("import pytest" in text) == ("raises" in line)
    compile(text, "test_generated_a.py", "exec")


def test_an_error_of_the_project_is_imported_from_where_it_is() -> None:
    assert "from a.errors import Bad" in write_file("a", [example(recorded("([],)", "Bad", "raises", "a.errors"))])


def test_only_properties_that_held_for_every_recorded_call_are_drafted() -> None:
    sorts = [recorded(f"({each!r},)", repr(sorted(each))) for each in ([2, 1], [], [3], [5, 4, 4])]
    texts = "\n".join(each.text for each in properties(TARGET, [LIST], sorts))
    for held in (
        "result == sorted(result)",
        "len(result) == len(x0)",
        "sorted(result) == sorted(x0)",
        "isinstance(result, list)",
    ):
        assert f"assert {held}\n" in texts
    one_off = [*sorts, recorded("([1, 1],)", "[1]")]
    assert "assert len(result) == len(x0)\n" not in "\n".join(each.text for each in properties(TARGET, [LIST], one_off))
    assert not properties(TARGET, [LIST], sorts[:3]), "three calls say too little"
    (first, *_) = properties(TARGET, [LIST], sorts, edges=["([],)"])
    assert first.edge
    assert "@example(x0=[])" in first.text


def test_two_functions_called_alike_have_tests_of_different_names() -> None:
    other = replace(TARGET, name="other")
    names = {example(recorded("([],)", "1")).name, example(recorded("([],)", "2")).name}
    names.add(example(Recorded(call=Call(target=other, arguments="([],)"), status="value", text="1")).name)
    assert len(names) == 3


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
