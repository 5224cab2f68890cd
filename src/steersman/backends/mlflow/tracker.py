"""A training run is a run of MLflow: params, metrics in batches, artefacts as plain files, aliases of a registered model."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.backends.mlflow.place import MlflowPlace, unless
from steersman.backends.mlflow.rows import PREFIX, model_name
from steersman.core.errors import NotFound
from steersman.core.tracking import Begun, Ended, Logged, file_name

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

TRAINING = "steersman-training"
_BATCH = 200
_PARAM_LENGTH = 6_000
_TAG_LENGTH = 5_000


class MlflowTracker:
    """Tells runs to MLflow. Raises NotFound where it is not installed, InvalidInput for what is no URL.

    url: as of a registry. batch: metrics that are sent together; what waits is sent with an artefact, an alias or the end.
    """

    def __init__(self, url: str, *, batch: int = _BATCH) -> None:
        self._place = MlflowPlace(url, setting="training.tracker_url")
        self._batch = batch
        self._waiting: dict[str, list[Metric]] = {}
        self._known: dict[str, Run] = {}
        self._client = self._place.client

    def begin(self, run: Begun) -> None:
        """Begin a run. To begin it again changes nothing."""
        with self._place.telling():
            if self._found(run.id) is not None:
                return
            about = {"run": run.id, "agent": run.agent, "step": run.unit}
            made = self._client.create_run(
                self._place.experiment(TRAINING),
                start_time=_ms(run.at),
                tags={f"{PREFIX}{name}": value for name, value in about.items()},
                run_name=run.name,
            )
            self._known[run.id] = made
            from mlflow.entities import Param

            params = [Param(name, str(value)[:_PARAM_LENGTH]) for name, value in run.params.items()]
            self._client.log_batch(made.info.run_id, params=params)

    def log(self, run: str, logged: Logged) -> None:
        """Log metrics at a step. Raises NotFound for a run that nobody began."""
        from mlflow.entities import Metric

        with self._place.telling():
            at, where = _ms(logged.at), self._going_on(run)
            waiting = self._waiting.setdefault(run, [])
            waiting.extend(Metric(name, value, at, logged.step) for name, value in logged.values.items())
            for name, said in logged.odd.items():
                self._client.set_tag(where, f"{PREFIX}odd.{name}", f"{said} at step {logged.step}")
            if len(waiting) >= self._batch:
                self._send(run)

    def artefact(self, run: str, name: str, data: bytes) -> None:
        """Keep a file of a run. Raises InvalidInput for a name that is more than a file's."""
        with self._place.telling(), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / file_name(name)
            file.write_bytes(data)
            self._send(run)
            self._client.log_artifact(self._id(run), str(file))

    def alias(self, run: str, alias: str) -> None:
        """Let an alias of the registered model `AGENT~runs` lead to what the run made."""
        with self._place.telling():
            self._send(run)
            found = self._run(run)
            model = f"{model_name(found.data.tags[f'{PREFIX}agent'])}~runs"
            with unless("RESOURCE_ALREADY_EXISTS"):
                self._client.create_registered_model(model)
            where = found.info.run_id
            made = self._client.search_model_versions(f"name = '{model}' AND run_id = '{where}'")
            version = made[0] if made else self._client.create_model_version(model, f"runs:/{where}", where)
            self._client.set_registered_model_alias(model, alias, version.version)

    def end(self, run: str, ended: Ended) -> None:
        """End a run."""
        with self._place.telling():
            self._send(run)
            if ended.reason:
                self._client.set_tag(self._id(run), f"{PREFIX}reason", ended.reason[:_TAG_LENGTH])
            self._client.set_terminated(self._id(run), "FAILED" if ended.reason else "FINISHED", _ms(ended.at))
            del self._known[run]

    def _send(self, run: str) -> None:
        """Send what waits; MLflow takes a thousand metrics at a time."""
        where, waiting = self._id(run), self._waiting.pop(run, [])
        for start in range(0, len(waiting), 1_000):
            self._client.log_batch(where, metrics=waiting[start : start + 1_000])

    def _id(self, run: str) -> str:
        return str(self._run(run).info.run_id)

    def _going_on(self, run: str) -> str:
        """Return the id in MLflow of a run, which goes on if it had ended."""
        where = self._id(run)
        if self._known[run].info.status != "RUNNING":
            self._client.update_run(where, "RUNNING")
            self._known[run] = self._client.get_run(where)
        return where

    def _run(self, run: str) -> "Run":
        found = self._found(run)
        if found is None:
            raise NotFound(f"there is no training run {run} in MLflow at {self._place.where}. Begin it first.")
        return found

    def _found(self, run: str) -> "Run | None":
        """Return the run of MLflow that a run is."""
        if run not in self._known:
            query = f"tags.`{PREFIX}run` = '{file_name(run)}'"
            for found in self._client.search_runs([self._place.experiment(TRAINING)], query, max_results=1):
                self._known[run] = found
        return self._known.get(run)


def _ms(at: float) -> int:
    return round(1_000.0 * at)
