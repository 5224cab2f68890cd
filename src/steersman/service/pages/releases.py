"""Releases: who is in production for each agent, which trials are under way, and what waits for a person."""

from dataclasses import dataclass

from steersman.core.versions import Deployment
from steersman.service.operations import Call, Reply
from steersman.service.pages.shell import html, page
from steersman.service.pages.trials import Comparison, StepLine, comparison, timeline
from steersman.service.releases import in_production


@dataclass(frozen=True, kw_only=True)
class Line:
    """One agent. steps, comparison: of the trial under way. defined: whether its definition is known to this service."""

    name: str
    now: Deployment
    mode: str
    defined: bool
    steps: tuple[StepLine, ...]
    comparison: Comparison | None

    @property
    def urgency(self) -> tuple[bool, bool, bool, str]:
        """What sorts agents: those that wait for a person first, then those that are held, then those on trial."""
        now = self.now
        return not now.waits_for_person, not now.held, not now.under_way, self.name


def line(call: Call, now: Deployment) -> Line:
    """Return one agent's line."""
    if now.agent not in call.steersman.catalog.names():
        return Line(name=now.agent, now=now, mode="", defined=False, steps=(), comparison=None)
    agent = call.steersman.agent(now.agent)
    report = agent.release.report() if now.under_way else None
    drawn = timeline(now, agent.release.moves()) if now.under_way else None
    settings = agent.settings.release
    return Line(
        name=now.agent,
        now=now,
        mode=settings.mode,
        defined=True,
        steps=() if drawn is None else drawn.steps,
        comparison=None if report is None else comparison(report, settings.alpha),
    )


def _view(call: Call) -> Reply:
    lines = sorted((line(call, each) for each in in_production(call)), key=lambda each: each.urgency)
    return html(call, "releases.html", active="releases", lines=lines)


PAGE = page("/releases", "What is in production for each agent, and what is tried.", _view)
