"""Trackers in memory, as files, in MLflow and for TensorBoard keep one contract; each is read as outsiders read it."""

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from tensorboardX.proto.event_pb2 import Event  # type: ignore[import-untyped]
from tensorboardX.record_writer import masked_crc32c  # type: ignore[import-untyped]

from steersman.backends.mlflow import MlflowTracker
from steersman.backends.runs import FileTracker, MemoryTracker
from steersman.backends.tensorboard import TensorboardTracker
from steersman.core.errors import InvalidInput, NotFound, StoreError
from steersman.core.tracking import Begun, Ended, Quiet, Run, Tracker, begin, logged
from steersman.testing.tracker_contract import AT, TrackerContract, run


class TestMemoryTracker(TrackerContract):
    @pytest.fixture(autouse=True)
    def _place(self) -> None:
        self.tracker = MemoryTracker()

    def open(self) -> Tracker:
        return self.tracker

    def told(self, begun: Begun) -> Run:
        return self.tracker.run(begun.id)

    def kept(self, begun: Begun, name: str) -> bytes:
        return self.tracker.kept(begun.id, name)


class TestFileTracker(TrackerContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "runs"

    def open(self) -> Tracker:
        return FileTracker(self.folder)

    def told(self, begun: Begun) -> Run:
        return FileTracker(self.folder).run(begun.id)

    def kept(self, begun: Begun, name: str) -> bytes:
        return FileTracker(self.folder).kept(begun.id, name)


class TestMlflowTracker(TrackerContract):
    @pytest.fixture(autouse=True)
    def _place(self, mlflow_database: Path, tmp_path: Path) -> None:
        shutil.copy(mlflow_database, tmp_path / "mlflow.db")
        self.url = f"sqlite:///{tmp_path / 'mlflow.db'}"
        self.client = MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    def open(self) -> Tracker:
        return MlflowTracker(self.url)

    def _id(self, begun: Begun) -> str:
        (experiment,) = self.client.search_experiments(filter_string="name = 'steersman-training'")
        (found,) = self.client.search_runs([experiment.experiment_id], f"tags.`steersman.run` = '{begun.id}'")
        return str(found.info.run_id)

    def told(self, begun: Begun) -> Run:
        where = self._id(begun)
        data = self.client.get_run(where).data
        marked = {name.removeprefix("steersman.odd."): said for name, said in data.tags.items() if ".odd." in name}
        models = self.client.search_registered_models()
        return Run(
            begun=begin("", agent="", at=AT, params=dict(data.params)),
            heard_at=AT,
            state={"RUNNING": "running", "FINISHED": "done", "FAILED": "failed"}[self.client.get_run(where).info.status],  # type: ignore[arg-type]
            reason="" if self.client.get_run(where).info.status != "FAILED" else data.tags["steersman.reason"],
            metrics={
                name: [(each.step, each.value) for each in self.client.get_metric_history(where, name)]
                for name in data.metrics
            },
            odd=[(int(said.rsplit(" ", 1)[1]), name, said.split()[0]) for name, said in marked.items()],
            aliases=[alias for model in models for alias in model.aliases],
        )

    def kept(self, begun: Begun, name: str) -> bytes:
        return Path(self.client.download_artifacts(self._id(begun), name)).read_bytes()

    def test_an_alias_moves_on_to_the_run_that_has_it_last(self) -> None:
        tracker = self.open()
        for begun in (first := run(), second := run()):
            tracker.begin(begun)
            tracker.alias(begun.id, "champion")
        made = self.client.get_model_version_by_alias("qe~tester~runs", "champion")
        assert (made.run_id, self._id(first) == self._id(second)) == (self._id(second), False)

    def test_metrics_are_sent_in_batches(self) -> None:
        tracker, begun = MlflowTracker(self.url, batch=4), run()
        tracker.begin(begun)
        for step in (1, 2, 3):
            tracker.log(begun.id, logged(step, {"loss": 1.0, "q": 2.0}, at=AT))
        assert [step for step, _ in self.told(begun).metrics["q"]] == [1, 2]
        tracker.end(begun.id, Ended(at=AT))
        assert [step for step, _ in self.told(begun).metrics["q"]] == [1, 2, 3]


def events(folder: Path) -> list[Event]:
    """Return what event files say: records of a length, its checksum, a message and its checksum."""
    found = []
    for file in sorted(folder.glob("events.*")):
        data = file.read_bytes()
        while data:
            size = int.from_bytes(data[:8], "little")
            message = data[12 : 12 + size]
            assert int.from_bytes(data[12 + size : 16 + size], "little") == masked_crc32c(message)
            found.append(Event.FromString(message))
            data = data[16 + size :]
    return found


class TestTensorboardTracker(TrackerContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "logs"

    def open(self) -> Tracker:
        return TensorboardTracker(self.folder)

    def told(self, begun: Begun) -> Run:
        found = Run(begun=begun, heard_at=AT)
        for event in events(self.folder / begun.id):
            for value in event.summary.value:
                self._add(found, event.step, value)
        return found

    def _add(self, found: Run, step: int, value: Event) -> None:
        kind, _, rest = value.tag.partition("/")
        text = value.tensor.string_val[0].decode() if value.HasField("tensor") else ""
        if kind == "run":
            params = {name: each for name, each in json.loads(text).items() if name not in ("name", "agent", "step")}
            found.begun = begin("", agent="", at=AT, params=params)
        elif kind == "alias":
            found.aliases = [text]
        elif kind == "end":
            found.state, found.reason = ("done", "") if text == "done" else ("failed", text)
        elif kind == "not a finite number":
            found.odd.append((step, rest.removesuffix("/text_summary"), text))
        else:
            found.metrics.setdefault(kind, []).append((step, float(f"{value.simple_value:.7g}")))

    def kept(self, begun: Begun, name: str) -> bytes:
        return (self.folder / begun.id / name).read_bytes()


def test_a_process_that_dies_in_the_middle_of_a_line_spoils_no_other_line(tmp_path: Path) -> None:
    tracker, begun = FileTracker(tmp_path), run()
    tracker.begin(begun)
    tracker.log(begun.id, logged(1, {"loss": 0.5}, at=AT))
    file = tmp_path / f"{begun.id}.jsonl"
    whole = file.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for cut in range(1, len(last)):
        file.write_bytes(whole + last[:cut])
        assert FileTracker(tmp_path).run(begun.id).metrics == {"loss": [(1, 0.5)]}
        FileTracker(tmp_path).log(begun.id, logged(2, {"loss": 0.25}, at=AT))
        assert FileTracker(tmp_path).run(begun.id).metrics["loss"][-1] == (2, 0.25)


def test_a_run_is_seen_to_grow_by_who_reads_while_another_writes(tmp_path: Path) -> None:
    reader, writer, begun = FileTracker(tmp_path), FileTracker(tmp_path), run()
    assert reader.runs() == []
    writer.begin(begun)
    assert [each.step for each in reader.runs()] == [0]
    writer.log(begun.id, logged(7, {"loss": 0.5}, at=AT))
    assert [each.step for each in reader.runs()] == [7]
    (tmp_path / "no run.jsonl").write_text("{}")
    (tmp_path / "empty.jsonl").touch()
    assert len(reader.runs()) == 1


def test_threads_that_log_at_once_lose_nothing(tmp_path: Path) -> None:
    tracker, begun = FileTracker(tmp_path), run()
    tracker.begin(begun)

    def log(name: str) -> None:
        for step in range(100):
            tracker.log(begun.id, logged(step, {name: float(step)}, at=AT))

    threads = [threading.Thread(target=log, args=(f"m{number}",)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert {len(points) for points in tracker.run(begun.id).metrics.values()} == {100}


def test_what_a_resumed_run_says_again_counts_instead_of_what_it_had_said(tmp_path: Path) -> None:
    tracker, begun = FileTracker(tmp_path), run()
    tracker.begin(begun)
    for step, loss in ((10, 3.0), (20, 2.0), (30, 9.0), (20, 1.0)):
        tracker.log(begun.id, logged(step, {"loss": loss}, at=AT))
    assert tracker.run(begun.id).metrics["loss"] == [(10, 3.0), (20, 1.0)]


class _Failing:
    def __getattr__(self, name: str) -> object:
        raise OSError("the disk is full")


def test_a_tracker_that_fails_is_noted_once_and_the_others_are_told_all(tmp_path: Path) -> None:
    notes: list[str] = []
    kept, begun = FileTracker(tmp_path), run()
    both = Quiet([_Failing(), kept], notes.append)  # type: ignore[list-item]
    both.begin(begun)
    both.log(begun.id, logged(1, {"loss": 0.5}, at=AT))
    both.artefact(begun.id, "a", b"x")
    both.alias(begun.id, "champion")
    both.end(begun.id, Ended(at=AT))
    assert notes == ["_Failing is not told of training any more: OSError: the disk is full"]
    assert (kept.run(begun.id).state, kept.kept(begun.id, "a")) == ("done", b"x")


def test_a_folder_that_cannot_be_made_is_an_error_of_the_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot make"):
        FileTracker(tmp_path / "file" / "runs").begin(run())


def test_artefacts_that_are_not_there_are_not_found(tmp_path: Path) -> None:
    for tracker in (FileTracker(tmp_path), MemoryTracker()):
        tracker.begin(begun := run())
        with pytest.raises(NotFound, match="no artefact 'a'"):
            tracker.kept(begun.id, "a")


@pytest.mark.parametrize(
    ("library", "make", "said"),
    [
        ("mlflow", "from steersman.backends.mlflow import MlflowTracker as T; T('sqlite:///x.db')", "MLflow"),
        ("tensorboardX", "from steersman.backends.tensorboard import TensorboardTracker as T; T('x')", "TensorBoard"),
    ],
)
def test_what_is_not_installed_is_told_with_the_way_out(library: str, make: str, said: str) -> None:
    missing = f"import sys\nsys.modules[{library!r}] = None  # as if it were not installed\n"
    code = f"{missing}try:\n    {make}\nexcept Exception as error:\n    print(type(error).__name__, error)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    extra = said.lower()
    assert done.stdout.startswith(f"NotFound {said}")
    assert f"pip install 'steersman[{extra}]'" in done.stdout


def test_an_mlflow_that_is_not_there_ends_nothing_but_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    notes: list[str] = []
    tracker = Quiet([MlflowTracker("http://user:secret@127.0.0.1:9")], notes.append)
    tracker.begin(begun := run())
    tracker.log(begun.id, logged(1, {"loss": 0.5}, at=AT))
    assert len(notes) == 1
    assert "MLflow at http://127.0.0.1:9" in notes[0]
    assert "secret" not in notes[0]
    with pytest.raises(InvalidInput, match=r"training\.tracker_url"):
        MlflowTracker("mlflow")
