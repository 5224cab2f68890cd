"""Compute is opened by name, and what is missing or does not answer is said at once, with the way out."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from steersman.app.compute import open_compute
from steersman.backends.compute.local import LocalCompute
from steersman.core.errors import InvalidInput, NotFound


def test_processes_of_this_machine_need_nothing() -> None:
    for name, slots in (("local:3", 3), ("local", LocalCompute().slots)):
        with open_compute(name) as compute:
            assert isinstance(compute, LocalCompute)
            assert compute.slots == slots


@pytest.mark.parametrize("name", ["", "kubernetes", "ray:", "Local", "rays", "ray://127.0.0.1:1"])
def test_a_name_that_is_none_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is none\. Use local, local:2, ray, ray:HOST:PORT or ray:auto"):
        open_compute(name)


@pytest.mark.parametrize("slots", ["0", "-1", "two", "1.5"])
def test_a_number_of_processes_that_is_none_is_refused(slots: str) -> None:
    with pytest.raises(InvalidInput, match="is no number of processes"):
        open_compute(f"local:{slots}")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # as Python has it where it is not installed
    with pytest.raises(NotFound, match=r"compute 'ray' needs an extra: pip install 'steersman\[ray\]'"):
        open_compute("ray")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-host.invalid:6379", "nonsense"])
def test_a_cluster_that_does_not_answer_is_said_at_once(address: str) -> None:
    with pytest.raises(NotFound, match=r"no Ray cluster answers at .*ray start --head"):
        open_compute(f"ray:{address}")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_something_else_that_listens_is_no_cluster(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as threads:
        threads.submit(_say, server, said)
        with pytest.raises(NotFound, match="what listens there is something else"):
            open_compute(f"ray:127.0.0.1:{server.getsockname()[1]}")


def _say(server: socket.socket, said: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1_024)
        connection.sendall(said)
