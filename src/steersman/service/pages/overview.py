"""The fleet at a glance: does what was learned beat the baseline, where, by how much, and what changed today."""

from collections.abc import Sequence
from dataclasses import dataclass

from steersman.core.errors import NotFound
from steersman.service.ledger import Ledger
from steersman.service.operations import Call, Reply
from steersman.service.pages import marks
from steersman.service.pages.changes import changes, in_force, windows_of
from steersman.service.pages.shell import SPANS, chosen_span, html, page, read_up
from steersman.service.releases import in_production
from steersman.stages.monitor.convergence import Convergence
from steersman.stages.monitor.performance import (
    Difference,
    Summary,
    cost_ratio,
    reward_difference,
    success_difference,
    summary,
)

_WINDOWS = 40


@dataclass(frozen=True, kw_only=True)
class Line:
    """One agent over a span. scale: the width of its reward range, 1 where its definition is not known here.

    reward, success: None also where there is no definition: without a range an interval proves nothing.
    """

    name: str
    description: str
    scale: float
    everything: Summary
    learned: Summary
    baseline: Summary
    reward: Difference | None
    success: Difference | None
    cost: float | None
    standing: Convergence | None
    trend: tuple[float, ...]

    @property
    def spark(self) -> marks.Spark | None:
        """The mean reward of the last windows."""
        return marks.spark(self.trend)

    def whisker(self, axis: tuple[float, float]) -> marks.Whisker | None:
        """The interval of the difference between the arms, on an axis of shares of the reward range."""
        return None if self.reward is None else marks.whisker(self.reward, self.scale, axis)

    @property
    def verdict(self) -> str:
        """Whether what was learned beats the baseline."""
        return "cannot tell" if self.reward is None else self.reward.verdict


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The fleet in a few figures. Means over agents count each agent by its outcomes of both arms."""

    decisions: int
    better: int
    worse: int
    unclear: int
    success: float | None
    success_ahead: float | None
    cost: float | None
    overridden: int
    override_rate: float | None


def line(call: Call, ledger: Ledger, name: str, since: int) -> Line:
    """Return one agent's line, made anew only when something was decided or reported."""
    return ledger.once(name, "line", lambda: _line(call, ledger, name, since), also=since)


def _line(call: Call, ledger: Ledger, name: str, since: int) -> Line:
    figures = ledger.figures(name, since_hour=since)
    try:
        agent = call.steersman.agent(name)
    except NotFound:
        agent = None  # it decided once, and its definition is not known to this service
    windows = windows_of(call, ledger, name)[:_WINDOWS]
    spec = None if agent is None else agent.spec
    scale = None if spec is None else spec.reward.high - spec.reward.low
    return Line(
        name=name,
        description="" if spec is None else spec.description,
        scale=scale or 1.0,
        everything=summary(figures),
        learned=summary(each for each in figures if each.arm == "champion"),
        baseline=summary(each for each in figures if each.arm == "baseline"),
        reward=reward_difference(figures, scale) if scale else None,
        success=success_difference(figures) if scale else None,
        cost=cost_ratio(figures),
        standing=None if agent is None else agent.standing(),
        trend=tuple(each.reward_mean for each in reversed(windows)),
    )


def headline(lines: Sequence[Line]) -> Headline:
    """Return the fleet's figures."""
    decisions = sum(each.everything.decisions for each in lines)
    overridden = sum(each.everything.overridden for each in lines)
    verdicts = [each.verdict for each in lines]
    return Headline(
        decisions=decisions,
        better=verdicts.count("better"),
        worse=verdicts.count("worse"),
        unclear=verdicts.count("cannot tell"),
        success=_mean([(each.learned.rewarded, each.learned.success) for each in lines]),
        success_ahead=_mean([(each.success.learned, each.success.mean) for each in lines if each.success]),
        cost=_mean([(each.learned.rewarded, each.cost) for each in lines]),
        overridden=overridden,
        override_rate=overridden / decisions if decisions else None,
    )


def _mean(weighted: Sequence[tuple[int, float | None]]) -> float | None:
    known = [(weight, value) for weight, value in weighted if value is not None and weight > 0]
    total = sum(weight for weight, _ in known)
    return sum(weight * value for weight, value in known) / total if total else None


def _view(call: Call) -> Reply:
    ledger, reading = read_up(call)
    days, since = chosen_span(call, ledger)
    lines = [line(call, ledger, name, since) for name in ledger.agents()] if reading is None else []
    shares = [(each.reward.low / each.scale, each.reward.high / each.scale) for each in lines if each.reward]
    axis = marks.axis_of([(low, high) for low, high in shares if high - low < 1.0])
    return html(
        call,
        "overview.html",
        active="overview",
        days=days,
        spans=SPANS,
        reading=reading,
        lines=[(each, each.whisker(axis)) for each in lines],
        trials={each.agent: each for each in in_production(call) if each.under_way},
        headline=headline(lines),
        changes=changes(call, ledger) if reading is None else [],
        controls=in_force(call),
        agents=ledger.agents(),
        origin=f"http://{call.headers.get('host', '127.0.0.1')}",
    )


PAGE = page("/", "The fleet at a glance.", _view, query={"days": "Span in days: 1, 7 or 30."})
