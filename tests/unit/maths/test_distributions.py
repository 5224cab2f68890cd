"""Probabilities are exact, honest about ties, and nothing that is not allowed is ever drawn."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from steersman.core.errors import InvalidInput
from steersman.maths import distributions
from steersman.maths.distributions import draw, epsilon_greedy, greedy, inverse_gap, mix, softmax, thompson, ucb

VALUES = np.array([1.0, 3.0, 9.0, 3.0])
ALLOWED = np.array([True, True, False, True])
BELOW_ONE = math.nextafter(1.0, 0.0)


def test_greedy_shares_a_tie_and_ignores_what_is_not_allowed() -> None:
    assert greedy(VALUES, ALLOWED).tolist() == [0.0, 0.5, 0.0, 0.5]
    assert greedy(np.array([1.0, 2.0]), np.array([True, True])).tolist() == [0.0, 1.0]
    assert greedy(np.array([-0.0, 0.0]), np.array([True, True])).tolist() == [0.5, 0.5]


def test_greedy_does_not_read_values_that_are_not_allowed() -> None:
    assert greedy(np.array([math.nan, -5.0, math.inf]), np.array([False, True, False])).tolist() == [0.0, 1.0, 0.0]


def test_epsilon_greedy_spreads_epsilon_over_the_allowed_actions() -> None:
    np.testing.assert_allclose(epsilon_greedy(VALUES, ALLOWED, 0.3), [0.1, 0.45, 0.0, 0.45])
    np.testing.assert_allclose(epsilon_greedy(VALUES, ALLOWED, 1.0), [1 / 3, 1 / 3, 0.0, 1 / 3])
    assert epsilon_greedy(np.array([0.0, 7.0]), np.array([True, True]), 0.0).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("epsilon", [-0.1, 1.1, math.nan])
def test_epsilon_is_a_probability(epsilon: float) -> None:
    with pytest.raises(InvalidInput, match="epsilon"):
        epsilon_greedy(VALUES, ALLOWED, epsilon)


def test_softmax_follows_the_exponentials() -> None:
    values = np.array([0.0, math.log(2.0), 99.0, math.log(5.0)])
    np.testing.assert_allclose(softmax(values, ALLOWED, 1.0), [1 / 8, 2 / 8, 0.0, 5 / 8])


def test_softmax_does_not_overflow() -> None:
    allowed = np.array([True, True, True])
    np.testing.assert_allclose(softmax(np.array([1e308, -1e308, 1e308]), allowed, 1e-300), [0.5, 0.0, 0.5])
    np.testing.assert_allclose(softmax(np.array([1.0, 2.0, 3.0]), allowed, 1e308), [1 / 3, 1 / 3, 1 / 3])


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_softmax_refuses_a_temperature_that_is_not_positive_and_finite(temperature: float) -> None:
    with pytest.raises(InvalidInput, match="temperature"):
        softmax(VALUES, ALLOWED, temperature)


def test_ucb_takes_unvisited_actions_first() -> None:
    assert ucb(VALUES, ALLOWED, np.array([0, 5, 0, 0]), 5, width=1.0).tolist() == [0.5, 0.0, 0.0, 0.5]


def test_ucb_adds_the_bound() -> None:
    # √(2 ln 100 / 1) = 3.03 lifts action 0 over 3 + √(2 ln 100 / 49) = 3.43; half the width does not
    visits = np.array([1, 49, 0, 50])
    assert ucb(VALUES, ALLOWED, visits, 100, width=1.0).tolist() == [1.0, 0.0, 0.0, 0.0]
    assert ucb(VALUES, ALLOWED, visits, 100, width=0.5).tolist() == [0.0, 1.0, 0.0, 0.0]


def test_thompson_of_two_gaussians_has_a_closed_form() -> None:
    # P(X > Y) = Φ((1.0 − 0.2)/√(0.3² + 0.4²)) = Φ(1.6)
    probabilities = thompson(np.array([1.0, 0.2]), np.array([0.3, 0.4]), np.array([True, True]))
    np.testing.assert_allclose(probabilities, [norm.cdf(1.6), norm.sf(1.6)], atol=1e-4)


@pytest.mark.parametrize("count", [3, 30])
@pytest.mark.parametrize("evenness", [0, 1, 4])
def test_thompson_agrees_with_direct_quadrature(count: int, evenness: int) -> None:
    rng = np.random.default_rng(count * 10 + evenness)
    means, deviations = rng.normal(size=count), rng.random(count) ** evenness + 1e-4
    expected = _largest_by_quadrature(means, deviations)
    np.testing.assert_allclose(thompson(means, deviations, np.ones(count, bool)), expected, atol=5e-4)


def test_thompson_agrees_with_sampling() -> None:
    rng = np.random.default_rng(7)
    means, deviations = rng.normal(size=5), rng.random(5)
    winners = np.argmax(rng.normal(means, deviations, size=(200_000, 5)), axis=1)
    frequencies = np.bincount(winners, minlength=5) / 200_000
    np.testing.assert_allclose(thompson(means, deviations, np.ones(5, bool)), frequencies, atol=0.005)


def test_thompson_without_deviation_is_greedy() -> None:
    assert thompson(VALUES, np.zeros(4), ALLOWED).tolist() == [0.0, 0.5, 0.0, 0.5]


def test_thompson_compares_a_certain_action_with_an_uncertain_one() -> None:
    probabilities = thompson(np.array([1.0, 0.0, 0.5]), np.array([0.0, 1.0, 0.0]), np.array([True, True, True]))
    np.testing.assert_allclose(probabilities, [norm.cdf(1.0), norm.sf(1.0), 0.0], atol=5e-4)


@pytest.mark.parametrize("scale", [1e-310, 1e-12, 1e12, 1e300])
def test_thompson_does_not_depend_on_the_scale(scale: float) -> None:
    means, deviations, allowed = np.array([1.0, 0.2]), np.array([0.3, 0.4]), np.array([True, True])
    probabilities = thompson(means * scale, deviations * scale, allowed)
    np.testing.assert_allclose(probabilities, thompson(means, deviations, allowed), atol=1e-6)


def test_thompson_shares_between_equals() -> None:
    probabilities = thompson(np.full(4, 2.0), np.full(4, 0.3), ALLOWED)
    np.testing.assert_allclose(probabilities, [1 / 3, 1 / 3, 0.0, 1 / 3], rtol=1e-9)


@pytest.mark.parametrize("deviation", [-1.0, math.nan, math.inf])
def test_thompson_refuses_a_bad_deviation(deviation: float) -> None:
    with pytest.raises(InvalidInput, match="deviations"):
        thompson(VALUES, np.array([1.0, deviation, 1.0, 1.0]), ALLOWED)


def test_mix_follows_the_second_with_its_share() -> None:
    np.testing.assert_allclose(mix(np.array([1.0, 0.0]), np.array([0.0, 1.0]), 0.2), [0.8, 0.2])
    with pytest.raises(InvalidInput, match="share"):
        mix(np.array([1.0]), np.array([1.0]), 1.5)


@pytest.mark.parametrize(("u", "index"), [(0.0, 1), (0.249, 1), (0.25, 3), (0.5, 3), (BELOW_ONE, 3)])
def test_draw_inverts_the_distribution_function(u: float, index: int) -> None:
    assert draw(np.array([0.0, 0.25, 0.0, 0.75, 0.0]), u) == index


@pytest.mark.parametrize("u", [-0.1, 1.0, math.nan])
def test_draw_refuses_what_is_not_uniform(u: float) -> None:
    with pytest.raises(InvalidInput, match="u ="):
        draw(np.array([1.0]), u)


@pytest.mark.parametrize("probabilities", [[0.0, 0.0], [math.nan, 1.0]])
def test_draw_refuses_what_is_no_distribution(probabilities: list[float]) -> None:
    with pytest.raises(InvalidInput, match="sum to 1"):
        draw(np.array(probabilities), 0.5)


@given(
    st.lists(st.sampled_from([0.0, 1e-300, 1e-17, 0.1, 1 / 3, 1.0]), min_size=1, max_size=180).filter(any),
    st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 0.7, BELOW_ONE]) | st.floats(0.0, 1.0, exclude_max=True),
)
def test_draw_never_returns_an_action_of_probability_zero(weights: list[float], u: float) -> None:
    probabilities = np.array(weights) / sum(weights)
    assert probabilities[draw(probabilities, u)] > 0.0


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.booleans()), min_size=1, max_size=40))
def test_every_distribution_sums_to_one_over_the_allowed_actions(actions: list[tuple[float, bool]]) -> None:
    values = np.array([value for value, _ in actions])
    allowed = np.array([may for _, may in actions])
    if not allowed.any():
        allowed[0] = True
    spread = np.abs(values) % 7
    for probabilities in (
        greedy(values, allowed),
        epsilon_greedy(values, allowed, 0.1),
        softmax(values, allowed, 0.5),
        ucb(values, allowed, np.floor(spread), 100, width=2.0),
        thompson(values, spread, allowed),
    ):
        assert probabilities.dtype == np.float64
        assert probabilities.sum() == pytest.approx(1.0, abs=1e-12)
        assert (probabilities >= 0.0).all()
        assert not probabilities[~allowed].any()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_every_distribution_refuses_a_value_that_is_not_finite(bad: float) -> None:
    for call in _calls(np.array([0.0, bad, 0.0, 0.0]), ALLOWED):
        with pytest.raises(InvalidInput, match="action 1"):
            call()


def test_every_distribution_refuses_an_empty_choice() -> None:
    for call in _calls(VALUES, np.zeros(4, bool)):
        with pytest.raises(InvalidInput, match="no action is allowed"):
            call()


def test_the_arguments_are_left_as_they_were() -> None:
    values, allowed = VALUES.copy(), ALLOWED.copy()
    for call in _calls(values, allowed):
        call()
    assert values.tolist() == VALUES.tolist()
    assert allowed.tolist() == ALLOWED.tolist()


def _calls(values: NDArray[np.float64], allowed: NDArray[np.bool_]) -> list[Callable[[], object]]:
    return [
        lambda: greedy(values, allowed),
        lambda: epsilon_greedy(values, allowed, 0.1),
        lambda: softmax(values, allowed, 1.0),
        lambda: ucb(values, allowed, np.array([1, 0, 1, 1]), 3, width=1.0),
        lambda: thompson(values, np.ones(4), allowed),
    ]


def _largest_by_quadrature(means: NDArray[np.float64], deviations: NDArray[np.float64]) -> list[float]:
    z = np.linspace(-9.0, 9.0, 2_001)
    chances = []
    for winner, (mean, deviation) in enumerate(zip(means, deviations, strict=True)):
        below = [norm.cdf((mean + deviation * z - means[i]) / deviations[i]) for i in range(len(means)) if i != winner]
        chances.append(float(np.trapezoid(norm.pdf(z) * np.prod(below, axis=0), z)))
    return chances


def test_inverse_gap_by_hand() -> None:
    np.testing.assert_allclose(inverse_gap(VALUES, ALLOWED, 0.0), [1 / 3, 1 / 3, 0.0, 1 / 3])
    # 3 allowed, the best two lie 2 above the other: 1 / (3 + 5·2), the rest shared
    np.testing.assert_allclose(inverse_gap(VALUES, ALLOWED, 5.0), [1 / 13, 6 / 13, 0.0, 6 / 13])


@pytest.mark.parametrize("greed", [-1.0, math.nan, math.inf])
def test_greed_is_finite_and_not_negative(greed: float) -> None:
    with pytest.raises(InvalidInput, match="greed"):
        inverse_gap(VALUES, ALLOWED, greed)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.floats(0.0, 1e6))
def test_inverse_gap_leaves_no_action_without_a_chance(values: list[float], greed: float) -> None:
    chances = inverse_gap(np.array(values), np.ones(len(values), dtype=np.bool_), greed)
    assert chances.sum() == pytest.approx(1.0)
    assert (chances > 0.0).all()
    assert chances[np.array(values).argmax()] == pytest.approx(chances.max())


@given(st.data(), st.integers(1, 24), st.floats(0, 1))
def test_few_actions_get_the_same_probabilities_as_many_to_the_bit(data: Any, count: int, epsilon: float) -> None:
    numbers = st.sampled_from([0.0, 1.0, 0.5, -0.3, math.nan, math.inf, -math.inf]) | st.floats(-2, 2)
    values = np.array(data.draw(st.lists(numbers, min_size=count, max_size=count)))
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))

    def asked() -> bytes | str:
        try:
            return distributions.epsilon_greedy(values, allowed, epsilon).tobytes()
        except InvalidInput as error:
            return str(error)

    few = asked()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributions, "_FEW", 0)
        assert asked() == few


def test_around_an_action_needs_one_that_is_allowed() -> None:
    assert distributions.around(1, np.array([True, True, False]), 0.2).tolist() == pytest.approx([0.1, 0.9, 0.0])
    with pytest.raises(InvalidInput, match="no action is allowed"):
        distributions.around(0, np.array([False, False]), 0.2)
