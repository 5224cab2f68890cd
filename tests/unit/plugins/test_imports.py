"""Who depends on a file is read from the text of the project, whatever its layout."""

from pathlib import Path

import pytest

from steersman.plugins.imports import ImportGraph, for_all, named_after

FILES = {
    "src/shop/__init__.py": "",
    "src/shop/cart.py": "from . import money\n",
    "src/shop/money.py": "RATES = 'rates.json'\n",
    "src/shop/web/__init__.py": "",
    "src/shop/web/page.py": "from ..cart import Cart\n",
    "src/shop/lonely.py": "import json\n",
    "json.py": "",
    "tests/conftest.py": "import helper\n",
    "tests/helper.py": "import shop.lonely\n",
    "tests/test_page.py": "def test():\n    from shop.web.page import Page\n",
    "tests/test_cart.py": "import shop.cart as cart\n",
    "tests/deep/conftest.py": "",
    "tests/deep/test_other.py": "import os\n",
    "flat/thing.py": "",
    "flat/test_thing.py": "import thing\n",
    "broken.py": "def (:\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for file, text in FILES.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "tests"),
    [
        ("src/shop/money.py", {"tests/test_cart.py", "tests/test_page.py"}),
        ("src/shop/web/page.py", {"tests/test_page.py"}),
        ("src/shop/__init__.py", {"tests/test_cart.py", "tests/test_page.py", "tests/deep/test_other.py"}),
        ("src/shop/lonely.py", {"tests/test_cart.py", "tests/test_page.py", "tests/deep/test_other.py"}),
        ("src/shop/gone.py", set()),
        ("tests/deep/conftest.py", {"tests/deep/test_other.py"}),
        ("tests/test_cart.py", {"tests/test_cart.py"}),
        ("flat/thing.py", {"flat/test_thing.py"}),
        ("data/rates.json", {"tests/test_cart.py", "tests/test_page.py"}),
        ("README.md", set()),
        ("broken.py", set()),
    ],
)
def test_a_change_calls_for_those_that_depend_on_it(root: Path, changed: str, tests: set[str]) -> None:
    found = ImportGraph(root, list(FILES), [changed]).dependants([changed])
    assert {file for file in found if Path(file).name.startswith("test_")} == tests


def test_a_file_that_is_gone_is_still_imported(root: Path) -> None:
    (root / "src/shop/money.py").unlink()
    files = [file for file in FILES if file != "src/shop/money.py"]
    assert "tests/test_cart.py" in ImportGraph(root, files, ["src/shop/money.py"]).dependants(["src/shop/money.py"])


def test_tests_are_named_after_modules() -> None:
    tests = ["tests/test_cart.py", "shop/cart_test.py", "tests/test_cart_2.py", "tests/test_page.py"]
    assert named_after("src/shop/cart.py", tests) == {"tests/test_cart.py", "shop/cart_test.py"}


@pytest.mark.parametrize(("file", "all_of_them"), [("pyproject.toml", True), ("a/requirements-dev.txt", True),
                                                   ("uv.lock", True), ("README.md", False), ("a.py", False)])  # fmt: skip
def test_settings_concern_every_test(file: str, all_of_them: bool) -> None:
    assert for_all(file) is all_of_them
