"""The sandbox is a copy that is really the one under test, and the user's tree stays as it is."""

import hashlib
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
from collections import namedtuple
from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput, StoreError
from steersman.core.ports import Progress
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.reference import measure_reference
from steersman.packs.qe.project.sandbox import bare_sandbox, open_sandbox
from steersman.packs.qe.project.suite import Suite

Usage = namedtuple("Usage", "total used free")


def fingerprint(root: Path) -> dict[str, str]:
    files = sorted(each for each in root.rglob("*") if each.is_file())
    return {str(each): hashlib.sha256(each.read_bytes()).hexdigest() for each in files}


@pytest.fixture
def editable(shop: Path, tmp_path: Path) -> str:
    """An interpreter in which an import hook, as of an editable install, points to the user's tree before the path."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = tmp_path / "env" / "lib" / version / "site-packages"
    (site / "all.pth").write_text(f"{sysconfig.get_paths()['purelib']}\nimport shop_hook\n", encoding="utf-8")
    (site / "shop_hook.py").write_text(
        "import importlib.machinery, sys\n"
        "class Hook:\n"
        "    @staticmethod\n"
        "    def find_spec(name, path=None, target=None):\n"
        f"        found = importlib.machinery.PathFinder.find_spec(name, [{str(shop)!r}])\n"
        "        return found if name in ('shop', 'cart') else None\n"
        "sys.meta_path.insert(0, Hook)\n",
        encoding="utf-8",
    )
    return str(tmp_path / "env" / "bin" / "python")


def test_refuses_an_editable_install(shop: Path, editable: str) -> None:
    with pytest.raises(InvalidInput, match=r"not from the sandbox.*--python"), open_sandbox(discover(shop, editable)):
        pass


def test_copies_without_caches_and_removes_the_copy(shop: Path) -> None:
    (shop / ".git").mkdir()
    (shop / "__pycache__").mkdir()
    with open_sandbox(discover(shop)) as sandbox:
        assert sorted(each.name for each in sandbox.root.iterdir()) == ["cart.py", "shop.py", "tests"]
        sandbox.write("shop.py", "broken(")
        sandbox.restore("shop.py")
        assert sandbox.read("shop.py") == (shop / "shop.py").read_text(encoding="utf-8")
    assert not sandbox.root.exists()


def test_the_users_tree_is_untouched(shop: Path) -> None:
    before = fingerprint(shop)
    with open_sandbox(discover(shop)) as sandbox:
        sandbox.write("shop.py", "changed = 1\n")
        sandbox.write("tests/test_new.py", "")
    assert fingerprint(shop) == before


def test_a_linked_file_is_copied_and_a_linked_folder_left_out(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "data.txt").write_text("data", encoding="utf-8")
    (shop / "data.txt").symlink_to(tmp_path / "data.txt")
    (shop / "linked").symlink_to(tmp_path / "outside")
    with open_sandbox(discover(shop)) as sandbox:
        assert not (sandbox.root / "data.txt").is_symlink()
        assert not (sandbox.root / "linked").exists()


def test_says_so_when_there_is_not_enough_space(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10, 9, 1))
    with pytest.raises(StoreError, match=r"needs .* MB .*TMPDIR"), bare_sandbox(discover(shop)):
        pass


def test_says_so_when_the_copy_runs_out_of_space(shop: Path, tmp_path: Path) -> None:
    (shop / "large.bin").write_bytes(b"0" * 200_000)
    project = discover(shop)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    (tmp_path / "temp").mkdir()
    try:
        with pytest.raises(StoreError, match="no space left"), bare_sandbox(project, tmp_path / "temp"):
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert os.listdir(tmp_path / "temp") == []


def test_what_cannot_be_imported_is_for_the_tests_to_say(shop: Path, progress: Progress) -> None:
    for name in ("shop.py", "cart.py"):
        (shop / name).write_text("import not_installed_anywhere\n", encoding="utf-8")
    with open_sandbox(discover(shop)) as sandbox, pytest.raises(InvalidInput, match=r"not_installed_anywhere.*--python"):
        measure_reference(Suite(sandbox), timeout_s=60, progress=progress)


def test_home_and_temporary_files_are_its_own_and_go_with_it(shop: Path) -> None:
    with open_sandbox(discover(shop)) as sandbox:
        write = "import pathlib, tempfile; (pathlib.Path.home() / '.shop').touch(); print(tempfile.mkdtemp())"
        asked = [sys.executable, "-c", write]
        made = subprocess.run(asked, env=sandbox.environment(), capture_output=True, text=True, check=True).stdout.strip()
        assert (sandbox.scratch / "home" / ".shop").exists()
        assert Path(made).is_relative_to(sandbox.scratch)
        Path(made).chmod(0o500)
    assert not sandbox.scratch.exists()


def test_what_works_in_a_sandbox_ends_with_it(shop: Path) -> None:
    """A service in a session of its own, and with another environment."""
    with open_sandbox(discover(shop)) as sandbox:
        service = [sys.executable, "-c", "import time; time.sleep(600)"]
        process = subprocess.Popen(service, cwd=sandbox.root, env={}, start_new_session=True)
        assert process.poll() is None
    assert process.wait(10) < 0


def test_what_may_not_be_written_or_read_is_no_hindrance(shop: Path) -> None:
    (shop / "shop.py").chmod(0o444)
    with open_sandbox(discover(shop)) as sandbox:
        sandbox.write("shop.py", "changed = 1\n")
        assert os.stat(sandbox.root / "shop.py").st_mode & 0o200
