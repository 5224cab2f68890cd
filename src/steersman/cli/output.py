"""What a person or a program sees: tables and plain lines, or JSON with --json; results on stdout, the rest on stderr."""

import dataclasses
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from steersman.core.errors import SteersmanError

EXIT_WARNING = 2
EXIT_INTERRUPTED = 130
_SHORT = 28
_IN_PYTHON, _IN_SHELL = "open the store to read only (read_only=True), or name another store", "or name another with --store"
_NUMERIC = re.compile(r"[+\-−–]?\d[\d.,]*(e[+-]?\d+)?(\s|$)|–$")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="File, sqlite:///FILE, postgresql://… or memory: (default: STEERSMAN_STORE, .steersman/log.db).",
    ),
]
SettingsOption = Annotated[
    str | None,
    typer.Option("--settings", metavar="FILE", help="Settings file (default: steersman.toml here, if there is one)."),
]


def console(*, stderr: bool = False) -> Console:
    """Return a console of the terminal's width, or of 100 columns where there is no terminal."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, width=None if stream.isatty() else 100, highlight=False, soft_wrap=False)


def plain(value: Any) -> Any:
    """Return a value made of what JSON has: dataclasses and structs become objects."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return msgspec.to_builtins(value, enc_hook=str)


def show_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode() + "\n")


def show_error(error: SteersmanError) -> None:
    """Print an error to stderr: as JSON if the command line asked for that, else one line."""
    text = str(error).replace(_IN_PYTHON, _IN_SHELL)
    if "--json" in sys.argv:
        document = {"error": type(error).__name__, "message": text, "exit_code": error.exit_code}
        sys.stderr.write(msgspec.json.encode(document).decode() + "\n")
    else:
        console(stderr=True).print(f"[bold red]error:[/] {_escaped(text)}", soft_wrap=True)


def show_warning(text: str) -> None:
    """Print a warning to stderr."""
    console(stderr=True).print(f"[bold yellow]warning:[/] {_escaped(text)}", soft_wrap=True)


def show_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns whose cells all begin with a number are set to the right, and names stay in one piece."""
    cells = [[_cell(each) for each in row] for row in rows]
    table = Table(title=title or None, title_justify="left", header_style="bold", pad_edge=False, box=SIMPLE_HEAD)
    for index, name in enumerate(columns):
        numeric = bool(cells) and all(_NUMERIC.match(row[index]) for row in cells if row[index])
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=_is_short(cells, index))
    for row in cells:
        table.add_row(*(_escaped(each) for each in row))
    console().print(table)


def _is_short(cells: Sequence[Sequence[str]], index: int) -> bool:
    """Return whether a column is the first, and short enough never to be broken."""
    return index == 0 and all(len(row[0]) <= _SHORT for row in cells)


def show_facts(facts: Mapping[str, object]) -> None:
    """Print names and values, one to a line."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        console().print(f"[dim]{name:<{width}}[/]  {_escaped(_cell(value))}", soft_wrap=True)


def say(text: str) -> None:
    """Print a line of the result."""
    console().print(_escaped(text), soft_wrap=True)


def say_point(mark: str, text: str) -> None:
    """Print a paragraph behind a mark, no wider than the console."""
    indent = " " * (len(mark) + 1)
    width = console().width
    say(textwrap.fill(text, width, initial_indent=f"{mark} ", subsequent_indent=indent, break_on_hyphens=False))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_cell(each)}" for key, each in value.items())
    return "" if value is None else str(value)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


class TerminalProgress:
    """Progress of a long command: a live bar on a terminal, plain lines where nobody watches, nothing when quiet."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._console = console(stderr=True)
        self._live: Progress | None = None
        self._task: Any = None
        self._done = 0
        self._total: int | None = None
        self._title = ""

    @property
    def _on_terminal(self) -> bool:
        return sys.stderr.isatty() and not os.environ.get("CI")

    def __enter__(self) -> "TerminalProgress":
        if self._on_terminal and not self._quiet:
            self._live = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("[dim]{task.fields[last]}"),
                console=self._console,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def phase(self, title: str, total: int | None = None) -> None:
        """Begin a phase."""
        self._title, self._total, self._done = title, total, 0
        if self._live is not None:
            if self._task is not None:
                self._live.remove_task(self._task)
            self._task = self._live.add_task(title, total=total, last="")
        elif not self._quiet:
            self._console.print(f"[bold]{_escaped(title)}[/]{f' ({total})' if total else ''}")

    def step(self, text: str, amount: int = 1) -> None:
        """Count a step and show what was done."""
        self._done += amount
        if self._live is not None and self._task is not None:
            self._live.update(self._task, advance=amount, last=text)
        elif not self._quiet:
            count = f"{self._done}/{self._total}" if self._total else f"{self._done}"
            self._console.print(f"  {count:>7}  {_escaped(text)}", soft_wrap=True)

    def note(self, text: str) -> None:
        """Show something that belongs to no step."""
        if not self._quiet:
            self._console.print(f"  {_escaped(text)}", soft_wrap=True)
