"""The registry on MLflow: a registered model for each agent, a model version for each policy version.

The artefact is logged as a plain file. No flavour is written and none is loaded: what comes back is bytes with a hash.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.backends.mlflow.place import MlflowPlace, unless
from steersman.backends.mlflow.rows import PREFIX, model_name, tags, version_of
from steersman.core.errors import Conflict, InvalidInput, NotFound, StoreError
from steersman.core.versions import BASELINE, LEARNING, PolicyVersion, address, check_address, short

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

EXPERIMENT = "steersman"
_FILE = "policy.safetensors"
_PAGE = 1_000
_DIGITS = frozenset("0123456789abcdef")


class MlflowRegistry:
    """Keeps policy versions in MLflow.

    url: of the tracking server ("http://host:5000"), or of a database ("sqlite:///mlflow.db"). artefacts: the folder, or
    URL, where the artefacts of a database lie; beside the file where none is given. A server chooses its own.
    """

    def __init__(self, url: str, *, artefacts: str = "") -> None:
        self._place = MlflowPlace(url, setting="release.registry_url", artefacts=artefacts)

    def keep(self, version: PolicyVersion, artefact: bytes) -> None:
        """Keep a version durably; to keep it again changes nothing. Raises InvalidInput where the name is not the hash."""
        check_address(version, artefact)
        _check(version)
        with self._place.telling():
            if self._found(version.agent, version.id):
                return
            self._have_model(version.agent)
            run = self._place.client.create_run(
                self._place.experiment(EXPERIMENT), run_name=f"{version.agent} {short(version.id)}"
            )
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / _FILE
                file.write_bytes(artefact)
                self._place.client.log_artifact(run.info.run_id, str(file))
            self._place.client.create_model_version(
                model_name(version.agent),
                source=f"runs:/{run.info.run_id}/{_FILE}",
                run_id=run.info.run_id,
                tags=tags(version),
                description=version.reason,
            )
            self._place.client.set_terminated(run.info.run_id)

    def _have_model(self, agent: str) -> None:
        with unless("RESOURCE_ALREADY_EXISTS"):
            self._place.client.create_registered_model(model_name(agent), tags={f"{PREFIX}agent": agent})

    def _found(self, agent: str, name: str, *, exact: bool = True) -> "list[ModelVersion]":
        """Return the model versions of that name, or of names that begin so; two processes may have kept the same."""
        if not name or not _DIGITS.issuperset(name):
            return []
        wanted = f"= '{name}'" if exact else f"LIKE '{name}%'"
        return self._search(f"name = '{model_name(agent)}' AND tags.`{PREFIX}id` {wanted}")

    def _search(self, query: str) -> "list[ModelVersion]":
        """Return the model versions that a query finds, newest first."""
        found: list[ModelVersion] = []
        page = None
        while page != "":
            part = self._place.client.search_model_versions(query, _PAGE, ["version_number DESC"], page)
            found.extend(part)
            page = part.token or ""
        return found

    def artefact(self, agent: str, version: str) -> bytes:
        """Return a version's artefact, as it was kept. Raises NotFound, and StoreError where its hash is another."""
        with self._place.telling(), tempfile.TemporaryDirectory() as folder:
            kept = self._one(agent, version)
            data = Path(self._place.client.download_artifacts(kept.run_id or "", _FILE, folder)).read_bytes()
        if (found := address(data)) != version:
            raise StoreError(
                f"version {short(version)} of {agent}: its artefact in MLflow is not the one that was kept, the hash is "
                f"{found[:12]}…. It was not used; restore the file, or roll back to another version."
            )
        return data

    def _one(self, agent: str, name: str) -> "ModelVersion":
        found = self._found(agent, name)
        if not found:
            raise NotFound(
                f"{agent} has no version {short(name)} in MLflow at {self._place.where}. List them, and choose one."
            )
        return min(found, key=lambda each: int(each.version))

    def versions(self, agent: str, limit: int = 100) -> list[PolicyVersion]:
        """Return the agent's last versions, newest first."""
        with self._place.telling():
            told = _told(agent, self._search(f"name = '{model_name(agent)}'"))
        return sorted(told, key=lambda each: each.cut_at, reverse=True)[:limit]  # MLflow cannot order by a tag

    def version(self, agent: str, name: str) -> PolicyVersion:
        """Return a version by its name, or by the beginning of it. Raises NotFound, and Conflict where several begin so."""
        with self._place.telling():
            found = _told(agent, self._found(agent, name, exact=False))
        if not found:
            raise NotFound(
                f"{agent} has no version {short(name)!r} in MLflow at {self._place.where}. List them, and choose one."
            )
        if len(found) > 1:
            begin = ", ".join(sorted(short(each.id) for each in found)[:5])
            raise Conflict(f"{len(found)} versions of {agent} begin with {name!r}: {begin}. Give more of the name.")
        return found[0]

    def name(self, agent: str, aliases: Mapping[str, str]) -> None:
        """Give each alias to its version; one for no version, for what is being learned or for the baseline goes."""
        with self._place.telling():
            for alias, version in aliases.items():
                if version not in (LEARNING, BASELINE):
                    number = self._one(agent, version).version
                    self._place.client.set_registered_model_alias(model_name(agent), alias, number)
                    continue
                with unless("RESOURCE_DOES_NOT_EXIST"):
                    self._place.client.delete_registered_model_alias(model_name(agent), alias)


def _check(version: PolicyVersion) -> None:
    """Raise InvalidInput where the tags of a version would not tell of it, as with a number that is not finite."""
    try:
        version_of(tags(version), "")
    except StoreError as error:
        raise InvalidInput(f"version {short(version.id)}: {error.__cause__}. Cut it anew.") from error


def _told(agent: str, kept: "list[ModelVersion]") -> list[PolicyVersion]:
    """Return the policy versions of model versions, each once. What Steersman did not put there is left out."""
    ours = [each for each in kept if f"{PREFIX}id" in each.tags]
    told = {each.tags[f"{PREFIX}id"]: version_of(each.tags, f"version {each.version} of {agent}") for each in ours}
    return list(told.values())
