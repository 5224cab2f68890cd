"""What every bus must do. Derive a test class from `BusContract` and say how to open one, and how its server goes away."""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from typing import ClassVar

import pytest

from steersman.core.errors import InvalidInput, StoreError
from steersman.core.ports import Bus, Delivery
from steersman.core.streams import MAX_BODY, dead_letters

SOON_S = 40.0
IDLE_S = 2.0
_numbers = count()
Opener = Callable[..., Bus]


def collect(bus: Bus, wanted: int, *, done: bool = True, within_s: float = SOON_S) -> list[Delivery]:
    """Take until so many entries came, and acknowledge them if asked to; fewer if the time is over."""
    found: list[Delivery] = []
    until = time.monotonic() + within_s
    while len(found) < wanted and time.monotonic() < until:
        batch = bus.take(wanted - len(found), 0.2)
        found += batch
        if done:
            bus.done(batch)
    return found


def bodies(deliveries: Sequence[Delivery]) -> list[bytes]:
    """Return what was delivered."""
    return [each.body for each in deliveries]


class BusContract(ABC):
    """The behaviour of a bus; each test has a stream of its own."""

    counts_attempts: ClassVar[bool] = True
    """Whether the how many-th delivery it is is known across consumers."""
    repeats_when_hands_change: ClassVar[bool] = False
    """Whether what was acknowledged may come again while partitions are handed out anew."""

    @abstractmethod
    def make(self, *streams: str, group: str = "g", consumer: str = "one", idle_s: float = 60.0) -> Bus:
        """Open a bus as one consumer of a group."""

    @abstractmethod
    def outage(self) -> AbstractContextManager[None]:
        """Have the server away for as long as the context lasts."""

    @abstractmethod
    def take_and_die(self, stream: str, wanted: int, idle_s: float) -> None:
        """Have another consumer of group "g" take entries, and die with them in its hands."""

    @pytest.fixture
    def stream(self) -> str:
        """The name of a stream that nobody else uses."""
        return f"test-{time.time_ns()}.{next(_numbers)}"

    @pytest.fixture
    def opened(self, request: pytest.FixtureRequest) -> Opener:
        """Open buses as `make` does, and close them after the test."""

        def opener(*streams: str, group: str = "g", consumer: str = "one", idle_s: float = 60.0) -> Bus:
            bus = self.make(*streams, group=group, consumer=consumer, idle_s=idle_s)
            request.addfinalizer(bus.close)
            return bus

        return opener

    # carrying

    def test_an_empty_stream_gives_nothing(self, opened: Opener, stream: str) -> None:
        bus = opened(stream)
        began = time.monotonic()
        assert bus.take(10, 0.3) == []
        assert time.monotonic() - began >= 0.25
        bus.publish(stream, [])
        bus.done([])
        assert bus.waiting() == 0

    @pytest.mark.parametrize("body", [b"{}", b"", b"\xff\x00\xfe", b"not json", "☃".encode(), b'{"a": NaN}', b"\r\n+OK\r\n"])
    def test_a_body_comes_as_it_was_whatever_it_is(self, opened: Opener, stream: str, body: bytes) -> None:
        bus = opened(stream)
        bus.publish(stream, [("ACME ☃", body)])
        (found,) = collect(bus, 1)
        assert (found.stream, found.body, found.key, found.attempt, found.reason) == (stream, body, "ACME ☃", 1, "")
        assert found.position

    def test_a_large_body_comes_whole_and_a_larger_one_is_refused(self, opened: Opener, stream: str) -> None:
        bus = opened(stream)
        large = bytes(range(256)) * (MAX_BODY // 256)
        with pytest.raises(InvalidInput, match="bytes"):
            bus.publish(stream, [("k", b"small"), ("k", b"x" * (MAX_BODY + 1))])
        bus.publish(stream, [("k", large)] * 3)
        assert bodies(collect(bus, 3)) == [large] * 3

    @pytest.mark.parametrize(("name", "key"), [("a b", "k"), ("", "k"), ("a/b", "k"), ("x" * 200, "k"), ("fine", "a\nb")])
    def test_names_that_not_every_bus_can_have_are_refused(self, opened: Opener, name: str, key: str) -> None:
        with pytest.raises(InvalidInput):
            opened().publish(name, [(key, b"")])

    def test_entries_of_a_key_keep_their_order(self, opened: Opener, stream: str) -> None:
        bus = opened(stream)
        sent = [(f"key {number % 7}", str(number).encode()) for number in range(500)]
        for start in range(0, 500, 50):
            bus.publish(stream, sent[start : start + 50])
        found = collect(bus, 500)
        assert sorted(bodies(found)) == sorted(body for _, body in sent)
        for key in {key for key, _ in sent}:
            assert [each.body for each in found if each.key == key] == [body for name, body in sent if name == key]

    def test_no_more_is_taken_than_asked_for(self, opened: Opener, stream: str) -> None:
        bus = opened(stream)
        bus.publish(stream, [(str(number), str(number).encode()) for number in range(30)])
        found: list[Delivery] = []
        until = time.monotonic() + SOON_S
        while len(found) < 30 and time.monotonic() < until:
            batch = bus.take(1 + len(found) % 3, 0.2)
            assert len(batch) <= 1 + len(found) % 3
            found += batch
        assert sorted(bodies(found), key=int) == [str(number).encode() for number in range(30)]

    def test_several_streams_are_taken_from(self, opened: Opener, stream: str) -> None:
        bus = opened(stream, f"{stream}.b")
        bus.publish(stream, [("k", b"a")])
        bus.publish(f"{stream}.b", [("k", b"b")])
        assert {(each.stream, each.body) for each in collect(bus, 2)} == {(stream, b"a"), (f"{stream}.b", b"b")}

    def test_each_group_has_all_of_it(self, opened: Opener, stream: str) -> None:
        opened().publish(stream, [("k", b"1"), ("k", b"2")])
        groups = [opened(stream, group=group) for group in ("g", "h")]
        held = [collect(bus, 2, done=False) for bus in groups]
        assert [bodies(each) for each in held] == [[b"1", b"2"]] * 2
        for bus, each in zip(groups, held, strict=True):
            bus.done(each)
            assert bus.waiting() == 0

    # acknowledging

    def test_what_was_acknowledged_does_not_come_again(self, opened: Opener, stream: str) -> None:
        bus = opened(stream, idle_s=IDLE_S)
        bus.publish(stream, [("k", b"1"), ("k", b"2"), ("l", b"3")])
        collect(bus, 3)
        assert collect(bus, 1, within_s=2 * IDLE_S) == []
        bus.close()
        assert collect(opened(stream, consumer="next"), 1, within_s=IDLE_S) == []

    def test_what_was_not_acknowledged_comes_again(self, opened: Opener, stream: str) -> None:
        bus = opened(stream, idle_s=IDLE_S)
        bus.publish(stream, [("k", str(number).encode()) for number in range(4)])
        attempts: dict[bytes, int] = {}
        until = time.monotonic() + SOON_S
        while time.monotonic() < until and min(attempts.get(b"1", 0), attempts.get(b"3", 0)) < 3:
            for each in bus.take(10, 0.2):
                assert each.attempt == attempts.get(each.body, 0) + 1
                attempts[each.body] = each.attempt
                if each.body in (b"0", b"2"):
                    bus.done([each])
        assert attempts == {b"0": 1, b"1": 3, b"2": 1, b"3": 3}

    def test_what_waits_for_an_acknowledgement_keeps_nothing_behind_it_waiting(self, opened: Opener, stream: str) -> None:
        bus = opened(stream)
        bus.publish(stream, [("k", b"1")])
        (held,) = collect(bus, 1, done=False)
        bus.publish(stream, [("k", b"2")])
        assert bodies(collect(bus, 1)) == [b"2"]
        assert bus.waiting() >= 1
        bus.done([held])
        assert bus.waiting() == 0

    def test_what_a_dead_consumer_had_goes_to_another(self, opened: Opener, stream: str) -> None:
        opened().publish(stream, [("k", str(number).encode()) for number in range(5)])
        self.take_and_die(stream, 5, IDLE_S)
        found = collect(opened(stream, consumer="heir", idle_s=IDLE_S), 5)
        assert bodies(found) == [str(number).encode() for number in range(5)]
        assert not self.counts_attempts or {each.attempt for each in found} == {2}

    def test_what_a_consumer_had_that_left_goes_to_another(self, opened: Opener, stream: str) -> None:
        first = opened(stream)
        first.publish(stream, [("k", b"1"), ("k", b"2"), ("k", b"3")])
        first.done(collect(first, 3, done=False)[:1])
        first.close()
        second = opened(stream, consumer="heir")
        second.publish(stream, [("k", b"4")])
        assert bodies(collect(second, 3)) == [b"2", b"3", b"4"], "what was left comes first"

    def test_two_consumers_share_the_work_and_keep_the_order_of_each_key(self, opened: Opener, stream: str) -> None:
        buses = {name: opened(stream, consumer=name) for name in ("one", "two")}
        came: list[tuple[str, Delivery]] = []
        sent, until = 0, time.monotonic() + SOON_S
        while time.monotonic() < until and (sent < 400 or len({each.body for _, each in came}) < sent):
            if sent < 400 or {name for name, _ in came} != buses.keys():
                buses["one"].publish(stream, [(f"key {each % 40}", str(sent + each).encode()) for each in range(40)])
                sent += 40
            for name, bus in buses.items():
                batch = bus.take(25, 0.1)
                came += [(name, each) for each in batch]
                bus.done(batch)
        assert {name for name, _ in came} == buses.keys(), "one of them did all the work"
        order: dict[str, list[int]] = defaultdict(list)
        for number, key in {int(each.body): each.key for _, each in came}.items():  # in the order of first deliveries
            order[key].append(number)
        assert sorted(number for numbers in order.values() for number in numbers) == list(range(sent))
        assert all(numbers == sorted(numbers) for numbers in order.values())
        assert len(came) == sent or self.repeats_when_hands_change

    # dead letters and counting

    def test_a_dead_letter_tells_why_and_does_not_come_again(self, opened: Opener, stream: str) -> None:
        bus = opened(stream)
        bus.publish(stream, [("k", b"bad \xff"), ("k", b"good")])
        bad, good = collect(bus, 2, done=False)
        bus.reject(bad, "unreadable: not JSON ☃")
        bus.done([good])
        assert bus.waiting() == 0
        bus.close()
        assert collect(opened(stream, consumer="heir"), 1, within_s=2.0) == []
        (letter,) = collect(opened(dead_letters(stream), consumer="clerk"), 1)
        assert (letter.body, letter.key, letter.reason) == (b"bad \xff", "k", "unreadable: not JSON ☃")

    def test_what_waits_is_counted(self, opened: Opener, stream: str) -> None:
        bus = opened(stream)
        bus.publish(stream, [(str(number), b"") for number in range(20)])
        assert bus.waiting() == 20
        held = collect(bus, 20, done=False)
        assert bus.waiting() == 20
        bus.done(held)
        assert bus.waiting() == 0

    # outages

    def test_an_outage_is_told_and_gone_through(self, opened: Opener, stream: str) -> None:
        bus = opened(stream, idle_s=IDLE_S)
        bus.publish(stream, [("k", b"before"), ("k", b"held")])
        held = collect(bus, 2, done=False)
        bus.done(held[:1])
        assert bus.health() == ""
        with self.outage():
            assert bus.take(5, 0.5) == []
            with pytest.raises(StoreError, match="again"):
                bus.publish(stream, [("k", b"lost or not")])
            assert bus.health()
        self.until_published(bus, stream, b"after")
        found = bodies(collect(bus, 2))
        while b"after" not in found and (more := collect(bus, 1)):
            found += bodies(more)
        assert b"before" not in found
        assert b"held" in found
        assert b"after" in found
        assert bus.health() == ""

    def until_published(self, bus: Bus, stream: str, body: bytes) -> None:
        """Publish as soon as the server takes it."""
        until = time.monotonic() + SOON_S
        while True:
            try:
                bus.publish(stream, [("k", body)])
            except StoreError:
                assert time.monotonic() < until
            else:
                return

    def test_a_closed_bus_can_be_closed_again(self, opened: Opener, stream: str) -> None:
        bus = opened(stream)
        bus.close()
        bus.close()
