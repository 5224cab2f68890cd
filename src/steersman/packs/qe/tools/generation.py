"""Drafts of tests for one module, by four techniques; each rests on calls that are really made and recorded."""

import ast
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.tools.functions import Module, Target
from steersman.packs.qe.tools.ghostwriter import ghostwritten
from steersman.packs.qe.tools.recording import Call, Recorded, Recording, record
from steersman.packs.qe.tools.test_writing import Draft, example, properties
from steersman.packs.qe.tools.trials import Point
from steersman.packs.qe.tools.values import GUESSES, Kind, Source, kind_of_value

_GUESSES = 49
_GENERATIONS = 3
_MUTANT_S = 10.0
_UNFIT = ("TypeError", "AttributeError")


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How far a technique goes: how many functions, how many calls of each, how many drafts in all."""

    targets: int
    calls: int
    drafts: int


DEPTHS: Mapping[str, Depth] = {
    "simple": Depth(targets=4, calls=20, drafts=14),
    "comprehensive": Depth(targets=16, calls=40, drafts=30),
    "integration": Depth(targets=8, calls=30, drafts=20),
}


@dataclass(kw_only=True)
class Drafts:
    """What a technique made: drafts, crashes that it met with arguments of the annotated types, processor seconds."""

    drafts: list[Draft] = field(default_factory=list)
    crashes: list[Finding] = field(default_factory=list)
    cpu_s: float = 0.0


class Maker:
    """Makes drafts for one module. known: arguments in its tests. ran: what its suite runs. faults: to learn from."""

    def __init__(
        self,
        site: Site,
        module: Module,
        *,
        known: Mapping[str, Sequence[tuple[Any, ...]]],
        ran: frozenset[Point],
        faults: Sequence[Fault],
    ) -> None:
        self._site, self._module, self._known, self._ran, self._faults = site, module, known, ran, faults
        self._made = Drafts()

    def make(self, technique: str, focus: str, depth: str, pattern: str) -> Drafts:
        """Return drafts by a technique, focus, depth and pattern; none where no function can be called."""
        size = DEPTHS[depth]
        fitting = self._fitting(self._targets(depth, size.targets, pattern == "reuse"))
        calls = [
            call for target, kinds in fitting for call in self._calls(target, kinds, size.calls, technique, focus, pattern)
        ]
        recorded = self._record(calls)
        if technique == "fuzzing":
            recorded = self._evolved(recorded, size.calls)
            self._made.crashes = [*_crashes(recorded)]
        if technique == "property-based":
            held = self._properties(fitting, recorded, focus)
            self._made.drafts = [*held, *self._ghostwritten(fitting, depth)][: size.drafts]
        else:
            points = self._killed(calls, recorded) if technique == "mutation" else self._points(recorded, focus)
            self._made.drafts = [example(each) for each in _chosen(recorded, points, size.drafts)]
        return self._made

    def _targets(self, depth: str, most: int, reuse: bool) -> list[Target]:
        """Return functions at random, those first of which the suite runs the least."""
        found = [each for each in self._module.targets if depth != "integration" or each.calls]
        found = [each for each in found if not reuse or each.name in self._known]
        order = self._site.generator.permutation(len(found))
        ran = {line for file, line, to in self._ran if file == self._module.file and not to}
        return sorted((found[int(each)] for each in order), key=lambda each: each.line + 1 in ran)[:most]

    def _fitting(self, targets: Sequence[Target]) -> list[tuple[Target, list[tuple[Kind, ...]]]]:
        """Return each function with the kinds of arguments that it takes: annotated, seen in tests, or found by trying."""
        source = Source(self._site.generator)
        trials: list[tuple[Target, tuple[Kind, ...]]] = []
        fitting: dict[Target, list[tuple[Kind, ...]]] = {}
        for target in targets:
            seen = [tuple(map(kind_of_value, each)) for each in self._known.get(target.name, ())]
            if target.typed:
                fitting[target] = [tuple(each for each in target.kinds if each is not None)]
            elif seen and all(each is not None for kinds in seen for each in kinds):
                fitting[target] = [tuple(each for each in kinds if each is not None) for kinds in seen]
            else:
                trials += [(target, each) for each in self._guesses(target)]
        calls = [Call(target=target, arguments=repr(tuple(map(source.typical, kinds)))) for target, kinds in trials]
        kinds_of = dict(zip(calls, (kinds for _, kinds in trials), strict=True))
        for each in self._record(calls):
            if each.status != "crash" and not (each.status == "raises" and each.text in _UNFIT):
                fitting.setdefault(each.call.target, []).append(kinds_of[each.call])
        return list(fitting.items())

    def _guesses(self, target: Target) -> list[tuple[Kind, ...]]:
        options = [[kind] if kind is not None else list(GUESSES) for kind in target.kinds]
        every = list(itertools.islice(itertools.product(*options), 5000))
        chosen = self._site.generator.permutation(len(every))[:_GUESSES]
        return [every[int(each)] for each in chosen]

    def _calls(
        self, target: Target, kinds: Sequence[tuple[Kind, ...]], count: int, technique: str, focus: str, pattern: str
    ) -> list[Call]:
        rng, source = self._site.generator, Source(self._site.generator, target.constants)
        edges = {"fuzzing": 0.8, "mutation": 0.4}.get(technique, 0.15) if focus != "edge cases" else 0.9
        known = list(self._known.get(target.name, ())) if pattern == "reuse" else []
        found: dict[str, Call] = {}
        for number in range(4 * count):
            if len(found) >= count:
                break
            edge = bool(rng.random() < edges)
            if known:
                values = known[number % len(known)]
                values = values if number < len(known) else tuple(map(source.vary, values))
                values, edge = (_one_edge(source, values), True) if edge and number >= len(known) else (values, False)
            else:
                chosen = kinds[int(rng.integers(len(kinds)))]
                chosen = chosen[: int(rng.integers(min(target.required, len(chosen)), len(chosen) + 1))]
                values = tuple(source.edge(each) if edge and rng.random() < 0.6 else source.typical(each) for each in chosen)
            text = repr(values)
            if _is_literal(text):
                found.setdefault(text, Call(target=target, arguments=text, edge=edge, reused=bool(known)))
        return list(found.values())

    def _record(self, calls: Sequence[Call], limit_s: float = 60.0) -> tuple[Recorded, ...]:
        recording: Recording = record(self._site, calls, limit_s=limit_s)
        self._made.cpu_s += recording.cpu_s
        return recording.calls

    def _evolved(self, recorded: Sequence[Recorded], count: int) -> tuple[Recorded, ...]:
        """Vary arguments that reached something new, for some generations, as AFL does; return all that was recorded."""
        every, seen = list(recorded), set[tuple[str, int, int]]()
        young: Sequence[Recorded] = recorded
        for _ in range(_GENERATIONS - 1):
            parents = []
            for each in young:
                if each.arcs - seen:
                    parents.append(each)
                    seen |= each.arcs
            young = self._record([*self._children(parents, count)])
            every += young
        return tuple(every)

    def _children(self, parents: Sequence[Recorded], count: int) -> Iterable[Call]:
        for parent in itertools.islice(itertools.cycle(parents), count if parents else 0):
            source = Source(self._site.generator, parent.call.target.constants)
            text = repr(tuple(map(source.vary, ast.literal_eval(parent.call.arguments))))
            if _is_literal(text):
                yield Call(target=parent.call.target, arguments=text, edge=parent.call.edge, reused=parent.call.reused)

    def _properties(
        self, fitting: Sequence[tuple[Target, list[tuple[Kind, ...]]]], recorded: Sequence[Recorded], focus: str
    ) -> list[Draft]:
        found: list[list[Draft]] = []
        for target, kinds in fitting:
            mine = [each for each in recorded if each.call.target == target]
            full = max(kinds, key=len)
            edges = [each.call.arguments for each in mine if each.call.edge and each.status == "value"]
            whole = [each for each in edges if len(ast.literal_eval(each)) == len(full)]
            found.append(properties(target, full, mine, whole[:3] if focus == "edge cases" else ()))
        return [each for row in itertools.zip_longest(*found) for each in row if each is not None]

    def _ghostwritten(self, fitting: Sequence[tuple[Target, list[tuple[Kind, ...]]]], depth: str) -> list[Draft]:
        """Return what Hypothesis itself would write for typed functions; not where a simple suite was asked for."""
        typed = [target for target, _ in fitting if target.typed] if depth != "simple" else []
        drafts, cpu_s = ghostwritten(self._site, typed)
        self._made.cpu_s += cpu_s
        return drafts

    def _points(self, recorded: Sequence[Recorded], focus: str) -> dict[Recorded, frozenset[Hashable]]:
        """Return what each call would add, in the terms of the focus."""
        if focus == "lines":
            return {each: frozenset((file, line, 0) for file, line in each.lines) - self._ran for each in recorded}
        if focus == "branches":
            return {each: each.arcs - self._ran for each in recorded}
        edges = (each for each in recorded if each.call.edge)
        new = {each: frozenset({(each.call.target, each.outcome)}) | (each.arcs - self._ran) for each in edges}
        return {each: new.get(each, frozenset()) for each in recorded}

    def _killed(self, calls: Sequence[Call], recorded: Sequence[Recorded]) -> dict[Recorded, frozenset[Hashable]]:
        """Return which faults each call shows: those with which it does something else than without."""
        shows: dict[Call, set[Hashable]] = {each: set() for each in calls}
        for fault in self._faults:
            text = fault.apply(self._site.sandbox.read(fault.file))
            with self._site.changed({fault.file: text}):
                changed = {each.call: each.outcome for each in self._record(calls, _MUTANT_S)}
            for each in recorded:
                if changed.get(each.call) != each.outcome:
                    shows[each.call].add(fault)
        return {each: frozenset(shows[each.call]) for each in recorded}


def _one_edge(source: Source, values: tuple[Any, ...]) -> tuple[Any, ...]:
    index = int(source.generator.integers(len(values)))
    kind = kind_of_value(values[index])
    return values if kind is None else (*values[:index], source.edge(kind), *values[index + 1 :])


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return text.isprintable() and len(text) < 400


def _chosen(recorded: Sequence[Recorded], points: Mapping[Recorded, frozenset[Hashable]], most: int) -> list[Recorded]:
    """Return few calls that add much, greedily; then those with results that were not seen yet."""
    usable = [each for each in dict.fromkeys(recorded) if each.usable]
    chosen: list[Recorded] = []
    covered: set[Hashable] = set()
    while usable and len(chosen) < most:
        best = max(usable, key=lambda each: len(points[each] - covered))
        if not points[best] - covered:
            break
        covered |= points[best]
        chosen.append(best)
        usable.remove(best)
    outcomes = {(each.call.target, each.outcome) for each in chosen}
    for each in usable:
        if len(chosen) < most and (each.call.target, each.outcome) not in outcomes:
            outcomes.add((each.call.target, each.outcome))
            chosen.append(each)
    return chosen


def _crashes(recorded: Iterable[Recorded]) -> Iterable[Finding]:
    """Yield one finding for each place at which a call with arguments of the annotated types ended by accident."""
    seen = set()
    for each in recorded:
        if each.status == "crash" and each.call.target.typed and each.at[0] and (each.at, each.text) not in seen:
            seen.add((each.at, each.text))
            yield Finding(
                tool="test-generator",
                rule=each.text,
                severity="low",
                file=each.at[0],
                line=each.at[1],
                message=f"{each.call.target.name}{each.call.arguments[:120]} ends with {each.text}",
                confirmed=True,
            )
