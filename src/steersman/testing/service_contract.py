"""What every log must do for a service: controls, keys, a chained trail, figures and word of what is durable.

`LogContract` derives from it.
"""
# ruff: noqa: S101, D102 - these are tests: they assert, and the name of each is its sentence

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager

import pytest
from msgspec.structs import asdict, replace

from steersman.core.chain import Anchor, faults
from steersman.core.errors import StoreError
from steersman.core.ports import Log
from steersman.core.values import ApiKey, AuditEvent, Control, Figures
from steersman.testing.log_rows import decision, outcome

SOON_S = 10.0
HOUR = 500_000
_PLACE = ("agent", "hour", "arm", "drawn")


def control(scope: str, *, active: bool = True, at: float = 1.0) -> Control:
    """Return a kill switch."""
    return Control(scope=scope, active=active, actor="someone", reason="a test", at=at)


def event(subject: str) -> AuditEvent:
    """Return an audit event."""
    return AuditEvent(at=1.0, actor="someone", event="tested", subject=subject, detail="")


def key(name: str, *, revoked_at: float | None = None) -> ApiKey:
    """Return a key."""
    return ApiKey(
        id=name, tenant="default", name="CI", roles=("decide", "report"), digest="00", created_at=1.0, revoked_at=revoked_at
    )


def added(figures: Iterable[Figures]) -> dict[tuple[object, ...], dict[str, float]]:
    """Return figures added up by agent, hour, arm and whether it was drawn; what amounts to nothing is left out."""
    sums: dict[tuple[object, ...], dict[str, float]] = {}
    for each in map(asdict, figures):
        place = sums.setdefault(tuple(each.pop(name) for name in _PLACE), {})
        for name, value in each.items():
            place[name] = place.get(name, 0) + value
    kept = {place: {name: value for name, value in each.items() if value} for place, each in sums.items()}
    return {place: each for place, each in kept.items() if each}


class ServiceContract(ABC):
    """What is not part of the log's order, and what is summed up of the part that is durable."""

    @abstractmethod
    def before_and_after(self, log: Log) -> Iterator[Log]:
        """Yield the log, and then the log opened again."""

    @abstractmethod
    def stalled(self, log: Log) -> AbstractContextManager[None]:
        """Keep the log from writing, as a full disk does, for as long as the context lasts."""

    # controls and keys

    def test_the_last_word_of_each_kind_and_scope_holds(self, log: Log) -> None:
        log.append((control("*"), control("qe"), control("*", active=False, at=2.0)))
        expected = [control("*", active=False, at=2.0), control("qe")]
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - the second is the first, opened again
            assert log.controls() == expected
        pin = replace(control("qe"), kind="pin", choices={"workers": 2, "order": "file"}, expires_at=77.5)
        log.append((control("qe", active=False, at=3.0), pin))
        assert log.controls() == [expected[0], control("qe", active=False, at=3.0), pin]
        log.flush(SOON_S)
        assert log.controls()[2] == pin
        log.close()

    def test_the_latest_row_of_a_key_counts_and_survives(self, log: Log) -> None:
        log.append((key("b"), key("a"), replace(key("c"), expires_at=9.5)))
        log.append((key("b", revoked_at=5.0),))
        for log in self.before_and_after(log):  # noqa: B020, PLR1704 - as above
            assert log.keys() == [key("a"), key("b", revoked_at=5.0), replace(key("c"), expires_at=9.5)]
        log.close()

    # the audit trail

    def test_audit_is_newest_first(self, log: Log) -> None:
        log.append((event("a"), event("b")))
        log.flush(SOON_S)
        log.append((event("c"),))
        assert [each.subject for each in log.audit()] == ["c", "b", "a"]
        assert [each.subject for each in log.audit(2)] == ["c", "b"]

    def test_events_are_chained_whichever_transaction_they_came_in(self, log: Log) -> None:
        for subject in "abc":
            log.append((event(subject), replace(event(subject * 2), at=1_800_000_000.123_456_78)))  # finer than stores keep
            log.flush(SOON_S)
        trail = log.trail()
        assert [each.number for each in trail] == [1, 2, 3, 4, 5, 6]
        anchor = Anchor(number=6, digest=trail[-1].digest, at=1.0)
        assert list(faults(b"", trail, [anchor])) == []
        assert list(faults(b"another key", trail)) != []
        assert list(faults(b"", [*trail[:3], replace(trail[3], detail="edited"), *trail[4:]])) != []
        assert list(faults(b"", trail[:-1], [anchor])) == ["event 6 was anchored and is gone: the trail ends at 5."]
        assert log.trail(after=4) == trail[4:]
        assert log.trail(after=1, limit=2) == trail[1:3]

    def test_words_take_no_position(self, log: Log) -> None:
        log.append((event("a"), control("*"), key("a"), decision(), event("b"))).wait(SOON_S)
        assert log.position == 1

    # figures

    def test_figures_sum_up_what_is_between_two_positions(self, log: Log) -> None:
        made = [decision(at=HOUR * 3600.0 + each) for each in range(4)]
        late = replace(decision(at=HOUR * 3600.0 + 3600.0), overridden=True, arm="baseline", arm_probability=1.0)
        log.append([*made, late])
        said = [replace(outcome(each, reward=0.5), success=True, cost=2.0) for each in made[:3]]
        log.append([*said, replace(outcome(late, reward=-1.0), success=False, false_block=True)]).wait(SOON_S)
        agent = made[0].agent
        assert added(log.figures()) == {
            (agent, HOUR, "champion", True): {
                "decisions": 4, "latency_us": 126.0, "rewarded": 3, "scored": 3, "successes": 3, "reward": 1.5,
                "reward_squares": 0.75, "costed": 3, "cost": 6.0,
            },
            (agent, HOUR + 1, "baseline", False): {
                "decisions": 1, "overridden": 1, "latency_us": 31.5, "rewarded": 1, "scored": 1, "reward": -1.0,
                "reward_squares": 1.0, "judged": 1, "false_blocks": 1,
            },
        }  # fmt: skip
        assert added([*log.figures(0, 6), *log.figures(6)]) == added(log.figures())
        assert log.durable_position == 9
        assert log.figures(9) == []

    def test_a_correction_takes_back_what_was_counted(self, log: Log) -> None:
        made = decision(at=HOUR * 3600.0)
        log.append((made, replace(outcome(made, reward=0.5), success=True))).wait(SOON_S)
        first = log.figures()
        log.append((outcome(made, reward=0.25, revision=1),)).wait(SOON_S)
        place = (made.agent, HOUR, "champion", True)
        now = {"decisions": 1, "latency_us": 31.5, "rewarded": 1, "reward": 0.25, "reward_squares": 0.0625}
        assert added([*first, *log.figures(2)]) == {place: now}
        assert added(log.figures()) == {place: now}
        gone = replace(outcome(made, reward=None, revision=2), kind="withdrawn")
        log.append((gone,)).wait(SOON_S)
        assert added(log.figures()) == {place: {"decisions": 1, "latency_us": 31.5}}

    def test_figures_count_only_what_is_durable(self, log: Log) -> None:
        log.append((decision(),)).wait(SOON_S)
        with self.stalled(log):
            log.append((decision(),))
            assert sum(each.decisions for each in log.figures(0, log.durable_position)) == log.durable_position

    # word of what is durable

    def test_a_callback_is_told_when_a_receipt_is_settled(self, log: Log) -> None:
        told = threading.Event()
        with self.stalled(log):
            receipt = log.append((decision(),))
            receipt.notify(told.set)
            assert not receipt.settled()
            assert not told.wait(0.05)
        assert told.wait(SOON_S)
        assert receipt.settled()
        again = threading.Event()
        receipt.notify(again.set)
        assert again.wait(SOON_S)

    def test_one_callback_is_told_once_for_a_transaction(self, log: Log) -> None:
        calls: list[int] = []

        def tell() -> None:
            calls.append(1)

        with self.stalled(log):
            receipts = [log.append((decision(),)) for _ in range(50)]
            for each in receipts:
                each.notify(tell)
        receipts[-1].wait(SOON_S)
        log.flush(SOON_S)
        assert 1 <= len(calls) <= 2  # the first rows may have been on their way already

    def test_a_callback_is_told_when_the_log_gives_up(self, log: Log) -> None:
        told = threading.Event()
        with self.stalled(log):
            receipt = log.append((decision(),))
            receipt.notify(told.set)
            with pytest.raises(StoreError):
                log.close()
            assert told.wait(SOON_S)
            assert receipt.settled()
            with pytest.raises(StoreError):
                receipt.wait(0.0)
