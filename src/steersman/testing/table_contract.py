"""What every log must do with what was learned: tables, windows, retention and tokens. `LogContract` derives from it."""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest

from steersman.core.ports import Log
from steersman.testing.log_rows import AGENT, decision, episode, learned, outcome, window

SOON_S = 10.0


class TableContract(ABC):
    """A table stands at the position of its rows, and survives as it was."""

    @abstractmethod
    def stalled(self, log: Log) -> AbstractContextManager[None]:
        """Keep the log from writing, as a full disk does, for as long as the context lasts."""

    @abstractmethod
    def reopen(self, log: Log) -> Log:
        """Close the log and open it again."""

    @abstractmethod
    def before_and_after(self, log: Log) -> Iterator[Log]:
        """Yield the log, and then the log opened again."""

    # retention

    @pytest.mark.parametrize("durable", [False, True])
    def test_rows_that_were_cut_are_gone_and_what_was_learned_of_them_stays(self, log: Log, durable: bool) -> None:
        old, waits, corrected, new, other = decision(), decision(), decision(), decision(), decision(agent="ops/scaler")
        log.append((old, waits, corrected, other, outcome(old), outcome(corrected), outcome(other)))
        log.append((new, outcome(new), outcome(corrected, revision=1)))
        if durable:
            log.flush(SOON_S)
        base = learned({("s", 0): 1.0}, carry=b'{"a":1}')
        base.position = 7
        log.cut(base).wait(SOON_S)
        log.flush(SOON_S)
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - the second is the first, opened again
            assert log.base(AGENT) == base
            assert log.base("ops/scaler") is None
            assert list(log.rows(AGENT)) == [waits, corrected, new, outcome(new), outcome(corrected, revision=1)]
            assert list(log.rows("ops/scaler")) == [other, outcome(other)]
            assert (log.decision(old.id), log.outcomes(old.id)) == (None, [])
            assert (log.position, log.decision_count(AGENT)) == (10, 4)
            assert log.waiting(AGENT, 2_000.0) == [waits]
        log.close()

    # tokens

    def test_tokens_are_granted_up_to_the_budget_of_their_period(self, log: Log) -> None:
        first, second = log.reserve_tokens(AGENT, 0, 60, 100), log.reserve_tokens(AGENT, 0, 60, 100)
        other, later = log.reserve_tokens("ops/scaler", 0, 60, 100), log.reserve_tokens(AGENT, 1, 60, 100)
        for each in (first, second, other, later):
            each.wait(SOON_S)
        assert [each.granted for each in (first, second, other, later)] == [60, 40, 60, 60]

    def test_tokens_stay_reserved(self, log: Log) -> None:
        log.reserve_tokens(AGENT, 0, 60, 100).wait(SOON_S)
        log = self.reopen(log)
        grant = log.reserve_tokens(AGENT, 0, 60, 100)
        grant.wait(SOON_S)
        assert grant.granted == 40
        log.close()

    def test_tokens_cannot_be_used_before_they_are_durable(self, log: Log) -> None:
        with self.stalled(log):
            grant = log.reserve_tokens(AGENT, 0, 60, 100)
            assert grant.granted == 0
        grant.wait(SOON_S)
        assert grant.granted == 60

    # what was learned

    def test_learned_values_stand_at_the_position_of_their_rows(self, log: Log) -> None:
        first = decision()
        log.append((first, outcome(first)), learned({("s", 0): 1.0, ("s", 1): -0.25}, carry=b'{"a":1}'))
        log.append((decision(),))
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - the second is the first, opened again
            assert log.learned(AGENT) == (learned({("s", 0): 1.0, ("s", 1): -0.25}, carry=b'{"a":1}'), 2)
        log.close()

    @pytest.mark.parametrize("durable", [False, True])
    def test_later_changes_go_over_earlier_ones(self, log: Log, durable: bool) -> None:
        log.append((decision(),), learned({("s", 0): 1.0, ("t", 0): 2.0}, carry=b"1"))
        if durable:
            log.flush(SOON_S)
        log.append((decision(),), learned({("s", 0): 3.0}, carry=b"2"))
        expected = (learned({("s", 0): 3.0, ("t", 0): 2.0}, carry=b"2"), 2)
        assert log.learned(AGENT) == expected
        log = self.reopen(log)
        assert log.learned(AGENT) == expected
        log.close()

    @pytest.mark.parametrize("durable", [False, True])
    def test_removed_states_go_with_all_their_entries(self, log: Log, durable: bool) -> None:
        log.append((decision(),), learned({("s", 0): 1.0, ("s", 1): 1.0, ("t", 0): 2.0}))
        if durable:
            log.flush(SOON_S)
        log.append((decision(),), learned(removed=["s"]))
        assert log.learned(AGENT) == (learned({("t", 0): 2.0}), 2)
        log.append((decision(),), learned({("s", 1): 5.0}))
        expected = (learned({("t", 0): 2.0, ("s", 1): 5.0}), 3)
        assert log.learned(AGENT) == expected
        log = self.reopen(log)
        assert log.learned(AGENT) == expected
        log.close()

    @pytest.mark.parametrize("durable", [False, True])
    def test_replace_forgets_all_that_was_learned_before(self, log: Log, durable: bool) -> None:
        log.append((decision(),), learned({("s", 0): 1.0}, episodes=[episode("old")]))
        log.append((decision(),), learned({("s", 0): 1.0}, agent="ops/scaler"))
        if durable:
            log.flush(SOON_S)
        log.append((), learned({("t", 0): 2.0}, episodes=[episode("new")], replace=True))
        log.append((decision(),), learned({("u", 0): 3.0}))
        expected = (learned({("t", 0): 2.0, ("u", 0): 3.0}, episodes=[episode("new")]), 3)
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - as above
            assert log.learned(AGENT) == expected
            assert log.open_episodes(AGENT) == [episode("new")]
            assert log.learned("ops/scaler") == (learned({("s", 0): 1.0}, agent="ops/scaler"), 2)
        log.close()

    def test_changing_a_value_after_the_append_changes_nothing(self, log: Log) -> None:
        changes = learned({("s", 0): 1.0})
        log.append((decision(),), changes)
        changes.entries.clear()
        changes.states.clear()
        log.flush(SOON_S)
        assert log.learned(AGENT) == (learned({("s", 0): 1.0}), 1)

    def test_windows_are_newest_first(self, log: Log) -> None:
        assert log.windows(AGENT) == []
        log.append((decision(),), learned(windows=[window(number) for number in range(12)]))
        log.append((decision(),), learned(windows=[window(0, agent="ops/scaler")], agent="ops/scaler"))
        log.flush(SOON_S)
        log.append((decision(),), learned(windows=[window(12)]))
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - as above
            assert log.windows(AGENT) == [window(number) for number in range(12, 2, -1)]
            assert log.windows(AGENT, limit=2) == [window(12), window(11)]
            assert log.windows("ops/scaler") == [window(0, agent="ops/scaler")]
        log.close()

    def test_a_window_that_closed_is_seen_before_it_is_durable(self, log: Log) -> None:
        with self.stalled(log):
            log.append((decision(),), learned(windows=[window(0)]))
            assert log.windows(AGENT) == [window(0)]

    @pytest.mark.parametrize("durable", [False, True])
    def test_replace_forgets_the_windows_too(self, log: Log, durable: bool) -> None:
        log.append((decision(),), learned(windows=[window(0), window(1), window(2)]))
        if durable:
            log.flush(SOON_S)
        log.append((), learned(windows=[window(0, reward=0.25)], replace=True))
        log.append((decision(),), learned(windows=[window(1, reward=0.25)]))
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - as above
            assert log.windows(AGENT) == [window(1, reward=0.25), window(0, reward=0.25)]
        log.close()

    def test_episodes_end(self, log: Log) -> None:
        log.append((decision(),), learned(episodes=[episode("a", started_at=2.0), episode("b", started_at=1.0)]))
        assert log.open_episodes(AGENT) == [episode("b", started_at=1.0), episode("a", started_at=2.0)]
        log.flush(SOON_S)
        log.append((decision(),), learned(episodes=[episode("b", started_at=1.0, ended_at=3.0)]))
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - as above
            assert log.open_episodes(AGENT) == [episode("a", started_at=2.0)]
            assert log.open_episodes("ops/scaler") == []
        log.close()
