"""Every fault is valid Python, differs from the original in one place, and keeps the layout."""

import ast
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from steersman.packs.qe.faults.mutation import candidates, faults, harmless_edit, is_valid, sample

SOURCE = """def f(a, b):
    # café: the columns of the AST count bytes
    text = "é" if a < b and not b else "ü"
    for each in a:
        if each in b:
            break
        total = each + 1
    return text
"""
LIBRARY = Path(sysconfig.get_paths()["stdlib"])


def operators(source: str) -> set[str]:
    return {f"{each.operator}: {each.before} -> {each.after}" for each in faults("a.py", source)}


def test_all_kinds_of_fault() -> None:
    assert operators(SOURCE) == {
        "comparison: < -> <=",
        "boolean: and -> or",
        "removed not: not  -> ",
        "comparison: in -> not in",
        "negated condition: each in b -> not (each in b)",
        "loop control: break -> continue",
        "arithmetic: + -> -",
        "off by one: 1 -> 2",
        "deleted statement: total = each + 1 -> pass",
        'deleted statement: text = "é" if a < b and not b else "ü" -> pass',
        "return value: text -> None",
    }


def test_a_fault_knows_its_line_and_function() -> None:
    fault = next(each for each in faults("a.py", SOURCE) if each.operator == "loop control")
    assert (fault.line, fault.function) == (6, "f")
    assert fault.apply(SOURCE).splitlines()[5] == "            continue"
    with pytest.raises(ValueError, match="text at"):
        fault.apply("x" + SOURCE)


@pytest.mark.parametrize("name", ["textwrap.py", "bisect.py", "json/decoder.py", "dataclasses.py", "configparser.py"])
def test_faults_of_real_sources_are_valid_and_keep_the_layout(name: str) -> None:
    source = (LIBRARY / name).read_text(encoding="utf-8")
    found = candidates(name, source)
    drawn = [each for each in found[:: max(1, len(found) // 60)] if is_valid(each, source)]
    assert len(drawn) > 5
    for fault in drawn:
        mutated = fault.apply(source)
        ast.parse(mutated)
        assert mutated.count("\n") == source.count("\n")
        changed = [i for i, (a, b) in enumerate(zip(source.split("\n"), mutated.split("\n"), strict=True), 1) if a != b]
        assert changed == [fault.line]


@pytest.mark.parametrize("source", ["", "x = 1 + 2\n", "def f(:\n", 'def f():\n    """1 + 2"""\n'])
def test_nothing_to_change_outside_functions_or_in_broken_text(source: str) -> None:
    assert faults("a.py", source) == []


def test_the_same_seed_draws_the_same_faults() -> None:
    found = faults("a.py", SOURCE)
    first, second = (sample(np.random.default_rng(7), found, 5) for _ in range(2))
    assert first == second
    assert len(set(first)) == 5


def test_a_harmless_edit_changes_text_and_nothing_else() -> None:
    edited = harmless_edit(SOURCE, 7, "note")
    assert edited is not None
    assert edited.splitlines()[6].endswith("# note")
    assert harmless_edit('x = """\ntext\n"""\n', 2, "note") is None
    assert harmless_edit(SOURCE, 99, "note") is None
