"""Events: which agents have changed, and what is in production now, told to whoever watches.

Nothing more is remembered than the names, and the last moves.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import msgspec
from msgspec.structs import replace

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

    async def subscribe(self) -> AsyncIterator[News]:
        """Yield what is new since the last time, every quarter of a second; often nothing."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            while True:
                await asyncio.sleep(STEP_S)
                names, watcher.names = watcher.names, set()
                moves = tuple(watcher.moves.popleft() for _ in range(len(watcher.moves)))
                yield News(names=names, moves=moves)
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self) -> None:
        self.names: set[str] = set()
        self.moves: deque[Deployment] = deque(maxlen=_MOST_MOVES)


async def _events(call: Call) -> Reply:
    return Reply(media_type="text/event-stream", stream=_stream(call), headers={"x-accel-buffering": "no"})


async def _stream(call: Call) -> AsyncIterator[bytes]:
    """Yield changes as they come, and a comment now and then as a sign of life. Ends when the service stops."""
    heartbeat_s: float = call.host.settings.heartbeat_s
    silent_s = 0.0
    yield b"retry: 2000\n\n"
    async for news in call.host.tenant(call).changes.subscribe():
        if call.host.closing:
            yield b"event: end\ndata: {}\n\n"
            return
        silent_s += STEP_S
        for each in news.moves:  # its evidence is asked for where somebody wants to see it
            yield b"event: move\ndata: " + _encode(replace(each, evidence={})) + b"\n\n"
        if news.names:
            yield b"event: change\ndata: " + _encode(Changed(agents=sorted(news.names))) + b"\n\n"
            silent_s = 0.0
        elif silent_s >= heartbeat_s:
            yield b": alive\n\n"
            silent_s = 0.0
        else:
            yield b""


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
