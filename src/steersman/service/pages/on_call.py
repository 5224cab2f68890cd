"""On call: what somebody looks at who was woken up. Recent rewards, latency, guards at work, the log, what stands out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from steersman.core.errors import NotFound
from steersman.core.values import Decision, Figures
from steersman.loops.doctor import Diagnosis
from steersman.service.ledger import Ledger
from steersman.service.operations import Call, Reply
from steersman.service.pages.changes import in_force
from steersman.service.pages.shell import html, page, read_up
from steersman.stages.monitor.performance import Summary, percentile, summary

_RECENT = 60
_SITUATIONS = 10
_REASONS = 3
LATENCY_US = 100_000.0
"""p95 above which deciding is too slow."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """One agent as it is now. latency_us: p95 of the last decisions. refusals: (reason, count), the most frequent first."""

    name: str
    hour: Summary
    day: Summary
    stability: float | None
    latency_us: float | None
    refusals: tuple[tuple[str, int], ...]
    overridden: int
    recent: int
    findings: tuple[str, ...]
    last_error: str

    @property
    def slow(self) -> bool:
        """Whether it decides too slowly."""
        return self.latency_us is not None and self.latency_us > LATENCY_US


def watch(call: Call, ledger: Ledger, name: str) -> Watch:
    """Return one agent as it is now; made anew only when something was decided or reported."""
    return ledger.once(name, "watch", lambda: _watch(call, ledger, name))


def _watch(call: Call, ledger: Ledger, name: str) -> Watch:
    recent = call.steersman.log.recent(name, _RECENT)
    diagnosis: Diagnosis | None = None
    stability = None
    try:
        agent = call.steersman.agent(name)
        diagnosis, stability = agent.diagnose(), agent.policy(_SITUATIONS).stability
    except NotFound:
        pass  # it decided once; its definition is not known to this service
    hour = ledger.hour()
    return Watch(
        name=name,
        hour=_since(ledger, name, hour - 1),
        day=_since(ledger, name, hour - 24),
        stability=stability,
        latency_us=percentile([each.latency_us for each in recent], 0.95),
        refusals=_refusals(recent),
        overridden=sum(each.overridden for each in recent),
        recent=len(recent),
        findings=tuple(diagnosis.findings) if diagnosis else _without_definition(call, name),
        last_error=diagnosis.last_error if diagnosis else "",
    )


def _without_definition(call: Call, name: str) -> tuple[str, ...]:
    """Return what stands out about a ranker at work here, or that there is nothing here to judge by."""
    ranker = call.steersman.rankers.get(name)
    if ranker is None:
        return ("Its definition is not here, or it ranks actions that come with each request.",)
    return (f"The last failure was: {ranker.last_error}.",) if ranker.last_error else ()


def _since(ledger: Ledger, name: str, hour: int) -> Summary:
    figures: list[Figures] = ledger.figures(name, since_hour=hour)
    return summary(figures)


def _refusals(recent: Sequence[Decision]) -> tuple[tuple[str, int], ...]:
    reasons = Counter(f"{each.guard}: {each.reason}" for decision in recent for each in decision.refusals)
    return tuple(reasons.most_common(_REASONS))


def _view(call: Call) -> Reply:
    ledger, reading = read_up(call)
    watched = [watch(call, ledger, name) for name in ledger.agents()] if reading is None else []
    watched.sort(key=lambda each: (-len(each.findings), each.name))
    return html(
        call,
        "on_call.html",
        active="on-call",
        reading=reading,
        watched=watched,
        health=call.steersman.log.health(),
        controls=in_force(call),
        latency_us=percentile([each.latency_us for each in watched if each.latency_us is not None], 1.0),
    )


PAGE = page("/on-call", "What somebody looks at who was woken up.", _view)
