"""The bounds of the mutation score, by hand."""

import pytest

from steersman.packs.qe.faults.fate import Fate, Judged, score
from steersman.packs.qe.faults.mutation import faults

FAULT = faults("a.py", "def f(a):\n    return a + 1\n")[0]


def judged(**counts: int) -> list[Judged]:
    names: dict[str, Fate] = {"killed": "killed", "hung": "timed out", "witnessed": "witnessed", "survived": "survived"}
    names |= {"uncovered": "uncovered", "equivalent": "equivalent", "invalid": "invalid", "late": "not run"}
    return [Judged(fault=FAULT, fate=names[name]) for name, count in counts.items() for _ in range(count)]


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ({"killed": 6, "survived": 3, "uncovered": 1}, 0.6, 1.0),
        ({"killed": 6, "survived": 2, "witnessed": 2}, 0.6, 0.75),
        ({"killed": 6, "hung": 2, "witnessed": 2}, 0.6, 0.8),
        ({"killed": 1, "equivalent": 5, "invalid": 5, "late": 5}, 1.0, 1.0),
        ({"survived": 4}, 0.0, None),
        ({"witnessed": 4}, 0.0, 0.0),
        ({"equivalent": 4}, None, None),
        ({}, None, None),
    ],
)
def test_the_score_lies_between_what_is_known_and_what_is_possible(
    counts: dict[str, int], low: float | None, high: float | None
) -> None:
    found = score(judged(**counts))
    assert (found.low, found.high) == (low, high)
