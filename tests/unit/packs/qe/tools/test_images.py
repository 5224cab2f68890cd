"""How far two pictures differ, against values worked out by hand."""

from pathlib import Path

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.qe.tools.images import pixel_difference, read_picture, ssim, structural_difference

GREY = np.full((100, 100), 100.0)


def test_the_similarity_of_two_flat_pictures_is_that_of_their_brightness() -> None:
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    found = ssim(GREY, np.full_like(GREY, 150.0))
    assert found.shape == (93, 93)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_picture_is_like_itself_and_unlike_its_negative() -> None:
    noise = np.random.default_rng(0).uniform(0, 255, (40, 50))
    np.testing.assert_allclose(ssim(noise, noise), 1.0, atol=1e-9)
    assert ssim(noise, 255.0 - noise).max() < 0.0


def test_the_windows_are_those_that_a_loop_would_take() -> None:
    one, other = np.random.default_rng(1).uniform(0, 255, (2, 12, 15))
    window = (slice(3, 11), slice(5, 13))
    a, b = one[window], other[window]
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    covariance = ((a - a.mean()) * (b - b.mean())).mean()
    above = (2 * a.mean() * b.mean() + c1) * (2 * covariance + c2)
    expected = above / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var() + b.var() + c2))
    assert ssim(one, other)[3, 5] == pytest.approx(expected)


def test_pixels_that_differ_are_counted_from_a_tolerance_on() -> None:
    before = np.full((10, 10, 3), 100.0)
    after = before.copy()
    after[0, :5, 1] = 160.0
    after[5, :, :] = 110.0
    assert pixel_difference(before, after) == 0.05
    assert pixel_difference(before, before[:8]) == 0.2, "what only one of them has is different"


def test_a_shift_of_one_pixel_is_much_by_pixels_and_nothing_by_structure() -> None:
    text = np.repeat((np.random.default_rng(2).random((200, 200, 1)) < 0.05) * 200.0, 3, axis=2)
    shifted = np.roll(text, 1, axis=0)
    assert pixel_difference(text, shifted) > 0.05
    gone = text.copy()
    gone[60:140, 60:140] = 0.0
    assert structural_difference(text, gone) > structural_difference(text, text) == 0.0


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be compared"):
        ssim(GREY, GREY[:50])
    with pytest.raises(InvalidInput, match="cannot be compared"):
        ssim(GREY[:5], GREY[:5])
    (tmp_path / "none.png").write_text("no picture")
    with pytest.raises(InvalidInput, match=r"none\.png is no picture"):
        read_picture(tmp_path / "none.png")
