"""The exchange: what is due is told in order, questions are asked once, and a kill switch is heard."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from steersman.app.news import of_kill
from steersman.backends.memory import MemoryBroker, MemoryBus
from steersman.core.events import Event, decode, encode
from steersman.core.values import AuditEvent
from steersman.packs.trading.paper.exchange import Exchange

SCOPES = ("*", "trading", "trading/position-sizing")


def event(name: str, kind: str = "trade.executed", **data: str) -> Event:
    return Event(id=name, type=kind, at=1.0, data=data, subject="S0")


def said(broker: MemoryBroker, stream: str = "in") -> list[str]:
    return [decode(each.body).id for each in MemoryBus([stream], broker=broker, group="reader").take(100, 0.0)]


def exchange_on(broker: MemoryBroker, patience_s: float = 0.05) -> Exchange:
    return Exchange(MemoryBus(["out"], broker=broker, group="paper"), "in", patience_s=patience_s, scopes=SCOPES)


def test_what_the_bus_did_not_take_is_told_first_when_it_is_back_and_a_question_of_then_is_not() -> None:
    broker = MemoryBroker()
    exchange = exchange_on(broker)
    broker.stall("away")
    assert not exchange.tell([event("one"), event("two")])
    assert exchange.ask([event("asked", "signal.generated")]) == {}
    assert exchange.due == 2
    broker.resume()
    assert exchange.tell([event("three")])
    assert said(broker) == ["one", "two", "three"]


def test_an_answer_is_found_by_the_question_that_it_names_whatever_comes_before_it_and_however_often() -> None:
    broker = MemoryBroker()
    exchange = exchange_on(broker, patience_s=5.0)
    answers = [
        event("x", "strategy.chosen", signal="other"),
        event("y", "size.chosen", order="b"),
        event("z", "strategy.chosen", signal="a"),
        event("z", "strategy.chosen", signal="a"),
    ]
    MemoryBus(broker=broker).publish("out", [("S0", encode(each)) for each in answers])
    found = exchange.ask([event("a", "signal.generated"), event("b", "order.proposed")])
    assert {name: each.id for name, each in found.items()} == {"a": "z", "b": "y"}
    assert (exchange.asked, exchange.answered, exchange.too_late) == (2, 2, 0)


def answering(broker: MemoryBroker, name: str, calls: int, asked: list[int]) -> Callable[[], bool]:
    """Return a `stop` that lets an answer come after so many looks."""

    def stop() -> bool:
        asked.append(len(asked))
        if len(asked) == calls:
            MemoryBus(broker=broker).publish("out", [("S0", encode(event("x", "strategy.chosen", signal=name)))])
        return len(asked) > 500

    return stop


@pytest.mark.parametrize("more", [{"settle_s": 3_600.0}, {"known": lambda name: name == "a"}], ids=["settling", "known"])
def test_an_answer_that_may_be_under_way_from_the_start_or_is_known_to_be_is_waited_for_beyond_patience(
    more: dict[str, Any],
) -> None:
    broker, looks = MemoryBroker(), list[int]()
    bus = MemoryBus(["out"], broker=broker, group="paper")
    exchange = Exchange(bus, "in", patience_s=0.01, stop=answering(broker, "a", 5, looks), **more)
    assert list(exchange.ask([event("a", "signal.generated")])) == ["a"]
    assert (exchange.answered, exchange.too_late) == (1, 0)


def test_once_it_has_settled_only_what_the_log_has_answered_is_waited_for_beyond_patience() -> None:
    exchange = exchange_on(MemoryBroker(), patience_s=0.01)
    exchange.ask([event("a", "signal.generated")])
    assert exchange.ask([event("b", "signal.generated")]) == {}
    assert (exchange.asked, exchange.answered, exchange.again) == (2, 0, 0)


def test_a_question_that_the_log_has_answered_is_asked_once_the_bus_is_back() -> None:
    broker, looks = MemoryBroker(), list[int]()
    bus = MemoryBus(["out"], broker=broker, group="paper")
    answered = answering(broker, "a", 8, looks)

    def stop() -> bool:
        if len(looks) == 3:
            broker.resume()
        return answered()

    exchange = Exchange(bus, "in", patience_s=0.01, stop=stop, known=lambda _: True)
    broker.stall("away")
    assert list(exchange.ask([event("a", "signal.generated")])) == ["a"]
    assert said(broker) == ["a"]
    assert exchange.again == 1


def test_of_a_silence_it_is_told_once_and_after_an_answer_of_the_next_one_again() -> None:
    broker, told = MemoryBroker(), list[str]()
    bus = MemoryBus(["out"], broker=broker, group="paper")
    exchange = Exchange(bus, "in", patience_s=0.01, say=told.append, silence="nobody answers on out")
    for number in range(9):
        exchange.ask([event(f"a{number}", "signal.generated")])
    assert told == ["nobody answers on out"]
    bus.publish("out", [("S0", encode(event("x", "strategy.chosen", signal="b")))])
    assert list(exchange.ask([event("b", "signal.generated")])) == ["b"]
    for number in range(9):
        exchange.ask([event(f"c{number}", "signal.generated")])
    assert told == ["nobody answers on out"] * 2


def test_a_silence_while_the_bus_is_away_is_told_as_that() -> None:
    broker, told = MemoryBroker(), list[str]()
    bus = MemoryBus(["out"], broker=broker, group="paper")
    exchange = Exchange(
        bus, "in", patience_s=0.01, say=told.append, known=lambda _: True, stop=lambda: bool(told), silence="nobody"
    )
    broker.stall("away")
    assert exchange.ask([event("a", "signal.generated")]) == {}
    assert told == ["the bus cannot be reached: away"]


def test_waiting_ends_when_it_is_told_to_stop() -> None:
    broker = MemoryBroker()
    bus = MemoryBus(["out"], broker=broker, group="paper")
    exchange = Exchange(bus, "in", patience_s=3_600.0, stop=lambda: True)
    broker.stall("away")
    assert not exchange.tell([event("one")])
    assert not exchange.finish()
    assert exchange.due == 1


def test_at_the_end_what_is_due_is_told_as_soon_as_the_bus_is_back() -> None:
    broker = MemoryBroker()
    back: list[float] = []

    def stop() -> bool:
        back.append(time.monotonic())
        if len(back) == 3:
            broker.resume()
        return False

    bus = MemoryBus(["out"], broker=broker, group="paper")
    exchange = Exchange(bus, "in", patience_s=60.0, stop=stop)
    broker.stall("away")
    assert not exchange.tell([event("one")])
    assert exchange.finish()
    assert said(broker) == ["one"]


def test_a_kill_switch_is_heard_where_the_bus_tells_of_it_and_so_is_its_end() -> None:
    broker = MemoryBroker()
    exchange = exchange_on(broker)

    def tell(scope: str, what: str, at: float) -> dict[str, str]:
        row = AuditEvent(at=at, actor="ops", event=f"kill switch {what}", subject=scope, detail="a drill")
        MemoryBus(broker=broker).publish("out", [("", encode(of_kill(row)))])
        exchange.listen()
        return exchange.stopped

    assert tell("qe", "on", 1.0) == {}
    assert tell("trading", "on", 2.0) == {"trading": "kill switch of 'trading' by ops: a drill"}
    assert list(tell("*", "on", 3.0)) == ["trading", "*"]
    assert list(tell("trading", "off", 4.0)) == ["*"]
    assert tell("*", "off", 5.0) == {}
