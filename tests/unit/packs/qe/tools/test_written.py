"""A value is written as an expression that really makes one like it, or not at all."""

import enum
import importlib
import operator
import os
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

import pytest

from steersman.packs.qe.tools.written import Writer, alike, equal, evaluated


class Color(enum.Enum):
    RED = 1


@dataclass
class Local:
    x: int


@pytest.mark.parametrize(
    ("value", "text", "needs"),
    [
        ([1, (2.5,), {"a": None}], "[1, (2.5,), {'a': None}]", set()),
        ({3, 1}, "{1, 3}", set()),
        (frozenset(), "frozenset()", set()),
        (Path("a/b"), "Path('a/b')", {("pathlib", "Path")}),
        ([date(2024, 2, 29)], "[date(2024, 2, 29)]", {("datetime", "date")}),
        (
            datetime(2024, 1, 2, tzinfo=UTC),
            "datetime(2024, 1, 2, 0, 0, tzinfo=timezone.utc)",
            {("datetime", "datetime"), ("datetime", "timezone")},
        ),
        (Decimal("1.10"), "Decimal('1.10')", {("decimal", "Decimal")}),
        (Counter("aab"), "Counter({'a': 2, 'b': 1})", {("collections", "Counter")}),
        (operator.itemgetter, "itemgetter", {("operator", "itemgetter")}),
        (len, "len", set()),
        (os.environ, "environ", {("os", "environ")}),
    ],
)
def test_a_value_is_written_with_its_imports(value: Any, text: str, needs: set[tuple[str, str]]) -> None:
    written = Writer().write(value, same=equal)
    assert written == (text, needs)
    assert evaluated(text, needs) == value


@pytest.mark.parametrize(
    "value", [float("nan"), object(), lambda: 1, Color.RED, Local(x=1), iter([1]), [[[[[1]]]]], "a" * 400]
)
def test_what_no_test_could_write_is_left_out(value: Any) -> None:
    assert Writer().write(value, same=alike) is None, "a test file of the project has it, or nothing has"


def test_how_an_object_was_constructed_counts_only_while_that_makes_one_like_it() -> None:
    needs = {("string", "Template")}
    plain, changed = Template("$a"), Template("$a")
    changed.template = "$b"
    writer = Writer({id(each): (each, "Template('$a')", needs) for each in (plain, changed)})
    assert writer.write(plain, same=alike) == ("Template('$a')", needs)
    assert writer.write(changed, same=alike) is None
    assert Writer().write(plain, same=alike) is None, "nobody heard how it was made"


def test_equal_looks_at_types_all_the_way_down() -> None:
    assert equal([1, (2,)], [1, (2,)])
    assert not equal([1], [True])
    assert not equal(1, 1.0)


def test_what_a_package_offers_at_its_top_is_imported_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects whose class has another name inside, as numbers of mpmath have, and the objects that a package shares."""
    inner = "class _Price:\n    def __init__(self, n): self.n = n\n    def __repr__(self): return f'Price({self.n})'\n"
    (tmp_path / "pricing").mkdir()
    (tmp_path / "pricing" / "inner.py").write_text(inner, encoding="utf-8")
    (tmp_path / "pricing" / "__init__.py").write_text(
        "from pricing.inner import _Price\nPrice = _Price\nfree = Price(0)\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    pricing = importlib.import_module("pricing")
    assert Writer().write(pricing.Price(3), same=alike) == ("Price(3)", {("pricing", "Price")})
    assert Writer().write(pricing.free, same=alike) == ("free", {("pricing", "free")})
