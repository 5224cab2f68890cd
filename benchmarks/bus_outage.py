"""What a consumer of a bus loses when the bus, or the consumer, dies in the middle of its work.

A real Redis server (append-only, fsync always) is killed again and again (SIGKILL), at every third time after the consumer
killed itself in mid-batch (before it works, before it waits for the store, before it answers, or before it acknowledges),
while a producer publishes questions and outcomes, some outcomes before their questions, and sends again what may not have
arrived. When nothing is waiting, the log is held against what was published; then everything is delivered once more, twice
and backwards. Each event must count once. The learned table has to be that of a single pass over the same events in
the log's order, and the second delivery must not have moved it by a bit. `--bug` plants one: the harness must find it.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from steersman import Steersman
from steersman.app import consumers
from steersman.app.buses import open_bus
from steersman.backends.memory import MemoryBus
from steersman.core.errors import StoreError
from steersman.core.events import Event, EventTypes, decode, encode
from steersman.core.ports import Bus, Log
from steersman.core.routes import Route, by_kind
from steersman.core.sections import Bus as Settings
from steersman.core.values import Decision, Entry, Taken
from steersman.loops.consume import Consumer
from steersman.loops.intake import Plan
from steersman.testing.redis import RedisServer
from steersman.testing.specs import small_agent

AGENT = "lab/small"
STREAM, OUT = "jobs", "answers"
IDLE_S = 2.0
JOBS, PACE_S = 5, 0.2  # so many are published at once, and so often
CAUGHT_UP_S = 60.0
LIFE_S = 20.0
EARLY = 0.05  # share of outcomes that are published before their questions
BUGS = ("acknowledge first", "remember in memory")
FIELDS = ("load", "backlog", "weekend")
ROUTES = (
    Route(on="job.queued", do="decide", agent=AGENT, state={name: name for name in FIELDS}, emit="decision.made"),
    Route(
        on="job.done",
        do="report",
        agent=AGENT,
        decision_of="job",
        measurements={"reward": "reward"},
        executed="ran",
        emit="outcome.recorded",
    ),
)


@dataclass(kw_only=True)
class Report:
    """What was seen.

    lost, twice: events. moved: entries of the table that the second delivery changed. apart: entries that differ from those
    of a single pass. wrong: answers to one event that differ, or are missing.
    """

    kills: int
    events: int = 0
    killed_consumers: int = 0
    lost: int = 0
    twice: int = 0
    moved: int = 0
    apart: int = 0
    wrong: int = 0
    dead: int = 0
    caught_up_s: float = 0.0
    troubles: int = 0
    redelivered: int = 0
    seconds: float = field(default=0.0)

    @property
    def held(self) -> bool:
        """Whether every promise held."""
        return not (self.lost or self.twice or self.moved or self.apart or self.wrong or self.dead) and (
            self.caught_up_s <= CAUGHT_UP_S
        )


def run(kills: int, *, seed: int = 0, bug: str = "") -> Report:
    """Kill the server so many times, the consumer before every third of them, and say what came of it."""
    rng, report, began = random.Random(seed), Report(kills=kills), time.monotonic()
    with TemporaryDirectory() as folder, closing(RedisServer()) as server:
        _Run(server, Path(folder), rng, report, bug).run()
    report.seconds = time.monotonic() - began
    return report


class _Run:
    def __init__(self, server: RedisServer, folder: Path, rng: random.Random, report: Report, bug: str) -> None:
        self._server = server
        self._store = folder / "log.db"
        self._rng = rng
        self._report = report
        self._bug = bug
        self._sent: list[Event] = []
        self._over = threading.Event()

    def run(self) -> None:
        report = self._report
        producer = threading.Thread(target=self._produce)
        consumer = self._start(0)
        producer.start()
        try:
            for number in range(report.kills):
                consumer = self._kill(consumer, number)
            over = time.monotonic()
        finally:
            self._over.set()
            producer.join()
            self._wait_until_empty()
            empty = time.monotonic()
            self._stop(consumer)
        report.caught_up_s = empty - over
        report.events = len(self._sent)
        self._judge()

    def _kill(self, consumer: "subprocess.Popen[str]", number: int) -> "subprocess.Popen[str]":
        time.sleep(self._rng.uniform(0.1, 0.4))
        dies = number % 3 == 2
        if dies:
            with consumer:  # which closes its pipes
                self._report.killed_consumers += _died(consumer)
        self._server.kill()
        time.sleep(self._rng.uniform(0.0, 0.2))
        self._server.start()
        return self._start(number + 1) if dies else consumer

    def _produce(self) -> None:
        """Publish some jobs at a time, until told to stop; what may not have arrived is sent again."""
        with closing(open_bus(self._server.url)) as bus:
            number = 0
            while not self._over.is_set():
                events = [event for job in range(number, number + JOBS) for event in self._job(job)]
                self._sent += events
                entries = [(each.subject, encode(each)) for each in events]
                while not _published(bus, entries):
                    time.sleep(0.02)
                number += JOBS
                time.sleep(PACE_S)

    def _job(self, number: int) -> list[Event]:
        rng, about = self._rng, f"s{number % 16}"
        state = {"load": rng.uniform(0, 100), "backlog": rng.randrange(1_000), "weekend": rng.random() < 0.3}
        asked = Event(id=f"q{number}", type="job.queued", at=float(number), subject=about, data=state)
        told = {"job": asked.id, "reward": round(rng.uniform(-1, 1), 6), "ran": rng.choice(["rest", "light", "steady"])}
        done = Event(id=f"d{number}", type="job.done", at=float(number), subject=about, data=told)
        return [done, asked] if rng.random() < EARLY else [asked, done]

    def _start(self, number: int, *, drain: bool = False) -> "subprocess.Popen[str]":
        """Start a consumer that kills itself before long, if another one is to come before the end."""
        command = [sys.executable, __file__, "--consume", self._server.url, str(self._store), "--bug", self._bug]
        dies = any(each % 3 == 2 for each in range(number, self._report.kills))
        command += ["--die", str(self._rng.randrange(10**6))] * dies + ["--drain"] * drain
        started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert started.stdout is not None
        started.stdout.readline()  # it is ready
        return started

    def _stop(self, consumer: "subprocess.Popen[str]") -> None:
        """Let a consumer finish, and take down what it says of itself."""
        said, _ = consumer.communicate()
        if consumer.returncode:
            raise SystemExit(f"the consumer failed: {consumer.returncode}")
        tally = json.loads(said)
        self._report.troubles += tally["troubles"]
        self._report.redelivered += tally["redelivered"]

    def _wait_until_empty(self) -> None:
        deadline = time.monotonic() + 2 * CAUGHT_UP_S
        with closing(open_bus(self._server.url, [STREAM])) as bus:
            while bus.waiting():
                if time.monotonic() > deadline:
                    return  # the report tells what is missing
                time.sleep(0.05)

    def _deliver_again(self) -> None:
        again = [*reversed(self._sent), *reversed(self._sent)]
        with closing(open_bus(self._server.url)) as bus:
            for start in range(0, len(again), 500):
                bus.publish(STREAM, [(each.subject, encode(each)) for each in again[start : start + 500]])
        self._stop(self._start(self._report.kills, drain=True))

    def _look(self) -> tuple[list[Event], dict[tuple[str, int], tuple[float, ...]]]:
        """Return the events that the log's rows came from, in its order, and the table."""
        with Steersman.open(self._store, agents=[small_agent()], settings={}, read_only=True) as steersman:
            return _in_log_order(steersman.log, self._sent), table(steersman.log)

    def _judge(self) -> None:
        report, published = self._report, {each.id: each for each in self._sent}
        before, first = self._look()
        report.lost = len(published.keys() - {each.id for each in before})
        self._deliver_again()
        order, now = self._look()
        report.twice = len(order) - len({each.id for each in order})
        report.moved = _apart(first, now)
        report.apart = _apart(now, single_pass(order))
        report.dead = sum(1 for _ in consumers.dead(Settings(url=self._server.url, streams=STREAM), 10_000))
        report.wrong = self._wrong_answers(published)

    def _wrong_answers(self, events: dict[str, Event]) -> int:
        """Return how many events have no answer, or answers that differ."""
        bodies: dict[str, set[bytes]] = {}
        with closing(open_bus(self._server.url, [OUT], group="reader", idle_s=600.0)) as bus:
            while found := bus.take(1_000, 1.0):
                for each in found:
                    bodies.setdefault(decode(each.body).data["cause"], set()).add(each.body)
        return sum(len(bodies.get(name, ())) != 1 for name in events)


def _died(consumer: "subprocess.Popen[str]") -> int:
    """Wait until a consumer has killed itself, and return 1; 0 where it had to be killed, because nothing came to it."""
    try:
        consumer.wait(LIFE_S)
    except subprocess.TimeoutExpired:
        consumer.kill()
        return 0
    return 1


def _published(bus: Bus, entries: list[tuple[str, bytes]]) -> bool:
    try:
        bus.publish(STREAM, entries)
    except StoreError:
        return False
    return True


def _in_log_order(log: Log, sent: list[Event]) -> list[Event]:
    """Return the events that the log's rows came from, each as often as there are rows of it."""
    asked = {tuple(float(each.data[name]) for name in FIELDS): each for each in sent if each.type == "job.queued"}
    told = {each.data["job"]: each for each in sent if each.type == "job.done"}
    made: dict[str, Event] = {}
    found = []
    for row in log.rows():
        if isinstance(row, Decision):
            made[row.id] = asked[tuple(float(row.state[name]) for name in FIELDS)]
            found.append(made[row.id])
        else:
            found.append(told[made[row.decision_id].id])
    return found


def table(log: Log) -> dict[tuple[str, int], tuple[float, ...]]:
    """Return what was learned, without the times at which it was."""
    learned = log.learned(AGENT)
    return {} if learned is None else {place: _without_time(entry) for place, entry in learned[0].entries.items()}


def _without_time(entry: Entry) -> tuple[float, ...]:
    return (entry.value, entry.visits, entry.td_variance, entry.reward_mean, entry.reward_m2)


def _apart(one: dict[tuple[str, int], tuple[float, ...]], other: dict[tuple[str, int], tuple[float, ...]]) -> int:
    return sum(one.get(place) != other.get(place) for place in one.keys() | other.keys())


def single_pass(events: list[Event]) -> dict[tuple[str, int], tuple[float, ...]]:
    """Return what is learned from events that come once, one after the other, over a bus in memory."""
    bus = MemoryBus([STREAM])
    for start in range(0, len(events), 500):
        bus.publish(STREAM, [(each.subject, encode(each)) for each in events[start : start + 500]])
    with Steersman.open("memory:", agents=[small_agent()], settings={}) as steersman:
        Consumer(bus, steersman, _plan()).run(threading.Event(), drain=True)
        return table(steersman.log)


def _plan() -> Plan:
    return Plan(routes=by_kind(ROUTES), types=EventTypes(), streams=[STREAM], out=OUT, attempts=1_000)


def consume(url: str, store: str, bug: str, *, die: int | None, drain: bool) -> None:
    """Be the consumer, until standard input ends or, to drain, nothing waits any more; say then what was done."""
    stop = threading.Event()
    if not drain:
        threading.Thread(target=_at_end, args=(stop,), daemon=True).start()
    with (
        closing(open_bus(url, [STREAM], idle_s=IDLE_S)) as bus,
        Steersman.open(store, agents=[small_agent()], settings={}) as steersman,
    ):
        consumer = Consumer(bus, steersman, _plan())
        _plant(bug, bus, steersman.log)
        if die is not None:
            _sentence(consumer, random.Random(die))
        print("ready", flush=True)
        consumer.run(stop, drain=drain)
    print(json.dumps({"troubles": consumer.tally.troubles, "redelivered": consumer.tally.redelivered}))


def _sentence(consumer: Consumer, rng: random.Random) -> None:
    """Have a consumer kill itself in one of its next batches, before one of the four things that it does with each."""
    place, name = rng.choice(
        [(consumer._intake, "work_off"), (consumer, "_settle"), (consumer, "_publish"), (consumer, "_acknowledge")]
    )
    left, correct = rng.randrange(1, 6), getattr(place, name)

    def deadly(*given: object) -> object:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return correct(*given)

    setattr(place, name, deadly)


def _at_end(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


def _plant(bug: str, bus: Bus, log: Log) -> None:
    if bug == "acknowledge first":
        take = bus.take

        def taking(limit: int, wait_s: float) -> list[object]:
            found = take(limit, wait_s)
            bus.done(found)
            return list(found)

        bus.take = taking  # type: ignore[method-assign, assignment]
    elif bug == "remember in memory":
        from steersman.loops import decide, report

        kept: dict[tuple[str, str], Taken] = {}

        def keeping(taken: Taken | None, decision_id: str, at: float) -> tuple[Taken, ...]:
            if taken is not None:
                kept[taken.stream, taken.event] = replace(taken, decision_id=decision_id, at=at)
            return ()

        decide.rows_of = report.rows_of = keeping  # type: ignore[attr-defined]
        log.taken = lambda stream, event: kept.get((stream, event))  # type: ignore[method-assign]


def main() -> None:
    """Run the harness, or be the consumer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bug", default="", choices=("", *BUGS))
    parser.add_argument("--consume", nargs=2, metavar=("URL", "STORE"))
    parser.add_argument("--drain", action="store_true")
    parser.add_argument("--die", type=int)
    given = parser.parse_args()
    if given.consume:
        url, store = given.consume
        consume(url, store, given.bug, die=given.die, drain=given.drain)
        return
    report = run(given.kills, seed=given.seed, bug=given.bug)
    print(f"Redis killed {report.kills} times, the consumer {report.killed_consumers} times  {given.bug}")
    print(f"{'events published':<48}{report.events:>10,}")
    print(f"{'lost · twice · among the dead letters':<48}{report.lost:>6,} ·{report.twice:>4,} ·{report.dead:>4,}")
    print(f"{'answers missing, or not the same each time':<48}{report.wrong:>10,}")
    print(f"{'entries moved by the second delivery':<48}{report.moved:>10,}")
    print(f"{'entries apart from a single pass':<48}{report.apart:>10,}")
    print(f"{'all worked off after the last kill (s)':<48}{report.caught_up_s:>10.1f}")
    print(f"{'whole run (s)':<48}{report.seconds:>10.0f}")
    sys.exit(0 if report.held == (not given.bug) else 1)


if __name__ == "__main__":
    main()
