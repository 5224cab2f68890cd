"""Faults of the kinds that incidents come from, each of one function: of its input, of its answer, of its load."""

import ast
import string
from dataclasses import dataclass

import numpy as np

from steersman.packs.qe.faults.mutation import candidates, is_valid, sample


@dataclass(frozen=True, kw_only=True)
class FaultyFile:
    """A file with one fault in one function. name: the fault in a few words."""

    file: str
    text: str
    name: str


def seeded_faults(
    file: str, source: str, function: str, generator: np.random.Generator, *, count: int
) -> tuple[FaultyFile, ...]:
    """Return up to so many small faults of a function at the top of a file: seeded ones, and a value that gets lost."""
    own = [each for each in candidates(file, source) if each.function.partition(".")[0] == function]
    drawn = [each for each in sample(generator, own, count) if is_valid(each, source)]
    found = [FaultyFile(file=file, text=each.apply(source), name=each.name) for each in drawn]
    lost = lost_value(file, source, function, generator)
    return (*found, *([lost] if lost else []))


def lost_value(file: str, source: str, function: str, generator: np.random.Generator) -> FaultyFile | None:
    """Return the file with one parameter of a function lost at its start; None where it has none or stands on one line."""
    node = _find(source, function)
    names = [each.arg for each in (*node.args.args, *node.args.kwonlyargs)] if node else []
    if node is None or not names:
        return None
    name = names[int(generator.integers(len(names)))]
    text = _at_start(source, node, (f"{name} = None",))
    return FaultyFile(file=file, text=text, name=f"{function}: {name} is lost") if text else None


def load_fault(file: str, source: str, function: str, generator: np.random.Generator) -> FaultyFile | None:
    """Return the file with a function that fails each so many calls, whatever it is given; None as in `lost_value`."""
    node = _find(source, function)
    if node is None:
        return None
    kept = "planted_" + "".join(string.ascii_lowercase[int(each)] for each in generator.integers(0, 26, 8))
    every = int(generator.integers(15, 45))
    lines = (f"{kept}.append(1)", f"if len({kept}) % {every} == 0:", "    raise RuntimeError('no handle is left')")
    text = _at_start(source, node, lines)
    whole = f"{text.rstrip()}\n\n\n{kept} = []\n" if text else ""
    return FaultyFile(file=file, text=whole, name=f"{function}: fails each {every} calls") if text else None


def _find(source: str, function: str) -> ast.FunctionDef | None:
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == function and node.body[0].lineno > node.lineno:
            return node
    return None


def _at_start(source: str, node: ast.FunctionDef, added: tuple[str, ...]) -> str:
    """Return the text with lines at the start of a function, behind its docstring; "" where it would not compile."""
    documented = ast.get_docstring(node) is not None
    behind = (node.body[0].end_lineno or 0) if documented else node.body[0].lineno - 1
    lines = source.splitlines(keepends=True)
    indent = " " * node.body[0].col_offset
    text = "".join([*lines[:behind], *(f"{indent}{line}\n" for line in added), *lines[behind:]])
    try:
        ast.parse(text)
    except SyntaxError:
        return ""
    return text
