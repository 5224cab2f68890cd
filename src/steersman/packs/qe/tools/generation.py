"""Drafts of tests for one module, by four techniques; each rests on calls that are really made and recorded."""

import itertools
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from steersman.core.errors import DeadlineExceeded
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.tools.arguments import Caller, Kinds, Manner
from steersman.packs.qe.tools.functions import IT, Module, Target
from steersman.packs.qe.tools.ghostwriter import ghostwritten
from steersman.packs.qe.tools.heard import Heard
from steersman.packs.qe.tools.properties import properties
from steersman.packs.qe.tools.recording import Call, Recorded, Recording, record
from steersman.packs.qe.tools.test_writing import Draft, example
from steersman.packs.qe.tools.trials import Point

_GENERATIONS = 3
_MUTANT_S = 10.0
_FAULT_WEIGHT = 3
_LEAST_GAIN = 0.2
_APPLIED = 2


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How far a technique goes: how many functions, calls of each (more of few), drafts, and steps before a call at most."""

    targets: int
    calls: int
    drafts: int
    steps: int


DEPTHS: Mapping[str, Depth] = {
    "simple": Depth(targets=8, calls=30, drafts=20, steps=1),
    "comprehensive": Depth(targets=16, calls=60, drafts=40, steps=3),
    "integration": Depth(targets=8, calls=30, drafts=20, steps=2),
}


@dataclass(kw_only=True)
class Drafts:
    """What a technique made: drafts, crashes that it met with arguments of the annotated types, processor seconds."""

    drafts: list[Draft] = field(default_factory=list)
    crashes: list[Finding] = field(default_factory=list)
    cpu_s: float = 0.0


class Maker:
    """Makes drafts for one module. heard: calls in tests. missing: what its suite does not run. faults: to learn from."""

    def __init__(
        self,
        site: Site,
        module: Module,
        *,
        heard: Heard,
        missing: frozenset[Point],
        ran: frozenset[Point],
        faults: Sequence[Fault],
        fitting: dict[Target, list[Kinds]] | None = None,
    ) -> None:
        self._site, self._module, self._heard = site, module, heard
        self._missing, self._ran, self._faults = missing, ran, faults
        self._caller = Caller(module, heard, site.generator, fitting)
        self._made = Drafts()

    def make(self, technique: str, focus: str, depth: str, pattern: str) -> Drafts:
        """Return drafts by a technique, focus, depth and pattern; none where nothing can be called."""
        size = DEPTHS[depth]
        targets = self._fit(self._targets(depth, technique, pattern == "reuse"), size.targets, pattern == "reuse")
        edges = {"fuzzing": 0.8, "mutation": 0.4}.get(technique, 0.15) if focus != "edge cases" else 0.9
        manner = Manner(edges=edges, reuse=pattern == "reuse", steps=size.steps)
        count = size.calls * size.targets // max(len(targets), 1)
        calls = [call for target in targets for call in self._caller.calls(target, count, manner)]
        recorded = self._record(calls)
        for _ in range(_APPLIED):
            made = [call for each in recorded for call in self._caller.applied(each)]
            recorded = (*(each for each in recorded if not each.makes_callable), *self._record(made))
        calls = [each.call for each in recorded]
        if technique == "fuzzing":
            recorded = self._evolved(recorded, count)
            self._made.crashes = [*_crashes(recorded)]
        if technique == "property-based":
            self._made.drafts = [*self._properties(targets, recorded, focus), *self._ghostwritten(targets, depth)][
                : size.drafts
            ]
        else:
            points = self._killed(calls, recorded) if technique == "mutation" else self._points(recorded, focus)
            self._made.drafts = [example(each) for each in _chosen(recorded, points, size.drafts)]
        return self._made

    def _fit(self, targets: Sequence[Target], most: int, reuse: bool) -> list[Target]:
        """Return the first targets for which arguments are known, having looked for some for twice as many."""
        self._caller.fit(targets[: 2 * most], self._record)
        return [each for each in targets if (reuse and self._heard.of(each)) or self._caller.fitting.get(each)][:most]

    def _targets(self, depth: str, technique: str, reuse: bool) -> list[Target]:
        """Return what may be called, in an order drawn by how much of each is not run yet and which faults stay unseen.

        What was tried in vain before is left out. The order is that of Efraimidis and Spirakis, "Weighted random sampling
        with a reservoir", 2006.
        """
        found = [each for each in self._module.targets if depth != "integration" or each.calls]
        found = [each for each in found if not reuse or self._heard.of(each)]
        found = [each for each in found if technique != "property-based" or each.how == "function"]
        found = [each for each in found if self._caller.fitting.get(each, True) or (reuse and self._heard.of(each))]
        drawn = self._site.generator.exponential(size=len(found)) / [_LEAST_GAIN + self._gain(each) for each in found]
        return [found[int(each)] for each in np.argsort(drawn)]

    def _gain(self, target: Target) -> int:
        inside = [line for file, line, _ in self._missing if file == target.file]
        inside += [each.line for each in self._faults] * _FAULT_WEIGHT
        return sum(any(first <= line <= last for first, last in target.reach) for line in inside)

    def _record(self, calls: Sequence[Call], limit_s: float = 60.0) -> tuple[Recorded, ...]:
        left_s = self._site.suite.deadline - time.monotonic()
        if left_s <= 0.0:
            raise DeadlineExceeded("the time for this work is over, so no more calls were made.")
        recording: Recording = record(self._site, calls, limit_s=min(limit_s, left_s))
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
                    parents.append(each.call)
                    seen |= each.arcs
            made = map(self._caller.varied, itertools.islice(itertools.cycle(parents), count if parents else 0))
            young = self._record([each for each in made if each is not None])
            every += young
        return tuple(every)

    def _properties(self, targets: Sequence[Target], recorded: Sequence[Recorded], focus: str) -> list[Draft]:
        found: list[list[Draft]] = []
        for target in targets:
            kinds = self._caller.fitting.get(target)
            if kinds:
                full = max(kinds, key=len)
                mine = [each for each in recorded if each.call.target == target]
                whole = [each.call for each in mine if each.call.edge and each.status == "value"]
                edges = [each for each in whole if len(each.values) == len(full)][:3] if focus == "edge cases" else []
                found.append(properties(target, full, mine, edges))
        return [each for row in itertools.zip_longest(*found) for each in row if each is not None]

    def _ghostwritten(self, targets: Sequence[Target], depth: str) -> list[Draft]:
        """Return what Hypothesis itself would write for typed functions; not where a simple suite was asked for."""
        typed = [each for each in targets if each.typed and each.annotated] if depth != "simple" else []
        drafts, cpu_s = ghostwritten(self._site, typed)
        self._made.cpu_s += cpu_s
        return drafts

    def _points(self, recorded: Sequence[Recorded], focus: str) -> dict[Recorded, frozenset[Hashable]]:
        """Return what each call would add, in the terms of the focus."""
        lines = {each: frozenset((file, line, 0) for file, line in each.lines) & self._missing for each in recorded}
        if focus == "lines":
            return {**lines}
        if focus == "branches":
            return {each: lines[each] | (each.arcs & self._missing) for each in recorded}
        edges = (each for each in recorded if each.call.edge)
        new = {
            each: frozenset({(each.call.target, each.outcome)}) | lines[each] | (each.arcs & self._missing) for each in edges
        }
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


def _chosen(recorded: Sequence[Recorded], points: Mapping[Recorded, frozenset[Hashable]], most: int) -> list[Recorded]:
    """Return few calls that add much, greedily, and the shortest of those; then those with results not seen yet."""
    usable = sorted(
        (each for each in dict.fromkeys(recorded) if each.usable), key=lambda each: (each.mute, each.call.length)
    )
    chosen: list[Recorded] = []
    covered: set[Hashable] = set()
    while usable and len(chosen) < most:
        best = max(usable, key=lambda each: len(points[each] - covered))
        if not points[best] - covered:
            break
        covered |= points[best]
        chosen.append(best)
        usable.remove(best)
    return [*chosen, *itertools.islice(_others(chosen, usable), most - len(chosen))]


def _others(chosen: Sequence[Recorded], usable: Sequence[Recorded]) -> Iterator[Recorded]:
    """Yield calls with results not seen yet, of one target after the other."""
    outcomes = {(each.call.target, each.outcome) for each in chosen}
    new: dict[Target, dict[Hashable, Recorded]] = {}
    for each in usable:
        if (each.call.target, each.outcome) not in outcomes:
            new.setdefault(each.call.target, {}).setdefault(each.outcome, each)
    rows = itertools.zip_longest(*(each.values() for each in new.values()))
    return (each for row in rows for each in row if each is not None)


def _crashes(recorded: Iterable[Recorded]) -> Iterable[Finding]:
    """Yield one finding for each place at which a call with arguments of the annotated types ended by accident."""
    seen = set()
    for each in recorded:
        call = each.call
        if (
            each.status == "crash"
            and call.target.annotated
            and not call.steps
            and each.at[0]
            and (each.at, each.text) not in seen
        ):
            seen.add((each.at, each.text))
            said = call.text.replace(IT, call.setup)
            yield Finding(
                tool="test-generator",
                rule=each.text,
                severity="low",
                file=each.at[0],
                line=each.at[1],
                message=f"{said[:160]} ends with {each.text}",
                confirmed=True,
            )
