"""How far two pictures differ: by pixels, and by structure."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput

Picture = NDArray[np.float64]
"""Grey or colour values from 0 to 255, shape (height, width) or (height, width, 3)."""

_TOLERANCE = 24.0
_WINDOW = 8
_K1, _K2, _RANGE = 0.01, 0.03, 255.0
_SCALE = 5


def read_picture(path: Path) -> Picture:
    """Return a picture file's colours. Raises InvalidInput where it is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            return np.asarray(opened.convert("RGB"), dtype=np.float64)
    except (OSError, UnidentifiedImageError) as error:
        raise InvalidInput(f"{path} is no picture: {error}. Take the screenshot again.") from error


def pixel_difference(one: Picture, other: Picture) -> float:
    """Return the share of pixels of which some colour differs by more than 24 of 255.

    What only one of them has counts as different. Shapes: (height, width, 3) each.
    """
    height, width = (min(a, b) for a, b in zip(one.shape[:2], other.shape[:2], strict=True))
    most = max(one.shape[0], other.shape[0]) * max(one.shape[1], other.shape[1])
    differ = np.abs(one[:height, :width] - other[:height, :width]).max(axis=2) > _TOLERANCE
    return float((differ.sum() + most - height * width) / most)


def structural_difference(one: Picture, other: Picture) -> float:
    """Return the share of windows whose structure differs (SSIM below 0.5), after scaling down.

    Wang, Bovik, Sheikh and Simoncelli (2004), Image Quality Assessment: From Error Visibility to Structural Similarity,
    IEEE Transactions on Image Processing 13(4), 600–612. The pictures are scaled down by 5 before, so that a shift of one
    pixel is a fifth of one. Colours are not compared, only brightness. Shapes: (height, width, 3) each, at least 40 × 40.
    """
    height, width = (min(a, b) for a, b in zip(one.shape[:2], other.shape[:2], strict=True))
    small = [_scaled(each[:height, :width].mean(axis=2), _SCALE) for each in (one, other)]
    return float((ssim(small[0], small[1]) < 0.5).mean())


def ssim(one: Picture, other: Picture) -> Picture:
    """Return the structural similarity of each window of 8 × 8 pixels, from −1 to 1.

    SSIM = (2·μ₁·μ₂ + C₁)(2·σ₁₂ + C₂) / ((μ₁² + μ₂² + C₁)(σ₁² + σ₂² + C₂)), C = (K·255)², K = 0.01 and 0.03 (Wang et al.
    2004, equation 13), with even windows. Shapes: (height, width) each, both at least 8 → (height − 7, width − 7).
    """
    if one.shape != other.shape or min(one.shape) < _WINDOW:
        raise InvalidInput(f"pictures of {one.shape} and {other.shape} cannot be compared: take both at one size.")
    c1, c2 = (_K1 * _RANGE) ** 2, (_K2 * _RANGE) ** 2
    mean_1, mean_2 = _means(one), _means(other)
    variance_1 = _means(one * one) - mean_1**2
    variance_2 = _means(other * other) - mean_2**2
    covariance = _means(one * other) - mean_1 * mean_2
    above = (2.0 * mean_1 * mean_2 + c1) * (2.0 * covariance + c2)
    below = (mean_1**2 + mean_2**2 + c1) * (variance_1 + variance_2 + c2)
    found: Picture = above / below
    return found


def _means(values: Picture) -> Picture:
    """Return the mean of each window, by sums of sums: shape (height − 7, width − 7)."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    size = _WINDOW
    found: Picture = (sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]) / size**2
    return found


def _scaled(values: Picture, factor: int) -> Picture:
    """Return a picture scaled down by the mean of factor × factor pixels."""
    height, width = (each // factor * factor for each in values.shape)
    blocks = values[:height, :width].reshape(height // factor, factor, width // factor, factor)
    found: Picture = blocks.mean(axis=(1, 3))
    return found
