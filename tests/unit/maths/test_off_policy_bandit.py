"""Estimators of one decision follow cases worked out by hand, and hit the value where theory says so."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.off_policy import bandit
from steersman.maths.off_policy.sums import Sums, estimates, of_log, of_rows
from steersman.maths.off_policy.terms import Terms
from steersman.maths.off_policy.weights import clip, effective_size, importance_weights

Floats = NDArray[np.float64]

TARGET = np.array([[0.5, 0.5], [0.2, 0.8], [1.0, 0.0], [0.4, 0.6]])
ACTION = np.array([0, 1, 1, 0])
PROPENSITY = np.array([0.25, 0.8, 0.5, 0.8])
WEIGHTS = np.array([2.0, 1.0, 0.0, 0.5])
REWARD = np.array([1.0, 0.0, 1.0, 1.0])
PREDICTED = np.array([0.5, 0.5, 0.5, 0.0])
VALUE = np.array([0.5, 0.25, 0.5, 0.25])


def test_a_weight_is_the_policys_chance_of_the_executed_action_over_that_of_the_log() -> None:
    assert importance_weights(TARGET, ACTION, PROPENSITY) == pytest.approx(WEIGHTS)


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1, math.nan])
def test_a_propensity_that_is_none_is_refused(bad: float) -> None:
    with pytest.raises(InvalidInput, match="propensity"):
        importance_weights(TARGET[:1], ACTION[:1], np.array([bad]))


def test_estimates_follow_a_hand_computed_case() -> None:
    assert bandit.ips(WEIGHTS, REWARD).value == pytest.approx(2.5 / 4)
    assert bandit.snips(WEIGHTS, REWARD).value == pytest.approx(2.5 / 3.5)
    assert bandit.direct(VALUE).value == pytest.approx(1.5 / 4)
    # 0.5 + 2·0.5, 0.25 + 1·(−0.5), 0.5 + 0, 0.25 + 0.5·1
    assert bandit.doubly_robust(WEIGHTS, REWARD, PREDICTED, VALUE).value == pytest.approx((1.5 - 0.25 + 0.5 + 0.75) / 4)
    # the weight of 2 is above the limit: that row leaves the model alone
    assert bandit.switch_dr(WEIGHTS, REWARD, PREDICTED, VALUE, limit=1.0).value == pytest.approx(
        (0.5 - 0.25 + 0.5 + 0.75) / 4
    )


def test_inverse_propensities_are_right_on_average_over_all_that_could_have_been_drawn() -> None:
    log, target, reward = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6]), np.array([0.2, -1.0, 0.9])
    weights = target / log
    for predicted in (np.zeros(3), np.array([5.0, -3.0, 2.0])):
        value = np.full(3, float(target @ predicted))
        each = [bandit.doubly_robust(weights[[a]], reward[[a]], predicted[[a]], value[[a]]).value for a in range(3)]
        assert float(log @ np.array(each)) == pytest.approx(float(target @ reward))


def test_a_right_model_makes_doubly_robust_right_whatever_the_propensities() -> None:
    truth = np.array([0.2, -1.0, 0.9])
    target = np.array([0.1, 0.3, 0.6])
    wrong = np.array([9.0, 0.1, 4.0])
    found = bandit.doubly_robust(wrong, truth, truth, np.full(3, float(target @ truth)))
    assert found.value == pytest.approx(float(target @ truth))


def test_self_normalised_estimates_stay_within_the_rewards() -> None:
    assert bandit.snips(np.array([50.0, 0.1]), np.array([1.0, 0.0])).value <= 1.0
    assert bandit.ips(np.array([50.0, 0.1]), np.array([1.0, 0.0])).value == 25.0


def test_where_all_weights_are_0_there_is_nothing_to_divide() -> None:
    found = bandit.snips(np.zeros(3), np.ones(3))
    assert found.value == 0.0
    assert effective_size(np.zeros(3)) == 0.0


def test_the_effective_size_follows_a_hand_computed_case() -> None:
    assert effective_size(WEIGHTS) == pytest.approx(3.5**2 / 5.25)
    assert effective_size(np.full(7, 0.3)) == pytest.approx(7.0)


def test_cut_weights_tell_the_mass_and_the_bias_that_it_can_cause() -> None:
    cut = clip(WEIGHTS, 1.5)
    assert cut.weights == pytest.approx([1.5, 1.0, 0.0, 0.5])
    assert cut.mass == pytest.approx(0.125)
    assert cut.bias(-1.0, 3.0) == pytest.approx(0.5)
    assert clip(WEIGHTS, math.inf).mass == 0.0
    with pytest.raises(InvalidInput, match="limit"):
        clip(WEIGHTS, 0.0)


@given(st.lists(st.tuples(st.floats(0.0, 30.0), st.floats(0.0, 1.0)), min_size=1, max_size=30), st.floats(0.1, 20.0))
def test_cutting_never_moves_a_centred_estimate_by_more_than_stated(rows: list[tuple[float, float]], limit: float) -> None:
    weights, reward = np.array(rows).T
    cut = clip(weights, limit)
    moved = abs(np.mean(weights * (reward - 0.5)) - np.mean(cut.weights * (reward - 0.5)))
    assert moved <= cut.bias(0.0, 1.0) + 1e-12


def test_the_influence_of_units_gives_the_noise_of_a_ratio() -> None:
    terms = bandit.snips(WEIGHTS, REWARD)
    ratio = 2.5 / 3.5
    assert terms.influence() == pytest.approx((WEIGHTS * REWARD - ratio * WEIGHTS) / 0.875)
    assert terms.influence().mean() == pytest.approx(0.0, abs=1e-12)
    assert terms.standard_error == pytest.approx(np.sqrt(np.sum(terms.influence() ** 2) / 12))
    assert bandit.ips(WEIGHTS[:1], REWARD[:1]).standard_error == math.inf


def test_estimates_from_means_of_columns_equal_those_from_rows() -> None:
    terms = Terms(numerator=np.array([[1.0, 2.0], [3.0, 4.0]]), denominator=np.array([[1.0, 4.0], [3.0, 4.0]]))
    assert terms.value == pytest.approx(1.0 + 3.0 / 4.0)
    assert terms.from_means(np.stack([terms.columns.mean(axis=0)] * 2)) == pytest.approx([1.75, 1.75])


def test_sums_give_the_same_estimates_and_noise_as_rows() -> None:
    found = estimates(of_rows(WEIGHTS, REWARD, PREDICTED, VALUE, limit=1.0))
    expected = {
        "ips": bandit.ips(WEIGHTS, REWARD),
        "snips": bandit.snips(WEIGHTS, REWARD),
        "direct": bandit.direct(VALUE),
        "doubly robust": bandit.doubly_robust(WEIGHTS, REWARD, PREDICTED, VALUE),
        "switch": bandit.switch_dr(WEIGHTS, REWARD, PREDICTED, VALUE, limit=1.0),
    }
    for name, terms in expected.items():
        assert found[name] == pytest.approx((terms.value, terms.standard_error)), name
    assert of_rows(WEIGHTS, REWARD, PREDICTED, VALUE).effective_size() == pytest.approx(effective_size(WEIGHTS))


def test_a_log_in_blocks_gives_the_same_sums_as_its_rows_at_once() -> None:
    rng = np.random.default_rng(0)
    count = 40_000
    target, model = rng.dirichlet(np.ones(3), count), rng.random((count, 3))
    action, propensity, reward = rng.integers(0, 3, count), rng.uniform(0.2, 1.0, count), rng.random(count)
    weights, rows = importance_weights(target, action, propensity), np.arange(count)
    whole = of_rows(weights, reward, model[rows, action], (target * model).sum(axis=1), limit=1.0)
    found = of_log(target, action, propensity, reward, model=model, limit=1.0)
    plain = of_log(target, action, propensity, reward)
    assert estimates(found) == {name: pytest.approx(each) for name, each in estimates(whole).items()}
    assert estimates(plain) == {name: pytest.approx(estimates(whole)[name]) for name in ("ips", "snips")}


@given(st.lists(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0, 50)), max_size=8), min_size=1, max_size=6))
def test_sums_merge_in_any_order_to_the_same(batches: list[list[tuple[float, float]]]) -> None:
    parts = [Sums.of(np.array(batch, dtype=float).reshape(-1, 2)) for batch in batches]
    whole = Sums.of(np.concatenate([np.array(batch, dtype=float).reshape(-1, 2) for batch in batches]))
    shuffled = [parts[index] for index in np.random.default_rng(len(batches)).permutation(len(parts))]
    for several in (parts, shuffled, parts[::-1]):
        merged = several[0]
        for part in several[1:]:
            merged = merged.merge(part)
        assert merged.count == whole.count
        assert np.allclose(merged.mean, whole.mean, rtol=1e-9, atol=1e-9)
        assert np.allclose(merged.scatter, whole.scatter, rtol=1e-9, atol=1e-5)


def test_sums_of_different_columns_are_not_merged() -> None:
    with pytest.raises(InvalidInput, match="merged"):
        Sums.of(np.ones((2, 2))).merge(Sums.of(np.ones((2, 3))))


def test_sums_of_too_little_have_no_noise_that_one_could_tell() -> None:
    one = of_rows(np.array([1.0]), np.array([1.0]), np.array([0.5]), np.array([0.5]))
    assert all(error == math.inf for _, error in estimates(one).values())
    assert Sums.of(np.zeros((0, 5))).merge(one).mean == pytest.approx(one.mean)
