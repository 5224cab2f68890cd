"""The audit trail's chain: each single change is found, a sound trail is never blamed, and a key cannot be done without."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from steersman.core.chain import Anchor, chained, faults, link, read_anchors
from steersman.core.errors import InvalidInput
from steersman.core.values import AuditEvent

KEY = b"k" * 32
FIELDS: dict[str, Any] = {
    "at": st.floats(0, 2e9),
    "actor": st.text(max_size=8),
    "event": st.text(max_size=8),
    "subject": st.text(max_size=8),
    "detail": st.text(max_size=8),
}
EVENTS = st.lists(st.builds(AuditEvent, **FIELDS), min_size=1, max_size=12)


def trail_of(events: list[AuditEvent]) -> list[AuditEvent]:
    """Return events as a store would hold them."""
    return list(chained(KEY, None, events))


def head(trail: list[AuditEvent]) -> list[Anchor]:
    """Return the anchor of a trail's last event, as somebody would have kept it elsewhere."""
    return [Anchor(number=trail[-1].number, digest=trail[-1].digest, at=0.0)]


def edited(trail: list[AuditEvent], draw: Any) -> list[AuditEvent]:
    """Change one field of one event, its number and its digest among them."""
    index = draw(st.integers(0, len(trail) - 1))
    others: dict[str, Any] = {**FIELDS, "number": st.integers(0, 20), "digest": st.sampled_from(["", "0" * 64])}
    name = draw(st.sampled_from(sorted(others)))
    value = draw(others[name].filter(lambda value: value != getattr(trail[index], name)))
    return [*trail[:index], replace(trail[index], **{name: value}), *trail[index + 1 :]]


def deleted(trail: list[AuditEvent], draw: Any) -> list[AuditEvent]:
    """Take out some events in a row: from the beginning, the middle or the end, or all of them."""
    start = draw(st.integers(0, len(trail) - 1))
    return trail[:start] + trail[draw(st.integers(start + 1, len(trail))) :]


def swapped(trail: list[AuditEvent], draw: Any) -> list[AuditEvent]:
    """Exchange two events."""
    one = draw(st.integers(0, len(trail) - 1))
    other = draw(st.integers(0, len(trail) - 1).filter(lambda index: index != one))
    mixed = list(trail)
    mixed[one], mixed[other] = trail[other], trail[one]
    return mixed


def doubled(trail: list[AuditEvent], draw: Any) -> list[AuditEvent]:
    """Put an event in once more, anywhere."""
    again = draw(st.sampled_from(trail))
    at = draw(st.integers(0, len(trail)))
    return [*trail[:at], again, *trail[at:]]


def forged(trail: list[AuditEvent], draw: Any) -> list[AuditEvent]:
    """Change an event and chain all that follows anew, with a key of one's own."""
    index = draw(st.integers(0, len(trail) - 1))
    rest = [replace(trail[index], actor=trail[index].actor + "x"), *trail[index + 1 :]]
    return [*trail[:index], *chained(b"another key", trail[index - 1] if index else None, rest)]


def slipped_in(trail: list[AuditEvent], draw: Any) -> list[AuditEvent]:
    """Put an event in that pretends to be older than the chain."""
    at = draw(st.integers(0, len(trail)))
    return [*trail[:at], draw(st.builds(AuditEvent, **FIELDS)), *trail[at:]]


@pytest.mark.parametrize("change", [edited, deleted, swapped, doubled, forged, slipped_in])
@given(events=EVENTS.filter(lambda events: len(events) > 1), data=st.data())
def test_each_single_change_is_found(change: Callable[..., list[AuditEvent]], events: list[AuditEvent], data: Any) -> None:
    trail = trail_of(events)
    changed = change(trail, data.draw)
    assert changed != trail
    assert list(faults(KEY, changed, head(trail))) != []


@given(events=EVENTS, cut=st.integers(0, 12))
def test_a_sound_trail_has_no_faults(events: list[AuditEvent], cut: int) -> None:
    """Also when it came in several transactions, and with anchors of earlier heads."""
    first = trail_of(events[:cut])
    trail = [*first, *chained(KEY, first[-1] if first else None, events[cut:])]
    anchors = [Anchor(number=each.number, digest=each.digest, at=each.at) for each in trail]
    assert list(faults(KEY, trail, [Anchor(number=0, digest="", at=0.0), *anchors])) == []
    assert list(faults(b"another key", trail)) != []


def test_without_an_anchor_only_what_was_cut_off_the_end_goes_unseen() -> None:
    trail = trail_of([AuditEvent(at=1.0, actor="a", event="e", subject="s", detail=str(each)) for each in range(5)])
    assert list(faults(KEY, trail[:3])) == []
    assert list(faults(KEY, trail[:3], head(trail))) == ["event 5 was anchored and is gone: the trail ends at 3."]
    assert list(faults(KEY, trail[1:])) == ["event 1 is missing: 2 follows 0."]


def test_a_link_covers_every_field() -> None:
    event = AuditEvent(at=1.0, actor="a", event="e", subject="s", detail="d", number=1)
    others = [replace(event, **{name: value}) for name, value in {"at": 2.0, "actor": "b", "event": "f"}.items()]
    others += [replace(event, **{name: value}) for name, value in {"subject": "t", "detail": "e", "number": 2}.items()]
    assert len({link(KEY, "", each) for each in [event, *others]} | {link(KEY, "0", event), link(b"x", "", event)}) == 9


def test_fields_do_not_run_into_each_other() -> None:
    one = AuditEvent(at=1.0, actor="ab", event="c", subject="s", detail="d", number=1)
    other = AuditEvent(at=1.0, actor="a", event="bc", subject="s", detail="d", number=1)
    assert link(KEY, "", one) != link(KEY, "", other)


def test_anchors_are_read_line_by_line() -> None:
    line = '{"number":1,"digest":"d","at":2.0}'
    assert read_anchors(f"{line}\n\n{line}\n") == [Anchor(number=1, digest="d", at=2.0)] * 2
    with pytest.raises(InvalidInput, match="no file of anchors"):
        read_anchors('{"number":1}')
