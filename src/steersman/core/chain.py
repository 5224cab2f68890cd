"""The audit trail's chain: each event carries a digest of itself and of the one before, so that no change goes unseen.

digestₙ = HMAC-SHA256(key, digestₙ₋₁ ‖ eventₙ) (RFC 2104), over the event's canonical JSON. Whoever has the store and not the
key cannot make a chain that verifies. What was cut off at its end shows where an `Anchor`, kept outside, names an event
that is no longer there (Schneier and Kelsey, "Secure audit logs to support computer forensics", 1999).
"""

import hmac
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from steersman.core.errors import InvalidInput
from steersman.core.values import AuditEvent

_DIGITS = 6


class Anchor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The head of the chain at a time: the number and the digest of its last event (0 and "" for an empty one)."""

    number: int
    digest: str
    at: float


def link(key: bytes, previous: str, event: AuditEvent) -> str:
    """Return the digest of an event behind the one whose digest is `previous`, as 64 hexadecimal digits."""
    content = msgspec.json.encode((previous, event.number, event.at, event.actor, event.event, event.subject, event.detail))
    return hmac.digest(key, content, "sha256").hex()


def chained(key: bytes, last: AuditEvent | None, events: Iterable[AuditEvent]) -> Iterator[AuditEvent]:
    """Yield new events with their numbers and digests, behind the last one of the trail.

    Times are cut to microseconds: what every store keeps of them, so that the chain verifies wherever it is read.
    """
    number, digest = (0, "") if last is None else (last.number, last.digest)
    for each in events:
        number += 1
        numbered = msgspec.structs.replace(each, number=number, at=round(each.at, _DIGITS))
        digest = link(key, digest, numbered)
        yield msgspec.structs.replace(numbered, digest=digest)


def faults(key: bytes, events: Iterable[AuditEvent], anchors: Sequence[Anchor] = ()) -> Iterator[str]:
    """Yield what is wrong with a trail (oldest first), in words; nothing where each event and each anchor fits.

    An event without a number is in no chain: it was put there by somebody else. A chain that does not begin at 1 has lost
    its beginning.
    """
    wanted = {each.number: each.digest for each in anchors if each.number}
    number, digest = 0, ""
    for each in events:
        if each.number < 1:
            yield f"an event ({each.event} by {each.actor}) is in no chain."
            continue
        number += 1
        if each.number != number:
            yield f"event {number} is missing: {each.number} follows {number - 1}."
            number = each.number
        elif link(key, digest, each) != each.digest:
            yield f"event {number} ({each.event} by {each.actor}) was changed, or the one before it, or the key is another."
        digest = each.digest
        if wanted.pop(number, digest) != digest:
            yield f"event {number} is not the one that was anchored."
    for gone in sorted(wanted):
        yield f"event {gone} was anchored and is gone: the trail ends at {number}."


def read_anchors(text: str) -> list[Anchor]:
    """Return the anchors in a file of JSON lines. Raises InvalidInput for a line that holds none."""
    try:
        return [msgspec.json.decode(line, type=Anchor) for line in text.splitlines() if line.strip()]
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"this is no file of anchors: {error}. `steersman audit --anchor FILE` makes one.") from error
