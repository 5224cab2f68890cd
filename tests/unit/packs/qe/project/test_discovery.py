"""Discovery finds what a project is made of, and says what is wrong with one that cannot be tested."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput, NotFound
from steersman.packs.qe.project.discovery import discover, interpreter_of, module_name

Make = Callable[[Path, Mapping[str, str]], Path]


def test_single_modules_in_the_root(shop: Path) -> None:
    project = discover(shop)
    assert project.packages == ("cart", "shop")
    assert project.sources == ("cart.py", "shop.py")
    assert project.tests == ("tests/test_cart.py", "tests/test_shop.py")
    assert project.tools.pytest


def test_src_layout_and_tests_inside_the_package(make: Make, tmp_path: Path) -> None:
    files = {
        "src/pkg/__init__.py": "",
        "src/pkg/a.py": "",
        "src/pkg/tests/test_a.py": "",
        "src/pkg/tests/data.py": "",
        "setup.py": "",
        ".venv/lib/test_no.py": "",
        "build/lib/pkg/b.py": "",
    }
    project = discover(make(tmp_path, {key: text for key, text in files.items() if not key.startswith(".venv")}))
    assert project.source_root == "src"
    assert project.packages == ("pkg",)
    assert project.sources == ("src/pkg/__init__.py", "src/pkg/a.py")
    assert module_name("src/pkg/a.py", "src") == "pkg.a"


def test_flat_layout_ignores_virtual_environments_and_caches(make: Make, tmp_path: Path) -> None:
    root = make(tmp_path, {"pkg/__init__.py": "", "tests/test_a.py": "", "env/pyvenv.cfg": "", "env/test_no.py": ""})
    assert discover(root, sys.executable).tests == ("tests/test_a.py",)


def test_configured_file_names(make: Make, tmp_path: Path) -> None:
    root = make(tmp_path, {"a.py": "", "check_a.py": "", "pytest.ini": "[pytest]\npython_files = check_*.py\n"})
    assert discover(root).tests == ("check_a.py",)


@pytest.mark.parametrize("option", ["-n auto", "--numprocesses=2", "--dist loadfile"])
def test_options_of_plugins_are_seen(make: Make, tmp_path: Path, option: str) -> None:
    text = f"[pytest]\naddopts = --cov=a\n    {option}\n"
    assert {"-n", "--cov"} <= discover(make(tmp_path, {"a.py": "", "test_a.py": "", "pytest.ini": text})).words


def test_own_virtual_environment_is_preferred(tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert interpreter_of(tmp_path) == str(python)
    assert interpreter_of(tmp_path, "/other") == "/other"


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no folder"):
        discover(tmp_path / "nothing")


def test_a_file_and_a_package_are_no_projects(make: Make, tmp_path: Path) -> None:
    make(tmp_path, {"pkg/__init__.py": ""})
    with pytest.raises(InvalidInput, match="is a file"):
        discover(tmp_path / "pkg" / "__init__.py")
    with pytest.raises(InvalidInput, match="holds it"):
        discover(tmp_path / "pkg")


def test_a_project_without_tests(make: Make, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no tests.*steersman demo"):
        discover(make(tmp_path, {"pkg/__init__.py": "", "pkg/a.py": ""}))


def test_sources_that_are_no_python_are_told_and_the_others_are_worked_on(make: Make, tmp_path: Path) -> None:
    root = make(
        tmp_path, {"pkg/__init__.py": "", "pkg/a.py": "\ufeffX = 1\n", "pkg/b.py": "def b(:\n", "tests/test_a.py": ""}
    )
    (root / "pkg" / "c.py").write_bytes(b"# coding: latin-1\nNAME = 'Zo\xeb'\n")
    (root / "pkg" / "d.py").write_bytes(b"X = 1\x00\n")
    (root / "pkg" / "e.py").write_text("X = " + "(" * 5000 + ")" * 5000 + "\n", encoding="utf-8")
    project = discover(root)
    assert project.sources == ("pkg/__init__.py", "pkg/a.py")
    assert list(project.unreadable) == ["pkg/b.py", "pkg/c.py", "pkg/d.py", "pkg/e.py"]
    assert project.unreadable["pkg/b.py"] == "line 1 is no Python: invalid syntax"
    assert "is not in UTF-8" in project.unreadable["pkg/c.py"]
    for file in project.sources:
        (root / file).write_text("def :\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"no source file.*pkg/b\.py: line 1 is no Python"):
        discover(root)


def test_an_interpreter_that_does_not_run(shop: Path) -> None:
    with pytest.raises(InvalidInput, match="--python"):
        discover(shop, "/no/such/python")


def test_an_interpreter_without_pytest(shop: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    with pytest.raises(InvalidInput, match="no pytest"):
        discover(shop, str(tmp_path / "bare" / "bin" / "python"))
