"""A service at work in this process, on a port of its own: for tests and benchmarks that look behind it."""

import asyncio
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from steersman.app import Steersman
from steersman.app.telemetry import open_meter
from steersman.core.access import DEFAULT_TENANT, issue
from steersman.core.agent import AgentSpec
from steersman.core.ports import Meter
from steersman.core.sections import Service as Limits
from steersman.service import serve, table
from steersman.service.app import Service
from steersman.service.operations import Operation
from steersman.service.tenants import tenant_url

BEGIN_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Running:
    """A service that answers at `url`."""

    url: str
    service: Service
    server: serve.Server


def make_key(store: str | os.PathLike[str], *roles: str, name: str = "tester", tenant: str = DEFAULT_TENANT) -> str:
    """Put a key into a store and return its text."""
    key, text = issue(name=name, roles=roles, at=time.time(), tenant=tenant)
    Steersman.add_key_in(store, key, actor="test", event="key created")
    return text


def bearer(text: str) -> dict[str, str]:
    """Return the header that sends a key."""
    return {"authorization": f"Bearer {text}"}


@contextmanager
def serving(
    store: str,
    *,
    agents: Sequence[AgentSpec] = (),
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    limits: Limits | None = None,
    loopback: bool = True,
    operations: Iterable[Operation] | None = None,
) -> Iterator[Running]:
    """Serve a store, and those of its tenants, until the context ends; then all is durable.

    Raises what kept it from beginning, or from ending well.
    """

    def open_store(name: str, meters: Sequence[Meter]) -> Steersman:
        url = tenant_url(store, name)
        if "://" not in url and not url.startswith("memory:"):
            Path(url).parent.mkdir(exist_ok=True)
        return Steersman.open(url, agents=agents, settings=settings or {}, meters=meters)

    service = Service(
        tuple(operations) if operations is not None else table.operations(),
        open_store,
        settings=limits or Limits(),
        loopback=loopback,
        secret=b"for tests alone",
        metrics=open_meter,
        error_page=table.error_page(),
    )
    listener = serve.bind("127.0.0.1", 0)
    server = serve.Server(service)
    begun = threading.Event()
    server.on_start = begun.set
    failures: list[BaseException] = []

    async def live() -> None:
        try:
            await service.start()
            await server.serve(sockets=serve.doors(listener))
        finally:
            await service.close()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(live())
        except BaseException as error:  # noqa: BLE001 - raised where the context ends
            failures.append(error)
        finally:
            begun.set()

    thread = threading.Thread(target=run, name="steersman-serving")
    thread.start()
    begun.wait(BEGIN_S)
    try:
        if not failures:
            yield Running(url=serve.address(listener), service=service, server=server)
    finally:
        server.end()
        thread.join()
        listener.close()
    if failures:
        raise failures[0]
