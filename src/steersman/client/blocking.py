"""The client for programs without an event loop: the same client, in a thread that has one."""

import asyncio
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from steersman.client.asynchronous import AsyncClient, Fallback
from steersman.client.messages import Said
from steersman.core.errors import SteersmanError

P = ParamSpec("P")
T = TypeVar("T")


def _waits(
    method: Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]],
) -> "Callable[Concatenate[Client, P], T]":
    """Return a method of `Client` that does what one of `AsyncClient` does, and waits for it."""

    def wait(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        inner, loop = self._at_work()
        return _result(method(inner, *args, **kwargs), loop)

    functools.update_wrapper(wait, method)
    return wait


class Client:
    """A client of one service. Safe to use from several threads, and after a fork. Arguments as `AsyncClient`."""

    def __init__(
        self, url: str, *, key: str = "", deadline_s: float = 1.0, fallback: Fallback | None = None, queue: int = 10_000
    ) -> None:
        self._new = functools.partial(AsyncClient, url, key=key, deadline_s=deadline_s, fallback=fallback, queue=queue)
        self._lock = threading.Lock()
        self._inner = self._new()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    decide = _waits(AsyncClient.decide)
    decide_batch = _waits(AsyncClient.decide_batch)
    report = _waits(AsyncClient.report)
    report_batch = _waits(AsyncClient.report_batch)
    withdraw = _waits(AsyncClient.withdraw)
    explain = _waits(AsyncClient.explain)
    read = _waits(AsyncClient.read)
    flush = _waits(AsyncClient.flush)

    @property
    def waiting(self) -> list[Said]:
        """Outcomes that are not delivered yet, oldest first."""
        return self._inner.waiting

    @property
    def refused(self) -> list[tuple[Said, SteersmanError]]:
        """Outcomes that waited and were refused then, with the reason."""
        return self._inner.refused

    def _at_work(self) -> tuple[AsyncClient, asyncio.AbstractEventLoop]:
        """Return the client and its running loop; a process that was forked gets its own, with nothing waiting in it."""
        with self._lock:
            if self._process != os.getpid():
                self._inner, self._loop, self._process = self._new(), None, os.getpid()
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="steersman-client", daemon=True)
                self._thread.start()
            return self._inner, self._loop

    def close(self) -> None:
        """Deliver what waits and close the connections. Raises StoreError as `AsyncClient.close`."""
        inner, loop = self._at_work()
        try:
            _result(inner.close(), loop)
        finally:
            with self._lock:
                self._end(loop)

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()
            self._loop = self._thread = None

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _result(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # whoever waits was interrupted
        raise
