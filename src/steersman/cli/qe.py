"""qe run and qe work: agents of the fleet on a project, all of them or one."""

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from steersman.app import Steersman
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    SettingsOption,
    TerminalProgress,
    plain,
    say,
    show_facts,
    show_json,
    show_table,
)
from steersman.core.errors import InvalidInput, StoreError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)")
_FINDINGS_SHOWN = 20
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same faults and the same draws.")]
PythonOption = Annotated[
    str,
    typer.Option(
        help="The project's interpreter (default: its .venv, else this one).",
        callback=lambda given: os.path.abspath(given) if os.sep in given else given,
    ),
]
ProjectStoreOption = Annotated[
    str | None, typer.Option("--store", metavar="URL", help="Default: one for each project, under your data folder.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="qe", help="Quality engineering on a Python project.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command()(run)
    group.command()(work)
    app.add_typer(group)


def work(
    agent: Annotated[str, typer.Argument(help="The agent, such as security-scanner.")],
    path: Annotated[Path, typer.Argument(help="A Python project. It is copied and never changed.")],
    rounds: Annotated[int, typer.Option(help="Decisions to make.")] = 5,
    seed: SeedOption = 0,
    python: PythonOption = "",
    timeout: Annotated[float, typer.Option(help="Limit for one run of a tool or of the suite, in seconds.")] = 300.0,
    store: ProjectStoreOption = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Let one agent of the fleet work on a copy of the project: look, decide, act by real tools, measure, learn."""
    options = {
        "agent": agent,
        "path": str(path),
        "rounds": rounds,
        "seed": seed,
        "python": python,
        "timeout_s": timeout,
        "memory": memory(store, path),
    }
    report = reported("work", options, store or project_store(path), settings, seed, quiet=quiet or json)
    if json:
        show_json(report)
    else:
        show_work(report)


def run(
    path: Annotated[Path, typer.Argument(help="A Python project. It is copied and never changed.")],
    budget: Annotated[str, typer.Option(help="Time for all the work: seconds, or 10m, or 1h.")] = "10m",
    agents: Annotated[str, typer.Option(help="Who works, with commas between (default: the whole fleet).")] = "",
    report: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the report (default: beside the store).")
    ] = None,
    rounds: Annotated[int, typer.Option(help="Decisions of each agent at most; time may end its turn earlier.")] = 3,
    workers: Annotated[int, typer.Option(help="Agents at a time (0: as many as there are cores).")] = 0,
    seed: Annotated[int | None, typer.Option(help="Of what is planted and drawn (default: a new one each time).")] = None,
    python: PythonOption = "",
    timeout: Annotated[float, typer.Option(help="Limit for one run of a tool or of the suite, in seconds.")] = 120.0,
    store: ProjectStoreOption = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Let the fleet work on a copy of the project within a budget, and write a report. Exits with 2 for a no-go."""
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    options = {
        "path": str(path),
        "budget_s": seconds(budget),
        "agents": tuple(each.strip() for each in agents.split(",") if each.strip()),
        "report": str(report or _data(path).with_suffix(".report")),
        "memory": memory(store, path),
        "rounds": rounds,
        "workers": workers,
        "seed": seed,
        "python": python,
        "timeout_s": timeout,
    }
    found = reported("run", options, store or project_store(path), settings, seed, quiet=quiet or json)
    if json:
        show_json(found)
    else:
        show_fleet(found)
    if found["verdict"]["word"] == "no-go":
        raise typer.Exit(EXIT_WARNING)


def seconds(text: str) -> float:
    """Return the seconds that a text means: 90, 90s, 10m or 1h. Raises InvalidInput for anything else."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{text!r} is no time: write seconds, 10m or 1h.")
    return float(match[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]]


def project_store(path: Path) -> str:
    """Return the store of a project: outside its tree, which is never written to."""
    return os.environ.get("STEERSMAN_STORE") or str(_data(path).with_suffix(".db"))


def memory(store: str | None, path: Path) -> str:
    """Return where skills keep what they practise on a project: beside a store that is a file, else in the data folder."""
    store = store or project_store(path)
    if store.startswith("memory:"):
        return ""
    beside = Path(store) if "://" not in store else _data(path)
    return str(beside.with_suffix(".memory") / _name(path))  # projects may share a store, and have tests of one name


def _data(path: Path) -> Path:
    """Return where what belongs to a project is kept, without an ending; the folder is made."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "steersman" / "qe"
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        way_out = "Name a store by --store, a folder by --report, or set XDG_DATA_HOME."
        raise StoreError(f"cannot make {home}: {error}. {way_out}") from error
    return home / _name(path)


def _name(path: Path) -> str:
    """Return a name for a project that no other one has on this machine."""
    root = path.resolve()
    return f"{root.name.replace('.', '-')}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"


def reported(
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
                words(each["action"]),
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
    if report["stopped"]:
        say(f"• it stopped: {report['stopped']}")
    upcoming = report["next"]
    show_facts({"next, it would": words(upcoming["action"]), "because": upcoming["why"]})


def show_fleet(report: Mapping[str, Any]) -> None:
    """Print what the fleet found, what each agent did, and where the report lies."""
    say("")
    show_table(
        f"{report['project']}: {len(report['agents'])} agents, {report['wall_s']:.0f} s of {report['budget_s']:.0f} s",
        ("agent", "chose", "planted, found", "reward", "what was seen"),
        [_agent_row(each) for each in report["agents"] if each["rounds"]],
    )
    for reason, who in report["idle"].items():
        say(f"• {', '.join(who)} did not work: {reason}")
    say("")
    worst = report["findings"][:_FINDINGS_SHOWN]
    if worst:
        show_table(
            f"{len(report['findings'])} things to look at in the project itself",
            ("severity", "where", "rule", "what"),
            [(each["severity"], f"{each['file']}:{each['line']}", each["rule"], each["message"]) for each in worst],
        )
    for each in report["achievements"]:
        say(f"{each}.")
    say(f"Verdict: {report['verdict']['word']}")
    for each in report["verdict"]["reasons"]:
        say(f"• {each}")
    if report["stopped"]:
        say(f"• {report['stopped']}")
    say("")
    for each in report["written"]:
        say(each)


def _agent_row(row: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    counts = row["tally"]
    found = f"{counts['found']:g} of {counts['planted']:g}" if counts["planted"] else ""
    return row["agent"], row["chose"], found, "to come" if row["reward"] is None else f"{row['reward']:+.1f}", row["seen"]


def words(action: Mapping[str, Any]) -> str:
    """Return an action in a few words."""
    return ", ".join(f"{name} {choice}" for name, choice in action.items())
