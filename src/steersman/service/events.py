"""Events: which agents have changed, and what is in production now, told to whoever watches.

Nothing more is remembered than the names, and the last moves.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec
from msgspec.structs import replace

from steersman.core.errors import SteersmanError
from steersman.core.values import Decision, Outcome
from steersman.core.versions import Deployment
from steersman.service.operations import Call, Operation, Reply

STEP_S = 0.25
_MOST_MOVES = 100
_encode = msgspec.json.Encoder().encode


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Agents of which something new is known."""

    agents: list[str]


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What is new for one watcher. moves: in their order, the last hundred where there were more."""

    names: set[str]
    moves: tuple[Deployment, ...]


class Changes:
    """A `Meter` that notes which agents have changed. Whoever watches gets the names, a few times a second at most.

    A watcher who is slow gets more names at once; nothing else piles up.
    """

    def __init__(self) -> None:
        self._watchers: set[_Watcher] = set()

    def touch(self, agent: str) -> None:
        """Note that something about an agent has changed; from any thread."""
        for each in tuple(self._watchers):
            each.names.add(agent)

    def moved(self, deployment: Deployment) -> None:
        """Note that something else is in production; from any thread."""
        for each in tuple(self._watchers):
            each.moves.append(deployment)
        self.touch(deployment.agent)

    def decided(self, decision: Decision) -> None:
        """Note a decision."""
        if self._watchers:
            self.touch(decision.agent)

    def recorded(self, decision: Decision, outcome: Outcome) -> None:
        """Note an outcome."""
        if self._watchers:
            self.touch(decision.agent)

    def learned(self, decision: Decision, outcome: Outcome) -> None:
        """Note what was learned."""
        if self._watchers:
            self.touch(decision.agent)

    @property
    def watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    @contextmanager
    def watch(self) -> Iterator[Callable[[], News]]:
        """Watch from now on; give what returns what is new since it was last asked, often nothing."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher.take
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self) -> None:
        self.names: set[str] = set()
        self.moves: deque[Deployment] = deque(maxlen=_MOST_MOVES)

    def take(self) -> News:
        names, self.names = self.names, set()
        return News(names=names, moves=tuple(self.moves.popleft() for _ in range(len(self.moves))))


async def _events(call: Call) -> Reply:
    return Reply(media_type="text/event-stream", stream=_stream(call), headers={"x-accel-buffering": "no"})


async def _stream(call: Call) -> AsyncIterator[bytes]:
    """Yield changes as they come, and a comment now and then as a sign of life. Ends when the service stops."""
    heartbeat_s: float = call.host.settings.heartbeat_s
    silent_s = 0.0
    with call.host.tenant(call).changes.watch() as take:  # before the first word: who has heard it misses nothing
        yield b"retry: 2000\n\n"
        while not call.host.closing:
            await asyncio.sleep(STEP_S)
            silent_s += STEP_S
            news = take()
            for each in news.moves:  # its evidence is asked for where somebody wants to see it
                yield b"event: move\ndata: " + _encode(replace(each, evidence={})) + b"\n\n"
            if news.names:
                with suppress(SteersmanError):  # late, as all is where the disk is: the page says why
                    await call.host.stored(call, call.host.settings.report_wait_s)  # before, a page does not show it
                yield b"event: change\ndata: " + _encode(Changed(agents=sorted(news.names))) + b"\n\n"
                silent_s = 0.0
            elif silent_s >= heartbeat_s:
                yield b": alive\n\n"
                silent_s = 0.0
            else:
                yield b""
    yield b"event: end\ndata: {}\n\n"


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/events",
        role="view",
        summary="Watch which agents change (change), and what is put into production (move), as server-sent events.",
        handler=_events,
        answer=Changed,
        tag="events",
    ),
)
