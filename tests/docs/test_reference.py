"""The reference says what the code says: commands, settings, errors, names, the qe agent and the tables of the store.

Each function of rows makes the lines that `docs/reference.md` must hold (or the beginnings of such lines, where the page
explains more). After a change, put the line that a failing test names into the page.
"""

import dataclasses
import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import steersman
from steersman import ReplayBuffer, Team
from steersman.app import Steersman
from steersman.backends.sql import schema
from steersman.cli.app import app
from steersman.cli.qe import seconds
from steersman.core import errors
from steersman.core.settings import Settings
from steersman.core.values import Decision, Entry, Outcome, Window
from steersman.loops.agent import Agent, Episode
from steersman.loops.handle import Release
from steersman.packs.qe.agents import test_executor as qe
from steersman.packs.qe.bench.demo import DemoOptions
from steersman.packs.qe.bench.duels import RunOptions

PAGE = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
LINES = PAGE.splitlines()


def code(values: object) -> str:
    """Return values as code, separated by commas."""
    items = values if isinstance(values, list | tuple) else [values]
    return ", ".join(f"`{each}`" for each in items)


def span(low: float, high: float) -> str:
    """Return a range in words; "" where there is none."""
    if math.isfinite(low) and math.isfinite(high):
        return f"{low:,.10g} to {high:,.10g}"
    return f"from {low:,.10g}" if math.isfinite(low) else ""


def row(*cells: str) -> str:
    """Return a line of a table."""
    return "|" + "|".join(f" {each} " if each else " " for each in cells) + "|"


def commands(group: Any = None, name: str = "steersman") -> Iterator[tuple[str, Any]]:
    """Yield each command by its full name."""
    root: Any = group or typer.main.get_command(app)
    for each, command in sorted(root.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {each}")
        else:
            yield f"{name} {each}", command


def command_rows(command: Any) -> list[str]:
    rows = []
    for each in command.params:
        names = code(each.opts) if each.param_type_name == "option" else f"`{each.name.upper()}`"
        default = "" if each.default is None or each.default is False or each.default == "" else code(str(each.default))
        rows.append(row(names, default, each.help.replace("|", "\\|")))
    return rows


def setting_rows() -> list[str]:
    rows = []
    for section, each, value in Settings().items():
        about = each.metadata
        bounds = code(about["options"]) if about["options"] else span(about["low"], about["high"])
        rows.append(row(f"`{section}.{each.name}`", code(value), about["unit"], bounds, about["doc"]))
    return rows


def error_rows() -> list[str]:
    classes = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, errors.SteersmanError)]
    return [row(code(each.__name__), str(each.exit_code), (each.__doc__ or "").strip()) for each in classes]


def signature(method: Any) -> str:
    """Return the parameters with their defaults, without annotations."""
    plain = [each.replace(annotation=inspect.Parameter.empty) for each in inspect.signature(method).parameters.values()]
    kept = [each for each in plain if each.name not in ("self", "cls")]
    return str(inspect.Signature(kept)).replace("<built-in function time>", "time.time")


def method_rows(kind: type) -> list[str]:
    found = []
    for name, member in vars(kind).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            found.append(row(f"`.{name}`"))
        elif callable(member) or isinstance(member, classmethod | staticmethod):
            found.append(row(f"`.{name}{signature(getattr(kind, name))}`"))
    return [each[:-1] for each in found]  # the page goes on with a sentence


def field_rows() -> list[str]:
    rows = []
    for name in steersman.__all__:
        kind = getattr(steersman, name)
        if dataclasses.is_dataclass(kind):
            fields = [
                each.name + ("" if each.default is dataclasses.MISSING else f"={each.default!r}")  # a factory's is left out
                for each in dataclasses.fields(kind)
                if each.init
            ]
            rows.append(row(code(name), ", ".join(fields))[:-1])
    return rows


def qe_rows() -> list[str]:
    state = [
        row(code(each.name), span(each.low, each.high), ", ".join(f"{edge:,g}" for edge in each.edges), each.unit)[:-1]
        for each in qe.STATE.fields
        if isinstance(each, steersman.Number)
    ]
    actions = [row(code(name), code(choices))[:-1] for name, choices in qe.ACTIONS.dimensions.items()]
    measurements = [row(code(each.name), each.unit)[:-1] for each in qe.REWARD.measurements]
    parts = [row(code(each.name), span(each.low, each.high), f"{each.weight:g}")[:-1] for each in qe.REWARD.components]
    guards = [row(code(each.name))[:-1] for each in qe.GUARDS]
    return [*state, *actions, *measurements, *parts, *guards]


def table_rows() -> list[str]:
    tables = [*schema.metadata.tables.values(), schema.alembic_version]
    return [row(code(each.name), code([column.name for column in each.columns]))[:-1] for each in tables]


def struct_names(heading: str) -> list[str]:
    """Return the names in the first column of the table under a heading."""
    return [line.split("`")[1] for line in section(heading) if line.startswith("| `")]


def section(heading: str) -> list[str]:
    """Return the lines below a heading, up to the next one."""
    start = LINES.index(heading) + 1
    end = next((index for index in range(start, len(LINES)) if LINES[index].startswith("#")), len(LINES))
    return LINES[start:end]


@pytest.mark.parametrize(("name", "command"), [pytest.param(*each, id=each[0]) for each in commands()])
def test_every_command_is_in_the_reference_with_its_options(name: str, command: Any) -> None:
    lines = section(f"### `{name}`")
    assert [each for each in command_rows(command) if each not in lines] == []


def test_no_command_is_in_the_reference_that_is_gone() -> None:
    known = {f"### `{name}`" for name, _ in commands()}
    assert {line for line in LINES if line.startswith("### `steersman ")} == known


@pytest.mark.parametrize("rows", [setting_rows, error_rows, field_rows, qe_rows, table_rows])
def test_every_row_is_in_the_reference(rows: Any) -> None:
    assert [each for each in rows() if not any(line.startswith(each) for line in LINES)] == []


@pytest.mark.parametrize("kind", [Steersman, Agent, Release, Episode, Team, ReplayBuffer])
def test_every_method_is_in_the_reference(kind: type) -> None:
    assert [each for each in method_rows(kind) if not any(line.startswith(each) for line in LINES)] == []


@pytest.mark.parametrize("name", steersman.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert f"`{name}`" in PAGE or f"### `{name}" in PAGE


def test_no_setting_is_in_the_reference_that_is_gone() -> None:
    assert set(struct_names("## Settings")) == {f"{name}.{each.name}" for name, each, _ in Settings().items()}


@pytest.mark.parametrize(
    ("heading", "kind"),
    [
        ("### A decision", Decision),
        ("### An outcome", Outcome),
        ("### An entry of a working table", Entry),
        ("### A window of learning", Window),
    ],
)
def test_every_field_of_a_row_is_in_the_reference(heading: str, kind: Any) -> None:
    assert struct_names(heading) == list(kind.__struct_fields__)


def test_the_defaults_of_the_pack_are_those_of_the_command_line() -> None:
    options = {
        each.name: each.default
        for name, command in commands()
        if name == "steersman bench test-executor"
        for each in command.params
    }
    pack = {each.name.removesuffix("_s"): each.default for each in dataclasses.fields(RunOptions)}
    options["budget"] = seconds(options["budget"])
    assert {name: pack[name] for name in ("cycles", "seed", "timeout", "budget")} == {
        name: options[name] for name in ("cycles", "seed", "timeout", "budget")
    }
    assert f"stops after {DemoOptions.budget_s:g} s" in PAGE
