"""A drill: an incident that is known to its cause, because it was caused; its log comes from really running into it."""

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.plants.incident_faults import FaultyFile, load_fault, seeded_faults
from steersman.packs.qe.tools.replay import Call, Outcome, Target, replay

KINDS = ("input", "value", "load", "misuse", "outside")
_ODDS = (0.3, 0.2, 0.2, 0.15, 0.15)
_TOLD = ("call", "locals", "")
_INPUTS, _FAULTS, _SIBLINGS, _BUSY = 8, 5, 2, 60
_OUTSIDE = Call(name="socket.create_connection", arguments="{'address': ('127.0.0.1', 9), 'timeout': 0.2}")
_WRONG: tuple[object, ...] = (None, "?", [], 1)


@dataclass(frozen=True, kw_only=True)
class Drill:
    """files: what the service left behind. faults: the one that did it and others like it; none where no fault did.

    kind: "input" and "value" are faults that some input meets, "load" one that many calls meet; "misuse" is a caller's
    own error, "outside" one of another service.
    """

    kind: str
    files: Mapping[str, str]
    faults: tuple[FaultyFile, ...] = field(default=())


def make_drill(site: Site, targets: Sequence[Target], sources: Mapping[str, str]) -> Drill:
    """Return a drill of a kind drawn at random; one from outside where no function of the project serves for it."""
    generator = site.generator
    kind = str(generator.choice(KINDS, p=_ODDS))
    told = _TOLD[int(generator.integers(len(_TOLD)))]
    made: Drill | None = None
    if targets and kind != "outside":
        target = targets[int(generator.integers(len(targets)))]
        if kind == "load":
            made = _load(site, target, sources[target.file], told)
        elif kind == "misuse":
            made = _misuse(site, target, told)
        else:
            made = _faulty(site, target, sources[target.file], (kind, told))
    return made or Drill(kind="outside", files=_log(replay(site, [_OUTSIDE], told)[1]))


def _log(text: str) -> dict[str, str]:
    return {"logs/planted.log": text}


def _calls(target: Target, inputs: Sequence[str], times: int = 1) -> list[Call]:
    return [Call(name=target.name, arguments=each, times=times) for each in inputs]


def _faulty(site: Site, target: Target, source: str, wish: tuple[str, str]) -> Drill | None:
    """Seed faults in a function until one shows, by an exception or by a wrong answer as wished; others are its like."""
    kind, told = wish
    calls = _calls(target, target.inputs[:_INPUTS])
    right, _ = replay(site, calls)
    showing: list[tuple[FaultyFile, tuple[Outcome, ...]]] = []
    for each in seeded_faults(target.file, source, target.name.rsplit(".", 1)[1], site.generator, count=_FAULTS):
        with site.changed({each.file: each.text}):
            outcomes, _ = replay(site, calls)
        if any(_differs(a, b) for a, b in zip(right, outcomes, strict=True)):
            showing.append((each, outcomes))
    showing.sort(key=lambda found: any(each.raised for each in found[1]) != (kind == "input"))
    if not showing:
        return None
    (fault, outcomes), faults = showing[0], tuple(each for each, _ in showing[: 1 + _SIBLINGS])
    first = next(index for index, (a, b) in enumerate(zip(right, outcomes, strict=True)) if _differs(a, b))
    raised = next((index for index, each in enumerate(outcomes) if each.raised), None)
    if raised is None:
        report = _report(target, calls[first].arguments, right[first].value, outcomes[first].value)
        return Drill(kind="value", files={"incidents/planted.json": report}, faults=faults)
    fine = [call for call, each in zip(calls, outcomes, strict=True) if not each.raised]
    failing = Call(name=target.name, arguments=calls[raised].arguments, times=4)
    with site.changed({fault.file: fault.text}):
        _, log = replay(site, [*fine, failing], told)
    return Drill(kind="input", files=_log(log), faults=faults)


def _differs(right: Outcome, now: Outcome) -> bool:
    return bool(now.raised) or now.value != right.value


def _report(target: Target, arguments: str, expected: str, got: str) -> str:
    """Return what somebody would report who got a wrong answer."""
    given = ast.literal_eval(arguments)
    try:
        written = json.dumps({"function": target.name, "arguments": given, "expected": expected, "got": got}, indent=2)
    except (TypeError, ValueError):  # arguments that JSON cannot hold: the report does not tell them
        written = json.dumps({"function": target.name, "expected": expected, "got": got}, indent=2)
    return written


def _load(site: Site, target: Target, source: str, told: str) -> Drill | None:
    name = target.name.rsplit(".", 1)[1]
    made = [load_fault(target.file, source, name, site.generator) for _ in range(2)]
    faults = tuple(each for each in made if each)
    if not faults:
        return None
    with site.changed({faults[0].file: faults[0].text}):
        _, log = replay(site, _calls(target, target.inputs[:1], _BUSY), told)
    return Drill(kind="load", files=_log(log), faults=faults)


def _misuse(site: Site, target: Target, told: str) -> Drill | None:
    """Find an input that the function rightly refuses, and let one caller of many send it; None where it takes all."""
    good = ast.literal_eval(target.inputs[0])
    every = [repr(good | {name: each}) for name in target.parameters for each in _WRONG]
    outcomes, _ = replay(site, _calls(target, every)) if every else ((), "")
    bad = [given for given, was in zip(every, outcomes, strict=True) if was.raised]
    if not bad:
        return None
    chosen = bad[int(site.generator.integers(len(bad)))]
    _, log = replay(site, [*_calls(target, target.inputs[:1], _BUSY), *_calls(target, [chosen])], told)
    return Drill(kind="misuse", files=_log(log))
