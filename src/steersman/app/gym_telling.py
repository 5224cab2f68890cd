"""What is told of a training in an environment while it goes on: to people, to trackers, and to its budget."""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from steersman.app.gym_learners import Point
from steersman.core.compute import Budget, Cost
from steersman.core.ports import Progress
from steersman.core.tracking import Begun, Ended, Quiet, logged

_LINES = 100
"""How many lines tell of a training at most."""


class Telling:
    """Hears of each training, keeps the curve, and says when the budget is used up. A context manager: its run ends with it.

    stopped: why training ended before its steps were made; "" where it did not.
    """

    def __init__(self, head: Begun, steps: int, *, progress: Progress, budget: Budget, tracker: Quiet) -> None:
        self.curve: list[Point] = []
        self.stopped = ""
        self._head, self._steps, self._progress, self._budget, self._tracker = head, steps, progress, budget, tracker
        self._shown = 0
        self._began = time.monotonic(), time.process_time()

    def __enter__(self) -> Self:
        self._tracker.begin(self._head)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        reason = "" if kind is None else str(error) or kind.__name__
        self._tracker.end(self._head.id, Ended(at=time.time(), reason=reason))

    @property
    def cost(self) -> Cost:
        """What this process has used since the beginning."""
        seconds, cpu_seconds = (now - then for now, then in zip(_clocks(), self._began, strict=True))
        last = self.curve[-1] if self.curve else None
        return Cost(
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            steps=last.steps if last else 0,
            updates=last.updates if last else 0,
        )

    def told(self, point: Point) -> bool:
        """Hear how far training is, and return whether to stop it."""
        self.curve.append(point)
        self.stopped = self._budget.spent(self.cost) or ""
        if point.steps - self._shown >= self._steps / _LINES or point.steps >= self._steps or self.stopped:
            self._show(point)
        return bool(self.stopped)

    def figures(self, values: Mapping[str, float]) -> None:
        """Tell the tracker figures of the whole training."""
        self._tracker.log(self._head.id, logged(self.cost.steps, values, at=time.time()))

    def _show(self, point: Point) -> None:
        mean = "none yet" if point.mean_return is None else f"{point.mean_return:.1f}"
        epsilon = "" if point.epsilon is None else f", ε {point.epsilon:.2f}"
        now = min(point.steps, self._steps)
        self._progress.step(f"{point.steps:,} steps: mean return {mean}{epsilon}, loss {point.loss:.3g}", now - self._shown)
        self._shown = now
        figures = {"reward": point.mean_return, "loss": point.loss, "q": point.q, "epsilon": point.epsilon}
        known = {name: each for name, each in figures.items() if each is not None}
        self._tracker.log(self._head.id, logged(point.steps, known, at=time.time()))


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()
