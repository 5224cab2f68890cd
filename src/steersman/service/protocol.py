"""The protocol: uvicorn's, with limits on what arrives slowly, endlessly or too much at a time.

What can be refused before a request is begun is refused here, where it costs next to nothing.
"""

import asyncio
from functools import partial
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from steersman.service.app import ALWAYS, ARRIVED, BEGUN, WHOLE, Service
from steersman.service.problems import plain, raw

HEADER_BYTES = 65_536
LINGER_S = 1.0

_BAD = raw(400, "Bad Request", plain("InvalidInput", 400, "this is no HTTP request that can be read."), close=True)
_LONG = raw(431, "Request Header Fields Too Large", plain("TooLarge", 431, "the headers are too long."), close=True)
_LATE = raw(408, "Request Timeout", plain("DeadlineExceeded", 408, "the request took too long to arrive."), close=True)
_FULL = raw(503, "Service Unavailable", plain("Overloaded", 503, "too many connections. Try again later."), close=True)
_BUSY = raw(
    503,
    "Service Unavailable",
    plain("Overloaded", 503, "the service has more to do than it can. Send the same again in a moment."),
    close=False,
)
_ALWAYS = tuple(each.encode() for each in ALWAYS)


class _Refused:
    """A request that was answered before it began; the rest of it is read and dropped."""

    response_complete = response_started = True
    disconnected = False
    keep_alive = True

    def __init__(self) -> None:
        self.message_event = asyncio.Event()


class Protocol(HttpToolsProtocol):
    """One connection."""

    service: Service

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving = False
        self._in_headers = False
        self._header_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._dropping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; refuse a connection above the limit, and close one on which no request comes."""
        super().connection_made(transport)
        if len(self.connections) > self.service.settings.connections:
            self._refuse(_FULL)
        else:
            self._deadline = self.loop.call_later(self.service.settings.request_wait_s, self._on_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in a part of a request, and wait for the rest of it for so long and no longer."""
        if self._dropping or self.transport.is_closing():
            return
        super().data_received(data)
        if isinstance(self.cycle, _Refused) and not self._arriving and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)
        if self._in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > HEADER_BYTES:
                self._refuse(_LONG)
                return
        if not self._arriving:
            if self._deadline is not None:
                self._stop_waiting()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.service.settings.request_wait_s, self._on_late)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._arriving = self._in_headers = True
        self._header_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin to answer a request, or refuse it at once where there is more to do than can be done."""
        self._in_headers = False
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._too_busy():
            self.cycle = _Refused()  # type: ignore[assignment]  # as far as it is asked
            self.transport.write(_BUSY)
            self.service.note_shed()
            if not self.parser.should_keep_alive():
                self.transport.close()
        else:
            super().on_headers_complete()  # refuses targets that are no path, and starts nothing then
            self.scope[WHOLE] = partial(self._send_whole, self.cycle)  # type: ignore[literal-required]  # a key of our own

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Begin to answer, and count it until the service does: only what was begun is counted off again."""
        super()._start_asgi_task(cycle, app)
        cycle.scope[BEGUN] = True  # type: ignore[literal-required]  # a key of our own
        cycle.scope[ARRIVED] = partial(_has_arrived, cycle)  # type: ignore[literal-required]  # a key of our own
        self.service.begun += 1

    def _too_busy(self) -> bool:
        under_way = self.service.busy + self.service.begun
        return under_way >= self.service.settings.concurrency and self.url not in _ALWAYS

    def on_message_complete(self) -> None:
        """End a request."""
        self._arriving = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        self._refuse(_BAD)

    def _on_late(self) -> None:
        self._deadline = None
        if self._arriving and not (self.cycle is not None and self.cycle.response_started):
            self._refuse(_LATE)
        else:
            self.transport.close()

    def _refuse(self, answer: bytes) -> None:
        if not (self._dropping or self.transport.is_closing()):
            self.transport.write(answer)
            self._linger()

    def _linger(self) -> None:
        """Say no more, and drop for a moment what still comes: to close at once would take the answer back on its way."""
        self._stop_waiting()
        self._unset_keepalive_if_required()
        self._dropping = True
        self.transport.write_eof()
        self.flow.resume_reading()
        self._deadline = self.loop.call_later(LINGER_S, self.transport.close)

    def _send_whole(self, cycle: RequestResponseCycle, status: int, headers: bytes, body: bytes) -> bool:
        """Send an answer in one piece; return False where the client does not read fast enough for that."""
        if cycle.flow.write_paused or cycle.response_started:
            return False
        if cycle.disconnected or self._dropping or cycle.transport.is_closing():
            return True  # nobody hears it
        cut_off = b"connection: close" in headers  # the request was not read to its end
        keep_alive = cycle.keep_alive and not cut_off
        parts = [STATUS_LINE[status], headers, b"content-length: %d\r\n" % len(body)]
        parts += [b"%b: %b\r\n" % each for each in cycle.default_headers]
        parts += [b"\r\n" if keep_alive or cut_off else b"connection: close\r\n\r\n"]
        cycle.transport.write(b"".join(parts if cycle.scope["method"] == "HEAD" else [*parts, body]))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        if cut_off:
            self._linger()
            return True
        if not keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _has_arrived(cycle: RequestResponseCycle) -> bool:
    return not cycle.more_body
