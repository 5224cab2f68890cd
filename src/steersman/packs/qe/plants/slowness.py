"""Slow-downs, put into functions of a copy: some at every call, some only in a crowd, after many calls, or after a pause.

A slow-down is as large as a multiple of what the function takes on this machine, so that it can be measured, and its kind
and size are drawn at random each time.
"""

import ast
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steersman.packs.qe.plants.hot_function import HotFunction, top_functions

STRENGTH = (1.0, 2.5)
"""By how many times its usual time a function takes longer, at least and at most."""
_GROWN_AFTER = 40.0  # batches
_PAUSE_S = 0.02
_LEAST_SLEEP_S = 0.0001  # where less is to be added to a call, not every call sleeps
_LEAST_WAIT_S = 0.003

KINDS: dict[str, tuple[str, str]] = {
    "sleep": (
        "import itertools as {p}_itertools\nimport time as {p}_time\n{p}_count = {p}_itertools.count(1)",
        "if next({p}_count) % {every} == 0:\n    {p}_time.sleep({sleep_s:.9f})",
    ),
    "loop": ("", "for {p} in range({loops}):\n    pass"),
    "quadratic": ("", "for {p} in range({side}):\n    for {p} in range({side}):\n        pass"),
    "crowd": (
        "import threading as {p}_threading\nimport time as {p}_time\n{p}_lock = {p}_threading.Lock()",
        "if {p}_lock.acquire(blocking=False):\n    {p}_time.sleep(0)\n    {p}_lock.release()\n"
        "else:\n    {p}_time.sleep({wait_s:.9f})",
    ),
    "growth": ("{p}_seen = []", "{p}_seen.append(0)\nfor {p} in range(int(len({p}_seen) * {rate:.9f})):\n    pass"),
    "pause": (
        "import time as {p}_time\n{p}_last = [0.0]",
        "if {p}_time.perf_counter() - {p}_last[0] > {pause_s}:\n    {p}_time.sleep({cold_s:.9f})\n"
        "{p}_last[0] = {p}_time.perf_counter()",
    ),
}
"""By kind: what stands above a module's own statements, and what stands at the beginning of the function."""


@dataclass(frozen=True, kw_only=True)
class PlantedSlowness:
    """The changed files, by path, and the slower functions, each with its kind.

    affected: functions that were not changed but call one that was, so that they may be slower or not.
    """

    texts: Mapping[str, str]
    slow: Mapping[str, str]
    affected: frozenset[str]


def plant_slowness(
    sources: Mapping[str, str],
    functions: Sequence[HotFunction],
    usual_s: Mapping[str, float],
    sizes: Mapping[str, int],
    generator: np.random.Generator,
    *,
    count: int,
    kinds: Sequence[str] = (),
) -> PlantedSlowness:
    """Return the files with so many slower functions among these, one in each; kinds (none: all of them) take turns.

    usual_s: what a call takes. sizes: calls to a batch, which is what a slow-down that grows is measured by.
    """
    chosen = [functions[int(each)] for each in generator.permutation(len(functions))[:count]]
    known = [*(kinds or KINDS)]
    order = [known[int(each)] for each in generator.permutation(len(known))]
    texts: dict[str, str] = {}
    slow: dict[str, str] = {}
    for index, function in enumerate(chosen):
        kind = order[index % len(order)]
        values = _values(usual_s[function.id], sizes[function.id], generator)
        texts[function.file] = _insert(texts.get(function.file, sources[function.file]), function.name, KINDS[kind], values)
        slow[function.id] = kind
    callers = {each.id for each in functions if any(each.id in other.callers for other in chosen)}
    return PlantedSlowness(texts=texts, slow=slow, affected=frozenset(callers - slow.keys()))


def _values(usual_s: float, size: int, generator: np.random.Generator) -> dict[str, str | float | int]:
    """Return what a kind may ask for."""
    extra_s = usual_s * float(generator.uniform(*STRENGTH))
    loops = max(2, math.ceil(extra_s / _seconds_of_a_loop()))
    word = "".join("abcdefghijklmnopqrstuvwxyz"[int(each)] for each in generator.integers(0, 26, 8))
    return {
        "p": f"_{word}",
        "every": max(1, round(_LEAST_SLEEP_S / extra_s)),
        "sleep_s": max(extra_s, _LEAST_SLEEP_S),
        "loops": loops,
        "side": math.ceil(math.sqrt(loops)),
        "wait_s": max(extra_s, _LEAST_WAIT_S),
        "rate": loops / (_GROWN_AFTER * size),
        "pause_s": _PAUSE_S,
        "cold_s": 4.0 * size * extra_s,
    }


def _insert(text: str, name: str, kind: tuple[str, str], values: Mapping[str, str | float | int]) -> str:
    """Return a text with a slow-down at the beginning of a function, after what documents it."""
    above, inside = (each.format(**values) for each in kind)
    lines = text.splitlines(keepends=True)
    node = next(each for each in top_functions("", text) if each.name == name)
    first = node.body[1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0]
    indent = " " * first.col_offset
    lines.insert(first.lineno - 1, "".join(f"{indent}{each}\n" for each in inside.splitlines()))
    if above:
        lines.insert(_top(ast.parse(text)), f"{above}\n")
    return "".join(lines)


def _top(tree: ast.Module) -> int:
    """Return after how many lines a module may have statements of ours: what documents it and `__future__` come first."""
    after = 0
    for index, each in enumerate(tree.body):
        documents = index == 0 and isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant)
        if not (documents or (isinstance(each, ast.ImportFrom) and each.module == "__future__")):
            break
        after = each.end_lineno or after
    return after


def _seconds_of_a_loop() -> float:
    """Return how long one round of an empty loop takes here at best; measured once."""
    if not _MEASURED:
        for _ in range(5):
            begun = time.perf_counter()
            for _ in range(20_000):
                pass
            _MEASURED.append((time.perf_counter() - begun) / 20_000)
    return min(_MEASURED)


_MEASURED: list[float] = []
