"""A server that misbehaves as it is told to, and otherwise answers like the service would."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Got:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    at: float


Behaviour = Callable[[socket.socket, Got], bool]


class NastyServer:
    """Takes one behaviour from `script` for each request, then `always`, and answers well where there is none.

    A behaviour answers, or does not, and returns whether the connection stays open. `got` holds all requests.
    """

    def __init__(self, port: int = 0) -> None:
        self.script: list[Behaviour] = []
        self.got: list[Got] = []
        self.always: Behaviour | None = None
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens, on loopback."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [each.path for each in self.got]

    def wait_for(self, wanted: Callable[[Got], bool], timeout_s: float = 60.0) -> None:
        """Return when the next request that is wanted, after those so far, has arrived."""
        seen, until = len(self.got), time.monotonic() + timeout_s
        while not any(wanted(each) for each in self.got[seen:]):
            if time.monotonic() > until:
                raise TimeoutError(f"no such request in {timeout_s:g} s, only {self.paths()}")
            time.sleep(0.005)

    def close(self) -> None:
        """Close all connections and end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while (got := _read(connection)) is not None:
                    self.got.append(got)
                    behave = self.script.pop(0) if self.script else self.always or well
                    if not behave(connection, got):
                        return
            except OSError:
                return


def _read(connection: socket.socket) -> Got | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        more = connection.recv(65536)
        if not more:
            return None
        raw += more
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        more = connection.recv(65536)
        if not more:
            return None  # gone in the middle of it
        body += more
    method, path, _ = first.split(" ")
    return Got(method=method, path=path, headers=headers, body=json.loads(body) if body else None, at=time.monotonic())


def reply(status: int, body: object, headers: str = "", kind: str = "application/json") -> bytes:
    """Return the bytes of an answer; `headers` end with a line break each."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n{headers}\r\n"
    return head.encode() + content


def well(connection: socket.socket, got: Got) -> bool:
    """Answer as the service would."""

    def decided(ask: Any) -> Any:
        return {
            "id": f"d{id(ask)}",
            "agent": ask["agent"],
            "action": {"action": "light"},
            "arm": "champion",
            "recorded": True,
        }

    def stored(said: Any) -> Any:
        return {"decision_id": said["decision_id"], "revision": 0, "kind": "reported", "reward": 0.5, "components": {}}

    match got.path.split("/")[2:]:
        case ["decisions"]:
            answer = decided(got.body)
        case ["decisions", "batch"]:
            answer = {"results": [decided(each) for each in got.body["decisions"]]}
        case ["outcomes"]:
            answer = stored(got.body)
        case ["outcomes", "batch"]:
            answer = {"results": [stored(each) for each in got.body["outcomes"]]}
        case _:
            answer = {"path": got.path}
    connection.sendall(reply(200, answer))
    return True


def sends(raw: bytes) -> Behaviour:
    """Send these bytes and close."""

    def behave(connection: socket.socket, got: Got) -> bool:
        connection.sendall(raw)
        return False

    return behave


PROBLEM = "urn:steersman:problem:of-a-test"


def answers(status: int, error: str = "", *, headers: str = "", detail: str = "no", kind: str = PROBLEM) -> Behaviour:
    """Answer with a problem document; its `kind` says that the service wrote it."""

    def behave(connection: socket.socket, got: Got) -> bool:
        problem = {"title": "t", "detail": detail, "status": status, "error": error, "type": kind}
        connection.sendall(reply(status, problem, headers, "application/problem+json"))
        return True

    return behave


def results(*each: object) -> Behaviour:
    """Answer a batch with these."""

    def behave(connection: socket.socket, got: Got) -> bool:
        connection.sendall(reply(200, {"results": list(each)}))
        return True

    return behave


def resets(connection: socket.socket, got: Got) -> bool:
    """Reset the connection instead of answering."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def hangs_up(connection: socket.socket, got: Got) -> bool:
    """Close the connection instead of answering."""
    return False


def says_nothing(connection: socket.socket, got: Got) -> bool:
    """Never answer: wait until the client goes away."""
    connection.recv(1)
    return False


def drips(connection: socket.socket, got: Got) -> bool:
    """Answer a byte every 30 ms, headers and all, so that no single read waits for long."""
    for byte in reply(200, {"id": "d", "agent": "a", "action": {"action": "x"}, "arm": "champion"}):
        connection.sendall(bytes([byte]))
        time.sleep(0.03)
    return True
