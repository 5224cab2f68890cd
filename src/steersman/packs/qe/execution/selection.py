"""Which tests a change calls for: all, those of the changed files, or those that ran the changed lines."""

import ast
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.packs.qe.faults.change import Change
from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.project.discovery import module_name
from steersman.packs.qe.project.sandbox import Sandbox

SELECTIONS = ("all", "changed", "affected")


@dataclass(frozen=True, kw_only=True)
class Selected:
    """The chosen tests; `everything` where nothing may be left out, `whole` for files whose tests all run."""

    tests: frozenset[str]
    whole: tuple[str, ...] = ()
    everything: bool = False


class Selector:
    """Chooses tests for a change. `failing` (what failed when it last ran) is always part of a narrower choice."""

    def __init__(self, sandbox: Sandbox, coverage: CoverageMap) -> None:
        project = sandbox.project
        self.coverage = coverage
        self._source_root = project.source_root
        self._imports = {file: imported_modules(sandbox.read(file)) for file in project.tests}

    def select(self, choice: str, change: Change, tests: Iterable[str], failing: frozenset[str]) -> Selected:
        """Return the tests of a selection: "all", "changed" or "affected"."""
        known = frozenset(tests)
        if choice == "all" or change.broad:
            return Selected(tests=known, everything=True)
        if choice == "changed":
            files = {each for file in change.lines for each in self.tests_for(file)} | set(change.whole_files)
            chosen = frozenset(each for each in known if each.split("::")[0] in files)
            return Selected(tests=chosen | (failing & known), whole=change.whole_files)
        affected = self._affected(change)
        if affected is None:
            return Selected(tests=known, everything=True)
        return Selected(tests=(affected | failing) & known, whole=change.whole_files)

    def tests_for(self, file: str) -> frozenset[str]:
        """Return the test files of a source file: those named after it and those that import it directly."""
        module = module_name(file, self._source_root)
        stem = module.rsplit(".", 1)[-1]
        named = {f"test_{stem}.py", f"{stem}_test.py"}
        return frozenset(
            test for test, modules in self._imports.items() if test.rsplit("/", 1)[-1] in named or module in modules
        )

    def touched(self, change: Change, tests: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of the changed lines that each test runs, (n,); 1 for a test whose own file changed.

        A line that runs at import counts for whatever runs another line of its file. Where no such test is known, it
        counts for the test files that import the file or are named after it.
        """
        near = [each for file, lines in change.lines.items() for each in self._near(file, lines)]
        counts = Counter(name for each in near for name in each)
        share = 1.0 / max(len(near), 1)
        files = [name.split("::")[0] for name in tests]
        return np.array(
            [
                1.0 if file in change.whole_files else share * (counts[name] + counts[file])
                for name, file in zip(tests, files, strict=True)
            ],
            dtype=np.float64,
        )

    def _near(self, file: str, lines: Iterable[int]) -> list[frozenset[str]]:
        """Return for each changed line that runs at all the tests, or test files, that it counts for."""
        known = self.coverage.lines.get(file, {})
        around = self.coverage.tests_of_file(file) or self.tests_for(file)
        return [known[line] or around for line in lines if line in known] or [around]

    def _affected(self, change: Change) -> frozenset[str] | None:
        found: set[str] = set()
        for file, lines in change.lines.items():
            tests = self.coverage.tests_of(file, lines)
            if tests is None:
                return None
            found |= tests
        return frozenset(found)


def imported_modules(source: str) -> frozenset[str]:
    """Return every dotted name that a file imports, with "a.b" for `from a import b`; empty if it does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(found)
