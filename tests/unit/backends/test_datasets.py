"""A log as an offline data set: what stands in it, and that each form of file gives it back as it was."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.dataset as arrow_data  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

from steersman.app import Steersman, datasets
from steersman.app.datasets import Form
from steersman.cli.app import app
from steersman.core.dataset import Dataset
from steersman.core.errors import Conflict, InvalidInput, NotFound
from steersman.policies.encoding import Encoder
from steersman.testing.specs import small_agent

FORMS: tuple[Form, ...] = ("dataset", "minari")


@pytest.fixture
def store() -> Iterator[Steersman]:
    with Steersman.open("memory:") as steersman:
        yield steersman


def state(load: float) -> dict[str, float | bool]:
    return {"load": load, "backlog": 10.0, "weekend": False}


def logged(steersman: Steersman) -> Dataset:
    """Return the data set of an episode of three steps, one of two whose states do not follow, and one that stands alone."""
    spec = small_agent()
    agent = steersman.agent(spec)
    for name, loads, seen in (("first", [0, 20, 40, 60], [20, 40, 60]), ("second", [5, 30], [25, 90])):
        for step, following in enumerate(seen):
            made = agent.decide(state(loads[step]), episode=name)
            last = step + 1 == len(seen)
            agent.report(
                made,
                {"reward": 0.1 * step - 0.3},
                next_state=state(following),
                terminated=last and name == "first",
                truncated=last and name == "second",
            ).wait()
    agent.report(agent.decide(state(70), episode="third"), {"reward": 1.0}, executed="steady").wait()
    agent.decide(state(1), episode="open")
    return datasets.from_log(spec, steersman.log)


def test_a_data_set_holds_what_was_logged(store: Steersman) -> None:
    data = logged(store)
    vector = Encoder(small_agent().state).vector
    assert data.episodes == ("first",) * 3 + ("second",) * 2 + ("third",)
    assert data.steps.tolist() == [0, 1, 2, 0, 1, 0]
    assert data.rewards == pytest.approx([-0.3, -0.2, -0.1, -0.3, -0.2, 1.0])
    assert data.terminated.tolist() == [False, False, True, False, False, True]
    assert data.truncated.tolist() == [False, False, False, False, True, False]
    assert data.observations[:3].tolist() == [vector(state(each)).tolist() for each in (0, 20, 40)]
    assert data.next_observations[4].tolist() == vector(state(90)).tolist()
    assert data.next_observations[5].tolist() == [0.0, 0.0, 0.0]
    assert data.actions[5] == 2
    decisions = [made for _, made, _ in store.log.history("lab/small")]
    assert data.propensities[:5].tolist() == [made.action_probability for made in decisions[:5]]
    assert np.isnan(data.propensities[5])
    assert [list(each) for each in data.chains()] == [[0, 1, 2], [3], [4], [5]]


def test_a_correction_counts_and_a_withdrawal_leaves_its_row_out(store: Steersman) -> None:
    agent = store.agent(small_agent())
    first, second = (agent.decide(state(1), episode=name) for name in ("a", "b"))
    for made in (first, second):
        agent.report(made, {"reward": 0.5}, terminated=True).wait()
    agent.report(first, {"reward": -0.5}, terminated=True, correct=True).wait()
    agent.withdraw(second).wait()
    assert datasets.from_log(agent.spec, store.log).rewards.tolist() == [-0.5]


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_back_what_was_written(store: Steersman, tmp_path: Path, form: Form) -> None:
    data, path = logged(store), tmp_path / "data"
    assert datasets.write(path, data, form) == 6
    found = datasets.read(path)
    for each in dataclasses.fields(Dataset):
        wanted, got = getattr(data, each.name), getattr(found, each.name)
        if isinstance(wanted, np.ndarray):
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)
        else:
            assert got == wanted


def test_the_folders_are_laid_out_as_minari_reads_them(store: Steersman, tmp_path: Path) -> None:
    data = logged(store)
    datasets.write(tmp_path, data, "minari")
    described = json.loads((tmp_path / "data" / "metadata.json").read_bytes())
    assert (described["total_episodes"], described["total_steps"], described["data_format"]) == (4, 6, "arrow")
    assert json.loads(described["action_space"]) == {"type": "Discrete", "dtype": "int64", "start": 0, "n": 4}
    assert json.loads(described["observation_space"])["shape"] == [3]
    assert json.loads((tmp_path / "data" / "0" / "metadata.json").read_bytes()) == {"id": 0, "total_steps": 3}
    folder = arrow_data.dataset(str(tmp_path / "data" / "0"), format="arrow", ignore_prefixes=["_", ".", "metadata.json"])
    batch = next(iter(folder.to_batches()))
    assert np.stack(batch["observations"].to_numpy(zero_copy_only=False)).tolist() == [
        *data.observations[:3].tolist(),
        data.next_observations[2].tolist(),
    ]
    assert batch["terminations"].to_pylist()[:-1] == [False, False, True]
    second = next(iter(arrow_data.dataset(str(tmp_path / "data" / "1" / "part-0.arrow"), format="arrow").to_batches()))
    assert second["truncations"].to_pylist()[:-1] == [True]
    with pytest.raises(Conflict, match="already"):
        datasets.write(tmp_path, data, "minari")


def test_what_is_no_data_set_is_refused(tmp_path: Path, store: Steersman) -> None:
    (tmp_path / "file.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(InvalidInput, match="--as dataset"):
        datasets.read(tmp_path / "file.parquet")
    with pytest.raises(NotFound, match=r"nowhere"):
        datasets.read(tmp_path / "nowhere")
    with pytest.raises(NotFound, match=r"metadata\.json"):
        datasets.read(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "metadata.json").write_text('{"total_episodes": 1}')
    with pytest.raises(InvalidInput, match="--as minari"):
        datasets.read(tmp_path)
    with pytest.raises(InvalidInput, match="no outcome"):
        datasets.from_log(small_agent(), store.log)


@pytest.mark.parametrize("form", FORMS)
def test_the_command_writes_an_agents_data_set(tmp_path: Path, form: Form) -> None:
    agent = "qe/quality-gate"
    with Steersman.open(tmp_path / "log.db") as steersman:
        handle = steersman.agent(agent)
        from steersman.testing.sampling import sample_measurements, sample_state

        rng = np.random.default_rng(0)
        for _ in range(3):
            made = handle.decide(sample_state(handle.spec.state, rng))
            handle.report(made, sample_measurements(handle.spec.reward, rng), terminated=True).wait()
    command = ["export", str(tmp_path / "out"), "--as", form, "--store", str(tmp_path / "log.db")]
    assert "3 transitions" in CliRunner().invoke(app, [*command, "--agent", agent]).output
    assert datasets.read(tmp_path / "out").agent == agent
    assert isinstance(CliRunner().invoke(app, command).exception, InvalidInput)
