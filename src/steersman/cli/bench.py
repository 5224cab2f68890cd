"""bench: learned policies beside the usual rules, on a history or a project of your own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from steersman.app import Steersman
from steersman.cli.bench_faults import faults
from steersman.cli.duels import executor
from steersman.cli.output import JsonOption, TerminalProgress, plain, say, show_json, show_table


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="bench", help="Is what was learned better than the rules people use?", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command()(ci_order)
    group.command("test-executor")(executor)
    group.command()(faults)
    app.add_typer(group)


def ci_order(
    history: Annotated[
        Path, typer.Option(help="CSV or Parquet with Name, Duration, Verdict and Cycle or BuildId.", show_default=False)
    ],
    budget: Annotated[float, typer.Option(help="Share of each cycle's time that is there, above 0 and at most 1.")] = 0.5,
    seeds: Annotated[int, typer.Option(help="Replays, for what is drawn.")] = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    json: JsonOption = False,
) -> None:
    """Replay a CI history: would a learned order of tests have shown the failures earlier than the rules people use?

    Each cycle is ranked by those before it alone. Cycles in which nothing fails are learned from, but not judged.
    """
    options = {"history": str(history), "budget": budget, "seeds": seeds}
    with Steersman.open("memory:", settings={}) as steersman, TerminalProgress(quiet=quiet or json) as progress:
        report = plain(steersman.command("qe", "ci-order", options, progress))
    if json:
        show_json(report)
    else:
        _show(report)


def _show(report: Mapping[str, Any]) -> None:
    say(
        f"{report['cycles']} cycles, {report['failing']} with a failure; {report['tests']} tests, {report['runs']} runs; "
        f"{report['seeds']} seed{'s' if report['seeds'] > 1 else ''}"
    )
    budget = f"{100 * report['budget']:g} %"
    columns = ("order", f"NAPFD at {budget}", "APFD", f"last 30 %: NAPFD at {budget}", "APFD")
    names = ("napfd", "apfd", "late_napfd", "late_apfd")
    rows = [(row["name"], *(_figure(row[name]) for name in names)) for row in report["rows"]]
    show_table("Mean over the cycles with a failure; 1 is best", columns, rows)
    for best, row in report["against"]:
        say(
            f"{row['name']}: learned − {best} = {row['difference']:+.3f}, 95 % interval {row['low']:+.3f} to "
            f"{row['high']:+.3f} over {row['n']} cycles: {row['verdict']}."
        )
    say(f"Ranking took at most {report['ranking_ms']:.1f} ms, for {report['ranking_tests']} tests.")
    heard = sorted(report["say"].items(), key=lambda each: -each[1])[:3]
    say(f"Most say in the end: {', '.join(f'{name} {100 * share:.0f} %' for name, share in heard)}.")


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
