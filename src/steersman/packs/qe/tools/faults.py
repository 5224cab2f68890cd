"""Faults for one local process: its calls are late or refused, its worker is killed, its memory and its disk run out.

Nothing leaves the loopback interface, and only processes that descend from the one under test are killed, each by its id.
"""

import contextlib
import os
import resource
import signal
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from steersman.core.errors import DeadlineExceeded

FAULTS = ("latency", "kill", "resource", "partition")
Inject = Callable[[int], AbstractContextManager[None]]
"""(id of the process under test) → the fault, for as long as the context lasts."""

_ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n42"
_LOOPBACK = "127.0.0.1"
_MEMORY = 24 * 1024 * 1024
_DEAD_S = 5.0
_PIECE = 65536


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that goes away in the middle is what the experiment is about."""


class _Upstream(socketserver.StreamRequestHandler):
    """Answers each request of HTTP with 42."""

    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        self.wfile.write(_ANSWER)


class Proxy:
    """Stands on loopback before a small server of its own; it passes calls on, holds them back, or refuses them."""

    def __init__(self) -> None:
        self.calls = 0
        self._fault = ""
        self._released = threading.Event()
        self._upstream = _Server((_LOOPBACK, 0), _Upstream)
        proxy = self

        class Front(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                proxy._pass_on(self.request)

        self._front = _Server((_LOOPBACK, 0), Front)

    @property
    def port(self) -> int:
        """Where the process under test is to call."""
        return int(self._front.server_address[1])

    @contextmanager
    def late(self, delay_s: float) -> Iterator[None]:
        """Hold each call back for `delay_s` seconds, or until the end of the context."""
        self._released.clear()
        with self._with(f"late {delay_s}"):
            yield

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Reset each connection at once, as if the network were cut."""
        with self._with("refuse"):
            yield

    @contextmanager
    def _with(self, fault: str) -> Iterator[None]:
        self._fault = fault
        try:
            yield
        finally:
            self._fault = ""
            self._released.set()

    def _pass_on(self, client: socket.socket) -> None:
        self.calls += 1
        name, _, delay = self._fault.partition(" ")
        if name == "refuse":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        if name == "late":
            self._released.wait(float(delay))
        behind = (_LOOPBACK, int(self._upstream.server_address[1]))
        with socket.create_connection(behind, timeout=_DEAD_S) as upstream:
            upstream.sendall(client.recv(_PIECE))
            while piece := upstream.recv(_PIECE):
                client.sendall(piece)

    def __enter__(self) -> "Proxy":
        for each in (self._upstream, self._front):
            threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        for each in (self._front, self._upstream):
            each.shutdown()
            each.server_close()


def injector(fault: str, proxy: Proxy, late_s: float) -> Inject:
    """Return what injects a fault of `FAULTS`. late_s: how late an answer is at most, in seconds."""
    made: dict[str, Inject] = {
        "latency": lambda _: proxy.late(late_s),
        "partition": lambda _: proxy.refusing(),
        "kill": workers_killed,
        "resource": nothing_left,
    }
    return made[fault]


@contextmanager
def workers_killed(pid: int) -> Iterator[None]:
    """Kill the children of a process, and wait until they are dead. Raises DeadlineExceeded if one does not die."""
    for child in children(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        _wait_dead(child)
    yield


@contextmanager
def nothing_left(pid: int) -> Iterator[None]:
    """Let a process write no byte to any file and take 24 MB of memory more at most; the limits are lifted at the end."""
    limits = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_AS: _address_space(pid) + _MEMORY}
    before = {each: resource.prlimit(pid, each) for each in limits}
    for each, soft in limits.items():
        resource.prlimit(pid, each, (soft, before[each][1]))
    try:
        yield
    finally:
        for each, pair in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, each, pair)


def children(pid: int) -> list[int]:
    """Return the children of a process, from /proc; none where it is gone."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(entry.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found


def can_limit() -> bool:
    """Return whether this system can limit another process: Linux can."""
    return hasattr(resource, "prlimit") and Path("/proc/self/statm").exists()


def _address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def _wait_dead(pid: int) -> None:
    """Wait until a killed process is a zombie or gone; until then it might still answer."""
    deadline = time.monotonic() + _DEAD_S
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX":
                return
        except OSError:
            return
        time.sleep(0.002)
    raise DeadlineExceeded(f"process {pid} did not die within {_DEAD_S:.0f} s after SIGKILL.")
