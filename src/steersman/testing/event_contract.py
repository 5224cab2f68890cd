"""What every log must do for events: each is taken once, together with what it led to. `LogContract` derives from it."""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from msgspec.structs import replace

from steersman.core.errors import Conflict, InvalidInput, NotFound, Overloaded
from steersman.core.ports import Log, Row
from steersman.core.values import TAKEN_S, Taken
from steersman.testing.log_rows import decision, learned, outcome

SOON_S = 10.0


def taken(event: str, *, stream: str = "signals", decision_id: str = "", at: float = 1_000.0) -> Taken:
    """Return word that an event was taken."""
    return Taken(stream=stream, event=event, position="1-0", decision_id=decision_id, at=at)


class EventContract(ABC):
    """Events that were taken."""

    @abstractmethod
    def open(self, *, queue_rows: int = 100_000) -> Log:
        """Open the log under test, as the test left it."""

    @abstractmethod
    def before_and_after(self, log: Log) -> Iterator[Log]:
        """Yield the log, and then the log opened again."""

    @abstractmethod
    def stalled(self, log: Log) -> AbstractContextManager[None]:
        """Keep the log from writing for as long as the context lasts."""

    def test_what_an_event_led_to_is_told_by_stream_and_id(self, log: Log) -> None:
        made = decision()
        one, other = taken("e ☃", decision_id=made.id), taken("e ☃", stream="orders")
        log.append((made, one, other))
        for each in self.before_and_after(log):
            assert each.taken("signals", "e ☃") == one
            assert each.taken("orders", "e ☃") == other
            assert each.taken("signals", "e") is each.taken("nothing", "e ☃") is None
            assert list(each.rows()) == [made], "it is no row of the log's own order"
            assert each.position == 1
            each.flush(SOON_S) if each is log else each.close()

    def test_an_event_is_told_before_it_is_durable(self, log: Log) -> None:
        with self.stalled(log):
            log.append((taken("e"),))
            assert log.taken("signals", "e") == taken("e")

    @pytest.mark.parametrize("durable", [False, True])
    def test_an_event_is_taken_once_and_what_came_with_the_second_is_not_taken(self, log: Log, durable: bool) -> None:
        first, second = decision(), decision()
        log.append((first, taken("e", decision_id=first.id)))
        if durable:
            log.flush(SOON_S)
        again = taken("e", decision_id=second.id, at=2_000.0)
        attempts: list[tuple[Row, ...]] = [(second, again), (outcome(first), again), (second, taken("f"), taken("f"))]
        for rows in attempts:
            with pytest.raises(Conflict):
                log.append(rows).wait(SOON_S)
        assert list(log.rows()) == [first]
        assert log.taken("signals", "f") is None
        found = log.taken("signals", "e")
        assert found is not None
        assert found.decision_id == first.id

    def test_what_is_refused_takes_no_event(self, log: Log) -> None:
        with pytest.raises(NotFound):
            log.append((outcome(decision()), taken("e"))).wait(SOON_S)
        assert log.taken("signals", "e") is None
        log.append((taken("e"),)).wait(SOON_S)

    def test_an_outcome_what_was_learned_and_its_event_go_together(self, log: Log) -> None:
        made = decision()
        log.append((made,))
        log.append((outcome(made), taken("e", decision_id=made.id)), learned({("s", 0): 1.0}))
        for each in self.before_and_after(log):
            found = each.taken("signals", "e")
            assert found is not None
            assert [row.decision_id for row in each.outcomes(found.decision_id)] == [made.id]
            assert each.learned(made.agent) is not None
            if each is not log:
                each.close()

    def test_events_are_forgotten_once_they_are_old(self, log: Log) -> None:
        log.append((taken("old"), taken("younger", at=1_000.0 + TAKEN_S / 2))).wait(SOON_S)
        log.append((taken("new", at=1_001.0 + TAKEN_S),)).wait(SOON_S)
        assert log.taken("signals", "old") is None
        assert log.taken("signals", "younger") is not None
        assert log.taken("signals", "new") is not None

    def test_events_wait_in_the_queue_as_other_rows_do(self, log: Log) -> None:
        log.close()
        log = self.open(queue_rows=1)
        with self.stalled(log):
            log.append((taken("e"),))
            with pytest.raises(Overloaded):
                log.append((taken("f"),))
        log.close()

    @pytest.mark.parametrize("bad", [{"at": float("nan")}, {"event": "\ud800"}])
    def test_what_cannot_be_kept_takes_no_event(self, log: Log, bad: dict[str, object]) -> None:
        with pytest.raises(InvalidInput):
            log.append((decision(), replace(taken("e"), **bad)))
        assert log.position == 0
