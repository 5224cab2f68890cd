"""telemetry: the alert rules and the dashboards, as files for Prometheus and Grafana."""

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from steersman.app.telemetry import RULES_FILE, RUNBOOKS, telemetry_files
from steersman.cli.output import JsonOption, say, show_json
from steersman.core.errors import NotPermitted

OutOption = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Folder to write to (default: print).")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        name="telemetry", help="Alert rules for Prometheus and dashboards for Grafana.", no_args_is_help=True
    )
    group.command()(rules)
    group.command()(dashboards)
    app.add_typer(group)


def rules(
    out: OutOption = None,
    runbooks: Annotated[str, typer.Option(metavar="URL", help="Where your team reads docs/runbooks.md.")] = RUNBOOKS,
    json: JsonOption = False,
) -> None:
    """Print the alert rules; with --out write them, and tests for `promtool test rules`, to a folder."""
    _give("rules", telemetry_files("rules", runbooks), out, json=json)


def dashboards(out: OutOption = None, json: JsonOption = False) -> None:
    """Print the three dashboards (executive, on-call, debug); with --out write a file for each to a folder."""
    _give("dashboards", telemetry_files("dashboards"), out, json=json)


def _read(content: bytes) -> Any:
    return msgspec.json.decode(content)


def _give(kind: Literal["rules", "dashboards"], files: dict[str, bytes], out: Path | None, *, json: bool) -> None:
    if out is None:
        show_json(_read(files[RULES_FILE]) if kind == "rules" else {name: _read(each) for name, each in files.items()})
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise NotPermitted(f"cannot write to {out}: {error.strerror}. Name another folder with --out.") from error
    written = [str(out / name) for name in files]
    if json:
        show_json({"files": written})
    else:
        for each in written:
            say(each)
