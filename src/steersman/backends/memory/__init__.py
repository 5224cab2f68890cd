"""The log, what is released and a bus in memory: for tests, trials and simulations."""

from steersman.backends.memory.bus import MemoryBroker, MemoryBus
from steersman.backends.memory.log import MemoryLog
from steersman.backends.memory.releases import MemoryReleases

__all__ = ["MemoryBroker", "MemoryBus", "MemoryLog", "MemoryReleases"]
