"""settings, export, import: what is in force, and what is in the store."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from steersman.app import Steersman, datasets
from steersman.app.datasets import Form
from steersman.cli.output import (
    JsonOption,
    SettingsOption,
    StoreOption,
    say,
    show_json,
    show_table,
)
from steersman.core.errors import InvalidInput, NotFound
from steersman.core.settings import Settings, SettingsFile


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(settings)
    app.command(name="export")(export)
    app.command(name="import")(import_)


def settings(
    agent: Annotated[str | None, typer.Argument(help="Show what is in force for this agent.")] = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Show every setting: its value, where that came from, its unit and range, and what it does."""
    if agent is None:
        values = SettingsFile.read(settings).settings("", {})
    else:
        with Steersman.open("memory:", settings=settings) as steersman:
            values = steersman.agent(agent).settings
    rows = _rows(values)
    if json:
        show_json(rows)
        return
    show_table(
        "",
        ("setting", "value", "from", "unit", "range or options", "what it does"),
        [tuple(row.values()) for row in rows],
    )


def _rows(values: Settings) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for section, field, value in values.items():
        about = field.metadata
        bounded = about["low"] > float("-inf") or about["high"] < float("inf")
        span = f"{about['low']:g} to {about['high']:g}" if bounded else ""
        rows.append(
            {
                "setting": f"{section}.{field.name}",
                "value": value,
                "from": values.source.get((section, field.name), "default"),
                "unit": about["unit"],
                "range": ", ".join(about["options"]) or span,
                "doc": about["doc"],
            }
        )
    return rows


def export(
    file: Annotated[str, typer.Argument(help='Where to write; "-" is standard output; .parquet needs the extra.')] = "-",
    agent: Annotated[str | None, typer.Option(help="Only this agent's rows.")] = None,
    as_: Annotated[
        Form | None,
        typer.Option("--as", help="Write what the agent's log teaches as vectors: one Parquet table, or Minari's folders."),
    ] = None,
    store: StoreOption = None,
    settings: SettingsOption = None,
) -> None:
    """Write all decisions and outcomes as JSON lines (or Parquet), in the order of the log; or an offline data set."""
    with Steersman.open(store, settings=settings, read_only=True) as steersman:
        if as_ is not None:
            if agent is None or file == "-":
                raise InvalidInput("a data set needs a file (a folder, for Minari) and an agent: export FILE --agent NAME.")
            count = datasets.write(Path(file), datasets.from_log(steersman.agent(agent).spec, steersman.log), as_)
            say(f"{count} transitions written to {file}.")
            return
        lines = steersman.export(agent)
        if file == "-":
            for line in lines:
                sys.stdout.buffer.write(line + b"\n")
            return
        count = steersman.write_file(Path(file), lines)
    say(f"{count} rows written to {file}.")


def import_(
    file: Annotated[str, typer.Argument(help='A file made by `steersman export`; "-" is standard input.')],
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Take in an exported log and learn from it. All or nothing; rows that are already here are skipped."""
    if file != "-" and not Path(file).is_file():
        raise NotFound(f"no file {file}.")
    with Steersman.open(store, settings=settings) as steersman:
        lines = sys.stdin.buffer if file == "-" else steersman.read_file(Path(file))
        count = steersman.import_lines(lines)
    if json:
        show_json({"imported": count})
        return
    say(f"{count} new rows imported.")
