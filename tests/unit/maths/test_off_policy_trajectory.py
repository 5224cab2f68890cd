"""Estimators of episodes follow cases worked out by hand, and agree where they must."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.maths.off_policy import trajectory
from steersman.maths.off_policy.trajectory import Modelled, grid

Floats = NDArray[np.float64]

# two episodes: steps 0, 1 with weights 2, 0.5 and rewards 1, 3; one step with weight 0.5 and reward 2
RHO = np.array([[2.0, 1.0], [0.5, 0.5]])
REWARD = np.array([[1.0, 3.0], [2.0, 0.0]])
DISCOUNTS = np.array([1.0, 0.5])
ZEROS = np.zeros((2, 2))


def _modelled(*, predicted: Floats = ZEROS, value: Floats = ZEROS, tail: Floats = ZEROS) -> Modelled:
    return Modelled(rho=RHO, reward=REWARD, predicted=predicted, value=value, tail=tail, discounts=DISCOUNTS)


def test_rows_come_to_their_place_whatever_their_order() -> None:
    found = grid(np.array([7, 3, 7]), np.array([1, 0, 0]))
    assert found.row.tolist() == [[1, -1], [2, 0]]
    assert found.fill(np.array([0.1, 0.2, 0.3])).tolist() == [[0.2, 0.0], [0.3, 0.1]]
    assert found.products(np.array([2.0, 3.0, 5.0])).tolist() == [[3.0, 3.0], [5.0, 10.0]]


def test_a_step_that_an_episode_has_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="episode 4 has step 1 twice"):
        grid(np.array([4, 4]), np.array([1, 1]))


def test_importance_sampling_follows_a_hand_computed_case() -> None:
    # returns 1 + 0.5·3 = 2.5 and 2, weights of whole episodes 1 and 0.5
    assert trajectory.importance_sampling(RHO, REWARD, DISCOUNTS).value == pytest.approx((2.5 + 1.0) / 2)
    assert trajectory.weighted_sampling(RHO, REWARD, DISCOUNTS).value == pytest.approx(3.5 / 1.5)
    # per decision: 2·1 + 0.5·1·3 and 0.5·2
    assert trajectory.per_decision(RHO, REWARD, DISCOUNTS).value == pytest.approx((3.5 + 1.0) / 2)
    # weighted: step 0 (2·1 + 0.5·2)/2.5, step 1 0.5·(1·3 + 0)/1.5
    assert trajectory.weighted_per_decision(RHO, REWARD, DISCOUNTS).value == pytest.approx(3.0 / 2.5 + 0.5 * 3.0 / 1.5)


def test_doubly_robust_follows_a_hand_computed_case() -> None:
    given = _modelled(predicted=np.array([[1.0, 2.0], [1.0, 0.0]]), value=np.array([[1.5, 2.0], [1.0, 0.0]]))
    # v₀ + ρ₀(r₀ − q₀) + 0.5(ρ₀·v₁ + ρ₁(r₁ − q₁)) = 1.5 + 0 + 0.5·(4 + 1); 1 + 0.5·1
    assert trajectory.doubly_robust(given).value == pytest.approx((4.0 + 1.5) / 2)
    assert trajectory.direct(given).value == pytest.approx(1.25)
    # weighted: v₀ 1.25, corrections (0 + 0.5·1)/2.5, 0.5·(2·2 + 0)/2.5, 0.5·(1·1)/1.5
    assert trajectory.weighted_doubly_robust(given).value == pytest.approx(1.25 + 0.2 + 0.8 + 1.0 / 3.0)


def test_without_a_model_doubly_robust_is_importance_sampling_per_decision() -> None:
    nothing = _modelled()
    per_decision = trajectory.per_decision(RHO, REWARD, DISCOUNTS)
    weighted = trajectory.weighted_per_decision(RHO, REWARD, DISCOUNTS)
    assert trajectory.doubly_robust(nothing).value == pytest.approx(per_decision.value)
    assert trajectory.weighted_doubly_robust(nothing).value == pytest.approx(weighted.value)


def test_what_follows_after_an_episode_was_cut_off_counts_with_its_weight() -> None:
    tail = np.array([[0.0, 4.0], [0.0, 0.0]])
    moved = trajectory.doubly_robust(_modelled(tail=tail)).value - trajectory.doubly_robust(_modelled()).value
    assert moved == pytest.approx(0.5 * 1.0 * 4.0 / 2)


@given(st.lists(st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3), min_size=2, max_size=6))
def test_with_all_weights_1_every_sampling_estimate_is_the_mean_return(rewards: list[list[float]]) -> None:
    reward = np.array(rewards)
    rho, discounts = np.ones_like(reward), np.array([1.0, 0.9, 0.81])
    for estimator in (
        trajectory.importance_sampling,
        trajectory.weighted_sampling,
        trajectory.per_decision,
        trajectory.weighted_per_decision,
    ):
        assert estimator(rho, reward, discounts).value == pytest.approx(float((reward @ discounts).mean()), abs=1e-12)


def _process(seed: int, count: int, *, model_error: float) -> tuple[Modelled, float]:
    """Return episodes of three steps with rewards that depend on the action alone, and the value of the policy."""
    rng = np.random.default_rng(seed)
    log, target, worth = np.array([0.5, 0.5]), np.array([0.7, 0.3]), np.array([1.0, -0.5])
    action = rng.integers(0, 2, (count, 3))
    discounts = np.array([1.0, 0.9, 0.81])
    left = np.array([1.0 + 0.9 + 0.81, 1.0 + 0.9, 1.0])  # the discounted steps from each on
    mean = float(target @ worth)
    given = Modelled(
        rho=np.cumprod((target / log)[action], axis=1),
        reward=worth[action] + rng.normal(0.0, 1.0, (count, 3)),
        predicted=worth[action] + 0.9 * mean * np.append(left[1:], 0.0) + model_error,
        value=np.broadcast_to(mean * left, (count, 3)) + model_error,
        tail=np.zeros((count, 3)),
        discounts=discounts,
    )
    return given, mean * float(discounts.sum())


def test_magic_trusts_a_good_model_and_leaves_a_bad_one() -> None:
    good, value = _process(1, 400, model_error=0.0)
    bad, _ = _process(1, 400, model_error=3.0)
    trusted, left = trajectory.magic(good), trajectory.magic(bad)
    assert trusted.weights[0] > 0.8
    assert left.weights[0] < 0.1
    assert trusted.value == pytest.approx(value, abs=0.05)
    assert left.value == pytest.approx(value, abs=0.4)
    assert trusted.standard_error < trajectory.weighted_doubly_robust(good).standard_error


def test_the_ends_of_the_blend_are_the_model_and_the_estimate_without_it() -> None:
    given, _ = _process(2, 50, model_error=0.5)
    found = trajectory.magic(given)
    assert found.weights.sum() == pytest.approx(1.0)
    assert (found.weights >= 0.0).all()
    one_step = Modelled(
        rho=given.rho[:, :1],
        reward=given.reward[:, :1],
        predicted=given.predicted[:, :1],
        value=given.value[:, :1],
        tail=given.tail[:, :1],
        discounts=given.discounts[:1],
    )
    blended = trajectory.magic(one_step)
    model, robust = trajectory.direct(one_step).value, trajectory.weighted_doubly_robust(one_step).value
    assert blended.value == pytest.approx(blended.weights[0] * model + blended.weights[1] * robust)


def test_doubly_robust_is_right_on_average_with_a_wrong_model() -> None:
    found = [_process(seed, 200, model_error=2.0) for seed in range(200)]
    estimates = np.array([trajectory.doubly_robust(given).value for given, _ in found])
    assert estimates.mean() == pytest.approx(found[0][1], abs=4.0 * estimates.std() / np.sqrt(200))
