"""What every log must do. Derive a test class from `LogContract` and say how to open one."""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress

import pytest
from msgspec.structs import replace

from steersman.core.errors import Conflict, DeadlineExceeded, InvalidInput, NotFound, Overloaded, StoreError
from steersman.core.ports import Log, Receipt
from steersman.core.values import Decision, Outcome
from steersman.testing.event_contract import EventContract
from steersman.testing.log_rows import AGENT, decision, episode, learned, outcome
from steersman.testing.pool_contract import PoolContract
from steersman.testing.service_contract import ServiceContract
from steersman.testing.table_contract import TableContract

SOON_S = 10.0


class LogContract(PoolContract, TableContract, ServiceContract, EventContract, ABC):
    """The behaviour of a log; each test begins with an empty one."""

    @abstractmethod
    def open(self, *, queue_rows: int = 100_000) -> Log:
        """Open the log under test, as the test left it."""

    @abstractmethod
    def stalled(self, log: Log) -> AbstractContextManager[None]:
        """Keep the log from writing, as a full disk does, for as long as the context lasts."""

    def reopen(self, log: Log) -> Log:
        """Close the log and open it again."""
        log.close()
        return self.open()

    def before_and_after(self, log: Log) -> Iterator[Log]:
        """Yield the log, and then the log opened again."""
        yield log
        yield self.reopen(log)

    @pytest.fixture
    def log(self) -> Iterator[Log]:
        """An open log, closed after the test."""
        log = self.open()
        yield log
        with suppress(StoreError):
            log.close()

    # order and acknowledgement

    def test_an_empty_log_has_nothing(self, log: Log) -> None:
        assert log.position == 0
        assert (log.agents(), log.recent(AGENT, 5), list(log.rows()), list(log.history(AGENT))) == ([], [], [], [])
        assert (log.decision("no such id"), log.outcomes("no such id"), log.learned(AGENT)) == (None, [], None)
        assert (log.decision_count(AGENT), log.audit(), log.controls()) == (0, [], [])
        assert log.health() == ""

    def test_positions_rise_by_one_for_each_row(self, log: Log) -> None:
        first = decision()
        log.append((first,))
        assert log.position == 1
        log.append((decision(), outcome(first)))
        assert log.position == 3

    def test_a_receipt_is_kept(self, log: Log) -> None:
        receipt = log.append((decision(),))
        receipt.wait(SOON_S)
        assert receipt.done()
        assert isinstance(receipt, Receipt)

    def test_a_receipt_for_nothing_acknowledges_what_came_before(self, log: Log) -> None:
        log.append(()).wait(SOON_S)
        before = log.append((decision(),))
        log.append(()).wait(SOON_S)
        assert before.done()

    def test_a_later_receipt_implies_the_earlier_ones(self, log: Log) -> None:
        receipts = [log.append((decision(),)) for _ in range(200)]
        receipts[-1].wait(SOON_S)
        assert all(each.done() for each in receipts)

    def test_flush_makes_everything_durable(self, log: Log) -> None:
        receipt = log.append((decision(),))
        log.flush(SOON_S)
        assert receipt.done()

    def test_many_threads_append_in_one_order(self, log: Log) -> None:
        made: list[list[Decision]] = [[] for _ in range(8)]

        def work(mine: list[Decision]) -> None:
            for _ in range(50):
                mine.append(decision())
                receipt = log.append((mine[-1], outcome(mine[-1])))
            receipt.wait(SOON_S)

        threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        rows = [row.id for row in log.rows() if isinstance(row, Decision)]
        assert len(rows) == len(set(rows)) == 400
        for mine in made:
            assert [name for name in rows if name in {each.id for each in mine}] == [each.id for each in mine]
        assert [position for position, _, _ in log.history(AGENT)] == list(range(2, 801, 2))

    # rows

    def test_rows_come_back_as_they_were(self, log: Log) -> None:
        first = decision()
        second = replace(decision(), proposed=None, propensity=None, arm="safe", state={"name": "null ☃ \x00 'quoted'"})
        last = replace(outcome(second), next_state=None, executed={"workers": 1, "order": 0.5}, reward=None)
        log.append((first, second, last))
        log = self.reopen(log)
        assert list(log.rows()) == [first, second, last]
        assert log.decision(second.id) == second
        assert log.outcomes(second.id) == [last]
        log.close()

    def test_a_trial_is_told_apart_in_rows_and_figures(self, log: Log) -> None:
        made = decision(at=3_600.0)
        tried = replace(made, arm="challenger", version="ab" * 32, release="r1", challenger_share=0.25)
        shadowed = replace(decision(), release="r1", shadow={"workers": 4, "order": "file"}, shadow_probability=0.125)
        log.append((tried, shadowed, outcome(tried))).wait(SOON_S)
        assert list(log.rows()) == [tried, shadowed, outcome(tried)]
        mine = [each for each in log.figures() if each.arm == "challenger"]
        assert {(each.agent, each.hour, each.drawn) for each in mine} == {(AGENT, 1, True)}
        assert (sum(each.decisions for each in mine), sum(each.reward for each in mine)) == (1, 0.5)

    def test_rows_are_seen_before_they_are_durable(self, log: Log) -> None:
        first, second = decision(), decision(at=1_005.0)
        with self.stalled(log):
            log.append((first, second))
            log.append((outcome(first),), learned({("s", 0): 1.0}, episodes=[episode("e")]))
            assert log.decision(first.id) == first
            assert log.outcomes(first.id) == [outcome(first)]
            assert list(log.rows()) == [first, second, outcome(first)]
            assert [row for _, _, row in log.history(AGENT)] == [outcome(first)]
            assert log.recent(AGENT, 1) == [second]
            assert log.waiting(AGENT, 2_000.0) == [second]
            assert (log.decision_count(AGENT), log.agents()) == (2, [AGENT])
            assert log.open_episodes(AGENT) == [episode("e")]
            found = log.learned(AGENT)
            assert found is not None
            assert found == (learned({("s", 0): 1.0}, episodes=[episode("e")]), 3)

    def test_rows_of_one_agent(self, log: Log) -> None:
        mine, other = decision(), decision(agent="ops/scaler")
        log.append((mine, other, outcome(other), outcome(mine)))
        assert list(log.rows("ops/scaler")) == [other, outcome(other)]
        assert [position for position, _, _ in log.history("ops/scaler")] == [3]
        assert log.agents() == ["ops/scaler", AGENT]

    def test_history_joins_outcomes_with_their_decisions_in_log_order(self, log: Log) -> None:
        first, second = decision(), decision()
        log.append((first, second, outcome(second), outcome(first), outcome(second, revision=1)))
        expected = [(3, second, outcome(second)), (4, first, outcome(first)), (5, second, outcome(second, revision=1))]
        assert list(log.history(AGENT)) == expected
        assert list(log.history(AGENT, until=4)) == expected[:2]
        log.flush(SOON_S)
        assert list(log.history(AGENT)) == expected
        assert list(log.history(AGENT, until=3)) == expected[:1]

    def test_a_sample_takes_the_last_word_at_each_share_of_the_log(self, log: Log) -> None:
        made = [decision() for _ in range(4)]
        log.append(made)  # positions 1 to 4; outcomes at 5, 6, 8 and 9
        log.append((outcome(made[0]), outcome(made[1]), decision(), outcome(made[2]), outcome(made[1], revision=1)))
        log.flush(SOON_S)
        assert log.sample(AGENT, []) == log.sample("ops/scaler", [0.5]) == []
        wanted = [0.0, 0.3, 0.5, 0.7, 0.99]
        places = [(made[0], 0), (made[1], 1), (made[2], 0), (made[2], 0), (made[1], 1)]
        assert log.sample(AGENT, wanted) == [(each, outcome(each, revision=number)) for each, number in places]

    def test_what_is_behind_a_position_is_told_in_log_order(self, log: Log) -> None:
        first, other, second = decision(), decision(agent="ops/scaler"), decision()
        log.append((first, other, outcome(other), second, outcome(second), outcome(first), outcome(second, revision=1)))
        log.flush(SOON_S)
        found: list[tuple[int, Decision | Outcome]] = [
            (1, first),
            (4, second),
            (5, outcome(second)),
            (6, outcome(first)),
            (7, outcome(second, revision=1)),
        ]
        assert log.since(AGENT, 0) == found
        for after, expected in ((1, found[1:]), (2, found[1:]), (5, found[3:]), (7, []), (99, [])):
            assert log.since(AGENT, after) == expected
        assert log.since(AGENT, 0, limit=2) == found[:2]
        assert log.since(AGENT, 4, limit=1) == found[2:3]
        assert log.since("ops/scaler", 0) == [(2, other), (3, outcome(other))]
        assert log.since("no such agent", 0) == []

    def test_of_what_is_behind_a_position_only_what_is_durable_is_told(self, log: Log) -> None:
        first, second = decision(), decision()
        log.append((first,)).wait(SOON_S)
        with self.stalled(log):
            log.append((outcome(first), second))
            assert log.since(AGENT, 0) == [(1, first)]
            assert log.since(AGENT, 1) == []
        log.flush(SOON_S)
        assert log.since(AGENT, 1) == [(2, outcome(first)), (3, second)]

    def test_what_was_cut_is_not_behind_any_position(self, log: Log) -> None:
        first, second = decision(), decision()
        log.append((first, outcome(first), second)).wait(SOON_S)
        log.cut(replace(learned({("s", 0): 1.0}), position=2)).wait(SOON_S)
        assert log.since(AGENT, 0) == log.since(AGENT, 0, limit=1) == [(3, second)]

    def test_history_is_what_it_was_when_it_began(self, log: Log) -> None:
        first = decision()
        log.append((first, outcome(first)))
        log.flush(SOON_S)
        history = log.history(AGENT)
        assert next(history)[2] == outcome(first)
        log.append((outcome(first, revision=1),))
        log.flush(SOON_S)
        assert list(history) == []

    def test_outcomes_are_listed_by_revision(self, log: Log) -> None:
        first = decision()
        log.append((first, outcome(first), outcome(first, revision=1)))
        log.flush(SOON_S)
        log.append((outcome(first, revision=2),))
        assert [each.revision for each in log.outcomes(first.id)] == [0, 1, 2]

    def test_recent_is_newest_first(self, log: Log) -> None:
        made = [decision(at=1_000.0 + i) for i in range(5)]
        log.append(made)
        assert log.recent(AGENT, 3) == made[:1:-1]
        log.flush(SOON_S)
        assert log.recent(AGENT, 3) == made[:1:-1]

    def test_waiting_lists_what_is_old_and_open(self, log: Log) -> None:
        made = [decision(at=1_000.0 + i) for i in range(5)]
        log.append(made)
        log.append((outcome(made[1]),))
        log.flush(SOON_S)
        log.append((outcome(made[2]),))
        assert log.waiting(AGENT, before=1_004.0) == [made[0], made[3]]
        assert log.waiting("ops/scaler", before=1_004.0) == []

    # refusals

    @pytest.mark.parametrize("durable", [False, True])
    def test_a_known_decision_is_refused_and_nothing_taken(self, log: Log, durable: bool) -> None:
        old, first, fresh = decision(), decision(), decision()
        log.append((old, first))
        if durable:
            log.flush(SOON_S)
        for rows in ((fresh, first), (fresh, old), (fresh, fresh)):
            with pytest.raises(Conflict):
                log.append(rows).wait(SOON_S)
        assert list(log.rows()) == [old, first]
        assert log.position == 2

    @pytest.mark.parametrize("durable", [False, True])
    def test_a_known_revision_is_refused_and_nothing_taken(self, log: Log, durable: bool) -> None:
        first, second = decision(), decision()
        log.append((first, outcome(first)))
        if durable:
            log.flush(SOON_S)
        for rows in ((second, outcome(first, reward=0.9)), (second, outcome(second), outcome(second))):
            with pytest.raises(Conflict):
                log.append(rows).wait(SOON_S)
        assert list(log.rows()) == [first, outcome(first)]

    @pytest.mark.parametrize("durable", [False, True])
    def test_an_outcome_needs_its_decision(self, log: Log, durable: bool) -> None:
        first, unknown = decision(), decision()
        log.append((first,))
        if durable:
            log.flush(SOON_S)
        with pytest.raises(NotFound):
            log.append((outcome(first), outcome(unknown))).wait(SOON_S)
        assert list(log.rows()) == [first]
        log.append((outcome(first), unknown, outcome(unknown))).wait(SOON_S)

    def test_ids_need_not_rise(self, log: Log) -> None:
        made = [decision(f"00000000-0000-7000-8000-00000000000{digit}") for digit in (5, 3, 8, 1)]
        for each in made:
            log.append((each,)).wait(SOON_S)
        assert list(log.rows()) == made

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
    def test_numbers_that_are_not_finite_are_refused(self, log: Log, bad: float) -> None:
        first = decision()
        rows: list[Decision | Outcome] = [
            replace(first, values=(bad,)),
            replace(first, propensity=bad),
            replace(first, state={"share": bad}),
            replace(first, challenger_share=bad),
            replace(first, shadow={"workers": bad}, shadow_probability=0.5),
            replace(first, shadow={"workers": 2}, shadow_probability=bad),
            outcome(first, reward=bad),
            replace(outcome(first), next_state={"share": bad}),
        ]
        for each in rows:
            with pytest.raises(InvalidInput):
                log.append((first, each))
        with pytest.raises(InvalidInput):
            log.append((first,), learned({("s", 0): bad}))
        assert (log.position, log.learned(AGENT)) == (0, None)

    def test_text_that_is_no_unicode_is_refused(self, log: Log) -> None:
        with pytest.raises(InvalidInput):
            log.append((made := decision(), outcome(made, source="\ud800")))
        log.append((decision(),)).wait(SOON_S)

    def test_the_queue_is_bounded_and_takes_all_or_nothing(self, log: Log) -> None:
        log.close()
        log = self.open(queue_rows=3)
        first = decision()
        with self.stalled(log):
            log.append((first, decision()))
            log.reserve()
            with pytest.raises(Overloaded):
                log.append((decision(), decision()))
            with pytest.raises(Overloaded):
                log.reserve(2)
            assert log.position == 2
            log.append((outcome(first), outcome(first, revision=1)), learned({("s", 0): 1.0}))
            assert log.position == 4, "what was learned is always taken"
        log.flush(SOON_S)
        assert len(list(log.rows())) == 4
        log.close()

    def test_nothing_is_acknowledged_while_the_log_cannot_write(self, log: Log) -> None:
        with self.stalled(log):
            receipt = log.append((decision(),))
            with pytest.raises(DeadlineExceeded):
                receipt.wait(0.1)
            assert not receipt.done()
            assert log.health()
        receipt.wait(SOON_S)
        assert log.health() == ""

    def test_a_closed_log_takes_nothing(self, log: Log) -> None:
        log.close()
        with pytest.raises(StoreError):
            log.append((decision(),))

    @pytest.mark.parametrize("durable", [False, True])
    def test_an_episode_is_found_in_the_order_of_the_log(self, log: Log, durable: bool) -> None:
        first, last = (replace(decision(at=at), episode="e") for at in (1_000.0, 900.0))  # the clock was set back
        log.append((first, decision(), replace(decision(), episode="f")))
        if durable:
            log.flush(SOON_S)
        log.append((last,))
        assert log.of_episode(AGENT, "e") == [first, last]
        assert (log.of_episode(AGENT, "g"), log.of_episode("ops/scaler", "e")) == ([], [])

    def test_an_episode_holds_what_was_not_cut(self, log: Log) -> None:
        first, last = (replace(decision(), episode="e") for _ in range(2))
        log.append((first, outcome(first), last)).wait(SOON_S)
        log.cut(replace(learned({("s", 0): 1.0}), position=2)).wait(SOON_S)
        assert log.of_episode(AGENT, "e") == [last]

    # coming back

    def test_everything_is_there_after_opening_again(self, log: Log) -> None:
        made = [decision(at=1_000.0 + i) for i in range(20)]
        log.append(made)
        log.append([outcome(each) for each in made[:10]], learned({("s", 0): 1.0}))
        log = self.reopen(log)
        assert log.position == 30
        assert list(log.rows()) == [*made, *(outcome(each) for each in made[:10])]
        assert log.recent(AGENT, 2) == made[:-3:-1]
        assert log.waiting(AGENT, 2_000.0) == made[10:]
        assert (log.decision_count(AGENT), log.agents()) == (20, [AGENT])
        log.append((outcome(made[10]),))
        assert log.position == 31
        assert len(log.waiting(AGENT, 2_000.0)) == 9
        log.close()
