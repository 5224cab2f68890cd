"""demo and qe run: let test-executor decide how a real suite is run, and see what it learned."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from steersman.app import Steersman
from steersman.cli.output import (
    JsonOption,
    SettingsOption,
    TerminalProgress,
    plain,
    say,
    show_facts,
    show_json,
    show_table,
)

SeedOption = Annotated[int, typer.Option(help="The same seed gives the same faults and the same draws.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="qe", help="Quality engineering on a Python project.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command()(run)
    group.command()(work)
    app.command()(demo)
    app.add_typer(group)


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


def run(
    path: Annotated[Path, typer.Argument(help="A Python project with a pytest suite. It is copied and never changed.")],
    cycles: Annotated[int, typer.Option(help="Changes to make.")] = 80,
    seed: SeedOption = 0,
    git: Annotated[bool, typer.Option("--git", help="Walk the project's own commits instead of seeded faults.")] = False,
    python: Annotated[str, typer.Option(help="The project's interpreter (default: its .venv, else this one).")] = "",
    timeout: Annotated[float, typer.Option(help="Limit for one run of the suite, in seconds.")] = 600.0,
    budget: Annotated[float, typer.Option(help="Limit for all cycles, in seconds (0: none).")] = 0.0,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="Default: one for each project, under your data folder.")
    ] = None,
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
        "budget_s": budget,
    }
    _command("run", options, store or project_store(path), settings, seed, quiet=quiet, json=json)


def work(
    agent: Annotated[str, typer.Argument(help="The agent, such as security-scanner.")],
    path: Annotated[Path, typer.Argument(help="A Python project. It is copied and never changed.")],
    rounds: Annotated[int, typer.Option(help="Decisions to make.")] = 5,
    seed: SeedOption = 0,
    python: Annotated[str, typer.Option(help="The project's interpreter (default: its .venv, else this one).")] = "",
    timeout: Annotated[float, typer.Option(help="Limit for one run of a tool or of the suite, in seconds.")] = 300.0,
    store: Annotated[
        str | None, typer.Option(metavar="URL", help="Default: one for each project, under your data folder.")
    ] = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Let one agent of the fleet work on a copy of the project: look, decide, act by real tools, measure, learn."""
    options = {"agent": agent, "path": str(path), "rounds": rounds, "seed": seed, "python": python, "timeout_s": timeout}
    report = _reported("work", options, store or project_store(path), settings, seed, quiet=quiet or json)
    if json:
        show_json(report)
    else:
        show_work(report)


def project_store(path: Path) -> str:
    """Return the store of a project: outside its tree, which is never written to."""
    if os.environ.get("STEERSMAN_STORE"):
        return os.environ["STEERSMAN_STORE"]
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "steersman" / "qe"
    home.mkdir(parents=True, exist_ok=True)
    root = path.resolve()
    return str(home / f"{root.name}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}.db")


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
    report = _reported(name, options, store, settings, seed, quiet=quiet or json)
    if json:
        show_json(report)
    else:
        show_report(report)


def _reported(
    name: str, options: Mapping[str, Any], store: str, settings: str | None, seed: int, *, quiet: bool
) -> dict[str, Any]:
    """Run a command of the pack and return its report, once all that it learned is in the store."""
    with Steersman.open(store, settings=settings, seed=seed) as steersman:
        with TerminalProgress(quiet=quiet) as progress:
            report: dict[str, Any] = plain(steersman.command("qe", name, options, progress))
        steersman.log.flush()
    return report | {"store": store}


def show_work(report: Mapping[str, Any]) -> None:
    """Print what one agent did: its rounds, what it found in the project, and what it would do next and why."""
    say("")
    show_table(
        f"{report['agent']} on {report['project']}, seed {report['seed']}",
        ("action", "reward", "because", "what was seen"),
        [
            (
                _words(each["action"]),
                "to come" if each["reward"] is None else f"{each['reward']:+.1f}",
                each["components"],
                "; ".join(each["notes"]),
            )
            for each in report["rounds"]
        ],
    )
    if report["findings"]:
        show_table(
            f"{len(report['findings'])} things to look at in the project itself",
            ("severity", "where", "rule", "what"),
            [
                (each["severity"], f"{each['file']}:{each['line']}", each["rule"], each["message"])
                for each in report["findings"]
            ],
        )
    upcoming = report["next"]
    show_facts({"next, it would": _words(upcoming["action"]), "because": upcoming["why"]})


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
            "next, it would": _words(upcoming["action"]),
            "the baseline": _words(upcoming["baseline"]),
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


def _words(action: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {choice}" for name, choice in action.items())
