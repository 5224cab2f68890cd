"""Settings: every field with a sentence, a unit and a range, and where its value came from.

Order, later wins: the default, the agent's own definition, the TOML file, the file's table for one agent, the
environment (`STEERSMAN_LEARNING__ALPHA=0.2`), the caller (`overrides`, flags).
"""

import dataclasses
import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from steersman.core.errors import InvalidInput, NotFound, nearest
from steersman.core.routes import Route
from steersman.core.routes import read as read_routes
from steersman.core.sections import (
    Bus,
    Convergence,
    Episodes,
    Evaluation,
    Exploration,
    Hierarchy,
    Influence,
    Learning,
    Monitoring,
    Personalizer,
    Release,
    Replay,
    Service,
    Serving,
    Store,
    Table,
    Transfer,
)
from steersman.core.training import Training

PREFIX = "STEERSMAN_"


_NOT_LEARNING = ("store", "bus", "service", "personalizer", "evaluation", "release", "training", "monitoring", "influence")
"""Sections that bear neither on what is learned nor on how it decides. Each row says whether it did decide."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All sections, as they are in force for one agent. `source` says where each value came from."""

    learning: Learning = field(default_factory=Learning)
    exploration: Exploration = field(default_factory=Exploration)
    serving: Serving = field(default_factory=Serving)
    influence: Influence = field(default_factory=Influence)
    episodes: Episodes = field(default_factory=Episodes)
    table: Table = field(default_factory=Table)
    replay: Replay = field(default_factory=Replay)
    hierarchy: Hierarchy = field(default_factory=Hierarchy)
    transfer: Transfer = field(default_factory=Transfer)
    convergence: Convergence = field(default_factory=Convergence)
    evaluation: Evaluation = field(default_factory=Evaluation)
    release: Release = field(default_factory=Release)
    training: Training = field(default_factory=Training)
    monitoring: Monitoring = field(default_factory=Monitoring)
    store: Store = field(default_factory=Store)
    bus: Bus = field(default_factory=Bus)
    service: Service = field(default_factory=Service)
    personalizer: Personalizer = field(default_factory=Personalizer)
    source: Mapping[tuple[str, str], str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for section, each, value in self.items():
            _check(f"{section}.{each.name}", value, each)

    def items(self) -> Iterator[tuple[str, "dataclasses.Field[Any]", Any]]:
        """Yield (section, field, value) for each setting."""
        for section in _SECTIONS:
            values = getattr(self, section)
            for each in dataclasses.fields(values):
                yield section, each, getattr(values, each.name)

    @property
    def hash(self) -> str:
        """16 hexadecimal digits that change whenever a setting does that bears on decisions or on what is learned."""
        return hashlib.sha256(msgspec.json.encode(self.plain(), order="sorted")).hexdigest()[:16]

    def plain(self) -> dict[str, dict[str, Any]]:
        """Return the values by section, without those of store and service, as `with_values` takes them back."""
        values: dict[str, dict[str, Any]] = {}
        for section, each, value in self.items():
            if section not in _NOT_LEARNING:
                values.setdefault(section, {})[each.name] = value
        return values

    def with_values(self, values: Mapping[str, Any], source: str) -> "Settings":
        """Return settings with `values` ({"section": {"name": value}}) laid over these.

        Raises InvalidInput for an unknown section or name (naming the nearest), a wrong type or a value out of range.
        """
        sections: dict[str, Any] = {}
        origin = dict(self.source)
        for section, given in values.items():
            if section not in _SECTIONS:
                raise InvalidInput(f"{source}: unknown section [{section}].{nearest(section, _SECTIONS)}")
            current = getattr(self, section)
            fields = {each.name: each for each in dataclasses.fields(current)}
            if not isinstance(given, Mapping):
                raise InvalidInput(f"{source}: [{section}] is a section, got {given!r}.")
            for name in given:
                if name not in fields:
                    raise InvalidInput(f"{source}: unknown setting {section}.{name}.{nearest(name, fields)}")
                origin[section, name] = source
            typed = {name: _convert(f"{section}.{name}", value, getattr(current, name)) for name, value in given.items()}
            sections[section] = dataclasses.replace(current, **typed)
        return dataclasses.replace(self, **sections, source=origin)


_SECTIONS = tuple(each.name for each in dataclasses.fields(Settings) if each.name != "source")


def _convert(name: str, value: Any, default: Any) -> Any:
    """Return `value` in the type of `default`; strings (from the environment) are read as what is due: "0.1", "false"."""
    if isinstance(default, bool):
        value = {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value
        if not isinstance(value, bool):
            raise InvalidInput(f"{name}: expected true or false, got {value!r}.")
        return value
    try:
        if isinstance(default, float) and not isinstance(value, bool):
            return float(value)
        if isinstance(default, int) and not isinstance(value, bool | float):
            return int(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name}: expected a number, got {value!r}.") from error
    if type(value) is not type(default):
        raise InvalidInput(f"{name}: expected {type(default).__name__}, got {value!r}.")
    return value


def _check(name: str, value: Any, setting: "dataclasses.Field[Any]") -> None:
    options, low, high = (setting.metadata[key] for key in ("options", "low", "high"))
    if options and value not in options:
        raise InvalidInput(f"{name}: {value!r} is not an option.{nearest(str(value), options)}")
    if isinstance(value, int | float) and not (low <= value <= high):  # also catches NaN
        raise InvalidInput(f"{name}: {value} lies outside [{low}, {high}] {setting.metadata['unit']}.")


@dataclass(frozen=True, kw_only=True)
class SettingsFile:
    """What the settings file and the environment say, for all agents and for single ones."""

    shared: Mapping[str, Any] = field(default_factory=dict)
    agents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    agent_files: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    path: str = ""

    @classmethod
    def read(cls, path: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> "SettingsFile":
        """Return the settings of a TOML file (default: `steersman.toml` here, if there is one) and of the environment.

        Top-level tables are sections; `[agents."qe/test-executor".learning]` holds one agent's; `agent_files` lists
        files with agents of the user's own, and each `[[bus.routes]]` says what events of a type mean. Raises NotFound for
        a named file that is not there, InvalidInput for one that cannot be read.
        """
        environ = os.environ if environ is None else environ
        chosen = path or environ.get(f"{PREFIX}SETTINGS")
        file = Path(chosen or "steersman.toml")
        if not file.exists():
            if chosen:
                raise NotFound(f"no settings file {file}. Create it, or leave the option out to use defaults.")
            return cls(environment=_from_environment(environ))
        try:
            content = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise InvalidInput(f"settings file {file}: {error}.") from error
        agents = content.pop("agents", {})
        files = tuple(str(file.parent / each) for each in content.pop("agent_files", []))
        bus = content.get("bus")
        routes = read_routes(bus.pop("routes", []), f"settings file {file}") if isinstance(bus, dict) else ()
        known = {*_SECTIONS, "agents", "agent_files"}
        unknown = next((each for each in content if each not in known), None)
        if unknown is not None:
            raise InvalidInput(f"settings file {file}: unknown section [{unknown}].{nearest(unknown, known)}")
        said = _from_environment(environ)
        read = cls(shared=content, agents=agents, agent_files=files, routes=routes, environment=said, path=str(file))
        for name in ("", *agents):
            read.settings(name, {})  # a mistake in the file is told when it is read
        return read

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> "SettingsFile":
        """Return what the environment says, without any file."""
        return cls(environment=_from_environment(os.environ if environ is None else environ))

    def said(self, section: str, **values: str) -> "SettingsFile":
        """Return the same with what a command line says of a section over it; an empty value says nothing."""
        given = {name: value for name, value in values.items() if value}
        return replace(self, environment={**self.environment, section: {**self.environment.get(section, {}), **given}})

    def settings(self, agent: str, own: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Settings:
        """Return what is in force for an agent whose definition says `own`. Raises InvalidInput as `with_values`."""
        settings = Settings()
        layers: tuple[tuple[Mapping[str, Any], str], ...] = (
            (own, f"agent {agent}"),
            (self.shared, self.path),
            (self.agents.get(agent, {}), f"{self.path} [agents.{agent!r}]"),
            (self.environment, "environment"),
            (overrides or {}, "caller"),
        )
        for values, source in layers:
            if values:
                settings = settings.with_values(values, source)
        return settings


def _from_environment(environ: Mapping[str, str]) -> dict[str, dict[str, str]]:
    values: dict[str, dict[str, str]] = {}
    for name, value in environ.items():
        section, found, setting = name.removeprefix(PREFIX).partition("__")
        if name.startswith(PREFIX) and found:
            values.setdefault(section.lower(), {})[setting.lower()] = value
    return values
