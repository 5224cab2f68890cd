"""The catalogue: names of agents and commands, and where they are loaded from when somebody asks for them."""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput, NotFound, nearest

ENTRY_POINTS = "steersman.packs"
_loading: set[str] = set()
_logger = logging.getLogger("steersman")


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A domain: its agents and commands by name, each as "module:attribute", loaded when first asked for.

    events: the payloads of the events it knows, by type and version, such as "signal.generated@1". routes: what these mean
    to its agents, each a `core.routes.Route`, by a name that is unique among the routes of an event. positions: where a
    `core.positions.Positions` says how pages read positions out of its decisions; "" where it holds none. worlds: simulators
    for its agents, each a class or a function that returns a `core.world.World`, by a name such as "trading/meta-strategy".
    """

    name: str
    description: str
    agents: Mapping[str, str] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)
    positions: str = ""
    worlds: Mapping[str, str] = field(default_factory=dict)


def load(target: str) -> Any:
    """Return the object at "module:attribute". Raises NotFound, saying what is missing."""
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NotFound(f"cannot load {target}: {error}. If it belongs to an extra, install that extra.") from error


def load_file(path: str | Path) -> list[AgentSpec]:
    """Return the agents that a Python file defines at its top level.

    The file is executed: load only files that you trust. Raises NotFound or InvalidInput with the way out.
    """
    file = Path(path)
    if not file.is_file():
        raise NotFound(f"no agent file {file}.")
    name = f"steersman_agents_{file.stem}"
    where = str(file.resolve())
    if where in _loading:
        raise InvalidInput(
            f"{file} opens a Steersman while it is being loaded, and so would load itself again. Put what decides into "
            "another file, or under `if __name__ == '__main__':`."
        )
    description = importlib.util.spec_from_file_location(name, file)
    if description is None or description.loader is None:
        raise InvalidInput(f"{file} is not a Python file.")
    module = importlib.util.module_from_spec(description)
    sys.modules[name] = module
    _loading.add(where)
    try:
        description.loader.exec_module(module)
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(f"{file} cannot be loaded: {type(error).__name__}: {error}") from error
    finally:
        _loading.discard(where)
    agents = [value for value in vars(module).values() if isinstance(value, AgentSpec)]
    if not agents:
        raise InvalidInput(f"{file} defines no AgentSpec at its top level.")
    return agents


class Catalog:
    """All packs that are installed, and agents added by hand."""

    def __init__(self) -> None:
        self._packs: dict[str, Pack] | None = None
        self._broken: dict[str, str] = {}
        self._added: dict[str, AgentSpec] = {}

    @property
    def packs(self) -> Mapping[str, Pack]:
        """Installed packs by name; entry points are read once, on first use. One that cannot be loaded leaves the others."""
        if self._packs is None:
            from importlib.metadata import entry_points  # costs 25 ms, and agents of one's own need none of it

            found = {each.name: each for each in entry_points(group=ENTRY_POINTS)}
            packs: dict[str, Pack] = {}
            for name in sorted(found):
                try:
                    packs[name] = found[name].load()
                except Exception as error:  # noqa: BLE001 - somebody else's code; who asks for it is told
                    self._broken[name] = f"{type(error).__name__}: {error}"
                    _logger.warning("the pack %s cannot be loaded: %s", name, self._broken[name])
            self._packs = packs
        return self._packs

    def _missing(self, pack: str) -> str:
        """Return what is said of a pack that is asked for and not there."""
        if pack in self._broken:
            return f"the pack {pack!r} is installed and cannot be loaded: {self._broken[pack]}. Install it again."
        return f"no pack {pack!r}.{nearest(pack, self.packs)}"

    def add(self, spec: AgentSpec) -> None:
        """Add an agent of the user's own."""
        self._added[spec.name] = spec

    def names(self) -> list[str]:
        """Return the names of all agents, sorted."""
        return sorted({*self._added, *(name for pack in self.packs.values() for name in pack.agents)})

    def agent(self, name: str) -> AgentSpec:
        """Return an agent's definition. Raises NotFound, naming the nearest one."""
        if name in self._added:
            return self._added[name]
        for pack in self.packs.values():
            if name in pack.agents:
                spec: AgentSpec = load(pack.agents[name])
                return spec
        if name.partition("/")[0] in self._broken:
            raise NotFound(self._missing(name.partition("/")[0]))
        raise NotFound(
            f"no agent {name!r}.{nearest(name, self.names())} For one of your own, list its file under agent_files in "
            "steersman.toml, or pass its definition to Steersman.open(agents=[…])."
        )

    def events(self) -> dict[str, str]:
        """Return the events of all packs, as `core.events.EventTypes` takes them."""
        return {kind: target for pack in self.packs.values() for kind, target in pack.events.items()}

    def command(self, pack: str, name: str) -> Any:
        """Return a pack's command. Raises NotFound, naming the nearest one."""
        if pack not in self.packs:
            raise NotFound(self._missing(pack))
        commands = self.packs[pack].commands
        if name not in commands:
            raise NotFound(f"pack {pack!r} has no command {name!r}.{nearest(name, commands)}")
        return load(commands[name])
