"""Real bugs, from the project's own history: commits whose tests fail on the sources before them and pass on those after.

Both are really run, as BugsInPy (Widyasari et al., ESEC/FSE 2020) and Defects4J (Just, Jalali and Ernst, ISSTA 2014) do. The
repository is only read. Nobody checked by hand that a commit mends a bug and does nothing else, as was done there.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from steersman.core.errors import InvalidInput, NotFound, SteersmanError
from steersman.core.ports import Progress
from steersman.packs.qe.faults.git_world import check_out, git, unpack
from steersman.packs.qe.project.discovery import Project, discover
from steersman.packs.qe.project.sandbox import Sandbox, bare_sandbox
from steersman.packs.qe.project.suite import Plan, RunResult, Suite

_MOST_COMMITS = 2000
_FORMAT = "%x01%H%x1f%P%x1f%s%x1f%b%x1e"
_SPEAKS_OF_A_FIX = re.compile(
    r"\b(fix(e[sd]|ing)?|bugs?|bugfix|regressions?|wrong(ly)?|incorrect(ly)?|crash(e[sd])?|broken?|correct(s|ed)|mend(s|ed)?"
    r"|repair(s|ed)?|raise[sd]? instead|no longer|closes #\d+|resolves #\d+)\b",
    re.IGNORECASE,
)
_NO_TIME = "out of time"


@dataclass(frozen=True, kw_only=True)
class BugFix:
    """A commit that mended a bug. killers: its tests that fail without it. files: sources that it changed.

    says_so: whether its message speaks of a fix; where it does not, it may as well have brought something new.
    """

    commit: str
    message: str
    says_so: bool
    files: tuple[str, ...]
    tests: tuple[str, ...]
    killers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class History:
    """What the history gave. commits: that change sources and tests. left_out: how many of these, by reason.

    reason: why there is no history, where there is none.
    """

    fixes: tuple[BugFix, ...] = ()
    commits: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""
    cpu_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A commit that changes sources and tests. status: git's letter for each Python file that it changes."""

    commit: str
    parent: str
    message: str
    says_so: bool
    status: Mapping[str, str]


class _Unfit(Exception):
    """A commit gives no bug, for a reason."""


def find_bug_fixes(project: Project, *, timeout_s: float, budget_s: float, memory_mb: float, progress: Progress) -> History:
    """Try the commits of the current branch, newest first, those whose messages speak of a fix before all others.

    timeout_s: limit for one run. budget_s: limit for all, looked at between commits. Where there is no git, or no
    repository, the history is empty and says why.
    """
    with bare_sandbox(project) as sandbox:
        try:
            found = candidates(sandbox)
        except InvalidInput as error:
            return History(reason=str(error))
        progress.phase("real bugs in the history", len(found))
        deadline = time.monotonic() + budget_s
        trial = _Trial(sandbox, timeout_s, memory_mb)
        fixes, left_out = [], Counter[str]()
        for each in found:
            if time.monotonic() > deadline:
                left_out[_NO_TIME] += 1
                continue
            try:
                fixes.append(trial.of(each))
                progress.step(f"{each.commit[:10]} {each.message}: {len(fixes[-1].killers)} tests show it")
            except _Unfit as reason:
                left_out[str(reason)] += 1
                progress.step(f"{each.commit[:10]} {reason}")
        return History(fixes=tuple(fixes), commits=len(found), left_out=dict(left_out), cpu_s=trial.cpu_s)


def candidates(sandbox: Sandbox) -> list[Candidate]:
    """Return the commits without merges that change sources and tests. Raises InvalidInput where there is no repository."""
    arguments = ("--no-merges", f"--max-count={_MOST_COMMITS}", "--name-status", "--no-renames", "--relative")
    told = git(sandbox, "log", f"--format={_FORMAT}", *arguments, "HEAD", "--", ".")
    found = [each for each in _parsed(told) if _has_both(each, frozenset(sandbox.project.tests))]
    return sorted(found, key=lambda each: not each.says_so)


def _parsed(told: str) -> Iterator[Candidate]:
    """Yield the commits with one parent that git log tells of."""
    for entry in told.split("\x01")[1:]:
        head, _, names = entry.partition("\x1e")
        commit, parents, message, body = head.split("\x1f", 3)
        pairs = [line.split("\t", 1) for line in names.strip().splitlines()]
        status = {pair[1]: pair[0] for pair in pairs if len(pair) == 2 and pair[1].endswith(".py")}
        if len(parents.split()) == 1:
            says_so = bool(_SPEAKS_OF_A_FIX.search(f"{message}\n{body}"))
            yield Candidate(commit=commit, parent=parents, message=message, says_so=says_so, status=status)


def _has_both(candidate: Candidate, tests: frozenset[str]) -> bool:
    """Return whether a commit seems to change both; which is which is certain only once it is checked out."""
    kinds = {each in tests or _called_test(each) for each, status in candidate.status.items() if status != "D"}
    return kinds == {True, False}


def _called_test(file: str) -> bool:
    *folders, name = file.split("/")
    return name.startswith("test_") or name.endswith("_test.py") or bool({"test", "tests", "testing"} & set(folders))


class _Trial:
    """Tries commits in one sandbox, one after the other."""

    def __init__(self, sandbox: Sandbox, timeout_s: float, memory_mb: float) -> None:
        self._sandbox, self._timeout_s, self._memory_mb = sandbox, timeout_s, memory_mb
        self._here = "HEAD"
        self._put_back: list[str] = []
        self.cpu_s = 0.0

    def of(self, candidate: Candidate) -> BugFix:
        """Return the bug that a commit mended. Raises _Unfit with the reason where it cannot be shown that it did."""
        suite, sources, tests = self._checked_out(candidate)
        plan = Plan(whole=tests, rest=False)
        after = self._run(suite, plan)
        passed = frozenset(name for name, each in after.tests.items() if each.outcome == "passed")
        if not passed:
            raise _Unfit("its tests do not run with this interpreter" if after.uncollected else "its tests do not pass")
        self._without(candidate, sources)
        before = self._run(suite, plan)
        killers = passed & frozenset(name for name, each in before.tests.items() if each.failed)
        if not killers:
            new = passed & {name for name in passed if name.split("::")[0] in before.uncollected}
            raise _Unfit("its tests need what it brought" if new else "no test tells before from after")
        killers = self._twice(suite, candidate, sources, killers)
        return BugFix(
            commit=candidate.commit,
            message=candidate.message,
            says_so=candidate.says_so,
            files=sources,
            tests=tests,
            killers=tuple(sorted(killers)),
        )

    def _checked_out(self, candidate: Candidate) -> tuple[Suite, tuple[str, ...], tuple[str, ...]]:
        """Put a commit into the sandbox; return its suite, the sources and the test files that it changes."""
        for each in self._put_back:
            (self._sandbox.root / each).unlink(missing_ok=True)
        try:
            check_out(self._sandbox, candidate.commit, self._here)
            self._here = candidate.commit
            project = discover(self._sandbox.root, self._sandbox.project.tools.interpreter)
        except NotFound as error:
            raise _Unfit("it has no package with tests here") from error
        except SteersmanError as error:
            raise _Unfit("its sources cannot be read with this Python") from error
        tests = tuple(each for each in candidate.status if each in project.tests)
        sources = tuple(each for each in candidate.status if each in project.sources or each in project.unreadable)
        if not tests or not sources:
            raise _Unfit("it changes no test file" if not tests else "it changes no source file")
        sandbox = replace(self._sandbox, project=project)
        return Suite(sandbox, memory_mb=self._memory_mb), sources, tests

    def _without(self, candidate: Candidate, sources: tuple[str, ...]) -> None:
        """Put the sources back to what they were before the commit; its tests, data and settings stay."""
        brought = [each for each in sources if candidate.status[each] == "A"]
        self._put_back = [each for each, status in candidate.status.items() if status == "D"]
        changed = [*(each for each in sources if each not in brought), *self._put_back]
        for each in brought:
            (self._sandbox.root / each).unlink(missing_ok=True)
        if changed:
            unpack(self._sandbox, candidate.parent, changed)

    def _twice(
        self, suite: Suite, candidate: Candidate, sources: tuple[str, ...], killers: frozenset[str]
    ) -> frozenset[str]:
        """Return the tests that fail without the commit and pass with it a second time, too: flaky ones prove nothing."""
        plan = Plan(order=tuple(sorted(killers)), rest=False)
        failed = frozenset(self._run(suite, plan).failures)
        unpack(self._sandbox, candidate.commit, sources)
        again = self._run(suite, plan)
        sure = killers & failed & {name for name, each in again.tests.items() if each.outcome == "passed"}
        if not sure:
            raise _Unfit("its tests are flaky")
        return sure

    def _run(self, suite: Suite, plan: Plan) -> RunResult:
        try:
            result = suite.run(plan, timeout_s=self._timeout_s)
        except InvalidInput as error:
            raise _Unfit("pytest does not start with this interpreter") from error
        self.cpu_s += result.cpu_s
        if result.timed_out:
            raise _Unfit("its tests did not end in time")
        return result
