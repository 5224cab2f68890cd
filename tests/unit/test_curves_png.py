"""The picture of a run's curves, read back as others would: what is drawn where, for whatever was logged."""

import math
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from steersman.app.curves import axis, curves_png
from steersman.core.tracking import Run, begin

ACCENT, SECOND, BAD = (10, 106, 114), (154, 161, 165), (179, 38, 30)


def run(reason: str = "", /, **metrics: list[tuple[int, float]]) -> Run:
    begun = begin("training", agent="lab/small", at=1_700_000_000.0)
    return Run(begun=begun, state="failed" if reason else "done", reason=reason, heard_at=0.0, metrics=metrics)


def opened(made: Run) -> Image.Image:
    return Image.open(BytesIO(curves_png(made)))


def places(image: Image.Image, colour: tuple[int, int, int], top: float = 0.0) -> list[tuple[int, int]]:
    """Return where a colour is, (x, y), below a share of the height."""
    start = int(top * image.height)
    ys, xs = np.nonzero((np.asarray(image)[start:] == colour).all(axis=-1))
    return list(zip(xs.tolist(), (ys + start).tolist(), strict=True))


def test_a_curve_rises_where_its_values_do() -> None:
    image = opened(run(reward=[(step, float(step)) for step in range(1, 101)]))
    assert (image.format, image.width, image.info["dpi"][0]) == ("PNG", 2_400, pytest.approx(144, abs=0.1))
    drawn = places(image, ACCENT, top=0.4)
    (_, at_first), (_, at_last) = min(drawn), max(places(image, ACCENT))
    assert at_first - at_last > 300


def test_two_curves_of_a_panel_have_two_colours_and_a_failure_is_red() -> None:
    steps = range(1, 50)
    both = {"loss": [(step, 1 / step) for step in steps], "held-out loss": [(step, 1.0 + 1 / step) for step in steps]}
    image = opened(run("the loss was nan", **both))
    below, above = places(image, ACCENT, top=0.45), places(image, SECOND, top=0.45)
    assert sum(y for _, y in below) / len(below) > sum(y for _, y in above) / len(above)
    assert places(image, BAD)
    assert not places(opened(run(**both)), BAD)


def test_the_same_run_is_the_same_picture_to_the_byte() -> None:
    made = run(loss=[(1, 1.0), (2, 0.5)], reward=[(1, 0.0)])
    assert curves_png(made) == curves_png(made)


def test_many_metrics_make_no_endless_picture() -> None:
    many = {f"metric {number}": [(1, float(number)), (2, 0.0)] for number in range(200)}
    assert opened(run(**many)).height < 5_000
    assert opened(run()).size[0] == 2_400


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_an_axis_holds_all_that_is_drawn_on_it_with_few_ticks(values: list[float]) -> None:
    found = axis(min(values), max(values), 4)
    assert 1 <= len(found.ticks) <= 8
    assert all(found.said(each) for each in found.ticks)
    held = [found.share(min(max(each, -1e300), 1e300)) for each in values]
    assert all(-1e-6 <= each <= 1 + 1e-6 for each in held), held


@pytest.mark.parametrize("value", [0.0, -3e9, 1e-320, 1.7e308, -math.pi])
def test_one_value_alone_is_drawn(value: float) -> None:
    assert places(opened(run(q=[(0, value)])), ACCENT)


def test_without_pillow_one_is_told_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from steersman.app.curves import curves_png\n"
        "from steersman.core.tracking import Run, begin\n"
        "try: curves_png(Run(begun=begin('a', agent='b', at=0.0), heard_at=0.0))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("NotFound to draw curves needs Pillow: pip install pillow")
