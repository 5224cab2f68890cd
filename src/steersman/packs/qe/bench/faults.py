"""`bench faults`: which faults does a suite show, which does it miss for certain, and of which can nobody tell?"""

import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from steersman.core.errors import InvalidInput
from steersman.core.ports import Progress
from steersman.packs.qe.bench.witnesses import Witnesses
from steersman.packs.qe.faults import corpus
from steersman.packs.qe.faults.bug_fixes import History, find_bug_fixes
from steersman.packs.qe.faults.corpus import Corpus
from steersman.packs.qe.faults.equivalence import Standing
from steersman.packs.qe.faults.fate import FATES, Fate, Judged, Score, score
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.faults.screening import SHORT_S, Court
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.suite import cores, memory_available_mb

_AGENT = "fault-bench"
_FATE_OF: dict[Standing, Fate] = {"invalid": "invalid", "equivalent": "equivalent", "other": "not run"}
_RUNS, _WITNESSES = 0.6, 0.5
"""Which shares of the time that is left the runs of the suite, and then the search for witnesses, may take."""


@dataclass(frozen=True, kw_only=True)
class FaultOptions:
    """What to try, and for how long.

    path: the project. count: faults that compile and change something. seed: of what is drawn. python: the interpreter
    ("": the project's own). timeout_s: limit for one run of the suite. budget_s: limit for all that comes after the
    suite was measured; what runs then is cut off. git: look for real bugs in the history. faults: a report in JSON whose
    faults are run again instead of new ones ("": none).
    """

    path: str
    count: int = 40
    seed: int = 0
    python: str = ""
    timeout_s: float = 300.0
    budget_s: float = 120.0
    git: bool = True
    faults: str = ""

    def __post_init__(self) -> None:
        if self.count < 1 or self.seed < 0 or self.timeout_s <= 0 or self.budget_s <= 0:
            raise InvalidInput(
                f"count, timeout and budget must be positive and the seed not negative; got {self.count}, "
                f"{self.timeout_s:g}, {self.budget_s:g} and {self.seed}."
            )


@dataclass(frozen=True, kw_only=True)
class FaultReport:
    """What the bench came to. fates: how many faults had each. digests: SHA-256 of each file with a fault, as it was.

    tests: of the suite that passed before. suite_s: what it takes. wall_s: of it all. cpu_s: of all that ran on faults, on
    calls and on commits.
    """

    project: str
    path: str
    python: str
    seed: int
    count: int
    tests: int
    suite_s: float
    faults: tuple[Judged, ...]
    fates: dict[Fate, int]
    score: Score
    history: History
    digests: dict[str, str]
    notes: tuple[str, ...]
    wall_s: float
    cpu_s: float


def faults(agent: Callable[[str], Any], options: FaultOptions, progress: Progress) -> FaultReport:
    """Run the suite of a copy of a project on faults, and look for real ones in its history; no agent has a say.

    Raises what `discover`, the sandbox and the reference do, and `corpus` for a file of faults.
    """
    del agent
    project = discover(options.path, options.python or None)
    with open_site(project, _AGENT, seed=options.seed, timeout_s=options.timeout_s, progress=progress) as site:
        return _Bench(site, options, progress).report()


class _Bench:
    """One run of the bench, on one copy."""

    def __init__(self, site: Site, options: FaultOptions, progress: Progress) -> None:
        self._site, self._options, self._progress = site, options, progress
        self._memory_mb = 0.75 * memory_available_mb()
        self._started = time.monotonic()
        progress.phase("measuring the suite as it is", 2)
        self._reference = site.reference
        self._deadline = time.monotonic() + options.budget_s
        self._cpu_s = 0.0

    def report(self) -> FaultReport:
        """Do it all, one part after the other, each within its share of the time."""
        drawn = self._drawn()
        judged = self._judged(drawn)
        witnesses = Witnesses(self._site, deadline=time.monotonic() + self._share(_WITNESSES))
        judged = witnesses.of(judged)
        history = self._history()
        project, reference = self._site.project, self._reference
        return FaultReport(
            project=project.name,
            path=str(project.root),
            python=project.tools.python,
            seed=self._options.seed,
            count=self._options.count,
            tests=len(set(reference.collected) - reference.failing - reference.flaky),
            suite_s=reference.wall_s,
            faults=tuple(judged),
            fates={fate: sum(each.fate == fate for each in judged) for fate in FATES},
            score=score(judged),
            history=history,
            digests=dict(drawn.digests),
            notes=tuple(self._notes()),
            wall_s=time.monotonic() - self._started,
            cpu_s=self._cpu_s + witnesses.cpu_s + history.cpu_s,
        )

    def _drawn(self) -> Corpus:
        options, sandbox = self._options, self._site.sandbox
        if options.faults:
            return corpus.read(sandbox, options.faults)
        return corpus.draw(sandbox, count=options.count, seed=options.seed)

    def _judged(self, drawn: Corpus) -> list[Judged]:
        """Return all faults that were drawn, in order, with the fates of those for which there was time."""
        real = [each for each, standing in drawn.standings.items() if standing == "other"]
        self._progress.phase("running the suite on faults", len(real))
        found = self._run(real, time.monotonic() + self._share(_RUNS))
        return [found.get(each) or Judged(fault=each, fate=_FATE_OF[standing]) for each, standing in drawn.standings.items()]

    def _run(self, real: Sequence[Fault], deadline: float) -> dict[Fault, Judged]:
        project, reference = self._site.project, self._reference
        court = Court(
            project,
            reference,
            timeout_s=self._options.timeout_s,
            workers=cores(),
            memory_mb=self._memory_mb,
            deadline=self._deadline,
        )
        found: dict[Fault, Judged] = {}
        with closing(court.judge(real)) as answers:
            for each in answers:
                found[each.fault] = each
                self._progress.step(f"{each.fault.name}: {each.fate}")
                if time.monotonic() > deadline:
                    break
        self._cpu_s = court.together_cpu_s + sum(each.cpu_s for each in found.values())
        return found

    def _history(self) -> History:
        if not self._options.git:
            return History(reason="it was not asked for (--no-git)")
        return find_bug_fixes(
            self._site.project,
            timeout_s=self._options.timeout_s,
            budget_s=self._left_s,
            memory_mb=self._memory_mb,
            progress=self._progress,
        )

    @property
    def _left_s(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    def _share(self, share: float) -> float:
        return share * self._left_s

    def _notes(self) -> list[str]:
        reference = self._reference
        notes = []
        if reference.failing:
            notes.append(f"{len(reference.failing)} tests fail without any fault; what they say is left out")
        if reference.flaky:
            notes.append(f"{len(reference.flaky)} tests are flaky; what they say is left out")
        if not reference.coverage.available:
            notes.append(f"no coverage map, so that no fault counts as uncovered: {reference.coverage.reason}")
        elif reference.wall_s > SHORT_S:
            notes.append(f"the suite takes over {SHORT_S:.0f} s: on a fault run the tests that are known to run its line")
        return notes
