"""Two consumers on one PostgreSQL store that get the same entries at the same time: each event counts once all the same."""

import threading

from steersman.app import Steersman
from steersman.backends.memory import MemoryBroker, MemoryBus
from steersman.core.events import Event, EventTypes, decode, encode
from steersman.core.routes import Route, by_kind
from steersman.core.values import Decision, Outcome
from steersman.loops.consume import Consumer, Tally
from steersman.loops.intake import Plan
from steersman.testing.specs import small_agent

JOBS = 60
ROUTES = (
    Route(
        on="job.queued",
        do="decide",
        agent="lab/small",
        state={"load": "load", "backlog": 5, "weekend": False},
        emit="decision.made",
    ),
    Route(on="job.done", do="report", agent="lab/small", decision_of="job", measurements={"reward": "reward"}),
)


def events() -> list[Event]:
    found = []
    for number in range(JOBS):
        found.append(Event(id=f"q{number}", type="job.queued", at=1.0, data={"load": float(number)}))
        found.append(Event(id=f"d{number}", type="job.done", at=2.0, data={"job": f"q{number}", "reward": number / JOBS}))
    return found


def test_an_event_that_two_consumers_work_off_at_once_counts_once(store_url: str) -> None:
    broker, stop = MemoryBroker(), threading.Event()
    MemoryBus(broker=broker).publish("jobs", [("", encode(each)) for each in events()])
    tallies: list[Tally] = []

    def work(group: str) -> None:
        plan = Plan(routes=by_kind(ROUTES), types=EventTypes(), streams=["jobs"], out="out", batch=7, attempts=1_000)
        bus = MemoryBus(["jobs"], broker=broker, group=group, idle_s=0.05)
        with Steersman.open(store_url, agents=[small_agent()], settings={}) as steersman:
            consumer = Consumer(bus, steersman, plan)
            consumer.run(stop, drain=True)
            tallies.append(consumer.tally)

    threads = [threading.Thread(target=work, args=(group,), daemon=True) for group in ("one", "two")]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120.0)
    stop.set()
    assert len(tallies) == 2
    assert {result for tally in tallies for _, result in tally.events} <= {"done", "again", "later"}
    with Steersman.open(store_url, agents=[small_agent()], settings={}, read_only=True) as steersman:
        rows = list(steersman.log.rows())
    assert sum(isinstance(each, Decision) for each in rows) == JOBS
    assert sum(isinstance(each, Outcome) for each in rows) == JOBS
    bodies: dict[str, set[bytes]] = {}
    for entry in broker.entries("out"):
        bodies.setdefault(decode(entry.body).id, set()).add(entry.body)
    assert len(bodies) == JOBS
    assert {len(each) for each in bodies.values()} == {1}, "both say the same"
