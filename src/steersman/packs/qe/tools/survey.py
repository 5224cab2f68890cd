"""Seeded mutants as a measure of what tests let through: each runs against the tests that reach its line."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.packs.qe.faults.exposure import limit_s, run_with
from steersman.packs.qe.faults.fate import Fate
from steersman.packs.qe.faults.mutation import Fault, candidates, is_valid, sample
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.suite import Plan


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What became of mutants (killed, survived or uncovered), and what their runs took in seconds."""

    fates: Mapping[Fault, Fate]
    cpu_s: float = 0.0
    wall_s: float = 0.0

    @property
    def survivors(self) -> tuple[Fault, ...]:
        """The mutants that no test shows."""
        return tuple(fault for fault, fate in self.fates.items() if fate != "killed")


def possible(site: Site) -> dict[str, list[Fault]]:
    """Return the mutants of each source file that may be valid; files without one are left out."""
    found = {file: candidates(file, site.sandbox.read(file)) for file in site.project.sources}
    return {file: each for file, each in found.items() if each}


def draw(site: Site, faults: Sequence[Fault], count: int) -> list[Fault]:
    """Return up to `count` valid mutants of those given, drawn by the site's generator."""
    texts = {file: site.sandbox.read(file) for file in {each.file for each in faults}}
    drawn = sample(site.generator, list(faults), 2 * count)
    return [each for each in drawn if is_valid(each, texts[each.file])][:count]


def survey(site: Site, faults: Sequence[Fault]) -> Survey:
    """Run each mutant against the tests that reach it. Those for which the site's time is too short are left out."""
    fates: dict[Fault, Fate] = {}
    cpu_s, start = 0.0, time.monotonic()
    for fault in faults:
        left_s = site.timeout_s - (time.monotonic() - start)
        if left_s <= 0:
            break
        fate, spent_s = _fate(site, fault, left_s)
        cpu_s += spent_s
        if fate != "not run":
            fates[fault] = fate
    return Survey(fates=fates, cpu_s=cpu_s, wall_s=time.monotonic() - start)


def _fate(site: Site, fault: Fault, left_s: float) -> tuple[Fate, float]:
    """Return what becomes of a mutant, and the CPU seconds of its run. One that hangs is killed: a person would see it.

    What only our time cuts off says nothing.
    """
    coverage, reference = site.reference.coverage, site.reference
    tests = coverage.tests_of(fault.file, [fault.line]) if coverage.available else None
    if tests is not None and not tests:
        return "uncovered", 0.0
    plan = Plan() if tests is None else Plan(order=tuple(sorted(tests)), rest=False)
    usual_s = sum(reference.durations_s.get(each, 0.0) for each in tests or reference.collected)
    run = run_with(fault, site.suite, plan, timeout_s=min(left_s, limit_s(usual_s)))
    failed = set(run.failures) - reference.failing - reference.flaky
    if run.timed_out and not failed and left_s < limit_s(usual_s):
        return "not run", run.cpu_s
    return ("killed" if run.timed_out or failed else "survived"), run.cpu_s
