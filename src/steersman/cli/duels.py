"""demo and bench test-executor: does test-executor run a real suite better than the usual rule?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from steersman.cli.output import (
    JsonOption,
    SettingsOption,
    say,
    show_facts,
    show_json,
    show_table,
)
from steersman.cli.qe import (
    ProjectStoreOption,
    PythonOption,
    QuietOption,
    SeedOption,
    project_store,
    reported,
    seconds,
    words,
)


def register(app: typer.Typer) -> None:
    """Add the demo."""
    app.command()(demo)


def demo(
    seed: SeedOption = 0,
    cycles: Annotated[int, typer.Option(help="Changes to make.")] = 64,
    store: Annotated[str | None, typer.Option(metavar="URL", help="Keep the log there (default: in memory).")] = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Learn how to run the tests of a real library (toolz), in about two minutes, and show what came of it."""
    options = {"seed": seed, "cycles": cycles}
    _command("demo", options, store or "memory:", settings, seed, quiet=quiet, json=json)


def executor(
    path: Annotated[Path, typer.Argument(help="A Python project with a pytest suite. It is copied and never changed.")],
    cycles: Annotated[int, typer.Option(help="Changes to make.")] = 80,
    seed: SeedOption = 0,
    git: Annotated[bool, typer.Option("--git", help="Walk the project's own commits instead of seeded faults.")] = False,
    python: PythonOption = "",
    timeout: Annotated[float, typer.Option(help="Limit for one run of the suite, in seconds.")] = 600.0,
    budget: Annotated[str, typer.Option(help="Limit for all cycles: seconds, or 10m, or 1h (0: none).")] = "0",
    store: ProjectStoreOption = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Change a copy of the project, decide how to run its tests, run them, learn; in the end compare with the usual way."""
    options = {
        "path": str(path),
        "cycles": cycles,
        "seed": seed,
        "git": git,
        "python": python,
        "timeout_s": timeout,
        "budget_s": seconds(budget),
    }
    _command("test-executor", options, store or project_store(path), settings, seed, quiet=quiet, json=json)


def _command(
    name: str,
    options: Mapping[str, Any],
    store: str,
    settings: str | None,
    seed: int,
    *,
    quiet: bool,
    json: bool,
) -> None:
    report = reported(name, options, store, settings, seed, quiet=quiet or json)
    if json:
        show_json(report)
    else:
        show_report(report)


def show_report(report: Mapping[str, Any]) -> None:
    """Print the report of a run: the table, the verdict, and what it would do next and why."""
    say("")
    say(f"{report['project']}: {report['tests']} tests, {report['cycles']} cycles, seed {report['seed']}")
    rows = report["rows"]
    show_table(
        "Learned policy against the baseline rule, on the same changes (last duels)",
        ("measure", "learned", "baseline", "difference", "95 % interval", "pairs", "verdict"),
        [_row(each) for each in rows],
    )
    if report["all_rows"] and report["all_rows"][0]["n"] > rows[0]["n"]:
        show_table(
            "The same over all duels, learning included",
            ("measure", "learned", "baseline", "difference", "95 % interval", "pairs", "verdict"),
            [_row(each) for each in report["all_rows"][:3]],
        )
    verdict = {
        "better": "The learned policy earns more reward than the baseline rule.",
        "worse": "The learned policy earns less reward than the baseline rule; keep the rule.",
    }.get(report["verdict"], "Cannot tell yet whether the learned policy earns more reward: the interval includes zero.")
    say(f"Verdict: {verdict}")
    say(f"         Baseline: failed first, all tests, no retries, one worker for each core. {report['interval']}.")
    say("")
    upcoming = report["next"]
    show_facts(
        {
            "next, it would": words(upcoming["action"]),
            "the baseline": words(upcoming["baseline"]),
            "because": upcoming["why"],
        }
    )
    for text in report["notes"]:
        say(f"• {text}")
    if report["store"] != "memory:":
        last = report["log"][-1]["decision_id"] if report["log"] else "DECISION"
        say(f"• any decision can be explained: steersman explain {last} --store {report['store']}")


def _row(row: Mapping[str, Any]) -> tuple[object, ...]:
    name = f"{row['name']} ({row['unit']})" if row["unit"] else row["name"]
    if not row["n"]:
        return (name, "", "", "", "", 0, "cannot tell yet")
    interval = f"{row['low']:+.2f} to {row['high']:+.2f}"
    return (
        name,
        f"{row['learned']:.2f}",
        f"{row['baseline']:.2f}",
        f"{row['difference']:+.2f}",
        interval,
        row["n"],
        row["verdict"],
    )
