"""Which tests a change calls for: all, those of the changed files, or those that ran the changed lines."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass

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
