"""The pictures of a page, as places on a canvas: curves, intervals, and shares. The template draws them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.packs.trading.backtest.report import Comparison, RegimeRow

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 960.0, 52.0, 136.0, 14.0, 26.0
_POINTS = 480
_LABEL = 15.0
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A place on an axis, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A curve: its points as SVG takes them, its class, and its name beside its end."""

    name: str
    kind: str
    points: str
    end: float
    label: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Curves on common axes, with where each fold begins."""

    height: float
    curves: tuple[Curve, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    folds: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Whisker:
    """An interval: where it begins and ends, where its value lies, and what it says."""

    name: str
    low: float
    high: float
    value: float
    verdict: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Forest:
    """Intervals under each other on one axis."""

    rows: tuple[Whisker, ...]
    across: tuple[Tick, ...]
    zero: float


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a bar, in per cent of it."""

    x: float
    width: float
    text: str
    title: str
    kind: int


def kind_of(name: str) -> str:
    """Return a name as a class of the page."""
    return name.replace(" ", "-")


def chart(
    days: Sequence[str],
    series: Mapping[str, Sequence[float]],
    folds: Sequence[str],
    *,
    height: float = 300.0,
    log: bool = True,
) -> Chart:
    """Return curves over days, (n,) each; in logs, equal factors are equal heights."""
    bend = math.log if log else float
    values = [value for each in series.values() for value in each if value > 0.0 or not log]
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 0.01, high + 0.01
    span, inner = bend(high) - bend(low), height - TOP - BOTTOM

    def up(value: float) -> float:
        return TOP + inner * (1.0 - (bend(max(value, low)) - bend(low)) / span)

    def across(place: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * place / max(len(days) - 1, 1)

    ends = {name: up(each[-1]) for name, each in series.items()}
    labels = apart(ends, low=TOP + 4.0, high=height - BOTTOM)
    step = max(1, len(days) // _POINTS)
    places = sorted({*range(0, len(days), step), len(days) - 1})
    curves = [
        Curve(
            name=name,
            kind=kind_of(name),
            points=" ".join(f"{across(place):.1f},{up(each[place]):.1f}" for place in places),
            end=ends[name],
            label=labels[name],
            text=f"{name} {each[-1]:.3f}" if log else name,
        )
        for name, each in series.items()
    ]
    return Chart(
        height=height,
        curves=tuple(curves),
        across=tuple(Tick(at=across(place), text=year) for place, year in years(days)),
        up=tuple(Tick(at=up(value), text=f"{value:g}" if log else f"{100 * value:g} %") for value in nice(low, high)),
        folds=tuple(across(place) for place, day in enumerate(days) if day in set(folds)),
    )


def apart(places: Mapping[str, float], *, low: float, high: float) -> dict[str, float]:
    """Return places for labels that do not cover each other, near where they belong and within the bounds."""
    found: dict[str, float] = {}
    last = low - _LABEL
    for name, place in sorted(places.items(), key=lambda each: each[1]):
        last = found[name] = max(place, last + _LABEL)
    over = max(last - high, 0.0)
    return {name: place - over for name, place in found.items()}


def nice(low: float, high: float, *, about: int = 5) -> list[float]:
    """Return round numbers from `low` to `high`, about so many."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in _NICE if each * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 10) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def years(days: Sequence[str]) -> list[tuple[int, str]]:
    """Return where years begin, so many of them that they do not crowd; months, where there is but one year."""
    starts = [(place, day[:4]) for place, day in enumerate(days) if place and day[:4] != days[place - 1][:4]]
    if len(starts) < 2:
        starts = [(place, day[:7]) for place, day in enumerate(days) if place and day[:7] != days[place - 1][:7]]
    return starts[:: math.ceil(len(starts) / 12) or 1]


def forest(rows: Sequence[Comparison]) -> Forest:
    """Return the differences of Sharpe ratios, learned minus each other arm."""
    ends = [0.0, *(end for row in rows for end in (row.sharpe.low, row.sharpe.high))]
    reach = max(map(abs, ends)) * 1.08 or 1.0

    def across(value: float) -> float:
        return 150.0 + (WIDTH - 150.0 - 260.0) * (value + reach) / (2.0 * reach)

    return Forest(
        rows=tuple(
            Whisker(
                name=row.other,
                low=across(row.sharpe.low),
                high=across(row.sharpe.high),
                value=across(row.sharpe.value),
                verdict=kind_of(row.sharpe_verdict),
                text=f"{row.sharpe.value:+.2f} ({row.sharpe.low:+.2f} to {row.sharpe.high:+.2f}): {row.sharpe_verdict}",
            )
            for row in rows
        ),
        across=tuple(Tick(at=across(value), text=f"{value:+g}" if value else "0") for value in nice(-reach, reach, about=6)),
        zero=across(0.0),
    )


def parts(shares: Sequence[tuple[Choice, float]], order: Sequence[Choice]) -> tuple[Part, ...]:
    """Return a bar of shares, in the order of the choices, so that a colour means one choice in all bars."""
    found, x = [], 0.0
    for choice, share in sorted(shares, key=lambda each: order.index(each[0])):
        width = 100.0 * share
        named = f"{choice} · {100 * share:.0f} %"
        found.append(Part(x=x, width=width, text=named if width > 16.0 else "", title=named, kind=order.index(choice)))
        x += width
    return tuple(found)


def legend(rows: Sequence[RegimeRow], dimensions: Mapping[str, Sequence[Choice]]) -> dict[str, dict[Choice, int]]:
    """Return by dimension the colour of each choice that was made, in any regime."""
    made = {name: {choice for row in rows for choice, _ in row.choices[name]} for name in dimensions}
    return {
        name: {choice: kind for kind, choice in enumerate(order) if choice in made[name]}
        for name, order in dimensions.items()
        if made[name]
    }


def policy(
    rows: Sequence[RegimeRow], dimensions: Mapping[str, Sequence[Choice]]
) -> list[tuple[RegimeRow, dict[str, tuple[Part, ...]]]]:
    """Return each regime with its bars, by dimension."""
    return [(row, {name: parts(row.choices[name], list(order)) for name, order in dimensions.items()}) for row in rows]
