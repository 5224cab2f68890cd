"""What happens is told to a stream: without anybody waiting, and what must not be lost exactly as the store has it."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from steersman.app import Steersman, buses
from steersman.app.announcing import Announcer
from steersman.backends.memory import MemoryBroker, MemoryBus
from steersman.core.errors import InvalidInput, StoreError
from steersman.core.events import Event, EventTypes, decode
from steersman.stages.monitor.signals import Signal
from steersman.testing.specs import small_agent

STATE: dict[str, Any] = {"load": 10.0, "backlog": 5, "weekend": False}
SOON_S = 20.0


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> MemoryBroker:
    """Return the streams behind "memory:", new for this test."""
    made = MemoryBroker()
    monkeypatch.setattr(buses, "_BROKER", made)
    return made


def opened(store: str | Path = "memory:", **bus: object) -> Steersman:
    settings: Mapping[str, Mapping[str, Any]] = {"bus": {"url": "memory:", "announce": "news", **bus}}
    return Steersman.open(store, agents=[small_agent()], settings=settings)


def told(broker: MemoryBroker) -> list[Event]:
    return [decode(each.body) for each in broker.entries("news")]


def kinds(broker: MemoryBroker) -> list[str]:
    return [each.type for each in told(broker)]


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_decisions_and_outcomes_are_told_by_themselves(broker: MemoryBroker) -> None:
    with opened() as steersman:
        agent = steersman.agent("lab/small")
        decision = agent.decide(STATE, subject="ada")
        agent.report(decision, {"reward": 0.5}).wait()
        wait_for(lambda: len(told(broker)) == 2)
    made, recorded = told(broker)
    assert (made.type, made.subject, made.data["decision_id"], made.data["cause"]) == (
        "decision.made",
        "ada",
        decision.id,
        "",
    )
    assert (recorded.type, recorded.subject, recorded.data["reward"]) == ("outcome.recorded", "ada", 0.5)
    for each in (made, recorded):
        EventTypes().payload(each)


def test_what_is_left_is_told_at_the_end(broker: MemoryBroker) -> None:
    with opened() as steersman:
        for _ in range(1_200):
            steersman.agent("lab/small").decide(STATE)
    assert kinds(broker) == ["decision.made"] * 1_200
    assert steersman.announcer is not None
    assert (steersman.announcer.sent, steersman.announcer.dropped) == (1_200, 0)


def test_a_stream_that_is_away_keeps_nobody_and_the_oldest_are_dropped_and_counted(broker: MemoryBroker) -> None:
    broker.stall("no route to host")
    with opened(queue=10) as steersman:
        announcer = steersman.announcer
        assert announcer is not None
        made = [steersman.agent("lab/small").decide(STATE).id for _ in range(25)]
        wait_for(lambda: "no route to host" in announcer.trouble)
        broker.resume()
        wait_for(lambda: announcer.sent >= 10)
    found = [each.data["decision_id"] for each in told(broker)]
    assert announcer.dropped + len(found) == 25
    assert found[-10:] == made[-10:]
    assert announcer.trouble == ""


def test_only_what_the_store_has_is_told(broker: MemoryBroker) -> None:
    with opened() as steersman:
        log: Any = steersman.log
        log.stall("the disk is full")
        steersman.agent("lab/small").decide(STATE)
        time.sleep(0.6)
        assert told(broker) == []
        log.resume()
        wait_for(lambda: kinds(broker) == ["decision.made"])


def test_kill_switches_and_moves_are_told_once_also_those_of_while_nobody_told(broker: MemoryBroker, tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    with Steersman.open(store, agents=[small_agent()], settings={}) as steersman:
        steersman.kill("lab", actor="ada", reason="look").wait()
        steersman.kill("lab", actor="ada", active=False).wait()
        steersman.agent("lab/small").release.rollback("baseline", actor="bob", reason="it did harm")
    with opened(store) as steersman:
        wait_for(lambda: len(told(broker)) == 3)
        steersman.kill(actor="eve", reason="again").wait()
    assert kinds(broker) == ["kill.switched", "kill.switched", "policy.rolled_back", "kill.switched"]
    on, off, move, last = (each.data for each in told(broker))
    assert (on["scope"], on["active"], on["actor"], on["reason"]) == ("lab", True, "ada", "look")
    assert off["active"] is False
    assert (move["agent"], move["version"], move["actor"]) == ("lab/small", "baseline", "bob")
    assert (last["scope"], last["actor"]) == ("*", "eve")
    with opened(store):
        pass
    assert len(told(broker)) == 4, "what was told is not told again"


class Teller:
    """A stand-in for an agent with something to tell."""

    def __init__(self) -> None:
        self.said: tuple[Signal, ...] = ()

    def signals(self) -> tuple[Signal, ...]:
        return self.said


class Host:
    """A store and an agent, looked at by hand."""

    production = None

    def __init__(self, steersman: Steersman, *tellers: Teller) -> None:
        self.log = steersman.log
        self._tellers = tellers

    def opened(self) -> list[Teller]:
        return list(self._tellers)


@pytest.fixture
def steersman() -> Iterator[Steersman]:
    with Steersman.open("memory:", agents=[small_agent()], settings={}) as made:
        yield made


def signal(figure: float, *, since: float | None = 100.0) -> Signal:
    return Signal(
        agent="lab/small",
        kind="drift",
        level="warn",
        subject="load",
        figure=figure,
        threshold=0.2,
        since=since,
        sentence="The load is another.",
        what_to_do="Look.",
    )


def test_a_signal_is_told_when_it_begins_and_not_while_it_lasts(
    broker: MemoryBroker, steersman: Steersman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steersman.app.announcing._SIGNALS_EVERY_S", 0.0)
    teller, bus = Teller(), MemoryBus(broker=broker)
    announcer = Announcer(lambda: bus, "news", queue=10, keep_s=1e9)
    for said in ((signal(0.3),), (signal(0.4),), (), (signal(0.5, since=200.0),), (), (signal(0.6, since=None),)):
        teller.said = said
        announcer.tell(Host(steersman, teller), bus)
    assert kinds(broker) == ["drift.found"] * 3
    assert [each.data["figure"] for each in told(broker)] == [0.3, 0.5, 0.6]


def test_what_could_not_be_told_is_told_the_next_time(broker: MemoryBroker, steersman: Steersman) -> None:
    bus = MemoryBus(broker=broker)
    announcer = Announcer(lambda: bus, "news", queue=10, keep_s=1e9)
    steersman.kill(actor="ada").wait()
    announcer.decided(steersman.agent("lab/small").decide(STATE))
    broker.stall("gone")
    for _ in range(2):
        with pytest.raises(StoreError, match="gone"):
            announcer.tell(Host(steersman), bus, last=True)
    broker.resume()
    announcer.tell(Host(steersman), bus, last=True)
    announcer.tell(Host(steersman), bus, last=True)
    assert kinds(broker) == ["kill.switched", "decision.made"]


def test_a_stream_without_a_bus_is_refused(broker: MemoryBroker) -> None:
    with pytest.raises(InvalidInput, match=r"say in bus\.url where the bus is"):
        opened(url="")
    with pytest.raises(InvalidInput, match="use letters"):
        opened(announce="my news")
