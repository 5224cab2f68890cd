"""personalizer import: the logs of Azure Personalizer, so that what was learned there is not lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from steersman.app import Steersman
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    SettingsOption,
    StoreOption,
    say,
    show_json,
    show_table,
    show_warning,
)
from steersman.core.errors import NotFound
from steersman.loops.rank_import import Imported, import_dsjson

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="What is left of Azure Personalizer: its logs.", no_args_is_help=True)
    group.command(name="import")(import_)
    group.callback()(lambda: None)
    app.add_typer(group, name="personalizer")


def import_(
    files: Annotated[list[Path], typer.Argument(help="Logs as the service exported them: DSJSON, one event a line.")],
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Take in exported logs and learn from them. Events that are here already are left out; bad lines are told."""
    missing = next((each for each in files if not each.is_file()), None)
    if missing is not None:
        raise NotFound(f"no file {missing}.")
    with Steersman.open(store, settings=settings) as steersman:
        into = steersman.ranker()
        done = {str(file): import_dsjson(into, _lines(file)) for file in files}
        if any(each.events for each in done.values()) and not steersman.log.shared:
            into.store()
    if json:
        show_json(done)
    else:
        _show(done)
    if any(each.bad for each in done.values()):
        raise typer.Exit(EXIT_WARNING)


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        yield from opened


def _show(done: dict[str, Imported]) -> None:
    for name, each in done.items():
        say(f"{name}: {each.events} events taken in and learned from.")
        if each.left_out:
            show_table("", ("left out because", "lines"), sorted(each.left_out.items()))
        for number, why in each.bad[:_SHOWN]:
            show_warning(f"{name}, line {number}: {why}")
        if each.left_out["bad"] > _SHOWN:
            show_warning(f"{name}: {each.left_out['bad'] - _SHOWN} more bad lines; --json tells the first 100.")
