"""The ledger scores forecasts against what happened, as worked out by hand."""

import math

import pytest

from steersman.core.errors import InvalidInput
from steersman.stages.evaluate.calibration import Forecast, Live, ledger

FORECAST = Forecast(name="v7 less v6", value=0.5, low=0.4, high=0.7)


def _live(mean: float, error: float = 0.0, count: int = 200) -> Live:
    return Live(mean=mean, standard_error=error, count=count)


@pytest.mark.parametrize(
    ("mean", "error", "inside"),
    [
        (0.45, 0.0, True),
        (0.39, 0.0, False),
        (0.69, 0.0, True),  # the interval reaches further up than down
        (0.71, 0.0, False),
        (0.39, 0.05, True),  # √(0.1² + (1.96·0.05)²) = 0.14
        (0.30, 0.05, False),
    ],
)
def test_a_forecast_holds_within_its_noise_and_that_of_what_happened(mean: float, error: float, inside: bool) -> None:
    assert ledger([(FORECAST, _live(mean, error))], reach=1.0).lines[0].inside is inside


def test_coverage_and_bias_follow_a_hand_computed_case() -> None:
    found = ledger([(FORECAST, _live(0.45)), (FORECAST, _live(0.1)), (FORECAST, _live(0.6))], reach=2.0)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.bias == pytest.approx((0.05 + 0.4 - 0.1) / 3 / 2.0)
    assert found.sentence == "2 of 3 forecasts held; on average they promised 5.8 % of the reward range too much."


def test_each_line_is_a_sentence() -> None:
    line = ledger([(FORECAST, _live(0.1, 0.01))], reach=1.0).lines[0]
    assert line.sentence == "v7 less v6: foretold 0.5 in [0.4, 0.7], seen 0.1 ± 0.01 in 200 outcomes, outside."


def test_without_live_outcomes_there_is_nothing_to_score() -> None:
    found = ledger([], reach=1.0)
    assert (found.coverage, found.bias, found.lines) == (None, None, ())
    assert "No forecast" in found.sentence


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(InvalidInput, match="finite"):
        ledger([(FORECAST, _live(math.nan))], reach=1.0)
    with pytest.raises(InvalidInput, match="width"):
        ledger([], reach=0.0)
