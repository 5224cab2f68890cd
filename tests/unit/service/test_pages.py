"""The pages' own arithmetic and words; that they look right is seen in `tests/browser`."""

import math

import pytest

from steersman.core.errors import NotFound
from steersman.core.values import Figures
from steersman.service import pages
from steersman.service.pages import agent, assets, marks, words
from steersman.stages.monitor.performance import Difference


def difference(low: float, high: float) -> Difference:
    return Difference(mean=(low + high) / 2, low=low, high=high, hours=1, learned=10, baseline=10)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0.0, "0"),
        (0.1234, "0.123"),
        (0.05, "0.050"),
        (12.345, "12.3"),
        (-1234.5, "−1,234"),
        (0.00021, "0.000210"),
        (1e-30, "0.000000000"),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert words.number(value) == text


def test_shares_are_per_cent() -> None:
    assert (words.percent(0.123), words.percent(0.0), words.percent(None)) == ("12.3 %", "0 %", "–")
    assert (words.signed_percent(-0.004, 0), words.signed_percent(0.12, 0), words.signed_percent(-0.5, 0)) == (
        "0 %",
        "+12 %",
        "−50 %",
    )


def test_an_interval_has_no_more_decimals_than_it_deserves() -> None:
    assert words.apart(difference(-0.02, 0.24)) == ("+0.11", "−0.02", "+0.24")
    assert words.apart(difference(10.0, 60.0)) == ("+35", "+10", "+60")
    assert words.apart(Difference(mean=1.0, low=-math.inf, high=math.inf, hours=1, learned=1, baseline=1)) == (
        "+1.00",
        "−∞",
        "+∞",
    )


def test_times_are_told_in_their_largest_unit() -> None:
    assert [words.span(each) for each in (0.2, 59.0, 61.0, 7_300.0, 200_000.0)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]
    assert (words.ago(100.0, 102.0), words.ago(100.0, 400.0)) == ("just now", "5 min ago")
    assert words.moment(0.0) == "1970-01-01 00:00:00 UTC"


def test_actions_are_told_with_the_names_of_their_dimensions() -> None:
    assert words.action({"action": "steady"}) == "steady"
    assert words.action({"workers": 2}) == "workers 2"
    assert words.action({"workers": 2, "order": "file"}) == "workers 2 · order file"
    assert words.action(None) == "nothing"


def test_a_spark_runs_from_left_to_right_and_higher_is_further_up() -> None:
    spark = marks.spark([0.0, 1.0, 0.5])
    assert spark is not None
    assert spark.points == "3.0,24.0 48.0,4.0 93.0,14.0"
    assert marks.spark([1.0]) is None
    assert marks.spark([1.0, 1.0]) is not None


def test_the_axis_holds_zero_and_all_but_the_widest_tenth() -> None:
    assert marks.axis_of([(0.1, 0.3)] * 10 + [(-5.0, 5.0)]) == pytest.approx((-0.036, 0.3))
    assert marks.axis_of([(-math.inf, math.inf)]) == (-0.12, 0.12)
    assert marks.axis_of([]) == (-0.12, 0.12)


def test_a_whisker_lies_on_its_axis_and_is_cut_at_its_ends() -> None:
    mark = marks.whisker(difference(-1.0, 1.0), 2.0, (-0.25, 0.75))
    assert (mark.low, mark.zero, mark.mean, mark.high) == (2.0, 26.0, 26.0, 74.0)


def test_hours_are_put_together_until_a_chart_can_be_read() -> None:
    def figures(*at: int) -> list[Figures]:
        return [Figures(agent="lab/small", hour=each, arm="champion", drawn=True, rewarded=1, reward=1.0) for each in at]

    assert [agent.bucket_of(figures(100, 100 + span)) for span in (0, 27, 28, 167, 719)] == [1, 1, 3, 6, 24]
    assert agent.bucket_of([]) == 1
    assert [(each.hour, each.outcomes) for each in agent.over_time(figures(0, 7, 8, 12), 6)] == [(6, 2), (12, 1)]


def test_shades_run_from_none_to_full() -> None:
    assert [marks.level(each, 0.0, 1.0) for each in (0.0, 0.5, 1.0)] == [0, 3, 5]
    assert marks.level(1.0, 1.0, 1.0) == 0


def test_every_file_has_an_address_with_its_digest() -> None:
    address = assets.address("steersman.css")
    assert address.startswith("/static/")
    assert address.endswith("/steersman.css")
    with pytest.raises(NotFound, match="no file"):
        assets.address("../words.py")


def test_pages_are_for_those_who_may_look() -> None:
    roles = {each.path: each.role for each in pages.OPERATIONS}
    assert roles["/"] == roles["/agents/{agent:agent}"] == "view"
    assert roles["/keys"] == "admin"
    assert roles["/login"] is None
    assert not any(each.documented for each in pages.OPERATIONS)
