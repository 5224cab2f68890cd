"""The log in memory: for tests, trials and simulations."""

from steersman.backends.memory.log import MemoryLog

__all__ = ["MemoryLog"]
