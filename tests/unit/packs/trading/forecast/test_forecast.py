"""Forecasters find what is there, say how sure they are, and are what their papers say they are."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.packs.trading.forecast.fit import Forecaster, Training, fit, normalised
from steersman.packs.trading.forecast.nhits import NHits, interpolation, pooled
from steersman.packs.trading.forecast.patchtst import PatchTST

Floats = NDArray[np.float64]
STEPS, HORIZON, NOISE = 32, 4, 0.2
TRAINING = Training(updates=150, batch=64, learning_rate=3e-3)
NETS: dict[str, Forecaster] = {
    "nhits": NHits(steps=STEPS, horizon=HORIZON, every=(4, 2, 1)),
    "patchtst": PatchTST(steps=STEPS, horizon=HORIZON, width=16, heads=2, layers=1),
}


def series(count: int = 1_600) -> Floats:
    """Return two waves that do not repeat together soon, and noise."""
    at = np.arange(count)
    noise = NOISE * np.random.default_rng(0).standard_normal(count)
    return np.asarray(np.sin(2 * np.pi * at / 12) + 0.5 * np.sin(2 * np.pi * at / 7) + noise)


@pytest.fixture(scope="module")
def cut() -> tuple[Floats, Floats, Floats, Floats]:
    found = sliding_window_view(series(), STEPS + HORIZON)
    return found[:1_000, :STEPS], found[:1_000, STEPS:], found[1_100:, :STEPS], found[1_100:, STEPS:]


@pytest.fixture(scope="module", params=NETS)
def fitted(request: pytest.FixtureRequest, cut: Any) -> Any:
    return fit(NETS[request.param], cut[0], cut[1], TRAINING)


def test_what_repeats_is_foreseen_and_what_is_noise_is_not(fitted: Any, cut: Any) -> None:
    *_, past, later = cut
    error = ((fitted(past) - later) ** 2).mean()
    seasonal = ((past[:, -12 : -12 + HORIZON] - later) ** 2).mean()
    assert NOISE**2 < error < min(2.0 * NOISE**2, seasonal)  # nobody can foresee noise


def test_it_says_how_sure_it_is(fitted: Any, cut: Any) -> None:
    *_, past, later = cut
    chances = fitted.rise(past, past[:, -1])
    rose = later[:, -1] > past[:, -1]
    assert np.abs(chances[rose].mean() - chances[~rose].mean()) > 0.5
    for low, high in ((0.0, 0.2), (0.8, 1.0)):
        sure = (chances >= low) & (chances <= high)
        assert sure.sum() > 50
        assert rose[sure].mean() == pytest.approx(chances[sure].mean(), abs=0.1)


def test_a_series_ten_times_as_high_is_forecast_ten_times_as_high(fitted: Any, cut: Any) -> None:
    past = cut[2][:20]
    np.testing.assert_allclose(fitted(10.0 * past + 500.0), 10.0 * fitted(past) + 500.0, atol=1e-3)
    one = fitted(past[3:4])
    np.testing.assert_allclose(fitted(past)[3:4], one, atol=1e-5)  # nothing mixes between windows


def test_the_same_windows_give_the_same_weights(cut: Any) -> None:
    small = Training(updates=5, batch=8)
    one, other = (fit(NETS["nhits"], cut[0], cut[1], small) for _ in range(2))
    assert all((np.asarray(one.params[name]) == np.asarray(other.params[name])).all() for name in one.params)


def test_what_cannot_be_learned_from_is_refused(cut: Any) -> None:
    with pytest.raises(InvalidInput, match="needs more windows"):
        fit(NETS["nhits"], cut[0][:1], cut[1][:1], TRAINING)
    with pytest.raises(InvalidInput, match="not finite"):
        fit(NETS["nhits"], cut[0] * np.nan, cut[1], Training(updates=5, batch=8))


def test_a_block_of_nhits_sees_the_largest_of_several_values() -> None:
    past = jnp.array([[1.0, 5.0, 2.0, 3.0, 9.0]])
    assert np.asarray(pooled(past, 2)).tolist() == [[1.0, 5.0, 9.0]]
    assert np.asarray(pooled(past, 1)).tolist() == past.tolist()


def test_a_block_of_nhits_says_few_numbers_and_draws_lines_between_them() -> None:
    assert (np.array([0.0, 4.0]) @ interpolation(2, 5)).tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert (np.array([0.0, 4.0, 0.0]) @ interpolation(3, 5)).tolist() == [0.0, 2.0, 4.0, 2.0, 0.0]
    assert (np.array([7.0]) @ interpolation(1, 3)).tolist() == [7.0, 7.0, 7.0]
    net = NHits(steps=32, horizon=4, every=(4, 2, 1))
    assert [net.coefficients(block, 4) for block in range(3)] == [2, 2, 4]


def test_each_block_of_nhits_is_left_what_those_before_have_not_explained() -> None:
    """Where the first block takes all of its input away, the others say nothing but their biases, which are 0."""
    net = NHits(steps=8, horizon=2, pools=(1, 1), every=(1, 1), hidden=(16,))
    params = net.initial(np.random.default_rng(0))
    positive = np.eye(8, 16, dtype=np.float32)
    params["0.0.kernel"], params["0.back"] = positive, positive.T
    params["1.fore"] = np.ones((16, 2), np.float32)
    past = jnp.arange(1.0, 9.0)[None]
    assert np.asarray(net(params, past)).tolist() == [[0.0, 0.0]]
    params["0.back"] = 0.0 * positive.T
    assert np.abs(np.asarray(net(params, past))).max() > 0.0


def test_a_token_of_patchtst_is_a_patch_and_the_last_value_is_in_the_last_one() -> None:
    net = PatchTST(steps=34, horizon=2, patch=8, stride=4, width=8, heads=2, layers=1)
    assert net.tokens == 7
    params = {**net.initial(np.random.default_rng(0)), "head": np.ones((7 * 8, 2), np.float32)}
    slope = np.asarray(jax.jit(jax.grad(lambda past: net(params, past).sum()))(jnp.ones((1, 34))))[0]
    assert (slope[2:] != 0.0).all()
    assert not slope[:2].any()  # what does not fill a patch is left out at the old end


def test_windows_that_never_move_have_a_scale() -> None:
    scaled, mean, deviation = normalised(np.full((2, 4), 3.0))
    assert (scaled.tolist(), mean.tolist(), deviation.tolist()) == ([[0.0] * 4] * 2, [[3.0]] * 2, [[1.0]] * 2)
