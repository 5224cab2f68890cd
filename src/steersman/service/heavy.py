"""Heavy work: what takes a processor for seconds, so that there is never more of it than leaves room for decisions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from steersman.core.errors import Overloaded
from steersman.service.operations import Call

AT_ONCE = 2


@asynccontextmanager
async def alone(call: Call) -> AsyncIterator[None]:
    """Do something heavy; refuse it with Overloaded where two others are under way in this process."""
    if call.host.heavy >= AT_ONCE:
        raise Overloaded(
            f"{AT_ONCE} evaluations or drills are under way here, and more would slow decisions. Try again soon."
        )
    call.host.heavy += 1
    try:
        yield
    finally:
        call.host.heavy -= 1
