"""A suite of a small project in a sandbox, and what is left of a process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.sandbox import open_sandbox
from steersman.packs.qe.project.suite import Suite


@pytest.fixture
def suite(shop: Path) -> Iterator[Suite]:
    with open_sandbox(discover(shop)) as sandbox:
        yield Suite(sandbox)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
