"""One exchange with the service: what may be sent again, how long to wait before that, and when to give up."""

import asyncio
import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
import msgspec

from steersman.client.messages import Problem, Results
from steersman.core import errors
from steersman.core.errors import DeadlineExceeded, InvalidInput, Overloaded, SteersmanError, StoreError

T = TypeVar("T")

FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 2.0
KEEP_IDLE_S = 2.0  # less than the 5 s after which servers close a connection: none is closed while it is being used
_UNTOUCHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
_TURNED_AWAY = frozenset({429, 503})
_BY_STATUS: dict[int, type[SteersmanError]] = {
    400: InvalidInput,
    401: errors.Unauthenticated,
    403: errors.NotPermitted,
    404: errors.NotFound,
    409: errors.Conflict,
    413: InvalidInput,
    429: errors.TooMany,
    503: Overloaded,
}


class NoAnswer(Exception):
    """The service gave no answer that could be used.

    error: what to tell the caller. untouched: whether the request was certainly not processed. after_s: how long the
    service asked to wait.
    """

    def __init__(self, error: SteersmanError, *, untouched: bool = False, after_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.untouched = untouched
        self.after_s = after_s


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to send. again: whether it may be sent again even where it may have been processed."""

    method: str
    path: str
    body: bytes | None = None
    query: Mapping[str, Any] | None = None
    again: bool = True


class Exchange:
    """Sends requests over kept connections. Use it in one event loop."""

    def __init__(self, url: str, key: str = "", rng: random.Random | None = None) -> None:
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise InvalidInput(f"{url!r} is no address of a service. One looks like http://127.0.0.1:8000.")
        self._url = url
        self.rng = rng or random.Random()  # noqa: S311 - jitter is no secret
        self._http = httpx.AsyncClient(
            base_url=parsed,
            headers={"authorization": f"Bearer {key}"} if key else {},
            limits=httpx.Limits(keepalive_expiry=KEEP_IDLE_S),
            timeout=None,  # noqa: S113 - each exchange has a deadline for all of it
            verify=parsed.scheme == "https",  # an SSL context takes 20 ms to make
            trust_env=parsed.host not in ("127.0.0.1", "localhost", "::1"),
        )

    async def ask(self, request: Request, kind: type[T], deadline_s: float) -> T:
        """Return the answer, read into `kind`, sending again as often as allowed and needed.

        Raises NoAnswer when the deadline has passed or sending again is not allowed, and the service's error for what
        the caller must mend.
        """
        until = time.monotonic() + deadline_s
        before: NoAnswer | None = None
        for pause_s in pauses(self.rng):
            left_s = until - time.monotonic()
            if before is not None and left_s <= 0.0:  # the wait took longer than it should, and nothing was sent again
                raise before
            try:
                async with asyncio.timeout(left_s):
                    return await self._once(request, kind)
            except TimeoutError as late:
                told = _ASK_DOCTOR if before is None else f"Before that: {before.error}"
                raise NoAnswer(DeadlineExceeded(f"{self._url} did not answer in time. {told}")) from late
            except NoAnswer as none:
                before, wait_s = none, max(pause_s, none.after_s)
                if time.monotonic() + wait_s >= until or not (request.again or none.untouched):
                    raise
                await asyncio.sleep(wait_s)
        raise AssertionError("pauses never end")

    async def ask_batch(self, request: Request, kind: type[T], count: int, deadline_s: float) -> list[T | Problem]:
        """Return the answer to each item of a batch, or its problem. Raises as `ask`."""
        answer = await self.ask(request, Results, deadline_s)
        try:
            found = answer.read(kind)
        except msgspec.MsgspecError as odd:
            raise NoAnswer(self._nonsense(odd)) from odd
        if len(found) != count:
            raise NoAnswer(self._nonsense(f"{len(found)} answers to {count} questions"))
        return found

    async def _once(self, request: Request, kind: type[T]) -> T:
        self.demand_open()
        try:
            response = await self._http.request(
                request.method,
                request.path,
                content=request.body,
                params=None if request.query is None else dict(request.query),
                headers={"content-type": "application/json"} if request.body is not None else {},
            )
        except httpx.RequestError as broken:
            error = StoreError(f"{self._url} cannot be reached: {broken or type(broken).__name__}. {_ASK_DOCTOR}")
            raise NoAnswer(error, untouched=isinstance(broken, _UNTOUCHED)) from broken
        if not response.is_success:
            raise self._failure(response)
        try:
            return msgspec.json.decode(response.content, type=kind)
        except msgspec.MsgspecError as odd:
            raise NoAnswer(self._nonsense(odd)) from odd

    def _nonsense(self, what: object) -> StoreError:
        return StoreError(f"{self._url} answered what is no answer of a Steersman service: {what}.")

    def _failure(self, response: httpx.Response) -> Exception:
        """Return what to raise: only what the service itself says is final; a proxy's page says nothing of the request."""
        asked = response.headers.get("retry-after", "")
        after_s = float(asked) if asked.isascii() and asked.isdigit() else 0.0
        problem = _problem(response)
        if problem is None:
            return NoAnswer(self._stranger(response), after_s=after_s)
        error = error_of(problem)
        if not may_come_later(problem):
            return error
        return NoAnswer(error, untouched=problem.status in _TURNED_AWAY, after_s=after_s)

    def _stranger(self, response: httpx.Response) -> StoreError:
        if response.has_redirect_location:
            where = response.headers["location"]
            return StoreError(f"{self._url} redirects to {where}: give the client that address if the service is there.")
        return StoreError(
            f"{self._url} answered {response.status_code} {response.reason_phrase}, and not as a Steersman service does. "
            "Is that its address, or does something stand before it?"
        )

    @property
    def closed(self) -> bool:
        """Whether the connections are closed for good."""
        return self._http.is_closed

    def demand_open(self) -> None:
        """Raise StoreError if it is closed."""
        if self.closed:
            raise StoreError("the client is closed. Make another one.")

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


_ASK_DOCTOR = "Is `steersman up` running there?"


def _problem(response: httpx.Response) -> Problem | None:
    """Return the problem document that the service wrote, None where something else answered."""
    if not response.headers.get("content-type", "").startswith("application/problem+json"):
        return None
    try:
        found = msgspec.json.decode(response.content, type=Problem)
    except msgspec.MsgspecError:
        return None
    return msgspec.structs.replace(found, status=response.status_code) if found.ours else None


def error_of(problem: Problem) -> SteersmanError:
    """Return the error that a problem document tells of, as the service raised it."""
    named = getattr(errors, problem.error, None)
    if not (isinstance(named, type) and issubclass(named, SteersmanError)):
        named = _BY_STATUS.get(problem.status, StoreError if problem.status >= 500 else SteersmanError)
    return named(problem.detail or problem.title)


def may_come_later(problem: Problem) -> bool:
    """Return whether the same request may succeed at another time. What the service did not write itself is not final."""
    return not problem.ours or problem.status in _LATER


def pauses(rng: random.Random) -> Iterator[float]:
    """Yield how long to wait before each new try, for ever: uniform in [0, first·2ⁿ], so that clients do not march in step.

    Source: Brooker, "Exponential backoff and jitter", AWS Architecture Blog, 2015 (full jitter).
    """
    n = 0
    while True:
        yield rng.uniform(0.0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * math.exp2(n)))
        n = min(n + 1, 30)
