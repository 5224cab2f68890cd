"""Operations: the one table that routing, roles, the OpenAPI document and the tests of access are made from."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from steersman.app import Steersman
from steersman.core.errors import SteersmanError
from steersman.core.ports import Receipt
from steersman.core.values import Role

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks: the name for the audit trail, whose store is meant, and what is allowed. `key_id` is "" without a key."""

    actor: str
    tenant: str
    roles: frozenset[Role]
    key_id: str = ""

    def source(self, said: str | None) -> str:
        """Return whom an outcome is from: the caller, and what it says behind a slash; without keys, what is said.

        Nobody can pass for another, or for many: what is learned counts a source up to its first slash.
        """
        if not self.key_id:
            return said or self.actor
        return f"{self.actor}/{said}" if said else self.actor


class Host(Protocol):
    """What the service offers to its operations."""

    async def durable(self, receipt: Receipt, timeout_s: float) -> None:
        """Return once a receipt's rows are durable, without holding a thread. Raises as `receipt.wait(timeout_s)` does."""

    async def in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Run what may wait for the disk or the network, or takes longer than a few milliseconds, in a thread."""


@dataclass(kw_only=True, slots=True)
class Call:
    """One request, after the caller was known, the role checked and the body read into the operation's type."""

    host: Any
    steersman: Steersman
    caller: Caller
    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """An answer that is not JSON, or has a status or headers of its own. `stream` takes the place of `body`."""

    body: bytes = b""
    media_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that can be asked over HTTP.

    path: as Starlette writes it, with `{agent:agent}` for an agent's name. role: who may; None asks for no key. body: the
    struct that the request's body is read into (None: it has none). answer: the struct of the reply, for the document.
    handler: gets a `Call` and returns a value to send as JSON, or a `Reply`. audited: whether the audit trail names it.
    query: parameters by name, with a sentence each. refused: what tells of an error, where a problem document does not.
    """

    method: str
    path: str
    role: Role | None
    summary: str
    handler: Handler
    body: Any = None
    answer: Any = None
    status: int = 200
    audited: bool = False
    tag: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    documented: bool = True
    refused: Callable[[SteersmanError], Reply] | None = None
