"""The Kalman filter: one step by hand, the exact answer where the covariance is diagonal, corrections that undo."""

import numpy as np
import pytest

from steersman.maths.kalman import Belief, correct, observe


def test_one_step_by_hand() -> None:
    belief = Belief.blank(4, 1.0)
    error = observe(belief, np.array([0, 2]), np.array([1.0, 2.0]), 3.0, noise=1.0)
    # gain = (1, 2) / (1 + 1 + 4), error = 3
    assert error == 3.0
    assert belief.mean.tolist() == pytest.approx([0.5, 0.0, 1.0, 0.0])
    assert belief.variance.tolist() == pytest.approx([5 / 6, 1.0, 1 - 4 / 6, 1.0])


def test_of_one_feature_it_is_the_exact_posterior() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=50), rng.normal(size=50)
    belief = Belief.blank(1, 2.0)
    for each, target in zip(x, y, strict=True):
        observe(belief, np.array([0]), np.array([each]), float(target), noise=0.5)
    precision = 1 / 2.0 + (x @ x) / 0.5
    assert belief.variance[0] == pytest.approx(1 / precision)
    assert belief.mean[0] == pytest.approx((x @ y) / 0.5 / precision)


def test_a_correction_of_the_last_observation_gives_what_the_right_one_would_have_given() -> None:
    right, wrong = Belief.blank(1, 2.0), Belief.blank(1, 2.0)
    place, value = np.array([0]), np.array([1.0])
    observe(right, place, value, 1.0, noise=0.5)
    observe(wrong, place, value, 0.0, noise=0.5)
    variance = wrong.variance.copy()
    correct(wrong, place, value, 1.0, noise=0.5)
    assert 0.0 < wrong.mean[0] <= right.mean[0]
    assert wrong.variance.tolist() == variance.tolist()


def test_learning_never_diverges_whatever_the_features() -> None:
    rng = np.random.default_rng(2)
    belief = Belief.blank(16, 1.0)
    for _ in range(2_000):
        places, values = rng.integers(0, 16, 30), rng.normal(size=30) * 10.0 ** rng.integers(-3, 4)
        observe(belief, places, values / np.linalg.norm(values), float(rng.uniform(-1, 1)), noise=0.05)
    assert np.isfinite(belief.mean).all()
    assert ((belief.variance > 0.0) & (belief.variance <= 1.0)).all()
    assert np.abs(belief.mean).max() < 10.0
