"""The git world: walk real commits. The truth is what the full suite shows at a commit and did not show at its parent."""

import ast
import os
import re
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field

from steersman.core.errors import InvalidInput
from steersman.core.ports import Progress
from steersman.core.progress import Silent
from steersman.packs.qe.faults.change import ActiveFault, Change
from steersman.packs.qe.project.reference import Reference, measure_reference
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.project.suite import Suite

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")


@dataclass(kw_only=True)
class GitWorld:
    """Puts commit after commit into the sandbox, oldest first, from the project's own repository, which is only read.

    Before each charged run the whole suite runs at that commit, uncharged: a test that fails there and did not at the
    commit before is the fault. Faults that no test of the project shows are unknown, and commits whose suite cannot run
    at all with today's interpreter are passed over.
    """

    sandbox: Sandbox
    suite: Suite
    commits: list[str]
    timeout_s: float
    progress: Progress
    reference: Reference
    _after: Reference
    _at: int = 0
    _passed_over: int = 0
    _failures: int = field(default=0)

    def next(self, cycle: int) -> Change | None:
        """Put the next commit whose suite runs into the sandbox."""
        while self._at + 1 < len(self.commits):
            parent, commit = self.commits[self._at], self.commits[self._at + 1]
            self.reference = self._after
            diff = git(self.sandbox, "diff", "--no-renames", "--relative", "-U0", parent, commit, "--", "*.py")
            old = {file: self._text(file) for file in changed_lines(diff)}
            check_out(self.sandbox, commit, parent)
            self._at += 1
            try:
                self._after = measure_reference(self.suite, timeout_s=self.timeout_s, progress=Silent())
            except InvalidInput as error:
                self._passed_over += 1
                self.progress.note(f"commit {commit[:10]} passed over: {str(error)[:200]}")
                continue
            return self._change(cycle, commit, changed_lines(diff), old)
        return None

    def describe(self) -> dict[str, object]:
        """Return how many commits were walked and how many brought new failures."""
        return {
            "kind": "git commits",
            "commits": self._at - self._passed_over,
            "commits_passed_over": self._passed_over,
            "commits_with_new_failures": self._failures,
            "truth": "new failures of the full suite; faults that no test shows are unknown",
        }

    def _change(self, cycle: int, commit: str, lines: dict[str, frozenset[int]], old: dict[str, str]) -> Change:
        new = self._after.failing - self.reference.failing - self.reference.flaky
        self._failures += bool(new)
        project = self.sandbox.project
        sources = {file: function_lines(old[file], each) for file, each in lines.items() if file in project.sources}
        tests = tuple(file for file in lines if file in project.tests)
        return Change(
            cycle=cycle,
            text=f"commit {commit[:10]}: {len(lines)} files",
            lines=sources,
            faults=(ActiveFault(name=commit, killers=new),) if new else (),
            expected_s=self._after.expected_s(new),
            expected_cpu_s=self._after.cpu_s,
            broad=len(sources) + len(tests) < len(lines),
            whole_files=tests,
            known_failing=(self._after.failing - new) | self.reference.failing,
        )

    def _text(self, file: str) -> str:
        try:
            return self.sandbox.read(file)
        except (OSError, ValueError):
            return ""


def open_git_world(sandbox: Sandbox, suite: Suite, *, cycles: int, timeout_s: float, progress: Progress) -> GitWorld:
    """Return a world over the last commits that changed Python files. Raises InvalidInput where there are too few."""
    listed = git(sandbox, "rev-list", "--first-parent", f"--max-count={cycles + 1}", "HEAD", "--", "*.py").split()
    commits = listed[::-1]
    if len(commits) < 2:
        raise InvalidInput(f"{sandbox.project.root} has {len(commits)} commits that change Python files; --git needs two.")
    check_out(sandbox, commits[0], "HEAD")
    reference = measure_reference(suite, timeout_s=timeout_s, progress=progress)
    return GitWorld(
        sandbox=sandbox,
        suite=suite,
        commits=commits,
        timeout_s=timeout_s,
        progress=progress,
        reference=reference,
        _after=reference,
    )


def check_out(sandbox: Sandbox, commit: str, before: str) -> None:
    """Make the tracked files of the sandbox those of a commit; what is tracked at `before` only is removed."""
    here = set(git(sandbox, "ls-tree", "-r", "--name-only", commit).splitlines())
    for file in set(git(sandbox, "ls-tree", "-r", "--name-only", before).splitlines()) - here:
        (sandbox.root / file).unlink(missing_ok=True)
    left_out = here - unpack(sandbox, commit)
    for file in left_out:  # by `export-ignore`, as some projects have it for their tests
        if file.endswith(".py"):
            sandbox.write(file, git(sandbox, "show", f"{commit}:./{file}"))


def unpack(sandbox: Sandbox, commit: str, files: Iterable[str] = ()) -> set[str]:
    """Write files as of a commit into the sandbox, and return their names; none stands for all. Raises InvalidInput."""
    archive = sandbox.scratch / "commit.tar"
    git(sandbox, "archive", "--format=tar", f"--output={archive}", commit, *files)
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(sandbox.root, filter="tar")
            return {each.name for each in packed.getmembers()}
    except (OSError, tarfile.TarError) as error:
        raise InvalidInput(f"cannot unpack commit {commit}: {error}") from error


def changed_lines(diff: str) -> dict[str, frozenset[int]]:
    """Return the lines, as numbered before the change, of each file in a unified diff without context.

    Lines that were only added count as the two lines around them.
    """
    found: dict[str, set[int]] = {}
    lines: set[int] = set()
    for line in diff.splitlines():
        if line.startswith("diff --git "):
            name = line.rpartition(" b/")[2]
            lines = found.setdefault(name, set())
        match = _HUNK.match(line)
        if match:
            start, count = int(match[1]), int(match[2] or 1)
            lines.update(range(start, start + count) if count else (start, start + 1))
    return {file: frozenset(each) for file, each in found.items()}


def git(sandbox: Sandbox, *arguments: str) -> str:
    """Run git on the user's repository, reading only. Raises InvalidInput with git's own words.

    The repository is the one around the project, also where a hook of another one runs us and says so by GIT_DIR.
    """
    command = ["git", "--no-optional-locks", "-c", "core.quotePath=false", "-C", str(sandbox.project.root), *arguments]
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, errors="replace", env=env)
    except (OSError, subprocess.SubprocessError) as error:
        raise InvalidInput(f"--git needs git: {error}.") from error
    if answer.returncode:
        raise InvalidInput(f"--git needs a git repository at {sandbox.project.root}: {answer.stderr.strip()}")
    return answer.stdout


def function_lines(source: str, lines: Iterable[int]) -> frozenset[int]:
    """Return the lines with the bodies of the innermost functions around them, for a change read from a diff."""
    wanted = set(lines)
    found = set(wanted)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return frozenset(found)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for line in wanted:
        around = [node for node in functions if node.body[0].lineno <= line <= (node.end_lineno or line)]
        if around:
            inner = max(around, key=lambda node: node.lineno)
            found.update(range(inner.body[0].lineno, (inner.end_lineno or inner.lineno) + 1))
    return frozenset(found)
