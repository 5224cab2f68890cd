"""A comparison as a person reads it: who won by how much, and each metric with its evidence."""

from typing import Any

import pytest

from steersman.cli.comparison import improvement, show_comparison

METRIC = {
    "metric": "reward",
    "challenger_mean": 0.64,
    "champion_mean": 0.48,
    "difference": 0.1712,
    "low": 0.0812,
    "high": 0.2688,
    "e_worse": 1.0,
    "e_not_worse": 2.3e11,
    "verdict": "not worse",
}
REPORT: dict[str, Any] = {
    "champion_units": 1_375,
    "challenger_units": 103,
    "champion_arrivals": 1_374,
    "challenger_arrivals": 103,
    "metrics": [METRIC],
    "e_ratio": 1.0,
    "mismatch": False,
    "winner": "challenger",
    "improvement": 0.1712,
    "improvement_low": 0.0812,
    "improvement_high": 0.2688,
    "recommendation": "Take the challenger: it is better in reward (d = 1.3).",
}


def test_the_winner_is_told_with_an_interval() -> None:
    assert improvement(REPORT) == "The second wins: the second earns +0.1712 (0.0812 to 0.2688) in reward."
    assert improvement({**REPORT, "winner": None}).startswith("No winner: the second earns +0.1712")
    assert improvement({**REPORT, "improvement": None}) == "No winner: no outcome is known yet."


def test_a_table_shows_sizes_differences_and_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(REPORT)
    told = capsys.readouterr().out
    for word in (
        "103 and 1,375; with an outcome: 103 and 1,374",
        "+0.171",
        "0.081 to 0.27",
        "2e11",
        "→ Take the challenger",
    ):
        assert word in told
    assert "Sample ratio" not in told


def test_subjects_that_are_missing_on_one_side_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison({**REPORT, "mismatch": True, "e_ratio": 4_000.0})
    assert "Sample ratio: evidence 4e+03" in capsys.readouterr().out


def test_what_is_not_known_yet_is_left_empty(capsys: pytest.CaptureFixture[str]) -> None:
    blank = {**METRIC, "challenger_mean": None, "champion_mean": None, "difference": None}
    show_comparison({**REPORT, "metrics": [blank]})
    assert "0.081" not in capsys.readouterr().out
