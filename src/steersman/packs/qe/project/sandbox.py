"""A copy of the project in a temporary folder. The user's tree is read, never written."""

import contextlib
import errno
import json
import os
import shutil
import site
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steersman.core.errors import InvalidInput, StoreError
from steersman.packs.qe.project.discovery import Project, project_files, read_source
from steersman.packs.qe.project.process import run_group
from steersman.packs.qe.project.strays import end_strays
from steersman.packs.qe.project.warm_start import WarmStart

_MARGIN_BYTES = 32 * 1024 * 1024
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FOREIGN = ("PYTEST_", "COV_CORE_", "COVERAGE_", "STEERSMAN_", "HYPOTHESIS_", "XDG_")
_WAY_OUT = "Free some space, or set TMPDIR to a folder on a larger disk. Your project was not touched."
_IMPORT_S = 60.0
_ASK_ORIGIN = """
import importlib, json, pathlib, sys
found = {}
for name in sys.argv[2:]:
    try:
        module = importlib.import_module(name)
        found[name] = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", [])), "")
    except BaseException as error:
        found[name] = "!" + type(error).__name__ + ": " + str(error)
pathlib.Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
"""


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """A copy of a project: `root` is the copy, `scratch` a folder beside it for plans, results and logs.

    `warm` starts the project's pytest sooner than a process of its own does.
    """

    project: Project
    root: Path
    scratch: Path
    warm: WarmStart

    def environment(self) -> dict[str, str]:
        """Return the environment for the project's interpreter: the copy first on the path, nothing of ours in it.

        Home and the folder for temporary files are the sandbox's own, so that what tests leave there goes with it; where
        Python finds the user's packages and git the user's name stays as it was.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        path = [str(self.scratch), str(self.root / self.project.source_root), kept.get("PYTHONPATH", "")]
        return kept | {
            "PYTHONPATH": os.pathsep.join(each for each in path if each),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "PWD": str(self.root),
            "HOME": str(self.scratch / "home"),
            "TMPDIR": str(self.scratch / "tmp"),
            "PYTHONUSERBASE": kept.get("PYTHONUSERBASE") or site.getuserbase(),
            "GIT_CONFIG_GLOBAL": kept.get("GIT_CONFIG_GLOBAL") or str(Path("~/.gitconfig").expanduser()),
        }

    def read(self, file: str) -> str:
        """Return the text of a file of the copy, as `read_source` does."""
        return read_source(self.root / file)

    def write(self, file: str, text: str) -> None:
        """Replace a file of the copy."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            stream.write(text)

    def restore(self, file: str) -> None:
        """Put a file back as it is in the user's tree."""
        shutil.copyfile(self.project.root / file, self.root / file)


@contextmanager
def open_sandbox(project: Project, parent: Path | None = None) -> Iterator[Sandbox]:
    """Copy a project into a fresh temporary folder, check that it is what will be tested, and remove it at the end.

    Raises StoreError where there is not enough space, InvalidInput where the package under test would not be imported
    from inside the copy.
    """
    with bare_sandbox(project, parent) as sandbox:
        verify(sandbox)
        yield sandbox


@contextmanager
def bare_sandbox(project: Project, parent: Path | None = None) -> Iterator[Sandbox]:
    """Copy a project as `open_sandbox` does, without asking where its packages are imported from."""
    try:
        home = Path(tempfile.mkdtemp(prefix="steersman-qe-", dir=parent)).resolve()
    except OSError as error:
        raise StoreError(f"cannot make a temporary folder: {error}. Set TMPDIR to a folder you can write.") from error
    root, scratch = home / "project", home / "scratch"
    warm = WarmStart(project.tools.interpreter, root, scratch)
    try:
        sandbox = Sandbox(project=project, root=root, scratch=scratch, warm=warm)
        _check_space(project.root, home)
        _copy(project.root, sandbox.root)
        for folder in (sandbox.scratch / "home", sandbox.scratch / "tmp"):
            folder.mkdir(parents=True)
        shutil.copyfile(Path(__file__).with_name("probe.py"), sandbox.scratch / "steersman_probe.py")
        yield sandbox
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StoreError(f"no space left for the sandbox in {home.parent}: {error}. {_WAY_OUT}") from error
        raise
    finally:
        warm.close()
        end_strays(lambda place: _is_inside(place, home))
        _remove(home)


def verify(sandbox: Sandbox) -> None:
    """Import the packages under test as pytest will. Raises InvalidInput where they come from outside the sandbox.

    One that cannot be imported is none that could reach the user's tree: what that means, the tests say.
    """
    origins = _origins(sandbox)
    for name, origin in origins.items():
        if origin and not origin.startswith("!") and not Path(origin).resolve().is_relative_to(sandbox.root):
            raise InvalidInput(
                f"package {name!r} is imported from {origin}, not from the sandbox: an editable install or a path hook "
                f"points back to it, so faults would not be seen. Use an interpreter without it: --python PATH."
            )


def _origins(sandbox: Sandbox) -> dict[str, str]:
    """Return where each package is imported from, or why it cannot be imported, after "!"."""
    project, out = sandbox.project, sandbox.scratch / "origins.json"
    finished = run_group(
        [project.tools.interpreter, "-c", _ASK_ORIGIN, str(out), *project.packages],
        cwd=sandbox.root,
        env=sandbox.environment(),
        timeout_s=_IMPORT_S,
        log=sandbox.scratch / "origins.log",
    )
    names = ", ".join(project.packages)
    if finished.timed_out:
        raise InvalidInput(f"importing {names} did not end within {_IMPORT_S:.0f} s; it was killed with all it started.")
    try:
        return dict(json.loads(out.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        why = finished.tail.strip()[-400:] or f"exit code {finished.exit_code}"
        raise InvalidInput(f"cannot import {names} in the sandbox: {why}") from error


def _is_inside(process: Path, home: Path) -> bool:
    """Return whether a process works in a sandbox or has its environment. process: its folder in /proc."""
    return (process / "cwd").resolve().is_relative_to(home) or str(home).encode() in (process / "environ").read_bytes()


def _remove(home: Path) -> None:
    """Remove a sandbox, with folders that its tests have made unreadable or unwritable."""
    for folder, folders, _ in os.walk(home):
        for each in (Path(folder) / name for name in folders):
            if not each.is_symlink():
                with contextlib.suppress(OSError):
                    each.chmod(0o700)
    shutil.rmtree(home, ignore_errors=True)


def _check_space(source: Path, target: Path) -> None:
    needed = sum(_size(path) for path, _ in _files(source)) + _MARGIN_BYTES
    free = shutil.disk_usage(target).free
    if free < needed:
        raise StoreError(
            f"the sandbox needs {needed / 1e6:.0f} MB in {target.parent}, which has {free / 1e6:.0f} MB left. {_WAY_OUT}"
        )


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path, relative in _files(source):
        to = target / relative
        to.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):  # what the user may not read, the user's tests cannot read either
            shutil.copy2(path, to)
            to.chmod(to.stat().st_mode | stat.S_IWUSR)


def _files(source: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the regular files to copy. Linked folders are left out: writing through them would leave the sandbox."""
    for path in project_files(source):
        if path.is_file() and not path.name.endswith((".pyc", ".pyo")):
            yield path, path.relative_to(source)


def _size(path: Path) -> int:
    return path.stat().st_size
