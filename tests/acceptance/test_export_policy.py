"""A network that was trained from a log leaves as an ONNX file by the command line, and says elsewhere what it says here."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest

from steersman.app import Steersman
from steersman.policies.encoding import Encoder
from steersman.testing.sampling import sample_state
from steersman.testing.traffic import Clock, Traffic, numbered, pays, steady_agent

Run = Callable[..., Any]
ME = "lab/small"
AGENTS = "from steersman.testing.traffic import steady_agent\n\nagent = steady_agent()\n"
SETTINGS = 'agent_files = ["mine.py"]\n\n[training]\nhidden = "32"\nstream = 0\nbatch = 32\nupdates = 50\n'
PAGE = Path(__file__).parents[2] / "docs" / "deep-learning.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where there is a store with some experience, and settings."""
    store, clock = tmp_path / "log.db", Clock()
    with Steersman.open(store, agents=[steady_agent()], settings={}, clock=clock, ids=numbered()) as steersman:
        Traffic(agent=steersman.agent(ME), clock=clock, reward=pays).run(500)
    (tmp_path / "mine.py").write_text(AGENTS)
    (tmp_path / "steersman.toml").write_text(SETTINGS)
    monkeypatch.setenv("STEERSMAN_STORE", str(store))
    return tmp_path


def test_a_network_leaves_and_says_elsewhere_what_it_says_here(folder: Path, command: Run) -> None:
    version, file = command("train", ME, "--json").json["version"], folder / "small.onnx"
    done = command("export-policy", ME, version[:8], str(file), "--json")
    assert done.code == 0, done.err
    assert (done.json["version"], done.json["bytes"]) == (version, file.stat().st_size)
    vectors, here = said_here(folder, version)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["action_values"], {"states": vectors})[0], here, atol=1e-5)
    assert done.json["features"] == ["load", "backlog", "weekend"]
    assert best_actions(file, vectors) == [done.json["actions"][each] for each in here.argmax(axis=1)]
    assert len(set(here.argmax(axis=1).tolist())) > 1  # or nothing would be shown
    only_where_asked_is_it_written_over(file, version, command)


def said_here(folder: Path, version: str) -> tuple[Any, Any]:
    """Return some vectors, and what serves decisions says of them."""
    with Steersman.open(folder / "log.db", settings=folder / "steersman.toml", read_only=True) as steersman:
        agent = steersman.agent(ME)
        served = agent._runtime.serving.policy(version).table
        states = [sample_state(agent.spec.state, np.random.default_rng(seed)) for seed in range(50)]
        vectors = np.stack([Encoder(agent.spec.state).vector(each) for each in states])
        return vectors, np.stack([served.action_values(served.slot_values(each.tobytes())) for each in vectors])


def best_actions(file: Path, vectors: Any) -> Any:
    """Do what the page tells somebody who has nothing but the file."""
    names: dict[str, Any] = {}
    (block,) = (each for each in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL) if "onnx" in each)
    exec(block, names)
    return names["best_actions"](file, vectors)


def only_where_asked_is_it_written_over(file: Path, version: str, command: Run) -> None:
    model = file.read_bytes()
    file.write_bytes(b"something else")
    refused = command("export-policy", ME, version, str(file))
    assert (refused.code, file.read_bytes()) == (3, b"something else")
    assert "is there already" in refused.err
    assert version[:12] in command("export-policy", ME, version, str(file), "--force").out
    assert file.read_bytes() == model
    nowhere = command("export-policy", ME, version, str(file / "small.onnx"))
    assert (nowhere.code, "Name another file" in nowhere.err) == (5, True)


def test_what_is_no_network_or_not_known_is_refused_and_nothing_is_written(folder: Path, command: Run) -> None:
    table = command("cut", ME, "--json").json["id"]
    for name in (table, "champion", "learning", "baseline"):  # nothing was released: what is being learned decides
        refused = command("export-policy", ME, name, str(folder / "small.onnx"))
        assert (refused.code, "is no network" in refused.err) == (3, True), refused.err
        assert f"steersman train {ME}" in refused.err
    unknown = command("export-policy", ME, "ffffffffffff", str(folder / "small.onnx"))
    assert unknown.code == 6, unknown.err
    assert command("export-policy", "lab/smal", table, str(folder / "small.onnx")).code == 6
    assert not (folder / "small.onnx").exists()
