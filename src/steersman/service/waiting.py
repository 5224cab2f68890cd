"""Waiting: many requests wait for the disk on one event loop, without a thread or a timer for each of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from steersman.core.errors import DeadlineExceeded, SteersmanError
from steersman.core.ports import Log, Receipt
from steersman.loops.report import SharedReceipt

_TICK_S = 0.02
_COMPANY, _COMPANY_S = 3, 0.002

Future = asyncio.Future[None]


class _Waiter(NamedTuple):
    receipt: Receipt
    future: Future
    deadline: float


class Waiting:
    """Who waits for receipts. The writer's thread wakes the loop once for each transaction, and one look serves all."""

    def __init__(self, loop: asyncio.AbstractEventLoop, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._loop = loop
        self._in_thread = in_thread
        self._waiters: list[_Waiter] = []
        self._gates: dict[tuple[Log, float], Future] = {}
        self._ticking = False
        self._unannounced: list[Receipt] = []
        self._wake = self._call_look  # one object, by which the log knows that it need not call twice

    def _call_look(self) -> None:
        self._loop.call_soon_threadsafe(self._look)

    async def durable(self, receipt: Receipt, timeout_s: float) -> None:
        """Return once a receipt's rows are durable. Raises DeadlineExceeded after `timeout_s`, or what `wait` raises."""
        if not receipt.settled():
            future = self._loop.create_future()
            self._add(receipt, future, timeout_s)
            await future
        if isinstance(receipt, SharedReceipt):  # another process may have been first, and then the store is read
            await self._in_thread(receipt.wait, timeout_s)
        else:
            receipt.wait(0.0)

    def stored(self, log: Log, timeout_s: float) -> Future:
        """Return what is done once all that a log has taken until now is durable. Raises as `durable`.

        All who ask in the same turn of the loop share one receipt.
        """
        gate = self._gates.get((log, timeout_s))
        if gate is None:
            gate = self._gates[log, timeout_s] = self._loop.create_future()
            self._loop.call_soon(self._ask, log, timeout_s)
        return gate

    def _ask(self, log: Log, timeout_s: float) -> None:
        gate = self._gates.pop((log, timeout_s))
        try:
            self._add(log.append(()), gate, timeout_s)
        except SteersmanError as error:
            gate.set_exception(error)

    def _add(self, receipt: Receipt, future: Future, timeout_s: float) -> None:
        self._waiters.append(_Waiter(receipt, future, self._loop.time() + timeout_s))
        self._unannounced.append(receipt)
        if len(self._unannounced) == 1:  # the first of a few
            if len(self._waiters) < _COMPANY:
                self._loop.call_soon(self._announce)
            else:
                self._loop.call_later(_COMPANY_S, self._announce)
        self._tick()

    def _announce(self) -> None:
        """Tell the log that somebody waits: then it writes. Where many ask, it is told of a few together.

        A transaction costs more than what it holds, so whoever comes within a moment shares one.
        """
        receipts, self._unannounced = self._unannounced, []
        for each in receipts:
            each.notify(self._wake)

    def _look(self) -> None:
        """Let go on whose receipt is settled, and give up on whose time is over."""
        now = self._loop.time()
        waiting: list[_Waiter] = []
        for each in self._waiters:
            if each.future.done():
                continue
            if each.receipt.settled():
                _settle(each)
            elif now >= each.deadline:
                each.future.set_exception(_late())
            else:
                waiting.append(each)
        self._waiters = waiting

    def _tick(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._loop.call_later(_TICK_S, self._on_tick)

    def _on_tick(self) -> None:
        self._ticking = False
        self._look()
        if self._waiters:
            self._tick()


def _settle(waiter: _Waiter) -> None:
    if isinstance(waiter.receipt, SharedReceipt):
        waiter.future.set_result(None)  # what the store said is read by who waits
        return
    try:
        waiter.receipt.wait(0.0)
    except SteersmanError as error:
        waiter.future.set_exception(error)
    else:
        waiter.future.set_result(None)


def _late() -> SteersmanError:
    return DeadlineExceeded("it is not on the disk yet, and may still get there. Send the same again later.")
