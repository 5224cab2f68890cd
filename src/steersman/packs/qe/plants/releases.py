"""Candidate releases: the project with one change, which is a seeded fault or an edit of the text that changes nothing.

What is planted is the truth. What the compiler proves to change nothing is not planted (`mutation.is_valid`); of another
fault that no test sees nobody can tell by a program whether it is one at all (an equivalent mutant, Budd and Angluin
1982): it counts as a fault, which errs on the side of caution.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from steersman.core.errors import InvalidInput
from steersman.packs.qe.faults.mutation import Fault, candidates, harmless_edit, is_valid, sample
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.suite import Plan, RunResult

MOST = 40
"""So many different places are changed, so that what the whole suite says of a fault is often known from before."""
_GRACE_S, _PATIENCE = 10.0, 3.0
_NOTE = "looked at again"


@dataclass(frozen=True, kw_only=True)
class Release:
    """The project with one change in one line. text: of the whole file as changed. fault: None for a harmless edit."""

    file: str
    line: int
    function: str
    text: str
    fault: Fault | None

    @property
    def name(self) -> str:
        """What was changed, in a few words."""
        return self.fault.name if self.fault else f"{self.file}:{self.line} a comment"


class Releases:
    """Draws candidate releases of a site's project, runs its suite on them, and keeps what the whole suite says of each.

    faulty: the probability of a fault. Raises InvalidInput where the project has no place for one, and what the
    reference raises.
    """

    def __init__(self, site: Site, *, faulty: float = 0.5, most: int = MOST) -> None:
        self._site = site
        self._faulty = faulty
        self._reference = site.reference
        self.texts = {file: site.sandbox.read(file) for file in site.project.sources}
        self.places = tuple(itertools.islice(self._usable(most), most))
        self._killers: dict[Fault, frozenset[str]] = {}
        if not self.places:
            raise InvalidInput(
                f"{site.project.root} has no line in a function that could be changed, so no fault can be planted. "
                "Give a project with functions that compute something."
            )

    def draw(self) -> Release:
        """Return the project with a fault, or with a comment at a place where one could be."""
        generator = self._site.generator
        place = self.places[int(generator.integers(len(self.places)))]
        return self.release(place) if generator.random() < self._faulty else self.harmless(place)

    def release(self, fault: Fault) -> Release:
        """Return the project with a fault."""
        text = fault.apply(self.texts[fault.file])
        return Release(file=fault.file, line=fault.line, function=fault.function, text=text, fault=fault)

    def harmless(self, place: Fault) -> Release:
        """Return the project with a comment where a fault could be."""
        text = harmless_edit(self.texts[place.file], place.line, _NOTE) or self.texts[place.file]
        return Release(file=place.file, line=place.line, function=place.function, text=text, fault=None)

    def run(self, release: Release, plan: Plan) -> RunResult:
        """Run tests on a release, for three times what the whole suite takes and ten seconds, and put the copy back."""
        site = self._site
        limit = min(site.timeout_s, _GRACE_S + _PATIENCE * self._reference.wall_s)
        with site.changed({release.file: release.text}):
            try:
                return site.suite.run(plan, timeout_s=limit)
            except InvalidInput as error:  # a change can keep pytest itself from starting, by a conftest that breaks
                return RunResult(tests={}, uncollected={"the suite": str(error)})

    def failures(self, result: RunResult) -> frozenset[str]:
        """Return what fails in a run and did not before; a file that broke counts by its name, a hang as one failure."""
        known = self._reference.failing | self._reference.flaky
        return frozenset(result.failures) - known | ({"the time limit"} if result.timed_out else frozenset())

    def killers(self, release: Release) -> frozenset[str]:
        """Return what the whole suite shows of a release; it runs once for each fault. A comment breaks nothing."""
        if release.fault is None:
            return frozenset()
        if release.fault not in self._killers:
            self._killers[release.fault] = self.failures(self.run(release, Plan()))
        return self._killers[release.fault]

    def _usable(self, most: int) -> Iterator[Fault]:
        """Yield places that can take a fault and a comment alike, so that the place alone tells nothing."""
        found = [each for file, text in self.texts.items() for each in candidates(file, text)]
        for each in sample(self._site.generator, found, 3 * most):
            text = self.texts[each.file]
            if is_valid(each, text) and harmless_edit(text, each.line, _NOTE) is not None:
                yield each
