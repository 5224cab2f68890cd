"""Delivering later: outcomes that the service did not take in time are sent again in the background, oldest first."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress

from steersman.client.exchange import Exchange, NoAnswer, Request, error_of, may_come_later, pauses
from steersman.client.messages import Problem, Reported, Said, encode
from steersman.client.outbox import Outbox
from steersman.core.errors import NotPermitted, SteersmanError

BATCH = 500
_logger = logging.getLogger("steersman")


class Delivery:
    """The outcomes that wait, and the task that sends them. Those that the service will never take go to `refused`."""

    def __init__(self, exchange: Exchange, queue: int, deadline_s: float) -> None:
        self.outbox = Outbox(queue)
        self.refused: deque[tuple[Said, SteersmanError]] = deque(maxlen=queue)
        self.refusals = 0  # all of them; `refused` holds the last ones
        self.first_refusal = ""
        self.trouble = ""
        self._exchange = exchange
        self._deadline_s = deadline_s
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()

    def keep(self, said: Said, why: str = "") -> Reported:
        """Let an outcome wait until it can be delivered. Raises Overloaded when too many do."""
        self.outbox.put(said)
        self.trouble = why or self.trouble
        self._start()
        return Reported(decision_id=said.decision_id, status="waiting")

    async def flush(self, timeout_s: float) -> int:
        """Send what waits now rather than later; return how many still wait."""
        if len(self.outbox):
            self._hurry.set()
            await asyncio.wait({self._start()}, timeout=timeout_s)
        return len(self.outbox)

    def undelivered(self) -> str:
        """Return what is to be said of outcomes that were not delivered, in the end; nothing where all were."""
        said = []
        if len(self.outbox):
            said.append(f"{len(self.outbox)} waiting ({self.trouble}): they are in `waiting`, report them again")
        if self.refusals:
            said.append(f"{self.refusals} refused, see `refused`: the first of {self.first_refusal}")
        return f"outcomes were not delivered: {'; '.join(said)}" if said else ""

    async def stop(self) -> None:
        """Send nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _start(self) -> "asyncio.Task[None]":
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver())
        return self._task

    async def _deliver(self) -> None:
        wait_s = pauses(self._exchange.rng)
        while batch := self.outbox.first(BATCH):
            try:
                await self._send(batch)
                wait_s = pauses(self._exchange.rng)
            except NoAnswer as none:
                self.trouble = str(none)
                await self._pause(max(next(wait_s), none.after_s))

    async def _send(self, batch: list[Said]) -> None:
        """Send some of what waits. Raises NoAnswer if some of it goes on waiting."""
        request = Request(method="POST", path="/v1/outcomes/batch", body=encode({"outcomes": batch}))
        try:
            answers = await self._exchange.ask_batch(request, Reported, len(batch), self._deadline_s)
        except NotPermitted as error:
            raise NoAnswer(error) from error  # a key that has expired can be mended, and is no reason to lose anything
        except SteersmanError:
            await self._send_singly(batch)  # what is wrong with one must not hold up the rest
        else:
            self._settle(batch, answers)

    async def _send_singly(self, batch: list[Said]) -> None:
        for said in batch:
            request = Request(method="POST", path="/v1/outcomes", body=encode(said))
            try:
                await self._exchange.ask(request, Reported, self._deadline_s)
            except NotPermitted as error:
                raise NoAnswer(error) from error
            except SteersmanError as error:
                self._turned_down(said, error)
            self.outbox.settle([], 1)

    def _settle(self, batch: list[Said], answers: Sequence[Reported | Problem]) -> None:
        """Take away what was answered. Raises NoAnswer if some was not."""
        kept: list[Said] = []
        later: SteersmanError | None = None
        for said, answer in zip(batch, answers, strict=True):
            if not isinstance(answer, Problem):
                continue
            if may_come_later(answer):
                kept.append(said)
                later = error_of(answer)
            else:
                self._turned_down(said, error_of(answer))
        self.outbox.settle(kept, len(batch))
        if later is not None:
            raise NoAnswer(later)

    def _turned_down(self, said: Said, error: SteersmanError) -> None:
        _logger.warning("the outcome of %s was refused: %s", said.decision_id, error)
        self.refused.append((said, error))
        self.refusals += 1
        self.first_refusal = self.first_refusal or f"{said.decision_id}, {error}"

    async def _pause(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._hurry.wait()
        self._hurry.clear()
