"""The service: an ASGI application made from the table of operations."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.datastructures import Headers

from steersman.core.access import DEFAULT_TENANT
from steersman.core.errors import (
    Overloaded,
    SteersmanError,
    StoreError,
    Unauthenticated,
)
from steersman.core.ports import Receipt
from steersman.core.sections import Service as Limits
from steersman.core.values import ApiKey, AuditEvent
from steersman.service.access import NOBODY, Access
from steersman.service.headers import header_lines, headers
from steersman.service.limits import Crumbs, Rates
from steersman.service.operations import Call, Caller, Operation, Reply
from steersman.service.problems import failed, problem, refused
from steersman.service.reading import Receive, read_body, read_query
from steersman.service.routes import Bound, Routes
from steersman.service.tenants import Metrics, Opener, Tenant, Tenants, Tracing
from steersman.service.waiting import Waiting

T = TypeVar("T")
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ErrorPage = Callable[[Call, int, str], Reply]

_log = logging.getLogger("steersman.service")
_THREADS = 16
_KEYS_EVERY_S = 0.3
_AGENTS_EVERY_S = 5.0
_AROUND_EVERY_S = 0.5
_SLOW_READER_S = 20.0
_STRANGERS = 4
WHOLE = "steersman.whole"
"""Where a server puts what sends an answer in one piece; it returns false where it cannot just now."""
BEGUN = "steersman.begun"
"""Where a server says that it has counted a request among those that are about to be answered (`Service.begun`)."""
ARRIVED = "steersman.arrived"
"""Where a server puts what says whether all of a request's body is there, so that nothing waits for the caller."""
ALWAYS = ("/healthz", "/readyz")
"""What is answered however much there is to do."""
_MUCH_TO_DO = "the service has more to do than it can. Send the same again in a moment."
_NOTHING: Mapping[str, str] = {}
_encode = msgspec.json.Encoder().encode


class Service:
    """The `Host` of all operations, and the application that a server runs.

    opener: opens a tenant's store by its name. loopback: whether only this machine can reach it, so that no key is needed
    while there is none. secret: what sessions are signed with. metrics: makes what counts in a tenant. tracing: spans
    decisions. error_page: what a person sees who asked for a page.
    """

    def __init__(
        self,
        operations: Iterable[Operation],
        opener: Opener,
        *,
        settings: Limits | None = None,
        loopback: bool = True,
        secret: bytes = b"",
        metrics: Callable[[str], Metrics | None] = lambda tenant: None,
        tracing: Tracing | None = None,
        error_page: ErrorPage | None = None,
    ) -> None:
        self.operations = tuple(operations)
        self.settings = settings or Limits()
        self.tenants = Tenants(opener, metrics, () if tracing is None else (tracing,))
        self.tracing = tracing
        self.access = Access(loopback=loopback, secret=secret, session_s=self.settings.session_s)
        self.rates = Rates(per_s=self.settings.rate_per_s, burst=self.settings.burst)
        self.closing = False
        self.busy = 0
        self.begun = 0
        self.arriving = {True: 0, False: 0}
        self.streaming = 0
        self.heavy = 0
        self.shed = 0
        self._routes = Routes(self.operations)
        self._crumbs = Crumbs()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="steersman-service")
        self._line = ThreadPoolExecutor(_THREADS, thread_name_prefix="steersman-line")
        self._tasks: set[asyncio.Task[None]] = set()
        self._error_page = error_page
        self._made: dict[str, Any] = {}
        self._shed = refused(Overloaded(_MUCH_TO_DO))

    # its life

    async def start(self) -> None:
        """Open the store, and begin to look after keys and agents. Raises as `Steersman.open`."""
        self._loop = asyncio.get_running_loop()
        self._waiting = Waiting(self._loop, self.in_thread)
        self._main = await self.in_thread(self.tenants.get, DEFAULT_TENANT)
        await self.load_keys()
        await self.in_thread(self._main.open_all)
        duties = (
            (_KEYS_EVERY_S, self.load_keys),
            (_AGENTS_EVERY_S, self._look_after_agents),
            (_AROUND_EVERY_S, self._look_around),
        )
        for seconds, duty in duties:
            self._tasks.add(asyncio.create_task(self._every(seconds, duty)))

    def stop(self) -> None:
        """Begin to end: streams end, and `/readyz` says so."""
        self.closing = True

    async def close(self) -> None:
        """Make everything durable and release the stores. Raises StoreError where something could not be stored."""
        self.closing = True
        for each in self._tasks:
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.in_thread(self.tenants.close)
        finally:
            if self.tracing is not None:
                await self.in_thread(self.tracing.close)
            for pool in (self._pool, self._line):
                pool.shutdown(wait=False, cancel_futures=True)

    async def _every(self, seconds: float, duty: Callable[[], Awaitable[None]]) -> None:
        """Do something again and again, whatever comes of it."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await duty()
            except StoreError:
                continue  # what was known holds until the store can be asked again
            except Exception as error:  # noqa: BLE001 - to look after keys must not end because it failed once
                _log.error("a duty failed", exc_info=error)

    async def load_keys(self) -> None:
        """Ask the store for the keys that are in force."""
        self.access.load(await self.in_thread(self._main.steersman.log.keys))

    async def _look_after_agents(self) -> None:
        """Open agents that other processes decide for, so that what is reported of them is learned; and read gauges."""
        for tenant in self.tenants:
            if tenant.shared:
                await self._look_after(tenant, tenant.open_all)
            if tenant.metrics is not None:
                await self._look_after(tenant, tenant.metrics.observe, tenant.steersman)

    async def _look_around(self) -> None:
        """Tell who watches what is put into production, and what other processes do to a shared store."""
        for tenant in self.tenants:
            await self._look_after(tenant, tenant.look_at_releases)
            if tenant.shared and tenant.changes.watched:
                await self._look_after(tenant, tenant.look_around)

    async def _look_after(self, tenant: Tenant, duty: Callable[..., object], *args: Any) -> None:
        """Do something for one tenant; whatever comes of it, the others have their turn."""
        try:
            await self.in_thread(duty, *args)
        except StoreError:
            return  # what was known holds until the store can be asked again
        except Exception as error:  # noqa: BLE001 - one tenant's trouble is no other's
            _log.error("a duty for the tenant %s failed", tenant.name, exc_info=error)

    # what operations are offered

    async def durable(self, receipt: Receipt, timeout_s: float) -> None:
        """Return once a receipt's rows are durable, without holding a thread. Raises as `receipt.wait(timeout_s)` does."""
        await self._waiting.durable(receipt, timeout_s)

    def stored(self, call: Call, timeout_s: float) -> Awaitable[None]:
        """Return what is done once all that the caller's log has taken until now is durable. Raises as `durable`."""
        return self._waiting.stored(call.steersman.log, timeout_s)

    async def in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Run what may wait for the disk or the network, or takes longer than a few milliseconds, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args))

    async def in_line(self, work: Callable[..., T], *args: Any) -> T:
        """Run what may have to wait for an agent that learns anew, where nothing else has to wait for it."""
        return await self._loop.run_in_executor(self._line, partial(work, *args))

    def tenant(self, call: Call) -> Tenant:
        """Return the store of who asks, with what is remembered of it."""
        found = self.tenants.known(call.caller.tenant)
        assert found is not None  # noqa: S101 - opened before any operation is asked
        return found

    def once(self, name: str, make: Callable[[], T]) -> T:
        """Return what was made under a name, made when first asked for."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]  # type: ignore[no-any-return]  # what is kept under a name is what `make` made

    def keys(self, tenant: str) -> list[ApiKey]:
        """Return a tenant's keys, as the store said a moment ago."""
        return self.access.keys(tenant)

    def trail(self, call: Call, limit: int) -> list[AuditEvent]:
        """Return the newest events of the caller's audit trail, newest first.

        The main store's trail also tells of the keys of all tenants; those of others are left out. Keys are read after the
        events, so that each key that an event tells of is known.
        """
        read = limit
        while True:
            events = call.steersman.log.audit(read)
            keys = self._main.steersman.log.keys()
            foreign = {each.id for each in keys if each.tenant != call.caller.tenant}
            own = [each for each in events if each.subject not in foreign]
            if len(own) >= limit or len(events) < read:
                return own[:limit]
            read *= 2

    def unready(self) -> str:
        """Return "" where decisions and outcomes can be recorded, else why not."""
        return "the service is stopping" if self.closing else self._main.steersman.log.health()

    @staticmethod
    def json(value: Any, *, status: int = 200, headers: Mapping[str, str] = _NOTHING) -> Reply:
        """Return a value as an answer with a status and headers of its own."""
        return Reply(body=_encode(value), status=status, headers=headers)

    def note(self, call: Call, event: str, subject: str = "", detail: str = "") -> Receipt:
        """Put what a caller did into the audit trail of its tenant."""
        return call.steersman.note(event, subject, detail, actor=call.caller.actor)

    def note_refused(self, asked: str, caller: Caller, path: str, error: SteersmanError) -> None:
        """Put what was refused into the audit trail of the caller's tenant, but not more of it than anybody would read."""
        tenant = self.tenants.known(caller.tenant)
        if tenant is not None:
            event = f"refused {type(error).__name__}: {asked}"
            source = caller.key_id or caller.actor
            self.note_some(tenant, source, event, path[:200], str(error)[:500], actor=caller.actor)

    def note_some(self, tenant: Tenant, source: str, event: str, subject: str, detail: str = "", *, actor: str) -> None:
        """Put some of what comes from a source into a trail: a few events at once, then one each second."""
        left_out = self._crumbs.take(source)
        if left_out is None:
            return
        also = f" ({left_out} more like this since the last one noted)" if left_out else ""
        with contextlib.suppress(SteersmanError):  # the caller is answered anyway
            tenant.steersman.note(event, subject, f"{detail}{also}".strip(), actor=actor)

    def note_shed(self) -> None:
        """Count a request that was refused before it began, because there is too much to do."""
        self.shed += 1
        if self._main.metrics is not None:
            self._main.metrics.served("shed", 503, 0.0)

    # one request

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] != "http":
            return
        if BEGUN in scope:
            self.begun -= 1
        if self.busy >= self.settings.concurrency and scope["path"] not in ALWAYS:
            self.note_shed()
            await _send(self._shed, scope, send)
            return
        self.busy += 1
        began = self._loop.time()
        try:
            reply, operation, caller = await self._answer(scope, receive)
        finally:
            self.busy -= 1
        tenant = self.tenants.known(caller.tenant)
        if tenant is not None and tenant.metrics is not None:
            path = "unknown" if operation is None else operation.path
            tenant.metrics.served(f"{scope['method']} {path}", reply.status, self._loop.time() - began)
        if reply.stream is None:
            await _send(reply, scope, send)
        else:
            await self._send_stream(reply, caller, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Reply, Operation | None, Caller]:
        operation, caller = None, NOBODY
        try:
            bound, path = self._routes.find(scope["method"], scope["path"])
            operation = bound.operation
            found = dict(scope["headers"])
            caller = self.access.caller(operation, scope["method"], found)
            self.rates.take(caller.key_id)
            tenant = self.tenants.known(caller.tenant)
            if tenant is None:  # opened before anything is refused, so that the refusal is told to its own trail
                tenant = await self.in_thread(self.tenants.get, caller.tenant)
            self.access.check_role(operation, caller)
            call = Call(
                host=self,
                steersman=tenant.steersman,
                caller=caller,
                path=path,
                query=read_query(operation, scope["query_string"]) if scope["query_string"] else _NOTHING,
                headers=Headers(raw=scope["headers"]),
                body=None if bound.decoder is None else await self._body(bound, caller, scope, found, receive),
            )
            answer = await operation.handler(call)
            if type(answer) is Reply:
                return answer, operation, caller
            return Reply(body=_encode(answer), status=operation.status), operation, caller
        except SteersmanError as error:
            return self._refused(error, operation, caller, scope), operation, caller
        except Exception as error:  # noqa: BLE001 - told in the log; the caller gets its number
            return failed(error), operation, caller

    async def _body(self, bound: Bound, caller: Caller, scope: Scope, found: Mapping[bytes, bytes], receive: Receive) -> Any:
        """Read a body. While it is still on its way, the request is counted among those that arrive, and not as busy."""
        arrived = scope.get(ARRIVED)
        if arrived is not None and arrived():
            return await read_body(bound, found, receive, self.settings.body_bytes)
        with self._arriving(known=bool(caller.roles)):
            body = await read_body(bound, found, receive, self.settings.body_bytes)
        if self.busy > self.settings.concurrency:
            raise Overloaded(_MUCH_TO_DO)
        return body

    @contextlib.contextmanager
    def _arriving(self, *, known: bool) -> Iterator[None]:
        """Count a request among those whose bodies arrive: as many as may be busy, and a quarter of that from strangers.

        So nobody without a key can take the place of those who have one by sending slowly. Raises Overloaded.
        """
        most = self.settings.concurrency if known else max(1, self.settings.concurrency // _STRANGERS)
        if self.arriving[known] >= most:
            raise Overloaded("too many requests arrive slowly. Send the same again in a moment.")
        self.arriving[known] += 1
        self.busy -= 1
        try:
            yield
        finally:
            self.arriving[known] -= 1
            self.busy += 1

    def _refused(self, error: SteersmanError, operation: Operation | None, caller: Caller, scope: Scope) -> Reply:
        """Return what tells of an error: a problem document, or a page to who asked for a page."""
        if operation is not None and operation.audited:
            self.note_refused(f"{operation.method} {operation.path}", caller, scope["path"], error)
        if operation is not None and operation.refused is not None:
            return operation.refused(error)
        accept = Headers(raw=scope["headers"]).get("accept", "")
        if self._error_page is None or "text/html" not in accept or (operation is not None and operation.documented):
            return refused(error)
        if isinstance(error, Unauthenticated):
            return Reply(status=303, media_type="text/plain", headers={"location": "/login"})
        tenant = self.tenants.known(caller.tenant)
        if tenant is None:
            return refused(error)  # its store cannot be opened, and another one's is not shown
        call = Call(
            host=self,
            steersman=tenant.steersman,
            caller=caller,
            path=_NOTHING,
            query=_NOTHING,
            headers=Headers(raw=scope["headers"]),
        )
        try:
            return self._error_page(call, problem(error).status, str(error))
        except Exception as fault:  # noqa: BLE001 - an error that cannot be shown is one of our own
            return failed(fault)

    async def _send_stream(self, reply: Reply, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a stream piece by piece, as long as the caller is there, reads it, and its key holds."""
        assert reply.stream is not None  # noqa: S101 - asked by the only caller
        stream = reply.stream
        if self.streaming >= self.settings.streams:
            await _send(self._shed, scope, send)
            await _end(stream)
            return
        self.streaming += 1
        gone = asyncio.ensure_future(_gone(receive))
        try:
            head = headers(reply.media_type, reply.headers, None)
            await send({"type": "http.response.start", "status": reply.status, "headers": head})
            async for piece in stream:
                if gone.done() or not self.access.holds(caller):
                    break
                if piece:
                    message = {"type": "http.response.body", "body": piece, "more_body": True}
                    await asyncio.wait_for(send(message), _SLOW_READER_S)
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            return  # who does not read is let go; the server closes what was not finished
        finally:
            self.streaming -= 1
            gone.cancel()
            await _end(stream)


async def _send(reply: Reply, scope: Scope, send: Send) -> None:
    """Send an answer: whole, where the server can, because that takes half the time."""
    whole = scope.get(WHOLE)
    if whole is not None and whole(reply.status, header_lines(reply.media_type, reply.headers), reply.body):
        return
    found = headers(reply.media_type, reply.headers, len(reply.body))
    await send({"type": "http.response.start", "status": reply.status, "headers": found})
    await send({"type": "http.response.body", "body": reply.body})


async def _gone(receive: Receive) -> None:
    """Return once the caller is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(stream: AsyncIterator[bytes]) -> None:
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
