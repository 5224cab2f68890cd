"""A project of four tests in two files, and changes to its lines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steersman.packs.qe.execution.selection import Selector
from steersman.packs.qe.faults.change import Change
from steersman.packs.qe.project.coverage_map import CoverageMap
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.sandbox import open_sandbox

CART = ("tests/test_cart.py::test_member", "tests/test_cart.py::test_guest")
SHOP = ("tests/test_shop.py::test_price", "tests/test_shop.py::test_stock")
TESTS = (*CART, *SHOP)
LINES = {"shop.py": {1: frozenset[str](), 3: frozenset({SHOP[0], *CART}), 10: frozenset({SHOP[1]})}}
"""Line 1 runs at import."""


def change(cycle: int, *lines: int, file: str = "shop.py", whole: tuple[str, ...] = ()) -> Change:
    return Change(
        cycle=cycle,
        text="",
        lines={file: frozenset(lines)} if lines else {},
        faults=(),
        expected_s=1.0,
        expected_cpu_s=1.0,
        whole_files=whole,
    )


@pytest.fixture
def selector(shop: Path) -> Iterator[Selector]:
    with open_sandbox(discover(shop)) as sandbox:
        yield Selector(sandbox, CoverageMap(lines=LINES))
