"""The log and what is released in memory: for tests, trials and simulations."""

from steersman.backends.memory.log import MemoryLog
from steersman.backends.memory.releases import MemoryReleases

__all__ = ["MemoryLog", "MemoryReleases"]
