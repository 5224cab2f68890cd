"""What is told of an agent's releases: what is in production, how a trial stands, the last evaluation, and drift."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, get_args

from steersman.core.versions import Deployment, Judgement, Stage

Sample = tuple[str, Mapping[str, str], float]
OF_DRIFT = ("feature", "bounds", "action")
_POLICIES = ("candidate", "incumbent", "baseline")
_JUDGEMENTS = 20
_MOVES = 1_000
_FIRST = 1
"""The move with which releases begin: it may lead back to the baseline rule, from nothing."""


class _Compared(Protocol):
    @property
    def e_worse(self) -> float: ...


class _Report(Protocol):
    @property
    def metrics(self) -> Sequence[_Compared]: ...
    @property
    def mismatch(self) -> bool: ...


class Released(Protocol):
    """The releases of an agent."""

    @property
    def now(self) -> Deployment:
        """What is in production."""

    def report(self) -> _Report | None:
        """Return how the trial under way stands."""

    def moves(self, limit: int) -> Sequence[Deployment]:
        """Return the last moves, newest first."""

    def judgements(self, limit: int) -> Sequence[Judgement]:
        """Return the last verdicts, newest first."""


class Drifted(Protocol):
    """How one distribution differs from its reference."""

    @property
    def of(self) -> str:
        """Of what kind it is."""

    @property
    def psi(self) -> float:
        """How far it is off."""


class Told(Protocol):
    """A signal."""

    @property
    def kind(self) -> str:
        """What it tells of."""

    @property
    def level(self) -> str:
        """How urgent it is."""


def of_release(name: str, release: Released) -> Iterator[Sample]:
    """Yield what is in production, how a trial stands, and when something was rolled back last."""
    labels, now, report = {"agent": name}, release.now, release.report()
    yield "steersman_release_number", labels, now.number
    for stage in get_args(Stage):
        yield "steersman_release_stage", {**labels, "stage": stage}, float(now.stage == stage)
    yield "steersman_release_share_ratio", labels, now.share
    yield "steersman_release_held", labels, float(bool(now.held) or now.waits_for_person)
    harm = 1.0 if report is None else max(each.e_worse for each in report.metrics)
    yield "steersman_release_harm_evidence", labels, harm
    yield "steersman_release_sample_mismatch", labels, float(report is not None and report.mismatch)
    back = [each for each in release.moves(_MOVES) if each.move == "rolled back" and each.number > _FIRST]
    yield "steersman_rollbacks", labels, len(back)
    if back:
        yield "steersman_last_rollback_timestamp_seconds", labels, back[0].at


def of_evaluation(name: str, judgements: Sequence[Judgement]) -> Iterator[Sample]:
    """Yield what the last evaluation says of each policy, with its interval; nothing where there is none."""
    last = next((each for each in judgements if each.kind == "evaluation"), None)
    if last is None:
        return
    yield "steersman_evaluation_timestamp_seconds", {"agent": name}, last.at
    found = last.body.get("evaluation", {})
    for policy, standing in found.get("standings", {}).items():
        if policy in _POLICIES:
            yield from _of_policy({"agent": name, "policy": policy}, standing, found.get("estimator", ""))


def _of_policy(labels: Mapping[str, str], standing: Mapping[str, Any], estimator: str) -> Iterator[Sample]:
    estimate = standing.get("estimates", {}).get(estimator, {})
    told = {
        **{each: estimate.get(each) for each in ("value", "low", "high")},
        "effective_outcomes": standing.get("effective"),
    }
    for each, value in told.items():
        if value is not None and math.isfinite(value):
            yield f"steersman_evaluation_{each}", labels, value


def of_drift(name: str, drifts: Sequence[Drifted], signals: Sequence[Told]) -> Iterator[Sample]:
    """Yield how far what drifts most is off, by kind, and how many signals there are."""
    for of in OF_DRIFT:
        psi = [each.psi for each in drifts if each.of == of]
        if psi:
            yield "steersman_drift_psi", {"agent": name, "of": of}, max(psi)
    for kind in ("drift", "reward", "error budget"):
        for level in ("warn", "act"):
            count = sum(each.kind.startswith(kind) and each.level == level for each in signals)
            yield "steersman_signals", {"agent": name, "kind": kind, "level": level}, count


def release_gauges(name: str, agent: Any) -> Iterator[Sample]:
    """Yield all that is told of an agent's releases, its evidence and its drift. Raises StoreError."""
    yield from of_release(name, agent.release)
    yield from of_evaluation(name, agent.release.judgements(_JUDGEMENTS))
    yield from of_drift(name, agent.drift(), agent.signals())
