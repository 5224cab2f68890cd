"""`steersman qe run` as a newcomer meets it, on projects that it has never seen and that are hard on it.

Whatever happens: a report that is of use or a clear reason, the tree untouched, nothing left running, in the home folder
or among temporary files.
"""

import hashlib
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import strange_projects

STRANGE = vars(strange_projects)
READS = "requirements-validator"
"""An agent that reads, and starts no tests of its own: what is tested is the run around it."""
Run = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where a project is tried: its folders, and the mark that each process started for it carries."""

    project: Path
    home: Path
    temporary: Path
    mark: str

    def build(self, name: str, *details: Any) -> dict[str, tuple[str, int, str]]:
        """Build the strange project of a name, and return what its tree is like."""
        STRANGE[name](self.project, *details)
        return fingerprint(self.project)

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "TMPDIR": str(self.temporary), "STRANGE_MARK": self.mark}


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """An empty ground, on which nothing may lie or run in the end but the project."""
    folders = {name: tmp_path / name for name in ("home", "temporary")}
    for each in folders.values():
        each.mkdir()
    place = Ground(project=tmp_path / "ein Projekt ✓", mark=f"strange-{tmp_path}", **folders)
    monkeypatch.setattr(tempfile, "tempdir", str(place.temporary))  # Python asks its environment only once
    yield place
    assert running(place.mark) == []
    assert [*place.home.iterdir(), *place.temporary.iterdir()] == []


@pytest.fixture
def tried(ground: Ground, command: Run) -> Run:
    """Return a function that builds a strange project and lets the fleet work on it."""

    def run(name: str, *options: str) -> Any:
        before = ground.build(name)
        arguments = ("--agents", READS, "--rounds", "1", "--python", sys.executable, "--store", "f.db", "--report", "out")
        done = command("qe", "run", str(ground.project), *arguments, *options, "--json", env=ground.environment)
        assert fingerprint(ground.project) == before
        assert "fault of ours" not in done.out
        return done

    return run


def fingerprint(root: Path) -> dict[str, tuple[str, int, str]]:
    """Return mode, time of change and content of all that lies in a folder."""
    return {str(each.relative_to(root)): _state(each) for each in sorted(root.rglob("*"))}


def _state(path: Path) -> tuple[str, int, str]:
    found = path.lstat()
    content = os.readlink(path) if path.is_symlink() else ""
    if stat.S_ISREG(found.st_mode):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    return stat.filemode(found.st_mode), found.st_mtime_ns, content


def running(mark: str) -> list[str]:
    """Return the commands of processes, but not of this one, that carry a mark or are those of tests that never end."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            said, environment = (each / "cmdline").read_bytes(), (each / "environ").read_bytes()
        except OSError:
            continue
        if int(each.name) != os.getpid() and (mark.encode() in environment or STRANGE["NEVER"].encode() in said):
            found.append(said.replace(b"\0", b" ").decode(errors="replace"))
    return found


@pytest.mark.parametrize(
    ("name", "tests", "reasons"),
    [
        ("failing", 7, ("2 tests fail", "test_split_is_fair", "test_table")),
        ("crashing", 7, ("tests/test_crash.py::test_crashes",)),
        ("syntax_error", 6, ("tests/test_report.py",)),
        ("without_tests", 0, ("it has no tests",)),
        ("without_database", 0, ("1 skipped", "what its tests need")),
        ("raising_conftest", 0, ("set LEDGER_HOME first",)),
        ("missing_dependency", 0, ("No module named 'a_library_that_nobody_has'", "--python")),
    ],
)
def test_what_speaks_against_a_project_is_said_and_an_agent_works_all_the_same(
    tried: Run, name: str, tests: int, reasons: tuple[str, ...]
) -> None:
    done = tried(name)
    assert done.code == 2, done.err
    said = " ".join(done.json["verdict"]["reasons"])
    assert [each for each in reasons if each not in said] == [], said
    assert done.json["tests"] == tests
    assert [len(each["rounds"]) for each in done.json["agents"]] == [1]


@pytest.mark.parametrize("name", ["compiled", "littering", "leaving_processes", "old_fashioned"])
def test_what_is_strange_but_sound_is_a_go(tried: Run, name: str) -> None:
    if name == "compiled" and shutil.which("gcc") is None:
        pytest.skip("no gcc")
    done = tried(name)
    assert (done.code, done.json["verdict"]["word"]) == (0, "go"), done.json["verdict"]
    assert done.json["failing"] == []


def test_a_test_that_never_ends_is_named_and_the_others_are_measured(tried: Run) -> None:
    """It starts a process in a session of its own and waits for it; both ignore SIGTERM."""
    done = tried("hanging_child", "--timeout", "40")
    assert done.code == 2, done.err
    assert "tests/test_child.py::test_waits_for_its_child" in " ".join(done.json["verdict"]["reasons"])
    assert done.json["tests"] == 6


def test_links_out_of_the_tree_and_large_files_are_no_hindrance(ground: Ground, command: Run, tmp_path: Path) -> None:
    before = ground.build("linked", tmp_path / "outside"), fingerprint(tmp_path / "outside")
    done = command("qe", "run", str(ground.project), "--agents", READS, "--report", "out", env=ground.environment)
    assert done.code == 0, done.err
    assert (fingerprint(ground.project), fingerprint(tmp_path / "outside")) == before


def test_a_folder_without_python_is_told(ground: Ground, command: Run) -> None:
    ground.build("nothing")
    done = command("qe", "run", str(ground.project), env=ground.environment)
    assert done.code == 6
    assert "no package or module" in done.err


@contextmanager
def started(ground: Ground, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
    """Start a command of qe in a process of its own; it is killed in the end, where it has not ended by itself."""
    command = [sys.executable, "-m", "steersman", "qe", *arguments, "--python", sys.executable, "--store", "f.db"]
    env = {**os.environ, **ground.environment, "CI": "1", "XDG_DATA_HOME": str(ground.project.parent / "data")}
    process = subprocess.Popen(
        command, cwd=ground.project.parent, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]  # it was asked for


def ended(process: "subprocess.Popen[str]", name: signal.Signals) -> int:
    """Send a signal twice, as impatient people and CI runners do, and return how the command ended."""
    process.send_signal(name)
    time.sleep(0.2)
    process.send_signal(name)
    said = (process.stderr or io.StringIO()).read()
    assert "Traceback" not in said
    return process.wait(60)


@pytest.mark.usefixtures("interruptible")
def test_what_was_learned_before_an_interrupt_stays(ground: Ground, command: Run) -> None:
    before = ground.build("sound")
    with started(ground, "work", READS, str(ground.project), "--rounds", "100000") as process:
        assert next((line for line in process.stderr or () if "3/100000" in line), "")
        assert ended(process, signal.SIGINT) == 130
    learned = {each["agent"]: each["outcomes"] for each in command("agents", "--store", "f.db", "--json").json}
    assert learned[f"qe/{READS}"] >= 3
    assert fingerprint(ground.project) == before


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_the_tests_that_run(ground: Ground) -> None:
    """The suite is being measured, and one of its tests never ends."""
    before = ground.build("hanging_child")
    with started(ground, "run", str(ground.project), "--report", "out") as process:
        deadline = time.monotonic() + 100
        while not any(STRANGE["NEVER"] in each for each in running(ground.mark)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ended(process, signal.SIGTERM) == 130
    assert fingerprint(ground.project) == before
