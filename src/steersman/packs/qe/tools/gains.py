"""What is left to gain from tests of a project, module by module: what nothing runs, and faults that no test sees."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from steersman.core.errors import InvalidInput, NotFound
from steersman.packs.qe.faults.mutation import Fault, candidates, is_valid, sample
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.suite import Plan, RunResult
from steersman.packs.qe.tools.arguments import Kinds
from steersman.packs.qe.tools.callables import modules_of
from steersman.packs.qe.tools.functions import Module, Target
from steersman.packs.qe.tools.heard import Heard
from steersman.packs.qe.tools.run import has, run_tool
from steersman.packs.qe.tools.test_writing import Draft, write_file
from steersman.packs.qe.tools.trials import Point, Trial, kills, suite_coverage

PATIENCE = 4
"""How many rounds in a row may add nothing, at whatever modules."""
_AT_ONE = 2
_SEEDED = 2
_TO_LEARN_FROM = 2
_MOST_KEPT = 60
_FORMAT_S, _MOST_WORDS = 30.0, 300
_FAULTS_SHARE = 0.2
"""Of the time that is left."""


@dataclass(kw_only=True)
class AtWork:
    """A module at work. learn_from, missed: faults that survive its tests, to learn from and to be measured by.

    fitting: what is known of the arguments that its functions take.
    """

    module: Module
    file: str
    learn_from: list[Fault] = field(default_factory=list)
    missed: list[Fault] = field(default_factory=list)
    kept: dict[str, Draft] = field(default_factory=dict)
    fitting: dict[Target, list[Kinds]] = field(default_factory=dict)
    attempts: int = 0
    drafted: int = 0
    accepted: int = 0
    in_vain: int = 0

    @property
    def survivors(self) -> int:
        """How many faults nothing sees."""
        return len(self.learn_from) + len(self.missed)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The drafts that add something, what ran before and with them, and which surviving faults they kill."""

    drafts: tuple[Draft, ...]
    before: frozenset[Point]
    ran: frozenset[Point]
    killed: frozenset[Fault]


class Gains:
    """A project's modules, its suite under coverage.py, and what of it was gained. faults: to be measured by, a module.

    Raises NotFound where there is nothing to call, InvalidInput where pytest runs no test here, as after its conftest.py.
    """

    def __init__(self, site: Site, faults: int) -> None:
        self._faults = faults
        self.modules = modules_of(site.sandbox)
        if not self.modules:
            raise NotFound(
                f"{site.project.name} has no public function, method or constructor that keeps to itself, so no test can be "
                "made. Give a project with something to call that does not use files, the network, the clock or chance."
            )
        self.heard = Heard()
        self.in_vain = 0
        self._at_work: dict[str, AtWork] = {}
        first = self.modules[0]
        nothing = _free_name(site, first)
        with site.changed({nothing: f"import {first.name}\n\n\ndef test_start():\n    assert {first.name}\n"}):
            self.start = site.suite.run(Plan(whole=(nothing,), rest=False), timeout_s=site.timeout_s)
            if not self.start.tests and not self.start.uncollected:
                raise InvalidInput(
                    f"pytest runs no test in this project, not even one that only imports: {_last_words(self.start)}"
                )
            with self.heard.listening(site, [each for module in self.modules for each in module.targets]):
                self._suite, self.covered = suite_coverage(site)
        by_test = self.covered.by_test.items() if site.project.tests else ()
        self.ran: frozenset[Point] = frozenset().union(*(points for test, points in by_test if not test.startswith(nothing)))

    def most_promising(self, site: Site) -> AtWork:
        """Return a module at random, by what is open in it; one that is done only where all are."""
        while True:
            left = [each for each in self.modules if not self._is_done(each)]
            if not left:
                return self._begun(site, min(self.modules, key=self._is_covered))
            weights = [len(self.open(each)) + 2.0 * self._survivors(each) for each in left]
            chosen = site.generator.choice(len(left), p=[each / sum(weights) for each in weights])
            begun = self._begun(site, left[int(chosen)])
            if not self._is_done(begun.module):
                return begun

    @property
    def done(self) -> bool:
        """Whether nothing more is to be expected of any module."""
        return all(map(self._is_done, self.modules))

    def open(self, module: Module) -> frozenset[Point]:
        """Return the lines and branches that nothing runs, of what can be called in a module and what that leads to."""
        ranges = {lines for each in module.targets for lines in each.reach}
        missing = (each for each in self.covered.possible if each[0] == module.file and each not in self.ran)
        return frozenset(each for each in missing if any(first <= each[1] <= last for first, last in ranges))

    def what_adds(self, site: Site, at_work: AtWork, drafts: Mapping[str, Draft], trial: Trial) -> Kept:
        """Keep, of the tests that passed, those that run something new or kill a fault, the most useful ones first."""
        before = self.ran | trial.coverage.by_test.get("", frozenset())  # what any import runs is no test's merit
        adds: dict[str, set[Point | Fault]] = {
            name: {
                each for each in trial.coverage.by_test.get(name, frozenset()) - before if _checks(drafts[_last(name)], each)
            }
            for name in sorted(trial.passed)
        }
        until = _share_of_time(site)
        for fault in (*at_work.missed, *at_work.learn_from) if trial.passed else ():
            if time.monotonic() >= until:
                break
            order = tuple(sorted(each for each in trial.passed if trial.runs(each, fault)))
            failed = (order and kills(site, fault, Plan(order=order, rest=False), trial.wall_s)) or frozenset()
            for name in trial.passed if at_work.file in failed else trial.passed & failed:
                adds[name].add(fault)
        kept, done = [], set[Point | Fault]()
        while adds:
            best = max(adds, key=lambda each: len(adds[each] - done))
            new = adds.pop(best) - done
            if not new:
                break
            kept.append(drafts[_last(best)])
            done |= new
        ran = frozenset(each for each in done if isinstance(each, tuple))
        killed = frozenset(each for each in done if isinstance(each, Fault))
        return Kept(drafts=tuple(kept), before=before, ran=before | ran, killed=killed)

    def remember(self, at_work: AtWork, drafted: int, kept: Kept) -> None:
        """Take what was kept for done: it is not to be gained again."""
        at_work.attempts += 1
        at_work.drafted += drafted
        at_work.accepted += len(kept.drafts)
        at_work.in_vain = 0 if kept.drafts else at_work.in_vain + 1
        self.in_vain = 0 if kept.drafts else self.in_vain + 1
        for each in kept.drafts[: max(_MOST_KEPT - len(at_work.kept), 0)]:
            at_work.kept[each.name] = each
        self.ran |= kept.ran
        for faults in (at_work.learn_from, at_work.missed):
            faults[:] = [each for each in faults if each not in kept.killed]

    def _is_done(self, module: Module) -> bool:
        at_work = self._at_work.get(module.file)
        return (at_work is not None and at_work.in_vain >= _AT_ONE) or self._is_covered(module)

    def _is_covered(self, module: Module) -> bool:
        return not self.open(module) and not self._survivors(module)

    def _survivors(self, module: Module) -> float:
        """Return how many faults survive in a module; one before anybody looked."""
        at_work = self._at_work.get(module.file)
        return 1.0 if at_work is None else float(at_work.survivors)

    def _begun(self, site: Site, module: Module) -> AtWork:
        """Return a module with faults that its tests let through, drawn once."""
        if module.file not in self._at_work:
            source = site.sandbox.read(module.file)
            reach = {lines for each in module.targets for lines in each.reach}
            lines = {line for first, last in reach for line in range(first, last + 1)}
            every = [each for each in candidates(module.file, source) if each.line in lines and is_valid(each, source)]
            found: list[Fault] = []
            until = _share_of_time(site)
            for fault in sample(site.generator, every, _SEEDED * self._faults):
                if time.monotonic() >= until:
                    break
                if len(found) < self._faults + _TO_LEARN_FROM and self._is_missed(site, fault):
                    found.append(fault)
            self._at_work[module.file] = AtWork(
                module=module, file=_free_name(site, module), learn_from=found[1::2], missed=found[::2]
            )
        return self._at_work[module.file]

    def _is_missed(self, site: Site, fault: Fault) -> bool:
        """Return whether the suite lets a fault through, by running the tests that run its line."""
        point = (fault.file, fault.line, 0)
        covering = [test for test, points in self.covered.by_test.items() if test in self._suite.tests and point in points]
        at_import = point in self.covered.by_test.get("", ())
        if not site.project.tests or (self.covered.possible and not covering and not at_import):
            return True
        plan = Plan(order=tuple(covering), rest=False) if covering else Plan()
        tests = self._suite.tests
        failed = kills(site, fault, plan, sum(tests[each].duration_s for each in covering or tests))
        return failed is not None and not failed - frozenset(self._suite.failures)


def _last_words(run: RunResult) -> str:
    """Return what pytest said last, in short."""
    lines = [each.strip() for each in run.tail.splitlines() if each.strip()]
    return " ".join(lines[-3:])[-_MOST_WORDS:] or "it said nothing"


def _share_of_time(site: Site) -> float:
    """Return until when faults may be looked at: tests that are made then have to be tried and written in what is left."""
    now = time.monotonic()
    return now + _FAULTS_SHARE * max(site.suite.deadline - now, 0.0)


def _last(test: str) -> str:
    return test.rpartition("::")[2]


def _checks(draft: Draft, point: Point) -> bool:
    """Return whether a line or branch ran in what a test checks, and not only on the way there."""
    return draft.reach is None or point in draft.reach or (point[2] == 0 and point[:2] in draft.reach)


def written(site: Site, at_work: AtWork) -> str:
    """Return the file of all tests kept, alike ones in tables and formatted, or else one by one; "" if neither passes."""
    drafts = [*at_work.kept.values()]
    for tables in (True, False):
        text = _formatted(site, at_work.file, write_file(at_work.module.name, drafts, tables=tables))
        with site.changed({at_work.file: text}):
            run = site.suite.run(Plan(whole=(at_work.file,), rest=False), timeout_s=site.timeout_s)
        if run.tests and not run.failures and not run.timed_out:
            return text
    return ""


def _formatted(site: Site, file: str, text: str) -> str:
    """Return a file as ruff formats it with the project's settings; as it is where ruff is missing."""
    if not has("ruff"):
        return text
    scratch, root = site.sandbox.scratch, site.sandbox.root
    with site.changed({file: text}):
        run_tool("ruff", ["format", "--no-cache", file], root=root, scratch=scratch, timeout_s=_FORMAT_S)
        run_tool(
            "ruff", ["check", "--no-cache", "--select", "I", "--fix", file], root=root, scratch=scratch, timeout_s=_FORMAT_S
        )
        return site.sandbox.read(file)


def _free_name(site: Site, module: Module) -> str:
    """Return the path of a test file that the project does not have yet."""
    folders = [each.rpartition("/")[0] for each in site.project.tests]
    folder = "tests" if not folders or "tests" in folders else folders[0]
    stem = "/".join(each for each in (folder, f"test_generated_{module.name.replace('.', '_')}") if each)
    number = 1
    while (site.project.root / _numbered(stem, number)).exists():
        number += 1
    return _numbered(stem, number)


def _numbered(stem: str, number: int) -> str:
    return f"{stem}.py" if number == 1 else f"{stem}_{number}.py"
