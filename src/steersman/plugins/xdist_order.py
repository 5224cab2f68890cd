"""xdist's load scheduling in an order of ours: the same sharing out, from another list, and in chunks that are small."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

Arranged = Callable[[list[str]], list[int] | None]


def ordered_load(config: pytest.Config, log: Any, arranged: Arranged) -> Any:
    """Return a scheduler that sends tests in the order that `arranged` gives for their names, and no others.

    A worker holds two tests, since it has to know the next one before it ends the last. Chunks are as small as that
    unless --maxschedchunk says otherwise: with larger ones a part of the list waits behind another worker's.
    """
    scheduling: Any = import_module("xdist.scheduler.load").LoadScheduling(config, log)
    scheduling.maxschedchunk = scheduling.maxschedchunk or 1
    send = scheduling._send_tests

    def send_in_order(node: Any, num: int) -> None:
        scheduling._send_tests = send
        order = arranged(list(scheduling.collection))
        if order is not None:
            scheduling.pending[:] = order
        send(node, num)

    scheduling._send_tests = send_in_order
    return scheduling
