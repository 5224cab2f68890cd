"""Releases: where versions are kept, what is in production, and a clock that may jump."""

import os
import time

from steersman.app import stores
from steersman.core.errors import InvalidInput
from steersman.core.ids import TimeOrderedIds
from steersman.core.ports import Clock, Log, Registry
from steersman.core.sections import Release
from steersman.loops.runtime import World
from steersman.loops.serving import Production

_JUMP_S = 60.0


def open_production(
    url: str | os.PathLike[str] | None, log: Log, settings: Release, *, read_only: bool = False
) -> Production:
    """Return what is in production in the store of a log, and the registry that settings name.

    Raises InvalidInput for MLflow without its address, or without its library.
    """
    releases = stores.open_releases(url, log, read_only=read_only)
    registry: Registry = releases
    if settings.registry == "mlflow":
        registry = _mlflow(settings.registry_url)
    return Production(releases, registry, time.perf_counter, close=releases.close)


def _mlflow(url: str) -> Registry:
    if not url:
        raise InvalidInput(
            "release.registry is mlflow; say where it is in release.registry_url, such as sqlite:///mlflow.db."
        )
    from steersman.backends.mlflow import MlflowRegistry

    return MlflowRegistry(url)


def sandbox(clock: Clock) -> World:
    """Return a world in memory with its own time, in which nothing that happens reaches any other."""
    from steersman.backends.memory import MemoryLog, MemoryReleases

    log = MemoryLog()
    releases = MemoryReleases(log)
    production = Production(releases, releases, clock)
    return World(log=log, clock=clock, ids=TimeOrderedIds(clock), seed=0, timer=clock, production=production)


class Jumps:
    """Notices when the clock on the wall goes another way than the one that only counts."""

    def __init__(self) -> None:
        self._apart = time.time() - time.monotonic()

    def look(self) -> float:
        """Return by how many seconds the clock jumped since the last look; 0 for less than a minute."""
        apart = time.time() - time.monotonic()
        jumped, self._apart = apart - self._apart, apart
        return jumped if abs(jumped) >= _JUMP_S else 0.0
