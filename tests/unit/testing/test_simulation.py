"""P26: the same seed leaves the same trace, no seed breaks a promise, and every planted bug is found."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from steersman.core.errors import DeadlineExceeded, Overloaded, StoreError
from steersman.core.ports import Log
from steersman.testing.log_contract import LogContract
from steersman.testing.log_rows import decision, learned, outcome
from steersman.testing.simulation import BUGS, SimulatedLog, first_caught, simulate
from steersman.testing.simulation.clock import Events, SeededIds, SimulatedClock
from steersman.testing.simulation.network import Network


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_no_seed_breaks_a_promise(first: int) -> None:
    assert [(run.seed, run.violations) for run in map(simulate, range(first, first + 10)) if run.violations] == []


def test_the_same_seed_leaves_the_same_trace_and_another_another() -> None:
    runs = [simulate(seed) for seed in (3, 3, 4)]
    assert runs[0] == runs[1]
    assert runs[0].trace != runs[2].trace


def test_a_run_goes_through_what_it_is_about() -> None:
    runs = [simulate(seed) for seed in range(5)]
    assert all(run.events > 300 and run.decisions > 20 and run.outcomes > 20 and run.acknowledged > 40 for run in runs)
    assert sum(run.crashes for run in runs) > 3


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str) -> None:
    assert first_caught(BUGS[name], most=25)


class TestSimulatedLog(LogContract):
    """It is a log like any other, and what it holds outlives a process."""

    def open(self, *, queue_rows: int = 100_000) -> SimulatedLog:
        return SimulatedLog(queue_rows=queue_rows)

    def reopen(self, log: Log) -> Log:
        assert isinstance(log, SimulatedLog)
        log.close()
        return log.crashed(torn=0)

    @contextmanager
    def stalled(self, log: Log) -> Iterator[None]:
        assert isinstance(log, SimulatedLog)
        log.fill("the disk is full")
        yield
        log.fill("")
        log.commit()


# the parts


@pytest.fixture
def log() -> SimulatedLog:
    return SimulatedLog(queue_rows=3)


def test_a_crash_forgets_what_was_not_durable(log: SimulatedLog) -> None:
    kept, torn, gone = decision(), decision(), decision()
    log.append((kept, outcome(kept)), learned({("s", 0): 1.0}))
    log.commit()
    log.append((torn,), learned({("s", 0): 2.0}))
    receipt = log.append((gone,))
    found = log.crashed(torn=1)
    assert list(found.rows()) == [kept, outcome(kept), torn]
    assert found.learned(kept.agent) == (learned({("s", 0): 2.0}), 3)
    assert not receipt.done()
    with pytest.raises(StoreError):
        receipt.wait()
    assert list(found.crashed(torn=0).rows()) == list(found.rows())


def test_nothing_is_durable_before_the_disk_says_so(log: SimulatedLog) -> None:
    receipt = log.append((decision(),))
    assert not receipt.done()
    log.fill("the disk is full")
    log.commit()
    with pytest.raises(DeadlineExceeded, match="the disk is full"):
        receipt.wait(5.0)
    log.append((decision(), decision()))
    with pytest.raises(Overloaded):
        log.append((decision(),))
    log.fill("")
    receipt.wait(5.0)
    assert (receipt.done(), log.health(), log.waiting_entries()) == (True, "", 0)


def test_controls_can_be_out_of_reach(log: SimulatedLog) -> None:
    log.unreadable = True
    with pytest.raises(StoreError):
        log.controls()


def test_the_wall_clock_may_step_back_and_the_timer_never_does() -> None:
    clock = SimulatedClock()
    began = clock.wall()
    clock.drift(1.5)
    clock.pass_by(10.0)
    assert clock.wall() - began == pytest.approx(15.0)
    clock.step(-20.0)
    assert clock.wall() - began == pytest.approx(-5.0)
    assert clock.timer() == 10.0


def test_events_happen_in_the_order_of_time_and_then_of_planning() -> None:
    clock = SimulatedClock()
    events, seen = Events(clock), list[str]()
    for delay, name in ((2.0, "late"), (1.0, "first"), (1.0, "second")):
        events.after(delay, lambda name=name: seen.append(f"{name} {clock.now:g}"))  # type: ignore[misc]  # a default binds it
    events.run(10)
    assert seen == ["first 1", "second 1", "late 2"]


def test_the_network_loses_doubles_and_cuts() -> None:
    clock = SimulatedClock()
    events, seen = Events(clock), list[str]()
    network = Network(events, np.random.default_rng(0))
    network.weather.doubled = 1.0
    network.carry("ann", lambda: seen.append("twice"))
    network.carry("bob", lambda: seen.append("cut on the way"))
    network.cut = {"bob"}
    network.carry("bob", lambda: seen.append("cut before"))
    network.weather.loss = 1.0
    network.carry("ann", lambda: seen.append("lost"))
    events.run(10)
    assert seen == ["twice", "twice"]


def test_ids_come_from_the_seed_and_look_like_those_of_the_product() -> None:
    made = [SeededIds(lambda: 1_700_000_000.0, np.random.default_rng(7)) for _ in range(2)]
    first, second = ([ids() for _ in range(3)] for ids in made)
    assert first == second
    assert len(set(first)) == 3
    assert {(len(each), each[14], each[19]) for each in first} == {(36, "7", "8")}
