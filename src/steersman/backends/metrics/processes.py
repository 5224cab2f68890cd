"""Several processes behind one socket: their metrics meet in a folder, and each of them can show all.

The folder is named in the environment before prometheus-client is first imported, so by the process that starts the others.
Nothing here imports it.
"""

import os
import shutil
from pathlib import Path

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def prepare(folder: Path) -> dict[str, str]:
    """Make an empty folder for metrics, and return the environment that processes need which shall share it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return {_DIRECTORY: os.fspath(folder)}


def forget(folder: Path, pid: int) -> None:
    """Leave out the gauges of a process that has ended; what it counted stays counted."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, os.fspath(folder))  # type: ignore[no-untyped-call]
