"""Pictures are where they belong on their canvas."""

from itertools import pairwise

import pytest

from steersman.packs.trading.backtest import plots
from steersman.packs.trading.backtest.figures import Interval
from steersman.packs.trading.backtest.report import Comparison

DAYS = [f"{year}-{month:02}-01" for year in (2019, 2020, 2021) for month in range(1, 13)]


def test_equal_factors_are_equal_heights() -> None:
    drawn = plots.chart(DAYS[:3], {"up": [1.0, 2.0, 4.0]}, [])
    heights = [float(point.split(",")[1]) for point in drawn.curves[0].points.split()]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.1)
    assert heights[0] == pytest.approx(300.0 - plots.BOTTOM)
    assert heights[2] == pytest.approx(plots.TOP)


def test_curves_stay_on_the_canvas_and_labels_apart() -> None:
    drawn = plots.chart(DAYS, {"a": [1.0] * 36, "b": [1.0001] * 36, "c": [1.0, 0.0, *[0.0] * 34]}, ["2020-01-01"])
    labels = sorted(each.label for each in drawn.curves)
    assert all(after - before >= 15.0 for before, after in pairwise(labels))
    for curve in drawn.curves:
        for point in curve.points.split():
            x, y = map(float, point.split(","))
            assert plots.LEFT <= x <= plots.WIDTH - plots.RIGHT
            assert plots.TOP <= y <= 300.0 - plots.BOTTOM
    assert len(drawn.folds) == 1
    assert [each.text for each in drawn.across] == ["2020", "2021"]


def test_a_flat_line_has_a_picture() -> None:
    drawn = plots.chart(DAYS, {"still": [1.0] * 36}, [])
    assert plots.TOP < float(drawn.curves[0].points.split()[0].split(",")[1]) < 300.0 - plots.BOTTOM


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.2, 0.0, [-0.2, -0.15, -0.1, -0.05, 0.0]),
        (0.9, 1.6, [1.0, 1.2, 1.4, 1.6]),
    ],
)
def test_ticks_are_round(low: float, high: float, ticks: list[float]) -> None:
    found = plots.nice(low, high)
    assert found == pytest.approx(ticks)


def test_days_of_one_year_are_named_by_months() -> None:
    assert plots.years(DAYS[:4]) == [(1, "2019-02"), (2, "2019-03"), (3, "2019-04")]


def test_intervals_lie_on_the_side_of_zero_where_they_belong() -> None:
    rows = [
        Comparison(
            other=name,
            gain=interval,
            gain_verdict="cannot tell",
            sharpe=interval,
            sharpe_verdict=verdict,
        )
        for name, interval, verdict in (
            ("rule", Interval(value=0.5, low=0.1, high=0.9), "better"),
            ("none", Interval(value=-0.5, low=-2.0, high=1.0), "cannot tell"),
        )
    ]
    drawn = plots.forest(rows)
    assert drawn.zero < drawn.rows[0].low < drawn.rows[0].value < drawn.rows[0].high
    assert drawn.rows[1].low < drawn.zero < drawn.rows[1].high
    assert [each.verdict for each in drawn.rows] == ["better", "cannot-tell"]


def test_shares_fill_a_bar_and_keep_their_colours() -> None:
    found = plots.parts([("b", 0.75), ("a", 0.25)], ["a", "b", "c"])
    assert [(each.x, each.width, each.kind) for each in found] == [(0.0, 25.0, 0), (25.0, 75.0, 1)]
    assert found[1].text == "b · 75 %"
    assert plots.parts([("a", 0.1), ("b", 0.9)], ["a", "b"])[0].text == ""
