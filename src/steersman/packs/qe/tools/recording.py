"""Calls of a project's functions, really made in a sandbox copy by the project's interpreter, and what each one did."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.process import run_group
from steersman.packs.qe.tools.expressions import Need
from steersman.packs.qe.tools.functions import Target

_CALL_S = 0.5
_MEMORY_MB = 2048.0
RECORDER = "steersman_recorder"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call to make. text: an expression or a statement, in which `IT` stands for the object that `setup` builds.

    steps: what is done with the object first. needs: what all of it imports. values: the arguments, as they were drawn.
    named: those given by name. edge: with an extreme value. reused: from a test.
    """

    target: Target
    text: str
    setup: str = ""
    steps: tuple[str, ...] = ()
    needs: frozenset[Need] = frozenset()
    values: tuple[Any, ...] = field(default=(), compare=False)
    named: tuple[tuple[str, Any], ...] = field(default=(), compare=False)
    edge: bool = field(default=False, compare=False)
    reused: bool = field(default=False, compare=False)

    @property
    def length(self) -> int:
        """How much there is to read."""
        return len(self.setup) + len(self.text) + sum(map(len, self.steps))


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """What a call did. status: value, raises (on purpose), crash, skip.

    text: of the result, or the name of an exception. form: how the result was looked at: "{}", "list({})". view: what was
    looked at instead of the result, of an object that changed. needs: what `text` imports. origin: the module of an
    exception. lines, arcs: of the project that ran, each with its file. at: where it crashed. makes_callable: what came
    back can only be called.
    """

    call: Call
    status: str
    text: str
    form: str = "{}"
    view: str = ""
    needs: frozenset[Need] = frozenset()
    origin: str = ""
    at: tuple[str, int] = ("", 0)
    lines: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    arcs: frozenset[tuple[str, int, int]] = field(default_factory=frozenset)
    makes_callable: bool = False

    @property
    def usable(self) -> bool:
        """Whether a test can state what the call did: it came back, or refused its arguments by itself."""
        return self.status in ("value", "raises")

    @property
    def mute(self) -> bool:
        """Whether it came back with nothing and left nothing behind, so that a test of it says little."""
        return self.text == "None" and not self.view

    @property
    def outcome(self) -> tuple[str, ...]:
        """What can be compared between two recordings of one call."""
        return self.status, self.form, self.view, self.text


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The calls that were made, in order, and the processor's seconds; what follows on the end of the process is missing."""

    calls: tuple[Recorded, ...]
    cpu_s: float


def install(site: Site) -> None:
    """Put the recorder beside the copy, where the project's interpreter finds it."""
    for name in ("recorder", "written"):
        shutil.copyfile(Path(__file__).with_name(f"{name}.py"), site.sandbox.scratch / f"steersman_{name}.py")


def record(site: Site, calls: Sequence[Call], *, limit_s: float = 60.0) -> Recording:
    """Make calls of functions of one module, in one process with limits of time and memory, and read what they did."""
    if not calls:
        return Recording(calls=(), cpu_s=0.0)
    install(site)
    scratch = site.sandbox.scratch
    job, out = scratch / "recorder.json", scratch / "recorded.jsonl"
    out.unlink(missing_ok=True)
    wanted = {
        "module": calls[0].target.module,
        "inside": str(site.sandbox.root),
        "calls": [(each.setup, each.steps, each.text, sorted(each.needs)) for each in calls],
        "call_s": _CALL_S,
        "out": str(out),
    }
    job.write_text(json.dumps(wanted), encoding="utf-8")
    finished = run_group(
        [site.project.tools.interpreter, "-m", RECORDER, str(job)],
        cwd=site.sandbox.root,
        env=site.sandbox.environment(),
        timeout_s=min(site.timeout_s, limit_s),
        log=scratch / "recorder.log",
        memory_mb=_MEMORY_MB,
    )
    return Recording(calls=_read(out, calls), cpu_s=finished.cpu_s)


def _read(out: Path, calls: Sequence[Call]) -> tuple[Recorded, ...]:
    found = []
    for line in out.read_text(encoding="utf-8").splitlines() if out.exists() else ():
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # the last line of a process that was killed
        found.append(
            Recorded(
                call=calls[entry["i"]],
                status=entry["status"],
                text=entry["text"],
                form=entry.get("form", "{}"),
                view=entry.get("view", ""),
                needs=frozenset((module, name) for module, name in entry.get("needs", ())),
                origin=entry.get("origin", ""),
                at=tuple(entry.get("at", ("", 0))),
                lines=frozenset((file, line) for file, line in entry["lines"]),
                arcs=frozenset((file, a, b) for file, a, b in entry["arcs"]),
                makes_callable=entry.get("callable", False),
            )
        )
    return tuple(found)
