"""Events of a bus become states and measurements; after a restart the desk knows from the log what it knew before."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from steersman import Steersman
from steersman.backends.memory import MemoryBroker, MemoryBus
from steersman.core.catalog import load
from steersman.core.errors import InvalidInput
from steersman.core.events import Event, EventTypes, decode, encode
from steersman.core.routes import by_kind
from steersman.core.values import Decision, Outcome
from steersman.loops.consume import Consumer
from steersman.loops.intake import Plan
from steersman.packs.trading import pack
from steersman.packs.trading.desk import META, SIZING, Desk

DESK = "steersman.packs.trading.desk:Desk"
CARRIED = {"strategy": "trend", "model": "lgbm", "weight": "hold", "size": 0.4, "leverage": 2.0}


class Floor:
    """A bus, a store, and a consumer of the pack's routes with a desk."""

    def __init__(self, steersman: Steersman) -> None:
        self.steersman, self.broker, self.desk = steersman, MemoryBroker(), Desk()
        self.bus = MemoryBus(["market"], broker=self.broker)
        routes = [load(target) for target in pack.routes.values()]
        for each in routes:
            if each.agent:
                each.check(steersman.catalog.agent(each.agent))
        plan = Plan(
            routes=by_kind(routes),
            types=EventTypes(pack.events),
            streams=["market"],
            out="answers",
            plugs={DESK: self.desk},
        )
        self.consumer = Consumer(self.bus, steersman, plan)
        self.types = plan.types

    def send(self, *events: Event) -> list[Event]:
        """Send events, work them off, and return the answers."""
        self.bus.publish("market", [(each.subject, encode(each)) for each in events])
        while self.consumer.step(0.0):
            pass
        return self._read("answers")

    def dead(self) -> list[str]:
        bus = MemoryBus(["market.dead"], broker=self.broker, group="outside")
        return [each.reason for each in bus.take(1_000, 0.0)]

    def _read(self, stream: str) -> list[Event]:
        bus = MemoryBus([stream], broker=self.broker, group="outside")
        found = bus.take(1_000, 0.0)
        bus.done(found)
        return [decode(each.body) for each in found]

    def rows(self) -> list[Decision | Outcome]:
        self.steersman.log.flush()
        return list(self.steersman.log.rows())


@pytest.fixture
def floor() -> Iterator[Floor]:
    with Steersman.open("memory:", settings={}) as steersman:
        yield Floor(steersman)


def bars(seed: int, end: float) -> list[list[float]]:
    """Return sixty bars of a quiet walk, the last one closed at `end`."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.003, 60)))
    return [[end - 60.0 * (59 - i), c * 1.001, c * 0.999, c] for i, c in enumerate(close.tolist())]


def event(kind: str, number: int, symbol: str = "AAA", **data: Any) -> Event:
    name = f"main/{symbol}/{number}"
    at = 1_000_000.0 + 60.0 * number
    if kind in ("signal.generated", "order.proposed"):
        data = {"direction": 1, "confidence": 0.8, "bars": bars(number, at), **data}
    return Event(id=f"{kind}-{symbol}-{number}", type=kind, at=at, subject=symbol, data={"position": name, **data})


def asked(number: int, symbol: str = "AAA") -> list[Event]:
    signal = event("signal.generated", number, symbol)
    return [signal, event("order.proposed", number, symbol, signal=signal.id)]


def executed(number: int, symbol: str = "AAA", *, size: float = 0.4, chosen: float = 0.4) -> Event:
    return event(
        "trade.executed",
        number,
        symbol,
        order=f"order.proposed-{symbol}-{number}",
        price=100.0,
        chosen={"size": chosen, "leverage": 2.0},
        executed={"size": size, "leverage": 2.0},
    )


def closed(number: int, symbol: str = "AAA", *, pct: float = 2.0) -> Event:
    return event(
        "position.closed",
        number,
        symbol,
        signal=f"signal.generated-{symbol}-{number}",
        order=f"order.proposed-{symbol}-{number}",
        move_pct=pct,
        return_pct=pct,
        pnl_pct=pct / 10.0,
        max_drawdown_pct=0.5,
        executed=CARRIED,
    )


def test_a_position_goes_from_its_signal_to_two_outcomes(floor: Floor) -> None:
    signal, order = asked(1)
    (strategy,) = floor.send(signal)
    (size,) = floor.send(order)
    assert (strategy.type, size.type) == ("strategy.chosen", "size.chosen")
    assert floor.types.payload(strategy).signal == signal.id
    assert floor.types.payload(size).arm == "baseline", "the rule decides until somebody lets the learned policy"
    assert floor.send(executed(1), closed(1)) == []
    assert floor.dead() == []
    outcomes = {each.agent: each for each in floor.rows() if isinstance(each, Outcome)}
    assert outcomes[META].measurements == {
        "pnl_pct": 2.0,
        "max_drawdown_pct": 0.5,
        "sharpe": 0.0,
        "alignment": 0.8,
    }
    volatility = outcomes[SIZING].measurements["volatility"]
    assert outcomes[SIZING].measurements == {
        "pnl_pct": 0.2,
        "leverage": 2.0,
        "exposure": pytest.approx(0.04),
        "volatility": volatility,
    }
    assert outcomes[SIZING].executed == {"size": 0.4, "leverage": 2}, "learning goes by what was executed"
    assert outcomes[META].reward == pytest.approx(2.0 - 0.25 + 0.15 * 0.8)


def test_what_was_executed_otherwise_than_chosen_is_flagged(floor: Floor) -> None:
    floor.send(*asked(1))
    assert floor.send(executed(1)) == []
    (flagged,) = floor.send(event("order.proposed", 2, signal="s"), executed(2, size=0.2))[1:]
    assert flagged.type == "execution.mismatch"
    found = floor.types.payload(flagged)
    assert (found.position, found.chosen.size, found.executed.size) == ("main/AAA/2", 0.4, 0.2)


def test_a_close_counts_once_however_often_it_comes(floor: Floor) -> None:
    floor.send(*asked(1), executed(1), closed(1))
    again = closed(1)
    floor.send(again, again)
    assert sum(isinstance(each, Outcome) for each in floor.rows()) == 2
    for agent in (META, SIZING):
        assert floor.desk(again, agent) == floor.desk(again, agent)
    floor.send(*(each for number in range(2, 21) for each in (*asked(number), executed(number), closed(number))))
    state = floor.desk(event("signal.generated", 21), META)
    assert state["win_rate"] == 1.0, "twenty trades: the first one counted once"


def played(floor: Floor) -> None:
    """Let thirty positions of two symbols come and go, and leave two of them open."""
    for number in range(30):
        symbol = ("AAA", "BBB")[number % 3 == 0]
        _, sized = floor.send(*asked(number, symbol))
        size = sized.data["size"]
        floor.send(executed(number, symbol, size=size, chosen=size))
        if number < 28:
            floor.send(closed(number, symbol, pct=float(number % 5) - 1.5))
    assert floor.dead() == []


def probes(desk: Desk) -> list[Any]:
    """Return what a desk says of new signals and orders, and of a position that is closed now."""
    found: list[Any] = []
    for symbol in ("AAA", "BBB", "CCC"):
        found += [
            desk(event("signal.generated", 90, symbol), META),
            desk(event("order.proposed", 90, symbol, signal="s"), SIZING),
        ]
    last = closed(29, "AAA")
    return [*found, desk(last, META), desk(last, SIZING)]


def test_after_a_restart_the_desk_knows_what_it_knew(floor: Floor) -> None:
    played(floor)
    fresh = Desk()
    fresh.restore(floor.rows())
    nothing = Desk()
    nothing.restore(row for row in floor.rows() if isinstance(row, Decision) and row.episode == "main/AAA/29")
    known = probes(floor.desk)
    for found, before in zip(probes(fresh), known, strict=True):
        assert found == {k: pytest.approx(v) if isinstance(v, float) else v for k, v in before.items()}
    assert probes(nothing) != known, "the check can fail: it takes the log to know"


def test_a_crash_between_the_two_outcomes_counts_the_trade_once(floor: Floor) -> None:
    floor.send(*asked(1), executed(1), closed(1))
    rows = floor.rows()
    half = [each for each in rows if not (isinstance(each, Outcome) and each.agent == SIZING)]
    desk = Desk()
    desk.restore(half)
    again = closed(1)
    assert desk(again, SIZING) == pytest.approx(dict(floor.desk(again, SIZING)))
    assert desk._book.returns("AAA") == [2.0]


def test_a_position_that_expired_is_no_longer_open(floor: Floor) -> None:
    floor.send(*asked(1), executed(1))
    rows = floor.rows()
    sized = next(each for each in rows if isinstance(each, Decision) and each.agent == SIZING)
    desk, later = Desk(), event("order.proposed", 2, signal="s")
    desk.restore(rows)
    assert desk(later, SIZING)["exposure"] > 0.0
    gone = Outcome(
        decision_id=sized.id,
        agent=SIZING,
        revision=0,
        kind="expired",
        measurements={},
        components={},
        reward=None,
        next_state=None,
        next_refusals=(),
        terminated=True,
        truncated=False,
        executed=None,
        reported_at=0.0,
        source="",
    )
    fresh = Desk()
    fresh.restore([*rows, gone])
    assert fresh(later, SIZING)["exposure"] == 0.0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"confidence": 1.5}, "confidence"),
        ({"confidence": None}, "confidence"),
        ({"position": "no-account"}, "position"),
        ({"bars": [[0.0, 1.0, 2.0, 1.5]]}, "finite prices"),
        ({"bars": [[1.0, 2.0, 1.0, 1.5], [0.0, 2.0, 1.0, 1.5]]}, "order of their times"),
        ({"account_mode": "reckless"}, "account_mode"),
    ],
)
def test_a_signal_that_cannot_be_used_goes_to_the_dead_letters(floor: Floor, changes: dict[str, Any], reason: str) -> None:
    assert floor.send(event("signal.generated", 1, **changes)) == []
    (why,) = floor.dead()
    assert reason in why


def test_bars_of_later_than_the_signal_are_not_seen(floor: Floor) -> None:
    now = event("signal.generated", 1)
    crash = [[now.at + 60.0, 10.0, 1.0, 1.0]]
    leaking = event("signal.generated", 1, bars=[*now.data["bars"], *crash])
    assert Desk()(leaking, META) == Desk()(now, META)


def test_too_few_bars_open_nothing(floor: Floor) -> None:
    few = bars(1, 1_000_060.0)[-20:]
    answers = floor.send(event("signal.generated", 1, bars=few), event("order.proposed", 1, signal="s", bars=few))
    assert [each.data["arm"] for each in answers] == ["safe", "safe"]


def test_a_position_is_decided_on_once_and_another_name_is_the_way_out(floor: Floor) -> None:
    floor.send(*asked(1))
    again = event("signal.generated", 2, position="main/AAA/1")
    assert floor.send(again) == []
    (why,) = floor.dead()
    assert why.endswith("position 'main/AAA/1' was decided on before, and each is once. Use another position.")


def test_an_order_is_sized_without_its_signal_and_its_close_waits_for_that(floor: Floor) -> None:
    (sized,) = floor.send(event("order.proposed", 1, signal="never-sent"))
    assert sized.type == "size.chosen"
    floor.bus.publish("market", [("AAA", encode(closed(1)))])
    floor.consumer.step(0.0)
    assert [each.agent for each in floor.rows() if isinstance(each, Outcome)] == [SIZING]
    assert floor.bus.waiting() == 1, "what the strategy came to is due until its decision is known, or attempts are over"


def test_a_close_of_a_position_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no position 'main/AAA/1'"):
        Desk()(closed(1), META)
    with pytest.raises(InvalidInput, match="means nothing to"):
        Desk()(event("signal.generated", 1), SIZING)
