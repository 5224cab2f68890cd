"""Events come in and count once; what cannot be used is put aside; what waits for log or bus is not acknowledged."""

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec
import pytest

from steersman.app import Steersman
from steersman.backends.memory import MemoryBroker, MemoryBus, MemoryLog
from steersman.core.errors import DeadlineExceeded, InvalidInput, StoreError
from steersman.core.events import Event, EventTypes, decode, encode
from steersman.core.ports import Delivery
from steersman.core.routes import Prepare, Route, by_kind
from steersman.core.values import Decision, Outcome
from steersman.loops import consume
from steersman.loops.consume import Consumer
from steersman.loops.intake import Plan
from steersman.testing.specs import small_agent

AGENT = "lab/small"
SOON_S = 20.0
ASK = Route(
    on="job.queued",
    do="decide",
    agent=AGENT,
    state={"load": "load", "backlog": "backlog", "weekend": False},
    emit="decision.made",
)
TELL = Route(
    on="job.done",
    do="report",
    agent=AGENT,
    decision_of="job",
    measurements={"reward": "reward"},
    executed="ran",
    emit="outcome.recorded",
)
TELL_BY_ID = Route(on="job.ended", do="report", agent=AGENT, decision="decision", measurements={"reward": "reward"})


class Queued(msgspec.Struct, kw_only=True):
    """The payload of the only kind with a type of its own."""

    load: float
    backlog: int = 7


class Plug:
    """Doubles the load, remembers what it saw, and breaks on order."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.restored: list[Decision | Outcome] = []

    def __call__(self, event: Event, agent: str) -> Mapping[str, Any]:
        self.seen.append((event.id, agent))
        if event.data.get("break"):
            raise ZeroDivisionError("on order")
        if event.type == "job.seen":
            return {"half": event.data["load"] / 2} if event.data["load"] else {}
        return {"load": 2 * event.data["load"], "backlog": 1}

    def restore(self, rows: Iterable[Decision | Outcome]) -> None:
        self.restored = list(rows)


class Lab:
    """A broker, a store and a consumer of one stream."""

    def __init__(self, steersman: Steersman, *routes: Route, plugs: Mapping[str, Prepare] | None = None) -> None:
        self.broker = MemoryBroker()
        self.steersman = steersman
        self.log = cast(MemoryLog, steersman.log)
        self.said: list[str] = []
        self.routes = routes or (ASK, TELL, TELL_BY_ID)
        self.plugs = plugs or {}
        self.consumer = self.open()

    def open(self, *, attempts: int = 3, batch: int = 100, idle_s: float = 0.0) -> Consumer:
        self.bus = MemoryBus(["jobs"], broker=self.broker, idle_s=idle_s)
        plan = Plan(
            routes=by_kind(self.routes),
            types=EventTypes({"job.queued@1": Queued}),
            streams=["jobs"],
            out="answers",
            plugs=self.plugs,
            attempts=attempts,
            batch=batch,
        )
        self.consumer = Consumer(self.bus, self.steersman, plan, say=self.said.append)
        return self.consumer

    def send(self, *bodies: Event | bytes) -> None:
        self.bus.publish("jobs", [("", each if isinstance(each, bytes) else encode(each)) for each in bodies])

    def step(self) -> dict[str, int]:
        """Work off one batch; return what became of its entries."""
        before = self.consumer.tally.events.copy()
        self.consumer.step(0.0)
        found: Counter[str] = Counter()
        for (_, result), count in (self.consumer.tally.events - before).items():
            found[result] += count
        return dict(found)

    def answers(self) -> list[Event]:
        return [decode(each.body) for each in self._read("answers")]

    def dead(self) -> list[str]:
        return [each.reason for each in self._read("jobs.dead")]

    def _read(self, stream: str) -> list[Delivery]:
        bus = MemoryBus([stream], broker=self.broker, group="outside")
        found = bus.take(1_000, 0.0)
        bus.done(found)
        return found

    def rows(self) -> list[Decision | Outcome]:
        return list(self.log.rows())


@pytest.fixture
def steersman() -> Iterator[Steersman]:
    with Steersman.open("memory:", agents=[small_agent()], settings={}) as opened:
        yield opened


@pytest.fixture
def lab(steersman: Steersman) -> Lab:
    return Lab(steersman)


def queued(name: str, **data: Any) -> Event:
    return Event(id=name, type="job.queued", at=10.0, subject="ada", data={"load": 30.0, "backlog": 3, **data})


def done(job: str, *, reward: float = 0.5, name: str = "", ran: Any = "light") -> Event:
    data = {"job": job, "reward": reward, "ran": ran}
    return Event(id=name or f"{job}-done", type="job.done", at=20.0, source="runner", data=data)


def test_a_question_is_decided_and_answered_with_its_cause(lab: Lab) -> None:
    lab.send(queued("j1"))
    assert lab.step() == {"done": 1}
    (row,) = lab.rows()
    assert isinstance(row, Decision)
    assert row.state == {"load": 30.0, "backlog": 3, "weekend": False}
    assert row.subject == "ada"
    (answer,) = lab.answers()
    assert (answer.type, answer.subject, answer.at) == ("decision.made", "ada", row.decided_at)
    assert answer.data["decision_id"] == row.id
    assert answer.data["cause"] == "j1"
    assert answer.data["action"] == row.executed
    assert lab.bus.waiting() == 0


def test_an_outcome_finds_its_decision_by_the_event_that_asked_for_it(lab: Lab) -> None:
    lab.send(queued("j1"), done("j1", reward=0.25, ran="rest"))
    assert lab.step() == {"done": 2}
    made, told = lab.rows()
    assert isinstance(made, Decision)
    assert isinstance(told, Outcome)
    assert (told.decision_id, told.reward, told.source) == (made.id, 0.25, "runner")
    assert told.executed == (None if made.executed == {"action": "rest"} else {"action": "rest"})
    assert [each.type for each in lab.answers()] == ["decision.made", "outcome.recorded"]


def test_an_outcome_finds_its_decision_by_its_id(lab: Lab) -> None:
    lab.send(queued("j1"))
    lab.step()
    data = {"decision": lab.answers()[0].data["decision_id"], "reward": -1}
    lab.send(Event(id="e", type="job.ended", at=20.0, data=data))
    assert lab.step() == {"done": 1}
    assert [each.reward for each in lab.rows() if isinstance(each, Outcome)] == [-1.0]


def test_what_was_observed_too_long_ago_is_left_to_the_rule(lab: Lab, steersman: Steersman) -> None:
    spec = dataclasses.replace(small_agent({"influence": {"stale_s": 60.0}}), name="lab/wary")
    steersman.agent(spec)
    lab.routes = (msgspec.structs.replace(ASK, agent="lab/wary"),)
    lab.open()
    lab.send(queued("j1"), msgspec.structs.replace(queued("j2"), at=time.time()))
    lab.step()
    assert ["influence stale" in each.data["reason"] for each in lab.answers()] == [True, False]


def test_what_comes_again_counts_once_and_is_answered_as_before(lab: Lab) -> None:
    events = [queued("j1"), done("j1"), queued("j2")]
    lab.send(*events)
    lab.step()
    rows, answers = lab.rows(), lab.answers()
    lab.send(*reversed(events), *events)
    assert lab.step() == {"again": 6}
    assert lab.rows() == rows
    assert sorted(lab.answers(), key=lambda each: each.id) == sorted(2 * answers, key=lambda each: each.id)


def test_the_same_event_twice_in_one_batch_counts_once(lab: Lab) -> None:
    lab.send(queued("j1"), queued("j1"), done("j1"), done("j1"))
    lab.step()
    assert len(lab.rows()) == 2
    assert lab.dead() == []


def test_what_an_event_leaves_out_has_the_default_of_its_payload(lab: Lab) -> None:
    event = queued("j1")
    lab.send(Event(id="j1", type="job.queued", at=event.at, data={"load": 1.0}))
    lab.step()
    assert [each.state["backlog"] for each in lab.rows() if isinstance(each, Decision)] == [7.0]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"\xff{", "unreadable: "),
        (b'{"id": "x", "type": "job.queued", "at": 1, "data": {}, "extra": 1}', "unreadable: "),
        (Event(id="x", type="job.lost", at=1.0, data={}), "unknown: no event 'job.lost@1' is known here"),
        (Event(id="x", type="job.queued", version=2, at=1.0, data={}), "unknown: no event 'job.queued@2'"),
        (Event(id="x", type="job.queued", at=1.0, data={"load": "much"}), "misfit: "),
        (done("j1", reward=2.0), "refused: report lab/small: reward: 2.0 lies outside"),
        (done("j1", ran="sleep"), "refused: report lab/small: action: 'sleep' is not a choice"),
        (
            Event(id="x", type="job.done", at=1.0, data={"job": "j1"}),
            "refused: report lab/small: event 'x' (job.done@1) has no",
        ),
    ],
)
def test_what_nobody_can_use_is_put_aside_with_the_reason_and_stops_nothing(
    lab: Lab, body: Event | bytes, fault: str
) -> None:
    lab.send(queued("j1"), body, queued("j2"))
    assert lab.step() == {"done": 2, "dead": 1}
    (reason,) = lab.dead()
    assert reason.startswith(fault)
    assert lab.bus.waiting() == 0
    assert sum(lab.consumer.tally.dead.values()) == 1


def test_another_outcome_of_the_same_decision_is_put_aside(lab: Lab) -> None:
    lab.send(queued("j1"), done("j1"), done("j1", reward=-0.5, name="other"))
    assert lab.step() == {"done": 2, "dead": 1}
    assert "already has another outcome" in lab.dead()[0]


def test_a_known_event_without_a_route_is_passed_over(lab: Lab) -> None:
    lab.send(Event(id="x", type="kill.switched", at=1.0, data={"scope": "*", "active": True, "actor": "a", "reason": "r"}))
    assert lab.step() == {"ignored": 1}
    assert lab.bus.waiting() == 0


def test_an_outcome_before_its_decision_in_one_batch_waits_for_the_end_of_it(lab: Lab) -> None:
    lab.send(done("j1"), queued("j1"))
    assert lab.step() == {"done": 2}


def test_an_outcome_whose_decision_is_not_known_is_left_and_tried_again(lab: Lab) -> None:
    lab.send(done("j1"))
    assert lab.step() == {"later": 1}
    assert lab.bus.waiting() == 1
    lab.send(queued("j1"))
    assert lab.step() == {"done": 2}
    assert lab.bus.waiting() == 0
    assert lab.consumer.tally.redelivered == 1


@pytest.mark.parametrize(
    "orphan",
    [done("nobody"), Event(id="e", type="job.ended", at=2.0, data={"decision": "00", "reward": 0})],
    ids=["by event", "by id"],
)
def test_an_outcome_whose_decision_never_comes_is_given_up(lab: Lab, orphan: Event) -> None:
    lab.send(orphan)
    assert [lab.step() for _ in range(4)] == [{"later": 1}, {"later": 1}, {"dead": 1}, {}]
    (reason,) = lab.dead()
    assert reason.startswith("unmatched: ")
    assert reason.endswith("Given up after 3 deliveries.")


def test_nothing_is_acknowledged_or_answered_while_the_store_does_not_write(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consume, "_WAIT_S", 0.05)
    lab.send(queued("j1"), done("j1"), b"nonsense")
    monkeypatch.setattr(lab.log, "health", lambda: "")  # it breaks just after it was looked at
    lab.log.stall("the disk is full")
    for _ in range(2):
        with pytest.raises(DeadlineExceeded, match="the disk is full"):
            lab.consumer.step(0.0)
    monkeypatch.undo()
    with pytest.raises(StoreError, match="nothing is taken from the bus"):
        lab.consumer.step(0.0)
    assert (lab.answers(), lab.dead()) == ([], [])
    assert lab.bus.waiting() == 3
    lab.log.resume()
    assert lab.step() == {"again": 2, "dead": 1}
    assert len(lab.rows()) == len(lab.answers()) == 2
    assert lab.bus.waiting() == 0


def test_a_decision_that_the_full_queue_did_not_take_is_asked_for_again() -> None:
    log = MemoryLog(queue_rows=2)
    steersman = Steersman(log)
    steersman.agent(small_agent())
    lab = Lab(steersman)
    log.stall("slow")
    steersman.agent(AGENT).decide({"load": 1, "backlog": 1, "weekend": True})
    lab.send(queued("j1"))
    threading.Timer(0.2, log.resume).start()
    monkey = log.health
    log.health = lambda: ""  # type: ignore[method-assign]  # it is slow, not broken
    assert lab.step() == {"later": 1}
    log.health = monkey  # type: ignore[method-assign]
    assert lab.answers() == []
    assert lab.step() == {"done": 1}
    assert len(lab.rows()) == 2


@pytest.mark.parametrize("when", ["publish", "done"])
def test_what_the_bus_did_not_hear_comes_again_and_counts_once(lab: Lab, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> None:
        raise StoreError("the bus is gone")

    lab.send(queued("j1"))
    with monkeypatch.context() as patch:
        patch.setattr(lab.bus, when, gone)
        with pytest.raises(StoreError, match="the bus is gone"):
            lab.consumer.step(0.0)
    assert len(lab.answers()) == (when == "done")
    assert lab.step() == {"again": 1}
    assert len(lab.rows()) == len(lab.answers()) == 1


def test_it_says_once_that_it_waits_and_goes_on_by_itself(lab: Lab) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=lab.consumer.run, args=(stop,), daemon=True)
    lab.broker.stall("no route to host")
    thread.start()
    wait_for(lambda: bool(lab.said))
    lab.broker.resume()
    lab.send(queued("j1"))
    wait_for(lambda: not lab.bus.waiting())
    stop.set()
    thread.join(SOON_S)
    assert lab.said == ["waiting: no route to host", "going on"]
    assert lab.consumer.tally.troubles == 1
    assert len(lab.rows()) == 1


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_draining_ends_when_nothing_is_waiting(lab: Lab) -> None:
    lab.open(batch=2)
    lab.send(*(queued(f"j{number}") for number in range(9)), done("nobody"))
    lab.consumer.run(threading.Event(), drain=True)
    assert lab.bus.waiting() == 0
    assert lab.consumer.tally.events == {
        ("job.queued", "done"): 9,
        ("job.done", "later"): 2,
        ("job.done", "dead"): 1,
    }


def test_two_agents_may_decide_on_one_event_and_each_is_answered_by_itself(lab: Lab, steersman: Steersman) -> None:
    second = msgspec.structs.replace(
        ASK, name="again", out={"what": "@decision.executed.action", "why": "@id"}, emit="chosen@3"
    )
    lab.routes = (ASK, second)
    lab.open()
    lab.send(queued("j1"))
    assert lab.step() == {"done": 1}
    assert len(lab.rows()) == 2
    made, chosen = lab.answers()
    assert made.id != chosen.id
    assert (chosen.kind, set(chosen.data)) == ("chosen@3", {"what", "why"})


def test_of_two_routes_one_may_fail_and_the_other_counts(lab: Lab) -> None:
    lab.routes = (ASK, msgspec.structs.replace(ASK, name="far", state={**ASK.state, "weekend": "nowhere"}))
    lab.open()
    lab.send(queued("j1"))
    assert lab.step() == {"dead": 1}
    assert len(lab.rows()) == len(lab.answers()) == 1
    assert lab.dead()[0].startswith("refused: far: ")


def test_an_answer_that_cannot_be_sent_is_told_and_stops_no_other(lab: Lab) -> None:
    lab.routes = (msgspec.structs.replace(ASK, emit="chosen", out={"x": "extra", "y": "extra"}),)
    lab.open()
    lab.consumer._plan.types._kinds.pop("job.queued@1")
    lab.send(queued("j1", extra=1), queued("j2"), queued("j3", extra="x" * 500_000))
    assert lab.step() == {"done": 1, "dead": 2}
    assert [each.data for each in lab.answers()] == [{"x": 1, "y": 1}]
    reasons = lab.dead()
    assert all(each.startswith("unanswered: decide lab/small: ") for each in reasons)
    assert [("has no 'extra'" in each, "at most 900000 fit" in each) for each in reasons] == [(True, False), (False, True)]


def test_a_plug_computes_what_paths_cannot_and_what_is_said_stands_above_it(lab: Lab) -> None:
    plug = Plug()
    lab.plugs = {"p": plug}
    lab.routes = (msgspec.structs.replace(ASK, prepare="p", state={"weekend": True}),)
    lab.open()
    lab.send(queued("j1"), queued("j1"))
    lab.step()
    lab.send(queued("j1"))
    assert lab.step() == {"again": 1}
    (row,) = lab.rows()
    assert isinstance(row, Decision)
    assert row.state == {"load": 60.0, "backlog": 1.0, "weekend": True}
    assert plug.seen == [("j1", AGENT)]


def test_a_plug_that_breaks_breaks_for_its_event_alone(lab: Lab) -> None:
    lab.plugs = {"p": Plug()}
    lab.routes = (msgspec.structs.replace(ASK, prepare="p", state={"weekend": True}),)
    lab.open()
    lab.consumer._plan.types._kinds.pop("job.queued@1")
    lab.send(queued("j1", **{"break": True}), queued("j2"))
    assert lab.step() == {"dead": 1, "done": 1}
    assert lab.dead() == ["failed: decide lab/small: ZeroDivisionError: on order"]


def test_mere_news_reaches_the_plug_and_its_word_goes_out(lab: Lab) -> None:
    plug = Plug()
    lab.plugs = {"p": plug}
    lab.routes = (Route(on="job.seen", do="note", prepare="p", emit="job.halved"),)
    lab.open()
    lab.send(*(Event(id=f"s{load}", type="job.seen", at=3.0, subject="ada", data={"load": load}) for load in (0, 8)))
    assert lab.step() == {"done": 2}
    assert plug.seen == [("s0", ""), ("s8", "")]
    assert [(each.type, each.at, each.subject, each.data) for each in lab.answers()] == [
        ("job.halved", 3.0, "ada", {"half": 4.0})
    ]
    assert lab.rows() == []


def test_a_plug_is_told_the_rows_of_its_agents_at_the_start(lab: Lab, steersman: Steersman) -> None:
    lab.send(queued("j1"), done("j1"))
    lab.step()
    steersman.agent(dataclasses.replace(small_agent(), name="lab/other")).decide({"load": 1, "backlog": 1, "weekend": True})
    plug = Plug()
    lab.plugs = {"p": plug}
    lab.routes = (msgspec.structs.replace(ASK, prepare="p"),)
    lab.open().restore()
    assert plug.restored == lab.rows()[:2]


def test_what_a_route_emits_is_a_type_or_a_type_and_its_version() -> None:
    with pytest.raises(InvalidInput, match="type@2"):
        Route(on="x", do="note", prepare="p", emit="y@z")
