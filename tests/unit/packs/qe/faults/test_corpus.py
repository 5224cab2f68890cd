"""The same seed gives the same faults, and a file of faults is run again only on the sources for which it was written."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from steersman.core.errors import InvalidInput, NotFound
from steersman.packs.qe.faults.corpus import Corpus, draw, read
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.sandbox import Sandbox, open_sandbox
from tests.unit.packs.qe.conftest import CART, SHOP, write

FILES = {"shop.py": SHOP, "cart.py": CART, "latin.py": "x = 1\n", "test_a.py": "def test():\n    import shop, cart\n"}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    root = write(tmp_path_factory.mktemp("shop"), FILES)
    (root / "latin.py").write_bytes("# coding: latin-1\n\ndef f(a):\n    return 'é', a + 1\n".encode("latin-1"))
    with open_sandbox(discover(root)) as opened:
        yield opened


def written(path: Path, corpus: Corpus, **changed: Any) -> str:
    faults = [{"fault": asdict(each) | changed} for each in corpus.standings]
    path.write_text(json.dumps({"faults": faults, "digests": dict(corpus.digests)}), encoding="utf-8")
    return str(path)


def test_the_same_seed_draws_the_same(sandbox: Sandbox) -> None:
    first, second, other = (draw(sandbox, count=8, seed=seed) for seed in (3, 3, 4))
    assert first == second != other
    assert list(first.standings) == list(second.standings)
    assert [*first.standings.values()].count("other") == 8
    assert {each.file for each in first.standings} <= {"shop.py", "cart.py"}


def test_more_than_there_are_gives_all(sandbox: Sandbox) -> None:
    assert len(draw(sandbox, count=500, seed=0).standings) == len(set(draw(sandbox, count=500, seed=1).standings)) > 20


def test_what_was_kept_comes_back(sandbox: Sandbox, tmp_path: Path) -> None:
    drawn = draw(sandbox, count=8, seed=3)
    assert read(sandbox, written(tmp_path / "kept.json", drawn)) == drawn


def test_a_file_that_changed_is_refused_by_name(sandbox: Sandbox, tmp_path: Path) -> None:
    kept = written(tmp_path / "kept.json", draw(sandbox, count=30, seed=3))
    sandbox.write("cart.py", CART + "\n# later\n")
    try:
        with pytest.raises(InvalidInput, match=r"not as they were: cart\.py\. Draw new faults"):
            read(sandbox, kept)
    finally:
        sandbox.write("cart.py", CART)


@pytest.mark.parametrize(
    "changed", [{"file": "../outside.py"}, {"before": "other"}, {"start": -5}, {"after": "1\nimport os"}, {"start": 10**9}]
)
def test_a_fault_that_does_not_fit_is_refused(sandbox: Sandbox, tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="not as they were"):
        read(sandbox, written(tmp_path / "kept.json", draw(sandbox, count=3, seed=3), **changed))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is no JSON"),
        ("[]", "no list of faults"),
        ("{}", "no list of faults"),
        ('{"faults": 3, "digests": {}}', "no list of faults"),
        ('{"faults": [], "digests": "none"}', "no digests"),
        ('{"faults": [{}], "digests": {}}', "lacks one of file, line"),
        ('{"faults": ["a"], "digests": {}}', "lacks one of file, line"),
    ],
)
def test_what_is_no_report_is_refused_in_words(sandbox: Sandbox, tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "kept.json").write_text(text)
    with pytest.raises(InvalidInput, match="is no report of the fault bench") as refused:
        read(sandbox, str(tmp_path / "kept.json"))
    assert why in str(refused.value)
    assert "Error" not in str(refused.value)
    with pytest.raises(NotFound, match="--json"):
        read(sandbox, str(tmp_path / "nothing.json"))


def test_a_project_without_functions_has_no_faults(tmp_path: Path) -> None:
    root = write(tmp_path / "p", {"flat.py": "x = 1 + 2\n", "test_a.py": "def test():\n    import flat\n"})
    with open_sandbox(discover(root)) as bare, pytest.raises(InvalidInput, match="Give a project with functions"):
        draw(bare, count=3, seed=0)
