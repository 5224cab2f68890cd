"""A run of pytest stands still where a test never ends, or the process does not after the last one."""

import json
import time
from pathlib import Path

import pytest

from steersman.packs.qe.project import standstill
from steersman.packs.qe.project.standstill import Standstill, awaited


def write(out: Path, *outcomes: str) -> Path:
    """Each outcome may name a test: "begun a"."""
    entries = [dict(zip(("outcome", "id"), each.split(), strict=False)) for each in outcomes]
    out.write_text("".join(json.dumps(each) + "\n" for each in entries), encoding="utf-8")
    return out


def stands_still(out: Path, *, patience_s: float, looked_s: float) -> bool:
    """Look for a while at a file that does not grow."""
    still = Standstill(out, patience_s)
    ends = time.monotonic() + looked_s
    while time.monotonic() < ends and not still():
        time.sleep(0.02)
    return still.seen


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "result.jsonl"


def test_a_test_that_began_and_never_ends(out: Path) -> None:
    assert stands_still(write(out, "begun a", "passed a", "begun b"), patience_s=0.1, looked_s=20.0)


def test_a_test_that_never_ends_beside_a_worker_that_is_done(out: Path) -> None:
    assert stands_still(write(out, "begun a", "begun b", "passed b", "begun c", "failed c"), patience_s=0.1, looked_s=20.0)


def test_between_tests_before_the_first_and_while_files_are_collected_nothing_stands_still(out: Path) -> None:
    """An import takes as long as it takes; the limit of the whole run holds for it."""
    for outcomes in ((), ("collect a.py",), ("begun a", "begun a", "passed a")):
        assert not stands_still(write(out, *outcomes), patience_s=0.1, looked_s=1.5)
    out.unlink()
    assert not stands_still(out, patience_s=0.1, looked_s=1.5)


def test_a_process_that_does_not_end_after_its_last_test(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(out, "begun a", "begun b", "passed b", "end")
    assert not stands_still(out, patience_s=0.1, looked_s=1.5)
    monkeypatch.setattr(standstill, "_LINGERS_S", 0.2)
    assert stands_still(out, patience_s=1000.0, looked_s=20.0)


def test_a_line_cut_in_two_says_nothing(out: Path) -> None:
    assert awaited(out) == ""
    out.write_text(write(out, "begun a").read_text(encoding="utf-8") + '{"outcome": "pas', encoding="utf-8")
    assert awaited(out) == "begun"
