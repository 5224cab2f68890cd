"""Calls of a project's own functions: recorded from its tests, and made again in the copy by the project's interpreter."""

import ast
import itertools
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.discovery import module_name
from steersman.packs.qe.project.process import run_group
from steersman.packs.qe.project.suite import Plan

_POOL: tuple[Any, ...] = (0, 1, 2, -1, 100, 0.5, "", "a", "a b", [], [1, 2], {}, None, True)
_TRIED, _MOST = 40, 12
_TOUCHES = re.compile(r"\b(os|shutil|subprocess|socket|pathlib|requests|httpx|urllib|sys|open|input|signal|threading)\b")


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call: "module.function" and its arguments by name, written out as a dictionary."""

    name: str
    arguments: str
    times: int = 1

    @property
    def shown(self) -> str:
        """The arguments as they stand in a call."""
        given: dict[str, Any] = ast.literal_eval(self.arguments)
        return ", ".join(f"{name}={value!r}" for name, value in given.items())


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a call: the exception's name ("" for none), the value as text, whether that can be read back."""

    raised: str
    value: str
    literal: bool
    failures: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """A function that can be called by name with plain values: its file, its lines, and inputs that it takes."""

    name: str
    file: str
    first: int
    last: int
    parameters: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    tested: bool = False


def replay(site: Site, calls: Sequence[Call], told: str = "") -> tuple[tuple[Outcome, ...], str]:
    """Make calls in the copy as it stands, and return what came of each, with the log of it.

    told: what the log tells of arguments: "call", "locals", or "" for nothing. Raises DeadlineExceeded over the time,
    InvalidInput where the interpreter ended before it had made them all.
    """
    scratch = site.sandbox.scratch
    plan, out = scratch / "calls.json", scratch / "outcomes.json"
    out.unlink(missing_ok=True)
    written = [{"name": each.name, "arguments": each.arguments, "shown": each.shown, "times": each.times} for each in calls]
    plan.write_text(json.dumps({"calls": written, "told": told, "out": str(out)}), encoding="utf-8")
    finished = run_group(
        [site.project.tools.interpreter, str(Path(__file__).with_name("replayed.py")), str(plan)],
        cwd=site.sandbox.root,
        env=site.sandbox.environment(),
        timeout_s=site.timeout_s,
        log=scratch / "replayed.log",
        memory_mb=site.suite.memory_mb,
    )
    if finished.timed_out:
        raise DeadlineExceeded(f"the calls did not end within {site.timeout_s:.0f} s; they were killed.")
    if not out.exists():
        raise InvalidInput(f"the calls ended with exit code {finished.exit_code}: {finished.tail.strip()[-400:]}")
    said = json.loads(out.read_text(encoding="utf-8"))
    return tuple(Outcome(**each) for each in said["outcomes"]), str(said["log"])


def find_targets(site: Site, sources: Mapping[str, str], wanted: frozenset[str] = frozenset()) -> tuple[Target, ...]:
    """Return some public functions at the top of modules that take plain values, with inputs they return a value for.

    Inputs are those of the project's tests. Where they tell none, values of many kinds are tried, but only on functions
    of a file that touches neither files nor processes nor networks: what it would do with a guess is not known. wanted:
    names that come first.
    """
    recorded = _record(site) if site.project.tests else {}
    found = []
    every = [each for file, text in sorted(sources.items()) for each in _functions(file, text, site.project.source_root)]
    usable = [each for each in every if each.name in recorded or not _TOUCHES.search(sources[each.file])]
    shuffled = [usable[int(index)] for index in site.generator.permutation(len(usable))]
    for each in sorted(shuffled, key=lambda target: target.name not in wanted)[:_MOST]:
        heard = tuple(recorded.get(each.name, ()))
        inputs = heard or _guesses(each, site.generator)
        calls = [Call(name=each.name, arguments=given) for given in dict.fromkeys((*inputs, *_neighbours(inputs)))]
        good = _good(site, calls)
        if good:
            found.append(replace(each, inputs=good, tested=bool(heard)))
    return tuple(found)


def _good(site: Site, calls: Sequence[Call]) -> tuple[str, ...]:
    """Return the inputs of the calls that return a plain value."""
    try:
        outcomes, _ = replay(site, calls)
    except (DeadlineExceeded, InvalidInput):
        return ()
    return tuple(call.arguments for call, was in zip(calls, outcomes, strict=True) if not was.raised and was.literal)


def _functions(file: str, text: str, source_root: str) -> list[Target]:
    found = []
    module = module_name(file, source_root)
    for node in ast.parse(text).body:
        plain = isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and not node.decorator_list
        if (
            plain
            and isinstance(node, ast.FunctionDef)
            and not (node.args.posonlyargs or node.args.vararg or node.args.kwarg)
        ):
            names = tuple(each.arg for each in (*node.args.args, *node.args.kwonlyargs))
            name, last = f"{module}.{node.name}", node.end_lineno or node.lineno
            found.append(Target(name=name, file=file, first=node.lineno, last=last, parameters=names))
    return found


def _record(site: Site) -> dict[str, list[str]]:
    """Run the tests once and return the arguments of each function that they call, written out."""
    scratch, suite = site.sandbox.scratch, site.suite
    out = scratch / "recorded.json"
    out.unlink(missing_ok=True)
    shutil.copyfile(Path(__file__).with_name("recorded.py"), scratch / "steersman_recorded.py")
    wanted = {"STEERSMAN_RECORD_OUT": str(out), "STEERSMAN_RECORD_INSIDE": str(site.sandbox.root)}
    try:
        with suite.under(PYTEST_ADDOPTS="-p steersman_recorded", **wanted):
            suite.run(Plan(), timeout_s=site.timeout_s)
    except InvalidInput as error:
        site.progress.note(f"the tests tell no inputs: {error}")
    found: dict[str, list[str]] = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    return found


def _guesses(target: Target, generator: np.random.Generator) -> tuple[str, ...]:
    """Return inputs of many kinds: all of them for a function of one parameter, some at random for one of more."""
    if not target.parameters:
        return ("{}",)
    every = list(itertools.islice(itertools.product(_POOL, repeat=min(len(target.parameters), 3)), 3000))
    chosen = generator.choice(len(every), size=min(_TRIED, len(every)), replace=False)
    return tuple(repr(dict(zip(target.parameters, every[int(each)], strict=False))) for each in chosen)


def _neighbours(inputs: Sequence[str]) -> tuple[str, ...]:
    """Return inputs just beside others: each number one more and one less, each text or list empty."""
    found: dict[str, None] = {}
    for given in inputs[:4]:
        values: dict[str, Any] = ast.literal_eval(given)
        for name, value in values.items():
            beside: tuple[Any, ...] = ()
            if isinstance(value, int | float) and not isinstance(value, bool):
                beside = (value + 1, value - 1)
            elif isinstance(value, str | list) and value:
                beside = (type(value)(),)
            found |= dict.fromkeys(repr(values | {name: each}) for each in beside)
    return tuple(each for each in found if each not in inputs)
