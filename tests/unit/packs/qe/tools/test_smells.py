"""ruff and vulture are run for real, on files with known smells."""

from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.qe.tools.smells import dead_code, smells
from tests.unit.packs.qe.conftest import write


def test_what_they_say_has_file_line_and_severity(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "a.py": "import os\n\n\ndef f(a=[]):\n    return a\n",
            "b/__init__.py": "import os\n",
            "b/c.py": "def g():\n    return 1\n",
            "pyproject.toml": "",
        },
    )
    (tmp_path / "pyproject.toml").write_text('[tool.ruff.lint]\nselect = ["D"]\n')
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    found = {
        (each.rule, each.file, each.line, each.severity)
        for each in smells(tmp_path, ["a.py", "b/__init__.py", "b/c.py"], scratch, 60.0).findings
    }
    assert found == {("F401", "a.py", 1, "medium"), ("B006", "a.py", 4, "low")}
    dead = dead_code(tmp_path, ["a.py", "b/c.py"], scratch, 60.0).findings
    assert ("b/c.py", 1, "unused function 'g'") in {(each.file, each.line, each.message) for each in dead}


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="vulture ended with"):
        dead_code(tmp_path, ["none.py"], tmp_path, 60.0)
