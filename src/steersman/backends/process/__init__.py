"""A process of its own for what may block or hold the interpreter."""

from steersman.backends.process.guard import isolate

__all__ = ["isolate"]
