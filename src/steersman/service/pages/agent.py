"""One agent: how it does against the baseline, where its learning stands, what it does where and why, and the controls."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from steersman.core.errors import NotFound
from steersman.core.values import Arm, Control, Decision, Figures, Window
from steersman.loops.agent import Agent
from steersman.service.operations import Call, Reply
from steersman.service.pages.changes import in_force, windows_of
from steersman.service.pages.overview import line
from steersman.service.pages.release import since
from steersman.service.pages.shell import SPANS, chosen_span, html, page, read_up
from steersman.stages.monitor.performance import Hour, Summary, entropy, hours, interval, summary

_RECENT = 100
_SHOWN = 12
_SITUATIONS = 40
_BUCKETS = (1, 3, 6, 12)
_POINTS = 28


@dataclass(frozen=True, kw_only=True)
class Point:
    """One window of learning: its mean reward with the 95 % interval, None where it held a single outcome."""

    window: Window
    low: float | None
    high: float | None


def curve(windows: Sequence[Window]) -> list[Point]:
    """Return the learning curve, oldest window first."""
    points = []
    for each in reversed(windows):
        squares = each.reward_m2 + each.outcomes * each.reward_mean**2
        low, high = interval((each.outcomes, each.outcomes * each.reward_mean, squares)) or (None, None)
        points.append(Point(window=each, low=low, high=high))
    return points


def bucket_of(figures: Sequence[Figures]) -> int:
    """Return how many hours stand together on a chart: of the baseline's small share an hour is mostly noise."""
    seen = [each.hour for each in figures if each.hour]
    length = max(seen) - min(seen) + 1 if seen else 1
    return next((each for each in _BUCKETS if length <= each * _POINTS), 24)


def over_time(figures: Sequence[Figures], bucket: int) -> list[Hour]:
    """Return mean rewards over time, `bucket` hours together, where an arm had an outcome."""
    together = (structs.replace(each, hour=each.hour // bucket * bucket) for each in figures if each.hour)
    return [each for each in hours(together) if each.learned is not None or each.baseline is not None]


def _reward(call: Call, decision: Decision) -> float | None:
    """Return what a decision earned, by the last that was reported of it."""
    said = call.steersman.log.outcomes(decision.id)
    return said[-1].reward if said else None


def action_entropy(recent: Sequence[Decision], actions: int) -> float:
    """Return how evenly the last decisions are spread over all actions, in [0, 1]."""
    seen = Counter(tuple(sorted(each.executed.items())) for each in recent)
    return entropy([*seen.values(), *([0] * max(actions - len(seen), 0))])


def by_arm(figures: Sequence[Figures]) -> dict[Arm, Summary]:
    """Return what each arm amounts to, for those that decided."""
    arms: tuple[Arm, ...] = ("champion", "challenger", "baseline", "safe")
    every = {arm: summary(each for each in figures if each.arm == arm) for arm in arms}
    return {arm: each for arm, each in every.items() if each.decisions or each.rewarded}


def _view(call: Call) -> Reply:
    name = call.path["agent"]
    recent = call.steersman.log.recent(name, _RECENT)
    try:
        agent: Agent = call.steersman.agent(name)
    except NotFound:
        if not recent:
            raise
        return _undefined(call, name, recent)
    ledger, reading = read_up(call)
    days, hour = chosen_span(call, ledger)
    spec = agent.spec
    figures = ledger.figures(name, since_hour=hour)
    shown = line(call, ledger, name, hour)
    deployed = agent.release.now
    return html(
        call,
        "agent.html",
        active="agent",
        name=name,
        spec=spec,
        days=days,
        spans=SPANS,
        reading=reading,
        line=shown,
        diagnosis=agent.diagnose(),
        policy=agent.policy(_SITUATIONS),
        curve=curve(windows_of(call, ledger, name)),
        hours=over_time(figures, bucket_of(figures)),
        bucket=bucket_of(figures),
        recent=recent[:_SHOWN],
        rewards={each.id: _reward(call, each) for each in recent[:_SHOWN]},
        recent_count=len(recent),
        entropy=action_entropy(recent, len(spec.actions)),
        controls=_controls(call, name),
        deployed=deployed,
        since=since(deployed, agent.release.moves()),
        choices=spec.actions.dimensions,
        safe=spec.actions.action(spec.safe_action),
    )


def _undefined(call: Call, name: str, recent: Sequence[Decision]) -> Reply:
    """Return the page of an agent that decided, and whose definition is not known to this service."""
    ledger, reading = read_up(call)
    days, hour = chosen_span(call, ledger)
    figures = ledger.figures(name, since_hour=hour)
    return html(
        call,
        "agent_undefined.html",
        active="agent",
        name=name,
        days=days,
        spans=SPANS,
        reading=reading,
        arms=by_arm(figures),
        hours=over_time(figures, bucket_of(figures)),
        bucket=bucket_of(figures),
        recent=recent[:_SHOWN],
        rewards={each.id: _reward(call, each) for each in recent[:_SHOWN]},
        controls=_controls(call, name),
    )


def _controls(call: Call, name: str) -> list[Control]:
    """Return the controls in force that concern an agent."""
    return [each for each in in_force(call) if each.scope in ("*", name, name.partition("/")[0])]


PAGE = page("/agents/{agent:agent}", "One agent.", _view, query={"days": "Span in days: 1, 7 or 30."})
