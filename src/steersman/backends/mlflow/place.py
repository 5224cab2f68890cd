"""Where an MLflow is, and how it is spoken to: quietly, with its errors told as ours."""

import os
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steersman.core.errors import Conflict, InvalidInput, NotFound, StoreError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # 7 of them take minutes, and whoever releases waits
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class MlflowPlace:
    """An MLflow.

    url: of the tracking server ("http://host:5000"), or of a database ("sqlite:///mlflow.db"). setting: which one names
    it, for errors. artefacts: the folder, or URL, where the artefacts of a database lie; beside the file where none is
    given. A server chooses its own.
    """

    def __init__(self, url: str, *, setting: str, artefacts: str = "") -> None:
        if not urllib.parse.urlsplit(url).scheme:
            raise InvalidInput(f"{setting} {url!r} is no URL. Take sqlite:///mlflow.db or http://host:5000.")
        self._url = url
        self._setting = setting
        self._artefacts = artefacts or _beside(url)

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's own client. Raises NotFound where it is not installed."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)  # MLflow reads them when it is imported
        try:
            from mlflow.tracking import MlflowClient
        except ModuleNotFoundError as error:
            raise NotFound("MLflow is not installed. Run: pip install 'steersman[mlflow]'.") from error
        with self.telling():
            return MlflowClient(tracking_uri=self._url, registry_uri=self._url)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell MLflow's errors, and those of what it stands on, as ours."""
        try:
            yield
        except (StoreError, NotFound, Conflict, InvalidInput):
            raise
        except Exception as error:
            said = self._without_login(f"{type(error).__name__}: {error}")[:300]
            raise StoreError(
                f"MLflow at {self.where}: {said}. Look whether it is up and reachable, and whether setting "
                f"{self._setting} is right."
            ) from error

    def _without_login(self, text: str) -> str:
        login, found, _ = urllib.parse.urlsplit(self._url).netloc.rpartition("@")
        return text.replace(f"{login}@", "") if found else text

    @property
    def where(self) -> str:
        """The URL, without a login."""
        return self._without_login(self._url)

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, begun if need be."""
        known = self.client.get_experiment_by_name(name)
        if known is None:
            with unless("RESOURCE_ALREADY_EXISTS"):  # another process was quicker
                return self.client.create_experiment(name, artifact_location=self._artefacts or None)
            known = self.client.get_experiment_by_name(name)
        if known is None:
            raise StoreError(f"MLflow at {self.where} has an experiment {name!r} that was deleted. Restore it there.")
        return str(known.experiment_id)


def _beside(url: str) -> str:
    """Return the folder for artefacts beside a database file; "" where the server, or the user, has to say."""
    scheme, _, rest = url.partition(":///")
    if scheme != "sqlite":
        return ""
    path = Path(urllib.parse.urlsplit(rest).path).absolute()
    return path.with_name(f"{path.stem}-artefacts").as_uri()


@contextmanager
def unless(code: str) -> Iterator[None]:
    """Pass over an error of MLflow that says that what is asked for is so already."""
    try:
        yield
    except Exception as error:
        if _code(error) != code:
            raise


def _code(error: Exception) -> Any:
    return getattr(error, "error_code", None)
