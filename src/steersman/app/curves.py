"""The curves of a training run as a picture: a PNG of 2,400 pixels, to be shown 1,200 wide, in the light colours of pages.

All lengths below are those of the picture as it is shown; it is drawn four times as large and then made smaller, so that
lines are smooth.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.core.curves import Point, Shown, panels
from steersman.core.errors import NotFound, StoreError
from steersman.core.tracking import KeptRuns, Run

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

_WIDTH, _MARGIN, _HEAD, _REASON = 1_200, 44, 112, 26
_PANEL, _ACROSS, _DOWN = 300, 52, 36
"""The height of a panel, and what lies between two of them."""
_LEFT, _TOP, _BOTTOM = 76, 60, 48
"""Of a panel, around the field in which its curves lie."""
_DRAWN, _KEPT = 4, 2
_GROUND, _LINE, _TEXT, _MUTED, _ACCENT, _OTHER = "#fbfbfa", "#e8e7e3", "#171a1c", "#5a6165", "#0a6a72", "#9aa1a5"
_BAD = "#b3261e"
_COLOURS = (_ACCENT, _OTHER)
_HUGE, _TINY, _FLAT = 1e300, 1e-200, 1e-9
"""Beyond what size numbers are not told apart, and below which share of it differences are not."""
_MOST = 12
"""Panels in a picture."""
_SPELLED = {"ε": "epsilon", "−": "-", "–": "-", "—": "-", "×": "x"}
_SIGNS = frozenset("·…‘’“”«»°±")
"""What Pillow's own font has beside ASCII. It is used so that a picture is the same on every machine."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A scale from `low` to `high` in steps that people count in: 1, 2 or 5 times a power of ten."""

    low: float
    high: float
    step: float

    @property
    def ticks(self) -> list[float]:
        """Each multiple of the step from low to high."""
        first, last = math.ceil(self.low / self.step - 1e-6), math.floor(self.high / self.step + 1e-6)
        return [each * self.step for each in range(first, last + 1)]

    def share(self, value: float) -> float:
        """Return where a value lies, from 0 at low to 1 at high."""
        return (value - self.low) / (self.high - self.low)

    def said(self, value: float) -> str:
        """Return a tick in words: no more decimals than its step has, thousands set apart."""
        if max(abs(self.low), abs(self.high)) >= 1e7 or self.step < 1e-4:
            return f"{value:.3g}"
        return f"{value + 0.0:,.{max(0, -math.floor(math.log10(self.step) + 1e-9))}f}"


def axis(low: float, high: float, ticks: int, *, least: float = 0.0) -> Axis:
    """Return a scale with about so many ticks, at least so far apart, from tick to tick. What is flat gets room."""
    low, high = _within(low), _within(high)
    size = max(abs(low), abs(high))
    if high - low <= _FLAT * size or size < _TINY:
        room = size / 2 if size >= _TINY else 0.5
        low, high = low - room, high + room
    rough = max((high - low) / ticks, least)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * 0.999)
    return Axis(low=math.floor(low / step + 1e-6) * step, high=math.ceil(high / step - 1e-6) * step, step=step)


def _within(value: float) -> float:
    return min(max(value, -_HUGE), _HUGE)


def check_extra() -> None:
    """Raise NotFound where Pillow is not installed."""
    try:
        import PIL  # noqa: F401 - that it can be imported is what is asked
    except ImportError as error:
        raise NotFound(f"to draw curves needs Pillow: pip install pillow ({error}).") from error


def curves_png(run: Run) -> bytes:
    """Return the curves of a run as a PNG: the same run gives the same bytes. Raises NotFound where Pillow is missing."""
    check_extra()
    from PIL import Image, ImageDraw

    shown = panels(run)
    across = min(max(len(shown), 1), 2)
    rows = max(1, -(-min(len(shown), _MOST) // across))
    head = _HEAD + (_REASON if run.reason else 0)
    height = head + rows * (_PANEL + _DOWN) - _DOWN + _MARGIN - 12
    image = Image.new("RGB", (_WIDTH * _DRAWN, height * _DRAWN), _GROUND)
    sheet = _Sheet(ImageDraw.Draw(image))
    _head(sheet, run, len(shown))
    width = (_WIDTH - 2 * _MARGIN - (across - 1) * _ACROSS) / across
    for place, each in enumerate(shown[:_MOST]):
        left, top = _MARGIN + place % across * (width + _ACROSS), head + place // across * (_PANEL + _DOWN)
        _draw(sheet, each, run.begun.unit, left, top, width)
    made = BytesIO()
    image.reduce(_DRAWN // _KEPT).save(made, "PNG", optimize=True, dpi=(72 * _KEPT, 72 * _KEPT))
    return made.getvalue()


def draw_last(runs: KeptRuns, agent: str, file: Path) -> None:
    """Draw the last run of an agent to a file. Raises NotFound where none is kept, StoreError where it cannot be written."""
    found = next((each for each in runs.runs() if each.begun.agent == agent), None)
    if found is None:
        raise NotFound(f"no run of {agent} was kept: training.tracker is 'none', or its file could not be written.")
    try:
        file.write_bytes(curves_png(found))
    except OSError as error:
        raise StoreError(f"the curves cannot be written to {file}: {error}. Name another file.") from error


class _Sheet:
    """What is drawn on, by lengths as they are shown."""

    def __init__(self, draw: "ImageDraw") -> None:
        self._draw = draw

    def text(self, x: float, y: float, said: str, size: float = 12, fill: str = _MUTED, anchor: str = "ls") -> float:
        """Write on the line y, and return how long it became. What the font has no sign for is a question mark."""
        from PIL import ImageFont

        font = ImageFont.load_default(size * _DRAWN)
        plain = "".join(_SPELLED.get(each, each if each.isascii() or each in _SIGNS else "?") for each in said)
        self._draw.text((x * _DRAWN, y * _DRAWN), plain, fill, font, anchor)
        return font.getlength(plain) / _DRAWN

    def upright(self, x: float, y: float, said: str, size: float) -> None:
        """Write upwards, with the middle at a place."""
        from PIL import Image, ImageDraw

        mask = Image.new("L", (_PANEL * _DRAWN, round(2 * size) * _DRAWN))
        _Sheet(ImageDraw.Draw(mask)).text(_PANEL / 2, size, said, size, "white", "mm")
        turned = mask.rotate(90, expand=True)
        corner = round(x * _DRAWN - turned.width / 2), round(y * _DRAWN - turned.height / 2)
        self._draw.bitmap(corner, turned, _MUTED)

    def line(self, points: Sequence[tuple[float, float]], fill: str, width: float = 1.0) -> None:
        """Draw through points."""
        scaled = [(x * _DRAWN, y * _DRAWN) for x, y in points]
        self._draw.line(scaled, fill, round(width * _DRAWN), "curve")

    def dot(self, x: float, y: float, fill: str, radius: float = 3.5) -> None:
        """Draw a dot with a rim that sets it apart from the line."""
        self._draw.circle((x * _DRAWN, y * _DRAWN), (radius + 1.5) * _DRAWN, _GROUND)
        self._draw.circle((x * _DRAWN, y * _DRAWN), radius * _DRAWN, fill)


def _head(sheet: _Sheet, run: Run, panels_in_all: int) -> None:
    begun, at = run.begun, datetime.fromtimestamp(run.begun.at, UTC)
    sheet.text(_MARGIN, 56, f"{begun.agent}: {begun.name}"[:90], 25, _TEXT)
    more = f"   ·   {_MOST} of {panels_in_all} metrics" if panels_in_all > _MOST else ""
    sheet.text(_MARGIN, 82, f"{run.step:,} {begun.unit}   ·   {run.state}   ·   begun {at:%Y-%m-%d %H:%M} UTC{more}", 13.5)
    if run.reason:
        sheet.text(_MARGIN, 106, run.reason[:150], 13.5, _BAD)
    if not panels_in_all:
        sheet.text(_WIDTH / 2, _HEAD + _PANEL / 2, "It has logged nothing yet.", 15, anchor="mm")


def _draw(sheet: _Sheet, shown: Shown, unit: str, left: float, top: float, width: float) -> None:
    """Draw a panel: its title, its axes and its curves."""
    sheet.text(left, top + 18, shown.panel.title, 17, _TEXT)
    sheet.text(left, top + 37, shown.panel.told, 12)
    right = left + width
    field = _Field(sheet, shown, left + _LEFT, right, top + _TOP, top + _PANEL - _BOTTOM)
    field.axes(shown.panel.axis, unit, left)
    for (name, points), colour in reversed(list(zip(shown.curves.items(), _COLOURS, strict=False))):
        field.curve(points, colour)
        right -= sheet.text(right, top + 18, f"{points[-1][1]:.3g}", 13, _TEXT, "rs") + 6
        right -= sheet.text(right, top + 18, name if len(shown.curves) > 1 else "last", 12, anchor="rs") + 7
        sheet.dot(right - 3, top + 14, colour)
        right -= 26


class _Field:
    """Where the curves of a panel lie: the scales, and the places of points in the picture."""

    def __init__(self, sheet: _Sheet, shown: Shown, left: float, right: float, top: float, bottom: float) -> None:
        points = [each for curve in shown.curves.values() for each in curve]
        steps, values = [float(step) for step, _ in points], [value for _, value in points]
        scale = axis(0.0, max(steps), 5, least=1.0)
        self._x = Axis(low=0.0, high=max(*steps, 1.0), step=scale.step)
        self._y = axis(min(values), max(values), 4)
        self._sheet, self._left, self._right, self._top, self._bottom = sheet, left, right, top, bottom

    def _at(self, step: float, value: float) -> tuple[float, float]:
        x = self._left + self._x.share(step) * (self._right - self._left)
        return x, self._bottom - self._y.share(_within(value)) * (self._bottom - self._top)

    def axes(self, up: str, across: str, left: float) -> None:
        """Draw a line for each tick of the height, and write at the ticks of both, and what they are."""
        for value in self._y.ticks:
            _, y = self._at(self._x.low, value)
            self._sheet.line([(self._left, y), (self._right, y)], _LINE)
            self._sheet.text(self._left - 10, y, self._y.said(value), 11.5, anchor="rm")
        for step in self._x.ticks:
            x, _ = self._at(step, self._y.low)
            self._sheet.line([(x, self._bottom), (x, self._bottom + 5)], _OTHER)
            last = x > self._right - 30
            self._sheet.text(x, self._bottom + 20, self._x.said(step), 11.5, anchor="rs" if last else "ms")
        self._sheet.line([(self._left, self._bottom), (self._right, self._bottom)], _OTHER)
        self._sheet.text((self._left + self._right) / 2, self._bottom + 40, across, 12, anchor="ms")
        self._sheet.upright(left + 6, (self._top + self._bottom) / 2, up, 12)

    def curve(self, points: Sequence[Point], colour: str) -> None:
        """Draw a curve, and write its last value at its end."""
        places = [self._at(*each) for each in points]
        if len(places) > 1:
            self._sheet.line(places, colour, 2.0)
        self._sheet.dot(*places[-1], colour)
