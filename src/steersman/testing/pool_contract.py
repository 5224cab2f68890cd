"""What every log must do with contributions to pools. `LogContract` derives from it."""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

from abc import ABC, abstractmethod
from collections.abc import Iterator

import pytest

from steersman.core.errors import InvalidInput
from steersman.core.ports import Log
from steersman.core.values import Contribution
from steersman.testing.log_rows import decision

POOL = "category/core-testing"
SOON_S = 10.0


def contribution(
    source: str = "qe/a",
    *,
    pool: str = POOL,
    key: str = "size=low",
    role: str = "quick",
    value: float = 0.5,
    count: float = 1.5,
) -> Contribution:
    """Return a row of a pool."""
    return Contribution(
        pool=pool, source=source, key=key, role=role, value=value, count=count, variance=0.0625, updated_at=1_000.0
    )


class PoolContract(ABC):
    """Each source's last word stands, by key and role; a count of 0 takes it back."""

    @abstractmethod
    def before_and_after(self, log: Log) -> Iterator[Log]:
        """Yield the log, and then the log opened again."""

    def test_the_last_word_of_each_source_stands_and_survives(self, log: Log) -> None:
        other, first = contribution("qe/b"), contribution(role="broad")
        log.append((contribution(value=0.25), other, first))
        assert log.contributions(POOL) == [first, contribution(value=0.25), other]
        log.flush(SOON_S)
        log.append((contribution(value=0.75, count=4.0),))
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - the second is the first, opened again
            assert log.contributions(POOL) == [first, contribution(value=0.75, count=4.0), other]
        log.close()

    def test_giving_the_same_twice_changes_nothing(self, log: Log) -> None:
        rows = [contribution(), contribution("qe/b", key="size=high")]
        log.append(rows)
        log.flush(SOON_S)
        log.append(rows)
        log.append([*rows, *rows]).wait(SOON_S)
        assert log.contributions(POOL) == rows

    @pytest.mark.parametrize("durable", [False, True])
    def test_what_is_taken_back_is_gone_until_it_is_given_again(self, log: Log, durable: bool) -> None:
        log.append((contribution(), contribution("qe/b")))
        if durable:
            log.flush(SOON_S)
        log.append((contribution(count=0.0),))
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - as above
            assert log.contributions(POOL) == [contribution("qe/b")]
        log.append((contribution(),))
        assert log.contributions(POOL) == [contribution(), contribution("qe/b")]
        log.close()

    def test_pools_are_apart_and_take_no_position(self, log: Log) -> None:
        log.append((contribution(), contribution(pool="fleet", value=0.25), decision())).wait(SOON_S)
        assert log.position == 1
        assert log.contributions("fleet") == [contribution(pool="fleet", value=0.25)]
        assert log.contributions(POOL) == [contribution()]
        assert log.contributions("group/other") == []

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    def test_contributions_that_are_not_finite_are_refused(self, log: Log, bad: float) -> None:
        for row in (contribution(value=bad), contribution(count=bad)):
            with pytest.raises(InvalidInput):
                log.append((contribution("qe/b"), row))
        assert log.contributions(POOL) == []
