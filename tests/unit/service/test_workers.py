"""Workers: one that dies is started again, and one that cannot be started is tried again later."""

import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

import pytest

from steersman.service.serve import Options
from steersman.service.workers import Supervisor


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A supervisor of one worker that has died; nothing was started."""
    with socket.socket() as listener:
        found = Supervisor(Options(store="memory:"), listener)
        yield found
        found._workers[0].process = None
        found._end()


def _files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_worker_that_cannot_be_started_is_tried_again_later(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = supervisor._workers[0]
    monkeypatch.setattr(subprocess, "Popen", MagicMock(side_effect=BlockingIOError("too many processes")))
    before, pauses = _files(), []
    for _ in range(4):
        worker.again_at = 0.0
        supervisor._look_after()
        pauses.append(worker.pause_s)
        assert worker.process is None
    assert pauses == [1.0, 2.0, 4.0, 8.0]
    assert _files() == before
    process = MagicMock(**{"poll.return_value": None})
    monkeypatch.setattr(subprocess, "Popen", MagicMock(return_value=process))
    supervisor._look_after()
    assert worker.process is None, "not before its time"
    worker.again_at = 0.0
    supervisor._look_after()
    assert worker.process is process


def test_a_worker_that_dies_before_it_is_told_what_to_do_is_tried_again(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, died = supervisor._workers[0], MagicMock()
    died.stdin.write.side_effect = BrokenPipeError
    monkeypatch.setattr(subprocess, "Popen", MagicMock(return_value=died))
    before = _files()
    supervisor._look_after()
    died.wait.assert_called_once_with()
    assert worker.process is None
    assert worker.again_at > 0.0
    assert _files() == before


def test_a_supervisor_does_not_end_where_no_pipe_can_be_had(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: Any) -> Any:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pipe", none_left)
    supervisor._look_after()
    assert supervisor._workers[0].again_at > 0.0
