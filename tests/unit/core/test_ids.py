"""Ids: UUIDv7, rising, unguessable, without repeats across threads and a clock that stands still or goes back."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from steersman.core.ids import TimeOrderedIds


def test_ids_are_uuid7_with_the_time() -> None:
    made = uuid.UUID(TimeOrderedIds(lambda: 1_700_000_000.5)())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == 1_700_000_000_500


def test_ids_rise_even_if_the_clock_stands_still_or_goes_back() -> None:
    times = iter([5.0] * 5_000 + [4.0] * 5_000)
    ids = TimeOrderedIds(lambda: next(times))
    made = [ids() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_threads_never_share_an_id() -> None:
    ids = TimeOrderedIds()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ids(), range(20_000)))
    assert len(set(made)) == len(made)
