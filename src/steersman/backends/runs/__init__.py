"""Training runs in memory, or as files beside the store: what the dashboard reads, and what needs nothing installed."""

from steersman.backends.runs.tracker import FileTracker, MemoryTracker

__all__ = ["FileTracker", "MemoryTracker"]
