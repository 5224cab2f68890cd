"""Go or no-go for the project as it is, by a rule that anybody can check. What agents learned does not bend it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.project.reference import Reference

_FEW = 3
_STUCK = "took longer than a quarter of --timeout, or ended the whole run"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the evidence of a run says: no-go, go with conditions, or go; and why."""

    word: Literal["go", "conditional", "no-go"]
    reasons: tuple[str, ...]


def judge(reference: Reference | None, why_not: str, findings: Sequence[Finding]) -> Verdict:
    """Return the verdict. No-go: tests fail, none could be run, or something critical is confirmed.

    Conditional: something critical or high is only suspected, or tests are flaky. reference: None where the suite could
    not be measured, for the reason `why_not`.
    """
    against = []
    if reference is None:
        against.append(f"nothing can be said of the tests: {why_not}")
    else:
        against += _counted(reference.failing - reference.hanging, "fails", "fail")
        against += _counted(reference.hanging, _STUCK, _STUCK)
    confirmed = [each for each in findings if each.confirmed and each.severity == "critical"]
    against += [f"confirmed: {each.file}:{each.line} {each.message}" for each in confirmed[:_FEW]]
    if against:
        return Verdict(word="no-go", reasons=tuple(against))
    conditions = []
    if reference is not None and reference.flaky:
        conditions.append(f"{len(reference.flaky)} tests are flaky: {_some(sorted(reference.flaky))}")
    serious = [each for each in findings if each.severity in ("critical", "high")]
    if serious:
        conditions.append(f"{len(serious)} serious findings to look at first")
    return Verdict(word="conditional" if conditions else "go", reasons=tuple(conditions) or ("nothing speaks against it",))


def _counted(names: frozenset[str], one: str, more: str) -> list[str]:
    count = f"1 test {one}" if len(names) == 1 else f"{len(names)} tests {more}"
    return [f"{count}: {_some(sorted(names))}"] if names else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
