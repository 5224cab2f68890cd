"""Where training runs are told: always to what the dashboard reads, and beside it to MLflow or TensorBoard."""

import logging
import os
from collections.abc import Callable

from steersman.app.stores import beside
from steersman.core.errors import InvalidInput
from steersman.core.settings import SettingsFile
from steersman.core.tracking import KeptRuns, Quiet, Tracker

_TENSORBOARD = "tensorboard"
_MLFLOW = "sqlite:///mlflow.db"
_logger = logging.getLogger("steersman")


def runs_of(url: str | os.PathLike[str] | None) -> KeptRuns:
    """Return the runs of a store: beside its file in FILE.runs, of a shared one here below .steersman, else in memory."""
    from steersman.backends.runs import FileTracker, MemoryTracker

    folder = beside(url, "runs")
    return MemoryTracker() if folder is None else FileTracker(folder)


def tracker_of(runs: KeptRuns, kind: str, url: str = "", *, note: Callable[[str], None] = _logger.warning) -> Quiet:
    """Return the tracker that `training.tracker` asks for, which never breaks training.

    kind: "none", "file" (the runs of the store alone), "mlflow" or "tensorboard" (beside them). url: of MLflow, or the
    folder for TensorBoard. note: is told once of each tracker that fails. Raises NotFound where the extra is not installed.
    """
    if kind == "none":
        return Quiet([], note)
    return Quiet([runs, *_beside(kind, url)], note)


def open_tracker(url: str | None, settings: str | None) -> Quiet:
    """Return what a training that is of no agent is told to: as the settings say, beside the store's file."""
    asked = SettingsFile.read(settings).settings("", {}).training
    return tracker_of(runs_of(url), asked.tracker, asked.tracker_url)


def _beside(kind: str, url: str) -> list[Tracker]:
    if kind == "file":
        return []
    if kind == "mlflow":
        from steersman.backends.mlflow import MlflowTracker

        return [MlflowTracker(url or _MLFLOW)]
    if kind == "tensorboard":
        from steersman.backends.tensorboard import TensorboardTracker

        return [TensorboardTracker(url or _TENSORBOARD)]
    raise InvalidInput(f"training.tracker is {kind!r}. Use none, file, mlflow or tensorboard.")
