"""What became of a fault when the suite ran on it, and what that says of the suite."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from steersman.packs.qe.faults.mutation import Fault

Fate = Literal["killed", "timed out", "witnessed", "survived", "uncovered", "equivalent", "invalid", "not run"]
"""killed: a test that passed fails. timed out: the tests did not end. witnessed: no test shows it, but a call does.
survived: no test shows it, so that it is equivalent or the suite too weak. uncovered: as survived, and no test runs its
line. equivalent: proved to be the same program. invalid: it does not compile. not run: there was no time."""
FATES: tuple[Fate, ...] = (
    "killed",
    "timed out",
    "witnessed",
    "survived",
    "uncovered",
    "equivalent",
    "invalid",
    "not run",
)


@dataclass(frozen=True, kw_only=True)
class Witness:
    """A call that shows a fault: what it imports, what it does without the fault, and what with it."""

    imports: tuple[str, ...]
    call: str
    without: str
    with_fault: str


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A fault with its fate. killers: the tests that fail. witness: where the fate is so. cpu_s: of the runs."""

    fault: Fault
    fate: Fate
    killers: tuple[str, ...] = ()
    witness: Witness | None = None
    cpu_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Score:
    """Between which bounds the mutation score of these faults lies; None where no fault counts.

    The score is the share of real faults that the suite shows. Which are real is not known of all: one that no test
    shows may be equivalent, and that is undecidable (Budd and Angluin 1982); a run that does not end is a fault shown to
    whoever waits, or a slow machine. So the bounds are the score if all unknowns speak against the suite, and if all
    speak for it:

        low = killed / (killed + timed out + witnessed + survived + uncovered)
        high = (killed + timed out) / (killed + timed out + witnessed)

    What is proved equivalent, invalid or did not run is in neither.
    """

    low: float | None
    high: float | None


def score(judged: Iterable[Judged]) -> Score:
    """Return the bounds of the mutation score."""
    fates = [each.fate for each in judged]
    killed, hung, witnessed = (fates.count(each) for each in ("killed", "timed out", "witnessed"))
    real = killed + hung + witnessed
    unknown = fates.count("survived") + fates.count("uncovered")
    return Score(
        low=killed / (real + unknown) if real + unknown else None,
        high=(killed + hung) / real if real else None,
    )
