"""How far a change reaches is read from imports and calls, also relative ones and those of helpers beside the tests."""

from steersman.packs.qe.tools.reach import Calls, Imports

FILES = {
    "src/a/__init__.py": "from .core import run\n",
    "src/a/core.py": "from . import deep\n\n\ndef run():\n    return deep.dig()\n",
    "src/a/deep.py": "def dig():\n    def inner():\n        return 1\n    return inner()\n",
    "src/b.py": "x = 1\n",
    "tests/helpers.py": "import a.core\n",
    "tests/test_a.py": "from a import run\n",
    "tests/test_b.py": "def test():\n    import b\n",
    "tests/test_help.py": "from helpers import something\n",
}


def test_dependants_come_through_packages_relative_imports_and_helpers() -> None:
    imports = Imports(FILES, "src")
    found = {"src/a/deep.py", "src/a/core.py", "src/a/__init__.py", "tests/helpers.py", "tests/test_a.py"}
    assert imports.dependants("src/a/deep.py") == found | {"tests/test_help.py"}
    assert imports.dependants("src/b.py") == {"src/b.py", "tests/test_b.py"}


def test_a_module_of_the_same_last_name_takes_nothing_away() -> None:
    files = {"core.py": "", "z/core.py": "", "tests/test_core.py": "import core\n"}
    assert Imports(files).dependants("core.py") == {"core.py", "tests/test_core.py"}


def test_a_conftest_is_for_all_tests_of_its_folder() -> None:
    files = FILES | {"tests/conftest.py": "import b\n", "other/test_x.py": ""}
    assert "tests/test_a.py" in Imports(files, "src").dependants("src/b.py")
    assert "other/test_x.py" not in Imports(files, "src").dependants("src/b.py")


def test_callers_are_found_through_others_and_branches_are_counted() -> None:
    text = "def low(x):\n    if x and x > 1:\n        return 1\n\n\ndef mid():\n    low(1)\n\n\ndef top():\n    self.mid()\n"
    calls = Calls({"m.py": text, "broken.py": "def ("})
    assert calls.callers("low") == {"mid", "top"}
    assert calls.callers("C.top") == frozenset()
    assert calls.branches["m.py", "low"] == 2
