"""Scaling: by the usual size, whatever the unit, and no outlier makes the rest vanish."""

import numpy as np
import pytest

from steersman.maths.scaling import MOST, Scales, scaled, seen

HERE = np.array([3])


def test_by_hand() -> None:
    scales = Scales.blank(4)
    assert scaled(scales, HERE, np.array([-7.0])).tolist() == [-1.0]
    seen(scales, HERE, np.array([3.0]))
    seen(scales, HERE, np.array([4.0]))
    # √((9 + 16) / 2)
    assert scaled(scales, HERE, np.array([5.0])).tolist() == pytest.approx([5 / np.sqrt(12.5)])
    assert scaled(scales, HERE, np.array([0.0])).tolist() == [0.0]


@pytest.mark.parametrize("unit", [1e-90, 1.0, 1e90])
def test_the_unit_does_not_matter(unit: float) -> None:
    scales = Scales.blank(4)
    for each in (1.0, -2.0, 3.0):
        seen(scales, HERE, np.array([each * unit]))
    assert scaled(scales, HERE, np.array([2.0 * unit])).tolist() == pytest.approx([2 / np.sqrt(14 / 3)])


def test_an_outlier_counts_little_and_changes_little() -> None:
    scales = Scales.blank(4)
    for _ in range(100):
        seen(scales, HERE, np.array([1.0]))
    assert scaled(scales, HERE, np.array([1e100])).tolist() == [MOST]
    seen(scales, HERE, np.array([1e100]))
    assert 0.9 < scaled(scales, HERE, np.array([1.0]))[0] < 1.0


def test_zeros_teach_nothing_about_size() -> None:
    scales = Scales.blank(4)
    seen(scales, HERE, np.array([0.0]))
    assert scaled(scales, HERE, np.array([9.0])).tolist() == [1.0]
