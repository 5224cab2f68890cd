"""The fault world: seeded faults come into files that change, last for some cycles and are mended again."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.core.ports import Progress
from steersman.packs.qe.faults.change import ActiveFault, Change
from steersman.packs.qe.faults.mutation import Fault, candidates, harmless_edit, is_valid, sample
from steersman.packs.qe.faults.screening import Pool, screen
from steersman.packs.qe.project.discovery import Project, read_source
from steersman.packs.qe.project.reference import Reference
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.project.suite import cores, memory_available_mb

FLAKY_FILE = "test_steersman_flaky.py"
_FLAKY_TEST = '''"""Planted by Steersman in the sandbox: tests that fail now and then for no reason."""
import os
import random

RATE = float(os.environ.get("STEERSMAN_FLAKY_RATE", "0"))
DRAWS = {}


def attempt(name):
    generator = DRAWS.setdefault(name, random.Random(os.environ.get("STEERSMAN_FLAKY_SEED", "") + name))
    assert generator.random() >= RATE, "planted flakiness"

'''


class World(Protocol):
    """Where changes come from. `next` writes the change into the sandbox."""

    @property
    def reference(self) -> Reference:
        """What is known about the suite before the change."""

    def next(self, cycle: int) -> Change | None:
        """Make the change of a cycle; None where there are no more changes."""

    def describe(self) -> dict[str, object]:
        """Return what a report should say about the world."""


@dataclass(frozen=True, kw_only=True)
class WorldOptions:
    """How the fault world behaves.

    new_fault: probability of a new fault in a cycle. mean_life: cycles that a fault lasts on average. hot_cycles: cycles
    after which other files become the ones that change. most_active: faults that may be in the code at once.
    """

    new_fault: float = 0.5
    mean_life: float = 2.0
    hot_cycles: int = 25
    most_active: int = 3


@dataclass(kw_only=True)
class _Live:
    fault: Fault
    until: int


@dataclass(kw_only=True)
class FaultWorld:
    """Changes one thing a cycle: a new fault, a mended one, or a harmless edit, mostly in the files that are hot now."""

    sandbox: Sandbox
    reference: Reference
    pool: Pool
    generator: np.random.Generator
    options: WorldOptions = field(default_factory=WorldOptions)
    _live: list[_Live] = field(default_factory=list)
    _weights: dict[str, float] = field(default_factory=dict)

    def next(self, cycle: int) -> Change:
        """Mend what has lasted its time, then put in a new fault or edit harmlessly, and write the files."""
        if cycle % self.options.hot_cycles == 0 or not self._weights:
            self._weights = self._draw_hot()
        mended = [each for each in self._live if each.until <= cycle]
        self._live = [each for each in self._live if each.until > cycle]
        changed = [each.fault for each in mended]
        words = [f"mended {each.fault.file}:{each.fault.line}" for each in mended]
        fresh = self._new_fault(cycle)
        if fresh is not None:
            changed.append(fresh)
            words.append(f"fault in {fresh.file}:{fresh.line} ({fresh.operator})")
        edit = None if changed else self._place()
        touched = [*changed, *([edit] if edit else [])]
        self._write({each.file for each in touched}, edit, cycle)
        if edit:
            words.append(f"harmless edit in {edit.file}:{edit.line}")
        lines: dict[str, frozenset[int]] = {}
        for each in touched:
            lines[each.file] = lines.get(each.file, frozenset()) | {each.line}
        active = tuple(ActiveFault(name=each.fault.name, killers=self.pool.killers[each.fault]) for each in self._live)
        return Change(
            cycle=cycle,
            text=", ".join(words) or "no change",
            lines=lines,
            faults=active,
            expected_s=self.reference.expected_s(frozenset().union(*(each.killers for each in active))),
            expected_cpu_s=self.reference.cpu_s,
            known_failing=self.reference.failing,
        )

    def describe(self) -> dict[str, object]:
        """Return how many faults were tried, kept and dropped, by reason."""
        return {
            "kind": "seeded faults",
            "faults_tried": self.pool.tried,
            "faults_killable": len(self.pool.killers),
            "faults_dropped": dict(self.pool.dropped),
        }

    def _new_fault(self, cycle: int) -> Fault | None:
        if len(self._live) >= self.options.most_active or self.generator.random() >= self.options.new_fault:
            return None
        taken = {(each.fault.file, each.fault.function) for each in self._live}
        free = [each for each in self.pool.killers if (each.file, each.function) not in taken]
        if not free:
            return None
        fault = self._draw(free)
        life = int(self.generator.geometric(1.0 / self.options.mean_life))
        self._live.append(_Live(fault=fault, until=cycle + life))
        return fault

    def _place(self) -> Fault | None:
        """Return the place of a harmless edit: where some fault could be, in a file that is hot."""
        return self._draw(list(self.pool.killers)) if self.pool.killers else None

    def _draw(self, choices: Sequence[Fault]) -> Fault:
        weights = np.array([self._weights.get(each.file, 1e-3) for each in choices])
        return choices[int(self.generator.choice(len(choices), p=weights / weights.sum()))]

    def _draw_hot(self) -> dict[str, float]:
        """Return weights for the files: Zipf's law over a random order, so that a few files see most changes."""
        files = sorted({each.file for each in self.pool.killers})
        order = self.generator.permutation(len(files))
        return {files[int(index)]: 1.0 / (rank + 1) ** 1.3 for rank, index in enumerate(order)}

    def _write(self, files: set[str], edit: Fault | None, cycle: int) -> None:
        for file in sorted(files):
            self.sandbox.restore(file)
            text = self.sandbox.read(file)
            for live in sorted((each for each in self._live if each.fault.file == file), key=lambda e: -e.fault.start):
                text = live.fault.apply(text)
            if edit is not None and edit.file == file:
                text = harmless_edit(text, edit.line, f"looked at in cycle {cycle}") or text
            self.sandbox.write(file, text)


def plant_flaky(sandbox: Sandbox, count: int) -> tuple[str, ...]:
    """Add `count` flaky tests to the sandbox and return their node ids.

    Each attempt fails with the probability in STEERSMAN_FLAKY_RATE (0 where it is not set), drawn from a generator of the
    test's own that STEERSMAN_FLAKY_SEED seeds, so that two runs of one change meet the same luck.
    """
    if count < 1:
        return ()
    folder = sandbox.project.tests[0].rpartition("/")[0]
    file = f"{folder}/{FLAKY_FILE}" if folder else FLAKY_FILE
    names = [f"test_flaky_{index}" for index in range(count)]
    body = "\n\n".join(f'def {name}():\n    attempt("{name}")\n' for name in names)
    sandbox.write(file, _FLAKY_TEST + "\n" + body)
    return tuple(f"{file}::{name}" for name in names)


def build_pool(
    project: Project,
    reference: Reference,
    generator: np.random.Generator,
    *,
    target: int,
    timeout_s: float,
    budget_s: float,
    progress: Progress,
    deadline: float = math.inf,
    workers: int = 0,
) -> Pool:
    """Draw candidates from all covered lines and keep the killable ones, for `budget_s` seconds.

    deadline: by `time.monotonic`, if that is earlier. workers: runs side by side (0: as many as there are cores). Raises
    InvalidInput where there are none, DeadlineExceeded where there was no time for any.
    """
    coverage = reference.coverage
    found: list[Fault] = []
    texts: dict[str, str] = {}
    for file in project.sources:
        if coverage.available and not coverage.tests_of_file(file):
            continue
        texts[file] = read_source(project.root / file)
        found += [each for each in candidates(file, texts[file]) if _worth_trying(each, reference)]
    chosen = [each for each in sample(generator, found, 4 * target) if is_valid(each, texts[each.file])]
    progress.phase(f"finding {target} faults that the suite can see", target)
    pool = screen(
        project,
        chosen,
        reference,
        target=target,
        timeout_s=timeout_s,
        deadline=min(deadline, time.monotonic() + budget_s),
        workers=workers or cores(),
        memory_mb=0.75 * memory_available_mb(),
        progress=progress,
    )
    if chosen and not pool.tried:
        raise DeadlineExceeded("the time was over before the tests had run on a single fault. Allow more of it.")
    if not pool.killers:
        raise InvalidInput(
            f"none of {pool.tried} seeded faults makes a test fail ({dict(pool.dropped)}), so there is nothing to find. "
            "Use --git to walk real commits, or give a project whose tests check more."
        )
    return pool


def _worth_trying(fault: Fault, reference: Reference) -> bool:
    """Return whether some test runs the fault's line (not only its import); without a map any fault is tried."""
    return not reference.coverage.available or bool(reference.coverage.tests_of(fault.file, [fault.line]))
