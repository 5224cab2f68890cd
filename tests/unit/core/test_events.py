"""Events: what goes over the wire reads back the same or is refused, and payloads are known by type and version."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman.core import events
from steersman.core.catalog import Catalog
from steersman.core.errors import InvalidInput, NotFound
from steersman.core.events import DecisionMade, Event, EventTypes, KillSwitched, decode, encode, made


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    symbol: str
    strength: float


SIGNAL = Event(id="s-1", type="signal", at=5.0, data={"symbol": "ACME", "strength": 0.5}, subject="ACME")


def test_an_event_reads_back_the_same() -> None:
    assert decode(encode(SIGNAL)) == SIGNAL


@pytest.mark.parametrize("bad", [math.nan, math.inf, {"deep": [math.nan]}, object(), "\ud800", (1, 2)])
def test_what_would_not_read_back_the_same_is_not_sent(bad: object) -> None:
    with pytest.raises(InvalidInput, match="s-1"):
        encode(msgspec.structs.replace(SIGNAL, data={"strength": bad}))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\x00",
        b"not json",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"id":"","type":"t","at":1,"data":{}}',
        b'{"id":"a","type":"t","at":"now","data":{}}',
        b'{"id":"a","type":"t","at":NaN,"data":{}}',
        b'{"id":"a","type":"t","at":1e999,"data":{}}',
        b'{"id":"a","type":"t","at":1,"data":[]}',
        b'{"id":"a","type":"t","at":1,"data":{},"version":0}',
        b'{"id":"a","type":"t","at":1,"data":{},"subjct":"ACME"}',
        b'{"id":"a\\u0000","type":"t","at":1,"data":{}}',
        b'{"id":"%s","type":"t","at":1,"data":{}}' % (b"x" * 301),
    ],
)
def test_what_is_no_event_is_refused_and_the_message_says_what_one_is(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode(body)


def test_a_payload_is_read_as_the_struct_of_its_type_and_version() -> None:
    types = EventTypes({"signal@1": Signal})
    assert types.payload(SIGNAL) == Signal(symbol="ACME", strength=0.5)
    assert made("signal", Signal(symbol="ACME", strength=0.5), id="s-1", at=5.0, subject="ACME") == SIGNAL


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"type": "sginal"}, "Did you mean 'signal@1'"),
        ({"version": 2}, "signal@2"),
        ({"data": {"symbol": "ACME"}}, "strength"),
        ({"data": {"symbol": "ACME", "strength": "much"}}, "float"),
    ],
)
def test_an_unknown_kind_and_data_that_do_not_fit_are_refused_with_the_reason(changes: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        EventTypes({"signal@1": Signal}).payload(msgspec.structs.replace(SIGNAL, **changes))


def test_a_pack_names_its_payloads_and_they_are_loaded_at_first_use() -> None:
    types = EventTypes({"kill@1": "steersman.core.events:KillSwitched", "odd@1": "steersman.core.events:made"})
    killed = KillSwitched(scope="*", active=True, actor="ann", reason="drill")
    assert types.payload(made("kill", killed, id="k", at=1.0)) == killed
    with pytest.raises(NotFound, match="odd@1"):
        types.payload(Event(id="o", type="odd", at=1.0, data={}))


def test_all_kinds_that_installed_packs_name_can_be_loaded() -> None:
    types = EventTypes(Catalog().events())
    for kind in types.names:
        type_, _, version = kind.partition("@")
        with pytest.raises(InvalidInput, match="the data is no"):
            types.payload(Event(id="e", type=type_, version=int(version), at=1.0, data={}))


def test_an_answer_has_the_same_id_however_often_it_is_sent() -> None:
    assert events.answer_id("s-1", "decision.made") == events.answer_id("s-1", "decision.made") == "s-1:decision.made"


def test_numbers_keep_their_value_on_the_wire() -> None:
    payload = DecisionMade(
        decision_id="d",
        agent="a",
        episode="e",
        action={"size": 0.1, "leverage": 7},
        arm="champion",
        confidence=1 / 3,
        reason="",
        policy="p",
    )
    sent = decode(encode(made("decision.made", payload, id="d", at=1.0)))
    assert EventTypes().payload(sent) == payload


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_LIKE_EVENTS = st.fixed_dictionaries(
    {"id": st.just("e") | _JSON, "type": st.just("t") | _JSON, "at": st.just(1.0) | _JSON, "data": st.just({}) | _JSON},
    optional={"version": _JSON, "source": _JSON, "subject": _JSON, "more": _JSON},
)


@given(st.binary() | _LIKE_EVENTS.map(lambda made: json.dumps(made).encode()))
def test_any_bytes_are_an_event_that_can_be_sent_on_or_are_refused(body: bytes) -> None:
    try:
        event = decode(body)
    except InvalidInput:
        return
    assert decode(encode(event)) == event
    with pytest.raises(InvalidInput):
        EventTypes({"t@1": Signal}).payload(event)
