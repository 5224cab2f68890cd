"""What are generated tests worth? qe/test-generator at work on five libraries whose own suites are the yardstick.

    python benchmarks/generated_tests.py [--budget 120] [--hide 0.7] [--seeds 1] [--mutants 40] [--suites whole,part]
        [--libraries …] [--json]

Each library is worked on twice: with its whole suite, of which nearly nothing is left to gain, and with a part of the suite
hidden: whole test files in a random order, of the last one only as many tests as are wanted. What the hidden tests of people
cover and kill beyond the others is what can be regained. Every technique works for an equal share of the budget in CPU
seconds, anew each time, with what else the baseline rule chooses; the rule's own technique is marked. The first run of the
suite, to which all listen, is told apart.

- points: branches of the library that ran with the kept tests and did not with the (remaining) suite, in % of all branches.
- mutants: drawn anew over all sources; told are those that the (remaining) suite lets through and that kept tests kill. A
  mutant with which the tests do not come to an end is replaced by another.
- regained: the same as a share of what the hidden tests cover and kill.
- violations: kept tests that do not pass on the original in each of five runs, made here, without a fence and under
  other hash seeds than the agent's. They must be 0, or the script fails.

95 % intervals by bootstrap over source files (and draws, where --seeds asks for several), of mutants over mutants.
"""

import argparse
import copy
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from libraries import LIBRARIES, fetched
from qe_fleet import Quiet, cpu_s

from steersman.core.errors import InvalidInput, SteersmanError
from steersman.packs.qe.agents.test_generator import ACTIONS, TestGenerator, agent, baseline
from steersman.packs.qe.faults.mutation import Fault, candidates, is_valid, sample
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.project.discovery import Project, discover
from steersman.packs.qe.project.suite import Plan
from steersman.packs.qe.tools.trials import Coverage, covered_run, suite_coverage

TECHNIQUES = tuple(map(str, ACTIONS.dimensions["technique"]))
TOGETHER, PEOPLE = "all together", "hidden tests"
WHOLE, PART = "whole", "part"
TIMEOUT_S, MUTANT_S = 120.0, 40.0
HASH_SEEDS = ("7", "77", "777", "7777")
DRAWS, TRIES = 2_000, 8

Counts = Mapping[str, int]


@dataclass(kw_only=True)
class Arm:
    """What a technique made. ended: why it stopped before its time. tests: those kept, as pytest names them.

    gained: branches by file; killed: mutants by index.
    """

    files: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    cpu_s: float = 0.0
    ended: str = ""
    tests: frozenset[str] = frozenset()
    gained: Counts = field(default_factory=dict)
    killed: tuple[int, ...] = ()


@dataclass(kw_only=True)
class Part:
    """A suite, whole or without what is hidden. rule: the technique that the rule chose; arms by technique.

    heard_s: CPU seconds of its first run. before: branches by file that it runs; missed: mutants that it lets through.
    """

    tests: frozenset[str]
    rule: str = ""
    heard_s: float = 0.0
    arms: dict[str, Arm] = field(default_factory=dict)
    before: Counts = field(default_factory=dict)
    missed: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Draw:
    """One seed's work on a library. total: branches by file; hung: mutants that were replaced; violations by test."""

    tests: int
    total: Counts
    mutants: int
    hung: int
    violations: tuple[str, ...]
    parts: dict[str, Part]


def main() -> None:
    options = parsed()
    results, violations = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        for library in options.libraries.split(","):
            project = discover(str(fetched(library, Path(folder) / library)), sys.executable)
            found = figures([drawn(project, seed, options) for seed in range(options.seeds)])
            results[library] = found
            violations += len(found["violations"])
            show(library, found, sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps(results, indent=2))
    sys.exit(1 if violations else 0)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=120.0, help="CPU seconds for all techniques, of each suite")
    parser.add_argument("--suites", default=f"{WHOLE},{PART}")
    parser.add_argument("--hide", type=float, default=0.7)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--mutants", type=int, default=40)
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def drawn(project: Project, seed: int, options: argparse.Namespace) -> Draw:
    """Hide a part of the suite, let each technique work beside the rest and beside the whole, and measure what was kept."""
    rng = np.random.default_rng(seed)
    with open_site(project, seed=seed, timeout_s=TIMEOUT_S, progress=Quiet()) as site:
        run, people = suite_coverage(site)
        tests = frozenset(run.tests)
        left_out = hidden(sorted(tests), options.hide, rng)
        suites = {WHOLE: Part(tests=tests), PART: Part(tests=tests - left_out)}
        parts = {name: suites[name] for name in options.suites.split(",")}
        for part in parts.values():
            work(part, replace(project, left_out=tests - part.tests), seed, options.budget / len(TECHNIQUES))
        files = {renamed(file, name, arm): text for name, arm, file, text in written(parts)}
        with site.changed(files):
            violations, made = verified(site, files)
            every = Coverage(possible=people.possible, by_test={**people.by_test, **made.by_test})
            measure_coverage(parts, people, made)
            mutants, hung = measure_mutants(site, parts, every, options.mutants, rng)
    total = by_file({each for each in people.possible if each[2]})
    return Draw(tests=len(tests), total=total, mutants=mutants, hung=hung, violations=violations, parts=parts)


def hidden(tests: Sequence[str], share: float, rng: np.random.Generator) -> frozenset[str]:
    """Return a share of the tests: whole files in a random order, of the last one some tests at random."""
    files = sorted({file_of(each) for each in tests})
    wanted, found = round(share * len(tests)), list[str]()
    for index in rng.permutation(len(files)):
        own = [each for each in tests if file_of(each) == files[int(index)]]
        found += [own[int(each)] for each in rng.permutation(len(own))]
    return frozenset(found[:wanted])


def work(part: Part, project: Project, seed: int, budget_s: float) -> None:
    """Let each technique work beside a suite, from the same first look at it."""
    with open_site(project, "test-generator", seed=seed, timeout_s=TIMEOUT_S, progress=Quiet()) as site:
        skill, began = TestGenerator(), cpu_s()
        part.rule = str(baseline(skill.look(site))["technique"])
        part.heard_s = cpu_s() - began
        for technique in TECHNIQUES:
            part.arms[technique] = worked(copy.deepcopy(skill), site, technique, budget_s)
            print(f"  {project.name} {technique}: {part.arms[technique].ended or 'time is over'}", file=sys.stderr)


def worked(skill: TestGenerator, site: Site, technique: str, budget_s: float) -> Arm:
    """Make tests by one technique until its time is over or nothing more may be done with it."""
    arm, began = Arm(), cpu_s()
    while cpu_s() - began < budget_s:
        site.begin(arm.rounds)
        action, arm.ended = allowed(skill, site, technique)
        if arm.ended:
            break
        try:
            arm.files |= skill.work(site, action).files
        except SteersmanError as error:
            arm.ended = str(error)
            break
        arm.rounds += 1
    arm.cpu_s = cpu_s() - began
    return arm


def allowed(skill: TestGenerator, site: Site, technique: str) -> tuple[dict[str, Any], str]:
    """Return what the rule would do with a technique, at a module where it may be done; else why it may not."""
    reason = ""
    for _ in range(TRIES):
        state = skill.look(site)
        action = {**baseline(state), "technique": technique}
        refusals = (each for guard in agent.guards for each in guard.refuse(state))
        reason = next((each.reason for each in refusals if each.where.items() <= action.items()), "")
        if not reason or reason.startswith("nothing to add"):
            return action, reason
    return {}, reason


def written(parts: Mapping[str, Part]) -> Iterator[tuple[str, str, str, str]]:
    for name, part in parts.items():
        for technique, arm in part.arms.items():
            yield from ((name, technique, file, text) for file, text in arm.files.items())


def renamed(file: str, part: str, technique: str) -> str:
    """Return a name of its own for what several techniques call the same."""
    return f"{file.removesuffix('.py')}_{part}_{technique.replace('-', '_')}.py"


def verified(site: Site, files: Mapping[str, str]) -> tuple[tuple[str, ...], Coverage]:
    """Run all kept tests five times; return those that did not always pass, and what each covers."""
    if not files:
        return (), Coverage()
    plan = Plan(whole=tuple(files), rest=False, contexts=True)
    run, coverage = covered_run(site, plan)
    runs = [run]
    for each in HASH_SEEDS:
        with site.suite.under(PYTHONHASHSEED=each):
            runs.append(site.suite.run(replace(plan, contexts=False), timeout_s=TIMEOUT_S))
    names = {name for each in runs for name in [*each.tests, *each.failures]}
    bad = {name for each in runs for name in names if name not in each.tests or each.tests[name].outcome != "passed"}
    return tuple(sorted(bad)), coverage


def measure_coverage(parts: Mapping[str, Part], people: Coverage, made: Coverage) -> None:
    """Note what each suite runs, and what the kept tests run beyond it."""
    branches = {each for each in people.possible if each[2]}
    at_import = people.by_test.get("", frozenset())
    for name, part in parts.items():
        before = branches & at_import.union(*(people.by_test.get(each, frozenset()) for each in part.tests))
        part.before = by_file(before)
        groups = {
            technique: {test for test in made.by_test if file_of(test) in own_files(arm, name, technique)}
            for technique, arm in part.arms.items()
        }
        groups[TOGETHER] = set().union(*groups.values())
        groups[PEOPLE] = people.by_test.keys() - part.tests - {""}
        for arm, own in groups.items():
            ran = frozenset().union(*(made.by_test.get(each, people.by_test.get(each, frozenset())) for each in own))
            found = part.arms.setdefault(arm, Arm())
            found.tests, found.gained = frozenset(own), by_file((branches & ran) - before)
        if not groups[PEOPLE]:
            del part.arms[PEOPLE]


def own_files(arm: Arm, part: str, technique: str) -> set[str]:
    return {renamed(file, part, technique) for file in arm.files}


def measure_mutants(
    site: Site, parts: Mapping[str, Part], every: Coverage, count: int, rng: np.random.Generator
) -> tuple[int, int]:
    """Draw mutants, run all tests on each that run its line, and note who kills it; return how many, and how many hung."""
    fates: list[frozenset[str]] = []
    hung = 0
    for fault in mutants(site, rng, 2 * count):
        if len(fates) == count:
            break
        failed = fate(site, fault, every)
        hung += failed is None
        fates += [failed] if failed is not None else []
    for part in parts.values():
        part.missed = tuple(index for index, failed in enumerate(fates) if not failed & part.tests)
        for arm in part.arms.values():
            arm.killed = tuple(index for index in part.missed if fates[index] & arm.tests)
    return len(fates), hung


def mutants(site: Site, rng: np.random.Generator, count: int) -> Iterator[Fault]:
    """Yield valid mutants of all sources."""
    texts = {file: site.sandbox.read(file) for file in site.project.sources}
    every = [fault for file, text in texts.items() for fault in candidates(file, text)]
    valid = (each for each in sample(rng, every, 3 * count) if is_valid(each, texts[each.file]))
    return itertools.islice(valid, count)


def fate(site: Site, fault: Fault, every: Coverage) -> frozenset[str] | None:
    """Return the tests that fail with a mutant, of those that run its line; None where they come to no end."""
    order = tuple(test for test, points in every.by_test.items() if test and (fault.file, fault.line, 0) in points)
    if not order:
        return frozenset()
    with site.changed({fault.file: fault.apply(site.sandbox.read(fault.file))}):
        try:
            run = site.suite.run(Plan(order=order, rest=False), timeout_s=MUTANT_S)
        except InvalidInput:  # a conftest.py does not come through its imports
            return frozenset(order)
    broken = frozenset(test for test in order if file_of(test) in run.uncollected)
    return None if run.timed_out else broken.union(run.failures)


def file_of(test: str) -> str:
    return test.split("::", maxsplit=1)[0]


def by_file(points: set[tuple[str, int, int]] | frozenset[tuple[str, int, int]]) -> Counts:
    """Return how many branches there are of each file."""
    files = sorted(file for file, _, _ in points)
    return {file: files.count(file) for file in dict.fromkeys(files)}


def figures(draws: Sequence[Draw]) -> dict[str, Any]:
    """Return a library's figures over all draws, with intervals."""
    return {
        "tests": draws[0].tests,
        "branches": sum(draws[0].total.values()),
        "mutants": sum(each.mutants for each in draws),
        "hung": sum(each.hung for each in draws),
        "violations": [test for each in draws for test in each.violations],
        "parts": {name: of_part(draws, name) for name in draws[0].parts},
    }


def of_part(draws: Sequence[Draw], name: str) -> dict[str, Any]:
    parts = [each.parts[name] for each in draws]
    branches = np.array(
        [(part.before.get(f, 0), n) for d, part in zip(draws, parts, strict=True) for f, n in d.total.items()]
    )
    return {
        "tests": float(np.mean([len(each.tests) for each in parts])),
        "rule": parts[0].rule,
        "heard_s": sum(each.heard_s for each in parts),
        "coverage": 100.0 * branches[:, 0].sum() / max(branches[:, 1].sum(), 1),
        "missed": sum(len(each.missed) for each in parts),
        "arms": {arm: of_arm(draws, name, arm) for arm in parts[0].arms},
    }


def of_arm(draws: Sequence[Draw], name: str, arm: str) -> dict[str, Any]:
    """Return what an arm gained, in points and mutants, and which share of what people's hidden tests gain that is."""
    parts = [each.parts[name] for each in draws]
    arms = [each.arms[arm] for each in parts]
    rows = np.array([
        (each.gained.get(file, 0), total, part.arms.get(PEOPLE, Arm()).gained.get(file, 0))
        for draw, part, each in zip(draws, parts, arms, strict=True) for file, total in draw.total.items()
    ])  # fmt: skip
    fates = np.array([
        (index in each.killed, 1, index in part.arms.get(PEOPLE, Arm()).killed)
        for part, each in zip(parts, arms, strict=True) for index in part.missed
    ]).reshape(-1, 3)  # fmt: skip
    return {
        "rounds": sum(each.rounds for each in arms),
        "kept": sum(len(each.tests) for each in arms),
        "cpu_s": sum(each.cpu_s for each in arms),
        "ended": [each.ended for each in arms],
        "points": share(rows[:, 0], rows[:, 1]),
        "mutants": int(fates[:, 0].sum()),
        "regained": share(rows[:, 0], rows[:, 2]),
        "regained_mutants": share(fates[:, 0], fates[:, 2]),
    }


def share(part: Any, whole: Any) -> list[float] | None:
    """Return a share in % of sums over rows, with the interval of the bootstrap over rows; None of nothing."""
    if not whole.sum():
        return None
    picks = np.random.default_rng(0).integers(0, len(whole), (DRAWS, len(whole)))
    sums = whole[picks].sum(axis=1)
    drawn_shares = 100.0 * part[picks].sum(axis=1)[sums > 0] / sums[sums > 0]
    return [100.0 * float(part.sum() / whole.sum()), *np.percentile(drawn_shares, [2.5, 97.5]).tolist()]


def show(library: str, found: dict[str, Any], out: Any) -> None:
    """Print the table of a library."""
    print(
        f"\n{library}: {found['tests']} tests, {found['branches']} branches, {found['mutants']} mutants "
        f"({found['hung']} more hung), {len(found['violations'])} violations",
        file=out,
    )
    for name, part in found["parts"].items():
        print(
            f"  {'whole suite' if name == WHOLE else 'with a part hidden'}: {part['tests']:.0f} tests, "
            f"{part['coverage']:.1f} % of the branches, {part['missed']} mutants let through; "
            f"first run {part['heard_s']:.0f} s CPU",
            file=out,
        )
        shown = ("rounds", "kept", "CPU s", "mutants")
        heads = "".join(f"{each:>8}" for each in shown)
        regained = f"{'branches regained, %':>24}{'mutants regained, %':>24}" if name == PART else ""
        print(f"    {'':<22}{heads}{'points':>24}{regained}", file=out)
        for arm, each in part["arms"].items():
            print(f"    {arm + (' (rule)' if arm == part['rule'] else ''):<22}{row(each, name)}", file=out)
    out.flush()


def row(arm: dict[str, Any], part: str) -> str:
    made = f"{arm['rounds']:>8}{arm['kept']:>8}{arm['cpu_s']:>8.1f}" if arm["rounds"] else f"{'':>8}{arm['kept']:>8}{'':>8}"
    regained = "".join(f"{span(arm[each], 0):>24}" for each in ("regained", "regained_mutants")) if part == PART else ""
    return f"{made}{arm['mutants']:>8}{span(arm['points'], 2):>24}{regained}"


def span(three: Sequence[float] | None, digits: int) -> str:
    if three is None:
        return "–"
    value, low, high = three
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})" if low < high else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
