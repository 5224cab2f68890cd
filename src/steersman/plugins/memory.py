"""What the runs of a store come to: a fold over them, kept as a checkpoint that is only a cache.

Each run is learned from once, after it has been ranked by those before it: what the curve says is from the past only.
"""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from steersman import __version__
from steersman.core.errors import InvalidInput
from steersman.packs.qe.ordering.learner import OrderLearner
from steersman.packs.qe.ordering.saved import part, said, under, words
from steersman.plugins.order import SHARES, arranged, shown
from steersman.plugins.runs import FAILED, Run, RunStore, prepared

_KIND = f"steersman {__version__}, checkpoint 1"
_CURVES = 100
"""Runs with a failure that the curve is the sum of, at most."""
_SAME = 3
"""Earlier runs of the same sources that a run is compared with."""
_SOURCES = 100
_LATELY = 30
"""A test that was flaky within so many runs is spoken of."""
_BROAD = 50
"""A change of more files than this says of none that it breaks a test."""
_OFTEN = 0.1
"""From this share of a file's changes on, a test that began to fail with it is called for by it."""


@dataclass(kw_only=True)
class Flaky:
    """How a test was seen to be flaky: runs in which it passed when run again; in which the same sources did both."""

    reran: int = 0
    both: int = 0
    last: int = 0


@dataclass(kw_only=True)
class Memory:
    """All that is known of a suite.

    held: the runs in it, with the size of each when it was read. curves: for each run with a failure, how many there
    were, and how many were shown by each of `SHARES`. by_sources: the runs of each state of the code. failing: what
    failed when it last ran. changes: how often a file changed. broke: how often a test began to fail with it.
    commit: that of the last run.
    """

    learner: OrderLearner
    held: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    curves: list[tuple[int, list[int]]] = field(default_factory=list)
    by_sources: dict[str, list[str]] = field(default_factory=dict)
    flaky: dict[str, Flaky] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    changes: dict[str, int] = field(default_factory=dict)
    broke: dict[str, dict[str, int]] = field(default_factory=dict)
    commit: str = ""

    def fits(self, sizes: Mapping[str, int]) -> bool:
        """Whether a store holds what is remembered, and else only what is newer; what was pruned there may stay."""
        first = next(iter(sizes), "")
        there = {run: size for run, size in self.held.items() if run >= first}
        last = max(self.held, default="")
        return all(sizes.get(run) == size for run, size in there.items()) and all(
            run in self.held or run > last for run in sizes
        )

    def add(self, run: Run, earlier: Iterable[Run]) -> None:
        """Let a run in. earlier: runs of the same sources."""
        self._change(run)
        self.compare(run, earlier)
        if sources := run.about.get("sources"):
            self.by_sources.setdefault(str(sources), []).append(run.id)
            self.by_sources = dict([*self.by_sources.items()][-_SOURCES:])
        self.commit = str(run.about.get("commit") or self.commit)
        self.failing = (self.failing | run.failed) - run.passed
        if run.tests:
            self._learn(run)

    def compare(self, run: Run, earlier: Iterable[Run]) -> None:
        """Note which tests passed when they were run again, or had another verdict with the same sources."""
        now = self.learner.past.cycle + 1
        for test, verdict, reruns in zip(run.tests, run.verdicts, run.reruns, strict=True):
            if reruns and verdict != FAILED:
                flaky = self.flaky.setdefault(test, Flaky())
                flaky.reran, flaky.last = flaky.reran + 1, now
        other = [(each.passed, each.failed) for each in earlier]
        passed = frozenset[str]().union(*(each for each, _ in other))
        failed = frozenset[str]().union(*(each for _, each in other))
        for test in (run.failed & passed) | (run.passed & failed):
            flaky = self.flaky.setdefault(test, Flaky())
            flaky.both, flaky.last = flaky.both + 1, now

    def same_sources(self, sources: object, store: RunStore) -> list[Run]:
        """Return the last few runs of a state of the code."""
        found = []
        for run in self.by_sources.get(str(sources), [])[-_SAME:] if sources else []:
            with contextlib.suppress(InvalidInput, OSError):
                found.append(store.read(run))
        return found

    def flaky_lately(self) -> dict[str, Flaky]:
        """Return the tests that were flaky lately, the worst first."""
        since = self.learner.past.cycle - _LATELY
        lately = {test: each for test, each in self.flaky.items() if each.last >= since}
        return dict(sorted(lately.items(), key=lambda each: (-each[1].both - each[1].reran, each[0])))

    def curve(self) -> list[float]:
        """Return which share of the failures was shown by each of `SHARES` of the time; empty where none is known."""
        if not self.curves:
            return []
        total = sum(failures for failures, _ in self.curves)
        return [sum(run[place] for _, run in self.curves) / total for place in range(len(SHARES))]

    def broken_by(self, file: str) -> frozenset[str]:
        """Return the tests that began to fail often enough when this file had changed."""
        least = _OFTEN * self.changes.get(file, 0)
        return frozenset(test for test, count in self.broke.get(file, {}).items() if count >= least)

    def save(self, file: Path) -> None:
        """Keep the memory: in one step, so that whoever reads meanwhile has the old one or the new one."""
        own = {
            name: getattr(self, name) for name in ("held", "damaged", "curves", "by_sources", "changes", "broke", "commit")
        }
        own |= {"kind": _KIND, "failing": sorted(self.failing)}
        own["flaky"] = {test: [each.reran, each.both, each.last] for test, each in self.flaky.items()}
        arrays: dict[str, Any] = under("learner", self.learner.state()) | {"memory": words(own)}
        partial = prepared(file.parent) / f"{file.name}.{os.getpid()}.part"
        try:
            with partial.open("wb") as stream:
                np.savez(stream, **arrays)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)

    def _change(self, run: Run) -> None:
        files = run.about.get("changed")
        if not isinstance(files, list) or len(files) > _BROAD:
            return
        began = run.failed - self.failing
        for file in files:
            self.changes[file] = self.changes.get(file, 0) + 1
            for test in began:
                broke = self.broke.setdefault(file, {})
                broke[test] = broke.get(test, 0) + 1

    def _learn(self, run: Run) -> None:
        seconds = np.array(run.seconds)
        failed = np.array([verdict == FAILED for verdict in run.verdicts])
        if run.whole and self.learner.past.cycle and failed.any():
            order = arranged(self.learner, run.tests)
            self.curves = [*self.curves, (int(failed.sum()), shown(order, seconds, failed))][-_CURVES:]
        self.learner.learn(run.tests, seconds, failed)


def fresh(budget: float) -> Memory:
    """Return the memory of one who has seen nothing."""
    return Memory(learner=OrderLearner(budget=budget))


def load(file: Path, budget: float) -> Memory:
    """Return what `save` kept. Raises InvalidInput where that is damaged, or from another version."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            state = dict(found)
        memory, own = fresh(budget), said(state, "memory")
        if own.pop("kind") != _KIND:
            raise InvalidInput(f"{file} is from another version.")
        memory.learner.restore(part("learner", state))
        own["flaky"] = {test: Flaky(reran=reran, both=both, last=last) for test, (reran, both, last) in own["flaky"].items()}
        own["curves"] = [(int(failures), [int(each) for each in run]) for failures, run in own["curves"]]
        return Memory(learner=memory.learner, **own | {"failing": set(own["failing"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInput(f"{file} is damaged: {error!r}.") from error


def remembered(store: RunStore, budget: float, tell: Any) -> Memory:
    """Return what the runs of a store come to, by its checkpoint where that fits, and keep a new one.

    tell: takes a line on what could not be read or kept. Nothing of that is a reason to stop.
    """
    sizes, file = store.sizes(), store.cache / f"checkpoint-{budget:g}.npz"
    memory = fresh(budget)
    if file.exists():
        try:
            memory = load(file, budget)
        except InvalidInput as error:
            tell(f"the checkpoint is made again: {error}")
    if not memory.fits(sizes):
        memory = fresh(budget)
    missing = [run for run in sizes if run not in memory.held]
    for run in missing:
        _let_in(memory, run, sizes[run], store)
    gone = [run for run in memory.damaged if run in sizes]
    if gone:
        tell(f"{len(gone)} of {len(sizes)} runs in {store.name} cannot be read and are left out, such as {gone[0]}")
    if missing:
        try:
            memory.save(file)
        except OSError as error:
            tell(f"no checkpoint could be kept: {error}")
    return memory


def _let_in(memory: Memory, run: str, size: int, store: RunStore) -> None:
    memory.held[run] = size
    try:
        found = store.read(run)
    except (InvalidInput, OSError):
        memory.damaged.append(run)
        return
    memory.add(found, memory.same_sources(found.about.get("sources"), store))
