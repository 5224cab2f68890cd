"""Serving: from the options of `steersman up` to a process that answers, until it is told to stop."""

import asyncio
import contextlib
import gc
import hmac
import logging
import os
import resource
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import uvicorn
import uvloop

from steersman.app import Steersman
from steersman.app.stores import DEFAULT_STORE, audit_key, is_shared
from steersman.app.telemetry import open_meter, open_tracing
from steersman.core.agent import AgentSpec
from steersman.core.catalog import load_file
from steersman.core.errors import Conflict, InvalidInput, NotPermitted
from steersman.core.sections import Service as Limits
from steersman.core.settings import SettingsFile
from steersman.service import logs, table
from steersman.service.access import is_loopback
from steersman.service.app import Service
from steersman.service.protocol import Protocol
from steersman.service.tenants import tenant_url

__all__ = ["DEFAULT_STORE", "Options", "Server", "address", "bind", "make", "serve"]

BACKLOG = 2_048
_logger = logging.getLogger("steersman.service")
SECRET = "STEERSMAN_SESSION_SECRET"  # noqa: S105 - the name of a variable
_SWITCH_S = 0.001
_COLLECT = (10_000, 20, 20)  # garbage is collected less often: everybody waits for it
_FILES = 65_536
_DOORS = 32


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `steersman up` was asked for.

    store: the main store's URL. agents: files with agents of the user's own. part: what this process does of all.
    """

    store: str
    settings: str | None = None
    agents: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = 8321
    part: table.Part = "all"
    workers: int = 1
    log_format: logs.Format = "text"

    @property
    def shared(self) -> bool:
        """Whether other processes may use the store at the same time."""
        return is_shared(self.store)

    @property
    def shown(self) -> str:
        """The store without user and password."""
        scheme, found, rest = self.store.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}" if found and self.shared else self.store

    @property
    def limits(self) -> Limits:
        """The settings of the service."""
        return SettingsFile.read(self.settings).settings("", {}).service

    def check(self) -> None:
        """Raise InvalidInput for what does not go together."""
        if not self.shared and (self.workers > 1 or self.part != "all"):
            asked = f"--workers {self.workers}" if self.workers > 1 else f"--role {self.part}"
            raise InvalidInput(
                f"{asked} needs a store that several processes can share, and a file has one owner. Use "
                "--store postgresql://user:password@host:port/database, or leave it out."
            )


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises Conflict for a port that is taken, InvalidInput for a host that is not here."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
        except OSError:
            found.close()
            raise
    except PermissionError as error:
        raise NotPermitted(f"port {port} may not be used: {error.strerror}. Choose one above 1023 with --port.") from error
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == 99:
            raise InvalidInput(f"host {host!r} is no address of this machine: {error.strerror}.") from error
        raise Conflict(
            f"port {port} of {host} is in use: {error.strerror}. Choose another one with --port, or 0 for any."
        ) from error
    found.listen(BACKLOG)
    found.setblocking(False)
    return found


def address(listener: socket.socket) -> str:
    """Return where a socket listens, as a browser takes it."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(
    options: Options,
    listener: socket.socket,
    ready: Callable[["Service"], None],
    *,
    until: int | None = None,
    specs: Sequence[AgentSpec] = (),
) -> None:
    """Answer on a socket until SIGTERM or SIGINT; then finish what was begun, and make everything durable.

    ready: called once it answers. until: a file descriptor whose end means the same as a signal. specs: agents beside those
    of the options' files. Raises StoreError, Conflict, InvalidInput or NotPermitted where it cannot begin, and StoreError
    where not everything could be stored.
    """
    logs.configure(options.log_format)
    logging.getLogger("uvicorn").setLevel(logging.ERROR)  # its warnings can be had by anybody who sends nonsense
    _raise_limit_of_files()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_S)  # the thread that writes the log waits that long for the one that answers
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options, listener, ready, until, specs))
    finally:
        sys.setswitchinterval(interval)


async def _serve(
    options: Options,
    listener: socket.socket,
    ready: Callable[["Service"], None],
    until: int | None,
    specs: Sequence[AgentSpec],
) -> None:
    where = address(listener)
    service = make(options, loopback=is_loopback(listener.getsockname()[0]), specs=specs)
    server = Server(service)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, server.end)
    if until is not None:
        loop.add_reader(until, _at_end, loop, until, server.end)
    try:
        await service.start()
        if not service.access.usable:
            raise NotPermitted(
                f"{options.host} can be reached from other machines, and there is no key yet. Make one first: "
                "steersman keys create --name NAME --role admin, with the same --store."
            )
        server.on_start = partial(_begun, options, where, lambda: ready(service))
        await server.serve(sockets=doors(listener))
        _note(options, "stopping", where)
    finally:
        await service.close()
    _note(options, "stopped", where)


def _begun(options: Options, where: str, ready: Callable[[], None]) -> None:
    ready()
    _note(options, "started", where)


def _note(options: Options, what: str, where: str) -> None:
    """Log a turn in the life of the service; to a person at a terminal the address alone says it."""
    level = logging.INFO if options.log_format == "json" else logging.DEBUG
    logs.event(_logger, level, what, address=where, store=options.shown, role=options.part, pid=os.getpid())


def doors(listener: socket.socket) -> list[socket.socket]:
    """Return a listener several times over.

    The event loop takes in one connection for each in a turn, and turns are long when there is too much to do: with one door
    new callers waited there for as long as that lasted, and were not even told to come back later.
    """
    return [listener, *(listener.dup() for _ in range(_DOORS - 1))]


def _at_end(loop: asyncio.AbstractEventLoop, file: int, end: Callable[[], None]) -> None:
    if not os.read(file, 1):
        loop.remove_reader(file)
        end()


def make(options: Options, *, loopback: bool, specs: Sequence[AgentSpec] = ()) -> Service:
    """Return the service that options describe; nothing is opened yet."""

    def open_store(name: str, meters: object) -> Steersman:
        url = tenant_url(options.store, name)
        if name != "default":
            _make_folder(url)
        own = [*specs, *(spec for file in options.agents for spec in load_file(file))]
        learns = options.part != "decide"
        return Steersman.open(url, agents=own, settings=options.settings, learn=learns, meters=meters)  # type: ignore[arg-type]

    return Service(
        table.operations(options.part),
        open_store,
        settings=options.limits,
        loopback=loopback,
        secret=_secret(options.store),
        metrics=open_meter,
        tracing=open_tracing(),
        error_page=table.error_page(),
    )


def _secret(store: str) -> bytes:
    """Return what sessions are signed with: by the key of the store's audit trail, else new with each start."""
    own = os.environ.get(SECRET, "").encode() or audit_key(store)
    return hmac.digest(own, b"sessions of the pages", "sha256") if own else secrets.token_bytes(32)


class Server(uvicorn.Server):
    """uvicorn's server, told to stop by who runs it, and ending streams when it does."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.on_start: Callable[[], None] = lambda: None
        limits = service.settings
        super().__init__(
            uvicorn.Config(
                service,
                http=type("Protocol", (Protocol,), {"service": service}),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                timeout_keep_alive=round(limits.idle_s),
                timeout_graceful_shutdown=round(limits.grace_s),
            )
        )

    def end(self) -> None:
        """Begin to stop."""
        self._service.stop()
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to who runs this."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        gc.collect()
        gc.freeze()  # what was loaded stays; it need not be looked through again
        gc.set_threshold(*_COLLECT)
        self.on_start()


def _raise_limit_of_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _make_folder(url: str) -> None:
    from pathlib import Path

    if url.startswith(("postgresql://", "postgres://", "memory:")):
        return
    _, found, rest = url.partition("://")
    folder = Path(rest.removeprefix("/") if found else url).parent
    folder.mkdir(exist_ok=True)
