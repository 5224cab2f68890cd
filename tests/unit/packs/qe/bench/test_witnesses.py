"""The search for calls ends with its time."""

import time
from pathlib import Path

from steersman.core.ports import Progress
from steersman.packs.qe.bench.witnesses import Witnesses
from steersman.packs.qe.faults.fate import Judged
from steersman.packs.qe.faults.mutation import candidates
from steersman.packs.qe.fleet.site import open_site
from steersman.packs.qe.project.discovery import discover
from tests.unit.packs.qe.conftest import write

SOURCE = "def double(x):\n    return 2 * x\n"


def test_the_tests_are_not_listened_to_beyond_the_deadline(tmp_path: Path, progress: Progress) -> None:
    mark = tmp_path / "mark"
    test = (
        f"import pathlib, time\nimport calc\n\n\ndef test():\n    time.sleep(15)\n    pathlib.Path({str(mark)!r}).touch()\n"
    )
    root = write(tmp_path / "p", {"calc.py": SOURCE, "tests/test_calc.py": test})
    survived = [Judged(fault=each, fate="survived") for each in candidates("calc.py", SOURCE)]
    with open_site(discover(root), seed=0, timeout_s=60.0, progress=progress) as site:
        assert Witnesses(site, deadline=time.monotonic() + 3.0).of(survived) == survived
    assert not mark.exists()
