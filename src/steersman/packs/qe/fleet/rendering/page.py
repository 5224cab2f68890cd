"""A run as one HTML page that needs nothing else: it can be mailed, or kept with a build."""

from collections import Counter
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from steersman.packs.qe.fleet.findings import SEVERITIES
from steersman.packs.qe.fleet.member import words
from steersman.packs.qe.fleet.report import AgentReport, FleetReport

_WIDTH = 640.0
_WORDS = {"go": "Go", "conditional": "Go, with conditions", "no-go": "No-go"}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A stretch of the time line: from and for how long, in units of the picture, and who worked."""

    x: float
    width: float
    label: str
    title: str


def page(report: FleetReport) -> str:
    """Return the page. Whatever a project's files say is shown as text, never as markup."""
    environment = Environment(
        loader=PackageLoader("steersman.packs.qe.fleet.rendering", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = Counter(each.severity for each in report.findings)
    return environment.get_template("page.html.j2").render(
        report=report,
        word=_WORDS[report.verdict.word],
        counts=[(each, counts[each]) for each in SEVERITIES],
        agents=[(each, _share(each)) for each in report.agents],
        words=words,
        bars=time_line(report),
        width=_WIDTH,
    )


def time_line(report: FleetReport) -> list[Bar]:
    """Return the batches one after the other, as shares of what they took together."""
    total = sum(each.wall_s for each in report.steps) or 1.0
    bars, x = [], 0.0
    for step in report.steps:
        width = _WIDTH * step.wall_s / total
        title = f"{words(step.action)}: {', '.join(step.agents)}, {step.wall_s:.1f} s, reward {step.reward:+.0f}"
        label = step.agents[0] if len(step.agents) == 1 else f"{len(step.agents)} agents"
        bars.append(Bar(x=x, width=width, label=label, title=title))
        x += width
    return bars


def _share(report: AgentReport) -> float | None:
    """Return where the reward lies between the worst and the best, in per cent; None where there is none."""
    if report.reward is None:
        return None
    low, high = report.reward_range
    return 100.0 * (report.reward - low) / (high - low)
