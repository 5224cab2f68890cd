"""The log over HTTP, as JSON lines, however long it is."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from steersman.service.agents import check_known
from steersman.service.operations import Call, Operation, Reply

_LINES = 200


async def _export(call: Call) -> Reply:
    agent = call.query.get("agent")
    if agent is not None:
        await call.host.in_thread(check_known, call, agent)
    call.host.note(call, "log exported", agent or "*")
    return Reply(
        media_type="application/x-ndjson",
        headers={"content-disposition": 'attachment; filename="steersman-log.jsonl"'},
        stream=_pieces(call.steersman.export(agent)),
    )


async def _pieces(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield some lines at a time. One thread reads them all: a connection belongs to the thread that opened it."""
    loop = asyncio.get_running_loop()
    reader = ThreadPoolExecutor(1, thread_name_prefix="steersman-export")
    try:
        while piece := await loop.run_in_executor(reader, _joined, lines):
            yield piece
    finally:
        reader.submit(getattr(lines, "close", int))  # ends the snapshot, where the export was broken off
        reader.shutdown(wait=False)


def _joined(lines: Iterator[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in islice(lines, _LINES))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/export",
        role="admin",
        summary="All decisions and outcomes, or one agent's, as JSON lines in the order of the log.",
        handler=_export,
        tag="export",
        audited=True,
        query={"agent": "Only this agent's rows."},
    ),
)
