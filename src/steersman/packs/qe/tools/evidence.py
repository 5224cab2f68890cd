"""What is known of a candidate release before anyone decides about it: a part of its suite, its text, and old findings."""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass

from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.plants.releases import Release, Releases
from steersman.packs.qe.project.suite import Plan, RunResult
from steersman.packs.qe.tools.run import has, run_tool
from steersman.packs.qe.tools.scanners import ruff

_SUSPICIOUS = ("--select", "F,B,PLE,PLW", "--output-format", "json", "--exit-zero", "--isolated", "--no-cache")
_SCANNERS = ("ruff", "bandit", "detect-secrets")
SHARES = (0.25, 0.5, 0.75)
"""How much of the suite may have run when a release is judged."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a really run part of the suite shows of a release.

    left: the tests that did not run, in file order. failures: what fails and did not before. pass_rate: of the tests
    that ran. share: of the suite that ran, 0–1. reaching: tests that are known to run the changed line (all of them
    without a map, or where it runs at import). seen: the share of these that ran, 0 where there is none. lint: findings
    of ruff that the change brought.
    """

    left: tuple[str, ...]
    failures: frozenset[str]
    pass_rate: float
    share: float
    reaching: int
    seen: float
    lint: int
    wall_s: float
    cpu_s: float


class Examiner:
    """Gathers evidence about the candidate releases of a site; what does not change is measured once."""

    def __init__(self, site: Site, releases: Releases) -> None:
        self._site = site
        self._releases = releases
        self.coverage = functions_run(releases.texts, site)
        self._lint: dict[str, int] = {}
        self._scanned = () if self._is_scanned() else _security(site)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is known of the project itself; where no scanner has worked on it, with what the quickest one says."""
        return (*self._site.findings, *(() if self._is_scanned() else self._scanned))

    def examine(self, release: Release) -> Evidence:
        """Run a quarter, a half or three quarters of the suite on a release, drawn at random, and lint its change."""
        generator, everything = self._site.generator, self._site.reference.collected
        count = max(1, round(SHARES[int(generator.integers(len(SHARES)))] * len(everything)))
        drawn = {everything[int(each)] for each in generator.choice(len(everything), size=count, replace=False)}
        tests = tuple(name for name in everything if name in drawn)
        run = self._releases.run(release, Plan(order=tests, rest=False))
        reaching = self._reaching(release)
        return Evidence(
            left=tuple(name for name in everything if name not in drawn),
            failures=self._releases.failures(run),
            pass_rate=pass_rate(run, self._releases.failures(run)),
            share=len(tests) / len(everything),
            reaching=len(reaching),
            seen=len(reaching & drawn) / len(reaching) if reaching else 0.0,
            lint=max(self._found(release.file, release.text) - self._known(release.file), 0),
            wall_s=run.wall_s,
            cpu_s=run.cpu_s,
        )

    def run_left(self, release: Release, tests: tuple[str, ...]) -> tuple[RunResult, frozenset[str]]:
        """Run tests that were left, and return the run with what fails and did not before."""
        run = self._releases.run(release, Plan(order=tests, rest=False))
        return run, self._releases.failures(run)

    def _is_scanned(self) -> bool:
        return any(each.tool in _SCANNERS for each in self._site.findings)

    def _reaching(self, release: Release) -> frozenset[str]:
        reference = self._site.reference
        everything = frozenset(reference.collected)
        if not reference.coverage.available:
            return everything
        found = reference.coverage.tests_of(release.file, [release.line])
        return everything if found is None else found & everything

    def _known(self, file: str) -> int:
        if file not in self._lint:
            self._lint[file] = self._found(file, self._releases.texts[file])
        return self._lint[file]

    def _found(self, file: str, text: str) -> int:
        """Return how many suspicious places ruff sees in a text; 0 where ruff is missing."""
        if not has("ruff"):
            return 0
        site = self._site
        with site.changed({file: text}):
            output = run_tool(
                "ruff",
                ["check", *_SUSPICIOUS, file],
                root=site.sandbox.root,
                scratch=site.sandbox.scratch,
                timeout_s=site.timeout_s,
            )
        start = max(output.text.find("["), 0)
        try:
            return len(json.JSONDecoder().raw_decode(output.text[start:])[0])
        except ValueError:
            return 0


def pass_rate(run: RunResult, failures: frozenset[str]) -> float:
    """Return the share of tests that ran and did not newly fail; 0 where something fails and no test came to its end."""
    if not run.tests:
        return 0.0 if failures else 1.0
    return min(sum(name not in failures for name in run.tests) / len(run.tests), 0.999 if failures else 1.0)


def functions_run(texts: Mapping[str, str], site: Site) -> float:
    """Return the share of the functions that some test runs, 0–1; 0 without a map, 1 where there is no function."""
    total = ran = 0
    for file, text in texts.items():
        lines = {line for line, tests in site.reference.coverage.lines.get(file, {}).items() if tests}
        for node in ast.walk(ast.parse(text)) if _parses(text) else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                total += 1
                ran += any(line in lines for line in range(node.body[0].lineno, (node.end_lineno or 0) + 1))
    return ran / total if total else 1.0


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError):
        return False
    return True


def _security(site: Site) -> tuple[Finding, ...]:
    """Return what the quickest scanner says of the project as it is; nothing where it is missing."""
    if not has("ruff"):
        return ()
    return ruff(site.sandbox.root, site.project.sources, site.sandbox.scratch, site.timeout_s).findings
