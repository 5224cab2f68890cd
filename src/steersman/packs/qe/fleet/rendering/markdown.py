"""A run as Markdown: for a pull request, a wiki, or a person in a hurry."""

from collections.abc import Iterable, Sequence

from steersman.packs.qe.fleet.member import words
from steersman.packs.qe.fleet.report import AgentReport, FleetReport

_SHOWN = 50


def markdown(report: FleetReport) -> str:
    """Return the text. Findings beyond the first fifty are counted and not shown; the SARIF file has all of them."""
    parts = [
        f"# {report.project}: {report.verdict.word}",
        "\n".join(f"- {each}" for each in report.verdict.reasons),
        _facts(report),
        *_section("Tests that fail", [f"- `{each}`" for each in report.failing]),
        *_section("Flaky tests", [f"- `{each}`" for each in report.flaky]),
        *_section("Findings", _findings(report)),
        *_section("What the fleet made", [f"- `{each}`: apply `fleet.patch`" for each in sorted(report.files)]),
        *_section("What each agent did", _agents(report.agents)),
        *_section("Who did not work", [f"- {', '.join(who)}: {reason}" for reason, who in report.idle.items()]),
        *_section("How the commander used the time", _steps(report)),
    ]
    return "\n\n".join(each for each in parts if each) + "\n"


def _facts(report: FleetReport) -> str:
    stopped = f" {report.stopped}." if report.stopped else ""
    return (
        f"{report.tests} tests in {report.suite_s:.1f} s. The fleet worked {report.wall_s:.0f} s of {report.budget_s:.0f} s "
        f"({report.cpu_s:.0f} s of the processor), seed {report.seed}.{stopped}"
        + "".join(f" {each}." for each in report.achievements)
    )


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(lines)] if lines else []


def _findings(report: FleetReport) -> list[str]:
    if not report.findings:
        return []
    rows = [
        (each.severity, f"`{each.file}:{each.line}`", each.rule, each.message, "yes" if each.confirmed else "suspected")
        for each in report.findings[:_SHOWN]
    ]
    lines = _table(("severity", "where", "rule", "what", "confirmed"), rows)
    more = len(report.findings) - _SHOWN
    return [*lines, "", f"… and {more} more, in `fleet.sarif`."] if more > 0 else lines


def _agents(agents: Iterable[AgentReport]) -> list[str]:
    rows = []
    for each in agents:
        if not each.rounds:
            continue
        upcoming = f"{words(each.next.action)}: {each.next.why}" if each.next else ""
        found = f"{each.tally.found:g} of {each.tally.planted:g}" if each.tally.planted else ""
        rows.append((each.agent, each.chose, found, each.earned, each.seen, upcoming))
    return _table(("agent", "chose", "planted, found", "reward", "what was seen", "next, it would"), rows) if rows else []


def _steps(report: FleetReport) -> list[str]:
    rows = [
        (words(each.action), ", ".join(each.agents), f"{each.wall_s:.1f}", f"{each.reward:+.1f}") for each in report.steps
    ]
    return _table(("chose", "who worked", "s", "reward"), rows) if rows else []


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_row(columns), _row(["---"] * len(columns)), *(_row(each) for each in rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(each.replace("|", "\\|").replace("\n", " ") for each in cells) + " |"
