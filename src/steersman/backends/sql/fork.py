"""After a fork the child holds copies of the parent's locks and connections, and must not use or close them."""

import ctypes
import os
import weakref
from collections.abc import Iterable
from functools import cache
from typing import Protocol


class Abandonable(Protocol):
    """Something with handles on a store that a forked child has to let go."""

    def abandon(self) -> None:
        """Let go without touching the store."""


_open: "weakref.WeakSet[Abandonable]" = weakref.WeakSet()


def track(log: Abandonable) -> None:
    """Have a log abandoned in every process that is forked from this one."""
    _register()
    _open.add(log)


def leak(connections: Iterable[object]) -> None:
    """Keep connections from ever being closed: closing one would end the parent's, drop its locks or delete its WAL."""
    for connection in connections:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


@cache
def _register() -> None:
    """Register the hook once: it belongs to the process and cannot be taken back."""
    os.register_at_fork(after_in_child=_abandon_all)


def _abandon_all() -> None:
    for each in list(_open):
        each.abandon()
    _open.clear()
