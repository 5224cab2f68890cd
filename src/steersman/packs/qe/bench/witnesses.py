"""Calls that show a fault which no test shows: with it, a function, method or object does something else than without.

Such a call is a proof that the fault is real, and it is what a missing test would make. That none is found proves nothing.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from steersman.core.errors import SteersmanError
from steersman.packs.qe.faults.fate import Judged, Witness
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.suite import Plan
from steersman.packs.qe.tools.arguments import Caller, Manner
from steersman.packs.qe.tools.callables import modules_of
from steersman.packs.qe.tools.functions import IT, Module, Target
from steersman.packs.qe.tools.heard import Heard
from steersman.packs.qe.tools.recording import Call, Recorded, record

_TARGETS, _CALLS = 10, 80
_MANNERS = (Manner(edges=0.2, reuse=True, steps=0), Manner(edges=0.4, reuse=False, steps=2))
_TRIED = 3
_LIMIT_S = 30.0


class Witnesses:
    """Looks for calls in the copy of a site until a deadline (by `time.monotonic`); each call is behind a fence."""

    def __init__(self, site: Site, *, deadline: float) -> None:
        self._site, self._deadline = site, deadline
        self.cpu_s = 0.0

    def of(self, judged: Sequence[Judged]) -> list[Judged]:
        """Return the same faults; those that no test shows and a call does are witnessed."""
        wanted = [each.fault for each in judged if each.fate in ("survived", "uncovered")]
        found = dict(self._found(wanted)) if wanted and self._in_time() else {}
        return [
            replace(each, fate="witnessed", witness=found[each.fault]) if each.fault in found else each for each in judged
        ]

    def _found(self, faults: Sequence[Fault]) -> Iterator[tuple[Fault, Witness]]:
        files = {each.file for each in faults}
        modules = [each for each in modules_of(self._site.sandbox) if each.file in files]
        heard = self._heard([target for module in modules for target in module.targets])
        self._site.progress.phase("looking for calls that show what no test shows", len(faults))
        for module in modules:
            mine = [each for each in faults if each.file == module.file]
            calls = self._stable(self._calls(module, mine, heard)) if self._in_time() else []
            for fault in mine:
                witness = self._witness(fault, calls) if self._in_time() else None
                self._site.progress.step(f"{fault.name}: {witness.call if witness else 'none found'}")
                if witness is not None:
                    yield fault, witness

    def _heard(self, targets: Sequence[Target]) -> Heard:
        """Return with what the tests call the targets."""
        heard = Heard()
        try:
            with heard.listening(self._site, targets):
                self.cpu_s += self._site.suite.run(Plan(), timeout_s=min(self._site.timeout_s, self._left_s)).cpu_s
        except SteersmanError as error:
            self._site.progress.note(f"the tests tell no calls: {error}")
        return heard

    def _calls(self, module: Module, faults: Sequence[Fault], heard: Heard) -> list[Call]:
        """Return calls of what is in a module: of what faults are in, of what calls that, and of some more."""
        generator = self._site.generator
        order = generator.permutation(len(module.targets))
        shuffled = [module.targets[int(each)] for each in order]
        targets = sorted(shuffled, key=lambda target: _distance(target, faults))[:_TARGETS]
        caller = Caller(module, heard, generator)
        caller.fit(targets, self._record)
        return [call for manner in _MANNERS for target in targets for call in caller.calls(target, _CALLS, manner)]

    def _stable(self, calls: Sequence[Call]) -> list[Recorded]:
        """Return the calls that a test can state something about, and that do the same in another order, too."""
        first = {each.call: each for each in self._record(calls)}
        second = {each.call: each for each in self._record(calls[::-1])}
        return [each for each in first.values() if each.usable and _same(each, second.get(each.call))]

    def _witness(self, fault: Fault, recorded: Sequence[Recorded]) -> Witness | None:
        """Return the shortest call that runs the line of a fault and does something else with it, also when it is alone."""
        reaching = sorted(
            (each for each in recorded if (fault.file, fault.line) in each.lines), key=lambda each: each.call.length
        )
        changed = {each.call: each for each in self._with(fault, [each.call for each in reaching])}
        different = [each for each in reaching if _differs(each, changed.get(each.call))]
        for each in different[:_TRIED]:
            alone, with_fault = self._record([each.call]), self._with(fault, [each.call])
            if alone and with_fault and _same(each, alone[0]) and _differs(each, with_fault[0]):
                return _written(each, with_fault[0])
        return None

    def _with(self, fault: Fault, calls: Sequence[Call]) -> tuple[Recorded, ...]:
        with self._site.changed({fault.file: fault.apply(self._site.sandbox.read(fault.file))}):
            return self._record(calls)

    def _record(self, calls: Sequence[Call]) -> tuple[Recorded, ...]:
        recording = record(self._site, calls, limit_s=min(_LIMIT_S, self._left_s))
        self.cpu_s += recording.cpu_s
        return recording.calls

    @property
    def _left_s(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    def _in_time(self) -> bool:
        return self._left_s > 0.0


def _distance(target: Target, faults: Sequence[Fault]) -> int:
    """Return 0 for what a fault is in, 1 for what calls it by its name, 2 for all else."""
    if any(target.line <= each.line <= target.end for each in faults):
        return 0
    return 1 if {each.function.rsplit(".", 1)[-1] for each in faults} & target.calls else 2


def _seen(recorded: Recorded) -> tuple[str, ...]:
    """Return what can be told apart from outside: of an exception its kind, whoever raised it."""
    if recorded.status in ("raises", "crash"):
        return "raises", recorded.text, recorded.origin
    return recorded.outcome


def _same(one: Recorded, other: Recorded | None) -> bool:
    return other is not None and _seen(one) == _seen(other)


def _differs(one: Recorded, other: Recorded | None) -> bool:
    """Return whether both came to an end, and to another one; what took too long or reached out says nothing."""
    return other is not None and other.status in ("value", "raises", "crash") and _seen(one) != _seen(other)


def _written(without: Recorded, with_fault: Recorded) -> Witness:
    call = without.call
    needs = sorted(call.needs | call.target.needs)
    steps = [call.text.replace(IT, call.setup)]
    if call.steps or without.view or with_fault.view:
        steps = [f"it = {call.setup}", *call.steps, call.text]
    return Witness(
        imports=tuple(f"from {module} import {name}" if module else f"import {name}" for module, name in needs),
        call="; ".join(each.replace(IT, "it") for each in steps),
        without=_told(without),
        with_fault=_told(with_fault),
    )


def _told(recorded: Recorded) -> str:
    text, call = recorded.text, recorded.call
    if recorded.status != "value":
        return f"raises {text}"
    if recorded.view:
        return f"leaves {recorded.view.replace(IT, 'it')} as {text}"
    if recorded.form != "{}":
        return f"returns … of which {recorded.form.format('…')} is {text}"
    return "changes nothing" if call.setup and text == "None" else f"returns {text}"
