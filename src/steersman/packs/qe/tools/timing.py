"""Find the hot functions of a project, and time two versions of them under a load."""

import json
import os
import shutil
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.plants.hot_function import HotFunction, top_functions
from steersman.packs.qe.project.discovery import module_name
from steersman.packs.qe.project.process import Finished, run_group
from steersman.packs.qe.project.suite import Plan

PAIRS = 7
SLOWER = 1.35
"""A function is slower where the median of its ratios is above this, and all but one of them above `_NEVER_BELOW`."""
_NEVER_BELOW = 1.1
_FEWEST = 5
_HOTTEST = 8


@dataclass(frozen=True, kw_only=True)
class Form:
    """The form of a load: for each number of threads so many batches, each after a pause; the last ones count."""

    batches: int
    last: int
    threads: tuple[int, ...] = (1,)
    pause_s: float = 0.0


FORMS: Mapping[str, Form] = {
    "load": Form(batches=3, last=3),
    "stress": Form(batches=5, last=5, threads=(8,)),
    "spike": Form(batches=3, last=3, threads=(4,), pause_s=0.03),
    "soak": Form(batches=16, last=4),
    "ramp": Form(batches=3, last=3, threads=(1, 2, 4, 8)),
}


@dataclass(frozen=True, kw_only=True)
class Timed:
    """What was measured, by function: seconds for a call in both versions at each turn, and calls to a batch."""

    usual_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    second_s: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def ratios(self, function: str) -> list[float]:
        """Return how much longer the second version took, turn by turn."""
        pairs = zip(self.usual_s.get(function, ()), self.second_s.get(function, ()), strict=True)
        return [second / max(usual, 1e-9) for usual, second in pairs]

    def slower(self) -> frozenset[str]:
        """Return the functions that are slower in the second version, also on a machine that is busy with other things."""
        return frozenset(each for each in self.usual_s if _is_slower(self.ratios(each)))


def _is_slower(ratios: Sequence[float]) -> bool:
    if len(ratios) < _FEWEST:
        return False
    return statistics.median(ratios) > SLOWER and sorted(ratios)[1] > _NEVER_BELOW


def can_load() -> bool:
    """Return whether two versions can take turns in processes of their own here."""
    return hasattr(os, "fork")


def hot_functions(site: Site) -> tuple[HotFunction, ...]:
    """Run the suite once and return the functions that its tests call most, with the arguments of some calls.

    Raises DeadlineExceeded where the suite does not end in time.
    """
    root = site.sandbox.root
    places: dict[str, tuple[str, str, int]] = {}
    for file in site.project.sources:
        for node in top_functions(file, site.sandbox.read(file)):
            places[f"{root / file}:{node.lineno}"] = (file, node.name, node.lineno)
    noted = _listen(site, [*places])
    names = {place: f"{file}::{name}" for place, (file, name, _) in places.items()}
    found = [
        HotFunction(
            file=file,
            module=module_name(file, site.project.source_root),
            name=name,
            line=line,
            count=noted[place]["count"],
            calls=tuple(noted[place]["calls"]),
            callers=frozenset(names[each] for each in noted[place]["callers"]),
        )
        for place, (file, name, line) in places.items()
        if noted[place]["calls"]
    ]
    return tuple(sorted(found, key=lambda each: -each.count)[:_HOTTEST])


def _listen(site: Site, places: Sequence[str]) -> dict[str, Any]:
    """Run the suite with `call_log`, and return what it wrote down of the functions at these places."""
    scratch = site.sandbox.scratch
    plan, out = scratch / "calls.json", scratch / "calls.out"
    out.unlink(missing_ok=True)
    plan.write_text(json.dumps({"functions": places, "out": str(out)}), encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("call_log.py"), scratch / "steersman_call_log.py")
    with site.suite.under(PYTEST_PLUGINS="steersman_call_log", STEERSMAN_CALLS=str(plan)):
        run = site.suite.run(Plan(), timeout_s=site.timeout_s)
    if run.timed_out or not out.exists():
        raise DeadlineExceeded(f"the suite did not end within {site.timeout_s:.0f} s; allow more with --timeout.")
    return dict(json.loads(out.read_text(encoding="utf-8")))


def time_versions(site: Site, functions: Sequence[HotFunction], overlay: Mapping[str, str], form: Form) -> Timed:
    """Put functions under a load, as they are and with the files of `overlay`, by turns in two processes.

    Raises InvalidInput where the project cannot be imported for that, DeadlineExceeded where it does not end in time.
    """
    scratch, root = site.sandbox.scratch, site.sandbox.root
    out, temporary = scratch / "load.out", scratch / "load-files"
    asked = {
        "functions": [{"module": each.module, "name": each.name, "calls": each.calls} for each in functions],
        "inside": str(temporary),
        "overlay": {str((root / file).resolve()): text for file, text in overlay.items()},
        "pairs": PAIRS,
        "budget_s": 0.8 * site.timeout_s,
        "out": str(out),
        **asdict(form),
    }
    (scratch / "load.json").write_text(json.dumps(asked), encoding="utf-8")
    out.unlink(missing_ok=True)
    temporary.mkdir()
    try:
        finished = _drive(site, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if finished.timed_out:
        raise DeadlineExceeded(f"the load did not end within {site.timeout_s:.0f} s; allow more with --timeout.")
    if finished.exit_code:
        raise InvalidInput(f"the functions cannot be put under load: {finished.tail.strip()[-400:]}")
    return _read(out, functions, finished.wall_s, finished.cpu_s)


def _drive(site: Site, temporary: Path) -> Finished:
    """Run the driver by its plan in the project's interpreter."""
    scratch = site.sandbox.scratch
    driver = scratch / "steersman_load_driver.py"  # beside nothing that could be taken for a module of the project
    shutil.copyfile(Path(__file__).with_name("load_driver.py"), driver)
    return run_group(
        [site.project.tools.interpreter, str(driver), str(scratch / "load.json")],
        cwd=site.sandbox.root,
        env=site.sandbox.environment() | {"TMPDIR": str(temporary)},
        timeout_s=site.timeout_s,
        log=scratch / "load.log",
    )


def _read(out: Path, functions: Sequence[HotFunction], wall_s: float, cpu_s: float) -> Timed:
    usual: dict[str, list[float]] = {}
    second: dict[str, list[float]] = {}
    sizes: dict[str, int] = {}
    failed: dict[str, str] = {}
    for line in out.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        name = functions[entry["function"]].id
        if "failed" in entry:
            failed[name] = str(entry["failed"])
            continue
        usual.setdefault(name, []).append(entry["usual_s"])
        second.setdefault(name, []).append(entry["second_s"])
        sizes[name] = entry["size"]
    return Timed(
        usual_s={name: tuple(each) for name, each in usual.items()},
        second_s={name: tuple(each) for name, each in second.items()},
        sizes=sizes,
        failed=failed,
        wall_s=wall_s,
        cpu_s=cpu_s,
    )
