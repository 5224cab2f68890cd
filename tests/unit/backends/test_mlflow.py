"""The registry on MLflow: the contract of a registry, on a real database, and what is particular to MLflow."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from msgspec.structs import replace

from steersman.backends.mlflow import MlflowRegistry
from steersman.core.errors import InvalidInput, NotFound, StoreError
from steersman.core.versions import BASELINE, LEARNING, address
from steersman.testing.log_rows import AGENT
from steersman.testing.release_contract import RegistryContract, version


@pytest.fixture
def url(mlflow_database: Path, tmp_path: Path) -> str:
    """The URL of an empty registry."""
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def releases(url: str) -> MlflowRegistry:
    return MlflowRegistry(url)


@pytest.fixture
def client(url: str) -> MlflowClient:
    """MLflow's own client, as others use it."""
    return MlflowClient(tracking_uri=url, registry_uri=url)


def _aliases(client: MlflowClient) -> dict[str, str]:
    return {name: str(number) for name, number in client.get_registered_model(AGENT.replace("/", "~")).aliases.items()}


class TestMlflowRegistry(RegistryContract):
    """MLflow keeps the contract of a registry."""

    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "mlflow-artefacts"

    def tamper(self, agent: str, version: str, artefact: bytes) -> None:
        (file,) = self.folder.rglob("policy.safetensors")
        file.write_bytes(artefact)


def test_another_process_finds_what_was_kept(url: str, releases: MlflowRegistry) -> None:
    releases.keep(version(b"x"), b"x")
    other = MlflowRegistry(url)
    assert (other.versions(AGENT), other.artefact(AGENT, address(b"x"))) == ([version(b"x")], b"x")


def test_what_others_see_in_mlflow(releases: MlflowRegistry, client: MlflowClient) -> None:
    releases.keep(version(b"x"), b"x")
    releases.keep(version(b"x"), b"x")
    (found,) = client.search_model_versions("name = 'qe~tester'")
    assert found.tags["steersman.agent"] == "qe/tester"
    assert found.tags["steersman.epsilon"] == "0.1"
    assert found.tags["steersman.id"] == address(b"x")
    assert found.status == "READY"
    assert client.get_run(str(found.run_id)).info.status == "FINISHED"


def test_aliases_say_which_version_has_which_part(releases: MlflowRegistry, client: MlflowClient) -> None:
    for data in (b"x", b"y"):
        releases.keep(version(data), data)
    releases.name(AGENT, {"champion": address(b"x"), "challenger": address(b"y")})
    assert _aliases(client) == {"champion": "1", "challenger": "2"}
    releases.name(AGENT, {"champion": address(b"y"), "challenger": LEARNING})
    releases.name(AGENT, {"champion": address(b"y"), "challenger": LEARNING})
    assert _aliases(client) == {"champion": "2"}
    releases.name(AGENT, {"champion": BASELINE})
    assert _aliases(client) == {}


def test_an_alias_for_what_was_not_kept_is_refused(releases: MlflowRegistry, client: MlflowClient) -> None:
    releases.name(AGENT, {"champion": LEARNING})  # no version yet: there is nothing to take back
    releases.keep(version(b"x"), b"x")
    releases.name(AGENT, {"champion": address(b"x")})
    with pytest.raises(NotFound, match="has no version"):
        releases.name(AGENT, {"champion": address(b"never kept")})
    assert _aliases(client) == {"champion": "1"}


def test_model_versions_of_others_are_left_alone(releases: MlflowRegistry, client: MlflowClient) -> None:
    releases.keep(version(b"x"), b"x")
    client.create_model_version(AGENT.replace("/", "~"), source="file:///somewhere/else")
    assert releases.versions(AGENT) == [version(b"x")]


def test_tags_that_somebody_spoiled_are_told(releases: MlflowRegistry, client: MlflowClient) -> None:
    releases.keep(version(b"x"), b"x")
    for spoiled in ("soon", "NaN", "1e999", '"1.0"'):
        client.set_model_version_tag(AGENT.replace("/", "~"), "1", "steersman.cut_at", spoiled)
        with pytest.raises(StoreError, match="restore its tags"):
            releases.versions(AGENT)


def test_an_artefact_that_is_gone_is_an_error_of_the_store(releases: MlflowRegistry, tmp_path: Path) -> None:
    releases.keep(version(b"x"), b"x")
    shutil.rmtree(tmp_path / "mlflow-artefacts")
    with pytest.raises(StoreError, match="MLflow at sqlite"):
        releases.artefact(AGENT, address(b"x"))


def test_many_that_keep_the_same_at_once_keep_one(url: str) -> None:
    failed: list[Exception] = []

    def keep() -> None:
        try:
            MlflowRegistry(url).keep(version(b"x"), b"x")
        except Exception as error:  # noqa: BLE001 - any of them is what this test looks for
            failed.append(error)

    threads = [threading.Thread(target=keep) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
    registry = MlflowRegistry(url)
    assert (registry.versions(AGENT), registry.artefact(AGENT, address(b"x"))) == ([version(b"x")], b"x")


def test_artefacts_lie_where_they_are_wanted(url: str, tmp_path: Path) -> None:
    MlflowRegistry(url, artefacts=(tmp_path / "elsewhere").as_uri()).keep(version(b"x"), b"x")
    assert [each.read_bytes() for each in (tmp_path / "elsewhere").rglob("policy.safetensors")] == [b"x"]


def test_an_agent_whose_name_is_none_asks_no_database(releases: MlflowRegistry) -> None:
    for name in ("x' OR name LIKE '%", "a~b", ""):
        with pytest.raises(NotFound, match="no agent is called"):
            releases.versions(name)
        with pytest.raises(NotFound, match="no agent is called"):
            releases.keep(replace(version(b"x"), agent=name), b"x")


def test_a_server_that_is_not_there_is_told_without_the_password_in_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    nobody = MlflowRegistry("http://user:secret@127.0.0.1:9")
    with pytest.raises(StoreError, match=r"MLflow at http://127\.0\.0\.1:9") as raised:
        nobody.versions(AGENT)
    assert "secret" not in str(raised.value)


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(InvalidInput, match="registry_url"):
        MlflowRegistry("mlflow")


def test_mlflow_is_loaded_when_it_is_asked_and_where_it_is_missing_that_is_told() -> None:
    code = """
import sys
from steersman.backends.mlflow import MlflowRegistry
assert not [name for name in sys.modules if name.split(".")[0] == "mlflow"]
sys.modules["mlflow"] = None  # as if it were not installed
try:
    MlflowRegistry("sqlite:///none.db").versions("qe/a")
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "NotFound MLflow is not installed. Run: pip install 'steersman[mlflow]'."
