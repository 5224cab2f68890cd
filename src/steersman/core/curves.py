"""Curves: which metrics of a training run are shown together, and by what points, on a page and in a picture alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.core.tracking import Run

Point = tuple[int, float]
"""A step, and the mean of a metric over the steps up to it."""
_MOST = 300


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A chart. metrics: as they are logged; axis: what its height is, and its unit; told: a sentence on it."""

    metrics: tuple[str, ...]
    title: str
    axis: str
    told: str


PANELS = (
    Panel(
        metrics=("reward",),
        title="Reward",
        axis="mean reward",
        told="What a decision earned in the mean; in an environment, an episode.",
    ),
    Panel(
        metrics=("loss", "held-out loss"),
        title="Loss",
        axis="loss",
        told="What an update makes smaller: the error of the network's values.",
    ),
    Panel(metrics=("q",), title="Q", axis="mean value Q", told="What the network expects of its actions in the mean."),
    Panel(metrics=("epsilon",), title="Exploration", axis="ε, share of tries", told="How often something is tried."),
)
_KNOWN = frozenset(name for each in PANELS for name in each.metrics)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A panel with its curves by metric, neighbours put together where there are many. logged: values of the longest one."""

    panel: Panel
    curves: Mapping[str, Sequence[Point]]
    logged: int

    @property
    def drawn(self) -> int:
        """How many points the longest curve has."""
        return max(map(len, self.curves.values()))

    @property
    def rows(self) -> list[tuple[int, list[float | None]]]:
        """The curves as a table: a step, and the value of each; None where it has none there."""
        columns = [dict(each) for each in self.curves.values()]
        return [(step, [column.get(step) for column in columns]) for step in sorted(set().union(*columns))]


def panels(run: Run) -> list[Shown]:
    """Return the charts of a run: those that every reader knows first, then what else was logged more than once, by name."""
    names = sorted(set(run.metrics) - _KNOWN - figures(run).keys())
    others = [Panel(metrics=(name,), title=name, axis=name, told="As it was logged.") for name in names]
    return [_shown(each, run) for each in (*PANELS, *others) if not run.metrics.keys().isdisjoint(each.metrics)]


def figures(run: Run) -> dict[str, float]:
    """Return what was logged once, and is no curve: what the run took, or came to."""
    once = sorted(name for name, points in run.metrics.items() if len(points) == 1 and name not in _KNOWN)
    return {name: run.metrics[name][0][1] for name in once}


def _shown(panel: Panel, run: Run) -> Shown:
    told = {name: run.metrics[name] for name in panel.metrics if name in run.metrics}
    curves = {name: thinned(points) for name, points in told.items()}
    return Shown(panel=panel, curves=curves, logged=max(map(len, told.values())))


def thinned(points: Sequence[Point], most: int = _MOST) -> list[Point]:
    """Return at most so many points: (last step, mean value) of neighbours put together."""
    together = -(-len(points) // most) or 1
    parts = (points[start : start + together] for start in range(0, len(points), together))
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]
