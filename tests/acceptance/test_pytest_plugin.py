"""`pytest --steersman` from the outside: a real pytest in a process of its own, on a small project."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PLUGIN = "steersman.plugins.pytest_plugin"
TESTS = {
    "test_a.py": "import time\nimport cart\n"
    "def test_one(): time.sleep(0.02)\n"
    "def test_two(): time.sleep(0.02)\n"
    "def test_three(): time.sleep(0.02)\n",
    "test_b.py": "import time\nfrom os import environ\nimport pytest\n"
    "@pytest.mark.parametrize('name', ['x', 'y z', 'ü'])\n"
    "def test_named(name): time.sleep(0.02); assert name not in environ.get('FAILING', '').split(',')\n"
    "def test_last(): time.sleep(0.02); assert 'last' not in environ.get('FAILING', '').split(',')\n",
    "cart.py": "",
}


@dataclass(frozen=True, kw_only=True)
class Done:
    """A pytest run that is over. order: the tests as they ran, by the name of their function."""

    code: int
    out: str
    err: str

    @property
    def order(self) -> list[str]:
        found = (re.match(r"test_\w+\.py::(.+) (PASSED|FAILED) ", line) for line in self.out.splitlines())
        return [each[1] for each in found if each]


Run = Callable[..., Done]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return small_project(tmp_path / "project")


def small_project(root: Path) -> Path:
    root.mkdir()
    for file, text in TESTS.items():
        (root / file).write_text(text)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments], cwd=root, check=True)


@pytest.fixture
def run(project: Path) -> Run:
    return runner(project)


def runner(project: Path) -> Run:
    """Run pytest in a project, with this plugin alone and those that are named; `failing` are the tests that fail."""

    def ran(*arguments: str, failing: str = "", plugins: tuple[str, ...] = (), **environment: str) -> Done:
        named = [word for plugin in (PLUGIN, *plugins) for word in ("-p", plugin)]
        outer = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "STEERSMAN"))}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *named, "-v", "--tb=no", "-p", "no:cacheprovider", *arguments],
            cwd=project,
            env=outer | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "FAILING": failing} | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    return ran


def runs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def test_what_failed_comes_first_in_the_next_run(run: Run, project: Path) -> None:
    first = run("--steersman", failing="ü")
    assert (first.code, first.order[-1]) == (1, "test_last"), first.out
    assert "nothing learned yet: the usual order" in first.out
    second = run("--steersman", failing="ü")
    assert second.code == 1
    assert second.order[0] == first.order[5], second.out
    assert sorted(second.order) == sorted(first.order)
    assert "learned order, from 1 run\nthe first failure came with test 1 of 7" in second.out
    assert "confidence, from 1 past run with a failure" in run("--steersman").out
    assert len(runs(project / ".steersman" / "pytest")) == 3
    status = subprocess.run(["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True)
    assert ".steersman" not in status.stdout, "the store keeps itself out of git"


def test_what_another_machine_saw_is_used(run: Run, project: Path, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    run(f"--steersman-store={there}", failing="last")
    run(f"--steersman-store={here}")
    for each in runs(there):
        shutil.copy(each, here)
    done = run(f"--steersman-store={here}")
    assert done.order[0] == "test_last", done.out
    assert "learned order, from 2 runs" in done.out


def test_a_budget_runs_the_first_part_and_says_what_it_left_out(run: Run) -> None:
    run("--steersman", failing="last")
    done = run("--steersman-budget", "0.5")
    assert done.code == 0
    assert done.order[0] == "test_last"
    assert 1 <= len(done.order) <= 4
    assert "budget of 50 %" in done.out
    assert f"{7 - len(done.order)} left out" in done.out
    assert f"{7 - len(done.order)} deselected" in done.out


def test_a_change_runs_its_tests_and_says_what_it_left_out(run: Run, project: Path) -> None:
    run("--steersman")
    nothing = run("--steersman-changed")
    assert (nothing.code, nothing.order) == (0, []), "no test is called for, and that is no failure"
    assert "since HEAD 0 files changed: 0 of 7 tests run, 7 left out" in nothing.out
    (project / "cart.py").write_text("CART = 1\n")
    done = run("--steersman-changed")
    assert done.order == ["test_one", "test_two", "test_three"]
    assert "since HEAD 1 file changed: 3 of 7 tests run (3 by imports), 4 left out" in done.out
    git(project, "commit", "-qam", "second")
    assert run("--steersman-changed=HEAD~1").order == done.order
    wrong = run("--steersman-changed", "test_b.py")
    assert (wrong.code, len(wrong.order)) == (0, 7)
    assert "warning: no test is left out for the change: git knows no revision 'test_b.py'" in wrong.out


def test_tests_that_pytest_deselects_itself_are_its_own_affair(run: Run, project: Path) -> None:
    run("--steersman", failing="ü")
    done = run("--steersman", "-k", "named", failing="ü")
    assert (done.code, len(done.order), "3 deselected" not in done.out) == (1, 3, True)
    assert run("--steersman", "-k", "nothing").code == 5, "as without the plugin"
    assert run("--steersman", "--collect-only").code == 0
    assert len(runs(project / ".steersman" / "pytest")) == 2, "where no test ran there is no run"


def test_a_collection_error_stays_one(run: Run, project: Path) -> None:
    run("--steersman", failing="ü")
    (project / "test_c.py").write_text("import nothing_of_that_name\n")
    assert run("--steersman").code == 2
    done = run("--steersman", "--continue-on-collection-errors")
    assert (done.code, len(done.order)) == (1, 7)


def test_what_an_interrupted_run_saw_is_kept(run: Run, project: Path) -> None:
    stop = "def test_stop(): raise KeyboardInterrupt\n"
    (project / "test_b.py").write_text(TESTS["test_b.py"] + stop)
    done = run("--steersman", failing="last")
    assert done.code == 2
    lines = [json.loads(line) for line in runs(project / ".steersman" / "pytest")[0].read_text().splitlines()]
    assert [line[2] for line in lines[1:-1]] == ["passed"] * 6 + ["failed"]
    assert lines[-1] == {"exit": 2, "whole": False}
    assert run("--steersman", "--deselect", "test_b.py::test_stop", "-x", failing="last").order == ["test_last"]


def test_a_flaky_test_is_advised_of_and_nothing_more(run: Run) -> None:
    run("--steersman", failing="ü")
    done = run("--steersman")
    assert done.code == 0
    assert "flaky: test_b.py::test_named[" in done.out
    assert "both passed and failed with the same sources (1×)" in done.out


def test_a_test_that_passes_when_it_runs_again_is_flaky(run: Run, project: Path) -> None:
    (project / "test_c.py").write_text("n = 0\ndef test_again():\n    global n\n    n += 1\n    assert n > 1\n")
    done = run("--steersman", "--reruns", "2", plugins=("pytest_rerunfailures",))
    assert done.code == 0, done.out + done.err
    assert "flaky: test_c.py::test_again passed when run again (1×)" in done.out


def test_with_xdist_the_controller_orders_and_records(run: Run, project: Path) -> None:
    xdist = ("xdist.plugin",)
    first = run("--steersman", "-n", "2", failing="last", plugins=xdist)
    assert first.code == 1, first.out + first.err
    assert len(runs(project / ".steersman" / "pytest")) == 1
    second = run("--steersman", "-n", "2", failing="last", plugins=xdist)
    started = [line.strip() for line in second.out.splitlines() if line.startswith("test_") and "::" in line]
    assert "test_b.py::test_last" in started[:2], second.out
    assert "learned order, from 1 run" in second.out
    less = run("--steersman-budget=0.5", "-n", "2", failing="last", plugins=xdist)
    assert less.code == 1
    assert "test_b.py::test_last" in less.out
    assert "deselected" in less.out
    none = run("--steersman-changed", "-n", "2", plugins=xdist)
    assert (none.code, "1 of 7 tests run (1 failed lately), 6 left out" in none.out) == (0, True), none.out
    other = run("--steersman-changed", "-n", "2", "--dist", "loadfile", plugins=xdist)
    assert (other.code, "7 passed" in other.out) == (0, True)
    assert "warning: --dist loadfile shares tests out by itself" in other.out
    assert len(runs(project / ".steersman" / "pytest")) == 5


def test_a_worker_that_crashes_is_the_failure_of_its_test(run: Run, project: Path) -> None:
    (project / "test_c.py").write_text("import os\ndef test_crash(): os._exit(3)\n")
    done = run("--steersman", "-n", "2", plugins=("xdist.plugin",))
    assert done.code == 1, done.out + done.err
    text = runs(project / ".steersman" / "pytest")[0].read_text()
    assert re.search(r'\["test_c.py::test_crash", [0-9.e-]+, "failed"\]', text)
    assert '"whole": true' in text


def test_runs_may_be_kept_in_a_database(run: Run, project: Path) -> None:
    url = f"sqlite:///{project}/.steersman/runs.db"
    run(f"--steersman-store={url}", failing="last")
    done = run(f"--steersman-store={url}", failing="last")
    assert (done.code, done.order[0]) == (1, "test_last"), done.out
    with sqlite3.connect(project / ".steersman" / "runs.db") as connection:
        assert connection.execute("SELECT count(*) FROM steersman_pytest_runs").fetchone() == (2,)
    connection.close()


def test_settings_may_stand_in_the_ini_file_and_the_environment(run: Run, project: Path, tmp_path: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\nsteersman = true\nsteersman_store = kept\nsteersman_keep = 2\n")
    for _ in range(3):
        assert run().code == 0
    assert len(runs(project / "kept")) == 2
    run(STEERSMAN_PYTEST_STORE=str(tmp_path / "elsewhere"))
    assert len(runs(tmp_path / "elsewhere")) == 1


@pytest.mark.parametrize("wrong", [["--steersman-budget", "0"], ["--steersman-budget", "x"], ["--steersman-keep", "0"]])
def test_a_wrong_value_is_told_before_any_test_runs(run: Run, wrong: list[str]) -> None:
    done = run(*wrong)
    assert done.code == 4
    assert "must be a" in done.err


WARNINGS_ARE_ERRORS = ("-W", "error")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of which two runs are known, and a checkpoint of the first."""
    root = small_project(tmp_path_factory.mktemp("learned") / "project")
    for _ in range(2):
        assert runner(root)("--steersman", failing="last").code == 1
    return root


def damaged_runs(project: Path, store: Path) -> None:
    for each in runs(store):
        each.write_bytes(b"\x00\xff damage")


def damaged_checkpoint(project: Path, store: Path) -> None:
    (store / "checkpoint-1.npz").write_bytes(b"PK\x03\x04 damage")


def a_file_for_a_folder(project: Path, store: Path) -> None:
    shutil.rmtree(store)
    store.write_text("")


def no_way_to_write(project: Path, store: Path) -> None:
    """What a folder that is read-only does to everybody but root: no file can be made."""
    (project / "conftest.py").write_text(
        "from pathlib import Path\nopened = Path.open\n"
        "def refuse(path, mode='r', *more, **named):\n"
        "    if 'r' not in mode: raise PermissionError(13, 'Permission denied', str(path))\n"
        "    return opened(path, mode, *more, **named)\n"
        "Path.open = refuse\n"
    )


def a_full_disk(project: Path, store: Path) -> None:
    """The first line can be written, and no more."""
    (project / "conftest.py").write_text(
        "import steersman.plugins.recorder as recorder\n"
        "def full(*_): raise OSError(28, 'No space left on device')\n"
        "recorder.line_of = full\n"
    )


def no_git(project: Path, store: Path) -> None:
    shutil.rmtree(project / ".git")


def broken_numpy(project: Path, store: Path) -> None:
    (project / "numpy").mkdir()
    (project / "numpy" / "__init__.py").write_text("raise ImportError('numpy is broken')\n")


def broken_git(project: Path, store: Path) -> None:
    (project / ".git" / "HEAD").write_text("damage")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damaged_runs, "runs in {store} cannot be read and are left out"),
        (damaged_checkpoint, "the checkpoint is made again"),
        (a_file_for_a_folder, "this run is not recorded, or not all of it"),
        (no_way_to_write, "this run is not recorded, or not all of it: PermissionError"),
        (a_full_disk, "this run is not recorded, or not all of it: OSError"),
        (no_git, "no test is left out for the change: git"),
        (broken_git, "no test is left out for the change: git"),
        (broken_numpy, "the order is the usual one: ImportError: numpy is broken"),
    ],
)
def test_whatever_is_damaged_the_tests_run_as_ever(
    learned: Path, tmp_path: Path, damage: Callable[[Path, Path], None], said: str
) -> None:
    """All tests run and the exit code is pytest's own, though warnings are errors; what went wrong is told."""
    project = shutil.copytree(learned, tmp_path / "project")
    store = project / ".steersman" / "pytest"
    damage(project, store)
    change = "--steersman-changed" if "change" in said else "--steersman"
    done = runner(project)(change, *WARNINGS_ARE_ERRORS, failing="last", PYTHONPATH=str(project))
    assert done.code == 1, done.out + done.err
    assert len(done.order) == 7, done.out
    assert said.format(store=store) in done.out.split("= steersman =")[1], done.out
    assert "warning: " in done.out


def test_a_store_that_is_none_leaves_the_tests_alone(run: Run) -> None:
    done = run("--steersman-store=mysql://there/runs", *WARNINGS_ARE_ERRORS, failing="last")
    assert (done.code, len(done.order)) == (1, 7)
    assert "warning: nothing is learned or recorded, and the order is the usual one: no runs are kept in mysql" in done.out


def test_a_guest_that_cannot_be_loaded_stays_out(run: Run, project: Path) -> None:
    (project / "early.py").write_text("import sys\nsys.modules['steersman.plugins.pytest_guest'] = None\n")
    done = run("--steersman", *WARNINGS_ARE_ERRORS, failing="last", plugins=("early",), PYTHONPATH=str(project))
    assert (done.code, len(done.order)) == (1, 7), done.out + done.err
    assert "warning: not used, for it cannot be loaded" in done.out


@pytest.mark.parametrize("asked", [False, True])
def test_until_it_is_asked_for_nothing_of_ours_is_imported(run: Run, project: Path, asked: bool) -> None:
    (project / "conftest.py").write_text(
        "import sys\n"
        "def pytest_unconfigure():\n"
        "    ours = sorted(name for name in sys.modules if name.split('.')[0] in ('steersman', 'numpy', 'sqlalchemy'))\n"
        "    print('OURS', [name for name in ours if '.' not in name or name.startswith('steersman')])\n"
    )
    done = run("-s", *(["--steersman"] if asked else []))
    assert done.code == 0
    nothing = "OURS ['steersman', 'steersman.plugins', 'steersman.plugins.pytest_plugin']"
    assert (nothing in done.out) is not asked, done.out
    assert "sqlalchemy" not in done.out


def test_installed_it_is_there_without_being_named(project: Path) -> None:
    outer = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "STEERSMAN"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--steersman", "-q"],
        check=False,
        cwd=project,
        env=outer,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, "= steersman =" in done.stdout) == (0, True), done.stdout + done.stderr
