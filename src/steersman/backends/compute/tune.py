"""Trials of Ray Tune, on the cluster that this process has joined."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune

Heard = Callable[[int, bytes, str], None]
_QUIET = {"TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1", "TUNE_DISABLE_SIGINT_HANDLER": "1", "RAY_AIR_NEW_OUTPUT": "0"}
"""Tune keeps no files of its own, leaves Ctrl-C to us, and prints no tables."""
_AGAIN = 1
"""How often a trial that failed is begun once more: its machine may have been lost."""


def tuned(function: Callable[[bytes], bytes], items: Sequence[bytes], heard: Heard, *, cpus: float = 1.0) -> None:
    """Have Tune do function(item) of each item, each as a trial on so many CPUs, and hear of each as it ends.

    function: one that a module has by its name. heard: is called with the place of the item, the answer, and why there is
    none: "" where there is one.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)

    def trial(config: dict[str, Any]) -> None:
        tune.report({"answer": function(config["item"][1])})

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what failed is heard, and told once
    with TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        tune.Tuner(
            tune.with_resources(trial, {"cpu": cpus}),
            param_space={"item": tune.grid_search(list(enumerate(items)))},
            tune_config=tune.TuneConfig(reuse_actors=True),
            run_config=tune.RunConfig(
                storage_path=folder,
                verbose=0,
                callbacks=[_Hearing(heard)],
                failure_config=tune.FailureConfig(max_failures=_AGAIN),
            ),
        ).fit()


class _Hearing(tune.Callback):
    """Passes on what Tune says of trials."""

    def __init__(self, heard: Heard | None = None) -> None:
        self._heard = heard

    def __reduce__(self) -> tuple[type["_Hearing"], tuple[()]]:
        return _Hearing, ()  # Tune keeps a copy for runs that go on later; ours do not

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        if self._heard:
            self._heard(trial.config["item"][0], trial.last_result["answer"], "")

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:
        if self._heard:
            said = Path(trial.error_file).read_text(encoding="utf-8")  # `get_error` looks where it is copied to later
            self._heard(trial.config["item"][0], b"", _why(said))


def _why(error: str) -> str:
    """Return the last line of what Ray says of an error, without what it says of all deaths."""
    return error.strip().splitlines()[-1].partition(" Some common causes")[0]
