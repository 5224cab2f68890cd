"""Gaps: functions that tests do not run, or hardly, by how deep one looks, and in which order to close them."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.tools.complexity import FunctionNode, cognitive_complexity, function_nodes
from steersman.packs.qe.tools.reach import Calls

_COMPLEX = 5.0


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A function with its lines from 1, and how far tests reach into it.

    unrun: its lines that no test runs. untaken: ways from its lines that no test takes, where branches were measured.
    tests: how many run it. callers: how many functions call it, directly or through others.
    """

    file: str
    name: str
    first: int
    last: int
    lines: int
    unrun: tuple[int, ...]
    untaken: int
    tests: int
    cognitive: int
    callers: int


Depth = Callable[[Gap], float]
"""A function → how much is missing in it; 0 for nothing."""
Method = Callable[[Sequence[Gap], Depth], list[Gap]]
"""(functions in the order of the files, depth) → those with something missing, in the order to close them."""


def survey_functions(
    texts: Mapping[str, str], coverage: CoverageMap, untaken: Mapping[str, Sequence[int]]
) -> tuple[Gap, ...]:
    """Return all functions of some files that have a body, in the order of the files. untaken: as in `Branches.missing`."""
    calls = Calls(texts)
    found = []
    for file, text in sorted(texts.items()):
        for name, node in function_nodes(text):
            lines = _statements(node)
            if lines:
                found.append(_gap(file, name, node, lines, coverage, untaken.get(file, ()), len(calls.callers(name))))
    return tuple(found)


def by_lines(gap: Gap) -> float:
    """Return the lines that no test runs."""
    return float(len(gap.unrun))


def by_branches(gap: Gap) -> float:
    """Return the lines that no test runs and the ways that none takes."""
    return float(len(gap.unrun) + gap.untaken)


def by_priority(gap: Gap) -> float:
    """Return the same with few tests counted as well, and more where the function is hard to follow."""
    weak = (1.0 + gap.cognitive / _COMPLEX) / (1.0 + gap.tests)
    return (by_branches(gap) + weak) * (1.0 + gap.cognitive / _COMPLEX)


def linear(found: Sequence[Gap], depth: Depth) -> list[Gap]:
    """Go through the files from top to bottom, as reports of coverage do."""
    return [each for each in found if depth(each) > 0.0]


def bisect(found: Sequence[Gap], depth: Depth) -> list[Gap]:
    """Halve the files' functions again and again, and go into the half first in which more is missing."""
    if len(found) < 2:
        return linear(found, depth)
    middle = len(found) // 2
    halves = sorted((found[:middle], found[middle:]), key=lambda half: -sum(depth(each) for each in half))
    return [each for half in halves for each in bisect(half, depth)]


def graph(found: Sequence[Gap], depth: Depth) -> list[Gap]:
    """Begin with what most other functions reach; among equals, with what misses most."""
    return sorted(linear(found, depth), key=lambda each: (-each.callers, -depth(each), each.file, each.first))


def _gap(
    file: str,
    name: str,
    node: FunctionNode,
    lines: Sequence[int],
    coverage: CoverageMap,
    untaken: Sequence[int],
    callers: int,
) -> Gap:
    known = coverage.lines.get(file, {})
    first, last = node.lineno, node.end_lineno or node.lineno
    tests = frozenset().union(*(known.get(each, frozenset()) for each in lines))
    return Gap(
        file=file,
        name=name,
        first=first,
        last=last,
        lines=len(lines),
        unrun=tuple(each for each in lines if not known.get(each)),
        untaken=sum(first <= each <= last for each in untaken),
        tests=len(tests),
        cognitive=cognitive_complexity(node),
        callers=callers,
    )


def _statements(node: FunctionNode) -> tuple[int, ...]:
    """Return the first lines of a function's statements, without its docstring, `pass`, names and nested definitions."""
    silent = (ast.Global, ast.Nonlocal, ast.Pass, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    found = {
        each.lineno
        for statement in node.body
        for each in ast.walk(statement)
        if isinstance(each, ast.stmt) and not isinstance(each, silent) and not _is_text(each)
    }
    return tuple(sorted(found - {node.lineno}))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
