"""Events: which agents have changed, told to whoever watches, without remembering more than the names."""

import asyncio
from collections.abc import AsyncIterator

import msgspec

from steersman.core.values import Decision, Outcome
from steersman.service.operations import Call, Operation, Reply

STEP_S = 0.25
_encode = msgspec.json.Encoder().encode


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Agents of which something new is known."""

    agents: list[str]


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

    async def subscribe(self) -> AsyncIterator[set[str]]:
        """Yield the names of the agents that have changed since the last time, every quarter of a second; often none."""
        watcher = _Watcher()
        self._watchers.add(watcher)
        try:
            while True:
                await asyncio.sleep(STEP_S)
                names, watcher.names = watcher.names, set()
                yield names
        finally:
            self._watchers.discard(watcher)


class _Watcher:
    def __init__(self) -> None:
        self.names: set[str] = set()


async def _events(call: Call) -> Reply:
    return Reply(media_type="text/event-stream", stream=_stream(call), headers={"x-accel-buffering": "no"})


async def _stream(call: Call) -> AsyncIterator[bytes]:
    """Yield changes as they come, and a comment now and then as a sign of life. Ends when the service stops."""
    heartbeat_s: float = call.host.settings.heartbeat_s
    silent_s = 0.0
    yield b"retry: 2000\n\n"
    async for names in call.host.tenant(call).changes.subscribe():
        if call.host.closing:
            yield b"event: end\ndata: {}\n\n"
            return
        silent_s += STEP_S
        if names:
            yield b"event: change\ndata: " + _encode(Changed(agents=sorted(names))) + b"\n\n"
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
        summary="Watch which agents change, as server-sent events.",
        handler=_events,
        answer=Changed,
        tag="events",
    ),
)
