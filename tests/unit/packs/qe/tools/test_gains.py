"""What is left to gain is looked for within the time that there is."""

import math
import time
from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.qe.fleet.site import open_site
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.tools.gains import Gains
from tests.unit.packs.qe.conftest import Lines, write

LEVEL = "def level(points):\n    if points > 3:\n        return _named(points + 1)\n    return 'low'\n"
HELPER = "\n\ndef _named(points):\n    if points > 9:\n        return 'high'\n    return 'middle'\n"
TESTS = "from level import level\n\n\ndef test_level():\n    level(5)\n"


def test_a_project_in_which_pytest_runs_nothing_is_refused_with_what_pytest_said(tmp_path: Path) -> None:
    """As where a conftest.py was written for an older pytest: every generated test would be thrown away."""
    old = "def pytest_ignore_collect(path, config):\n    return False\n"
    files = {"level.py": LEVEL + HELPER, "tests/test_level.py": TESTS, "tests/conftest.py": old}
    with (
        open_site(discover(write(tmp_path / "old", files)), seed=0, timeout_s=60.0, progress=Lines()) as site,
        pytest.raises(InvalidInput, match=r"not even one that only imports.*pytest_ignore_collect"),
    ):
        Gains(site, faults=1)


def test_when_time_is_short_no_more_faults_are_looked_at_and_the_module_is_worked_on_all_the_same(tmp_path: Path) -> None:
    project = discover(write(tmp_path / "level", {"level.py": LEVEL + HELPER, "test_level.py": TESTS}))
    with open_site(project, seed=0, timeout_s=60.0, progress=Lines()) as site:
        gains = Gains(site, faults=1)
        (module,) = gains.modules
        missing = {line for _, line, other in gains.open(module) if not other}
        assert missing == {4, 9}, "the line in the helper can be reached, too"
        site.suite.deadline = time.monotonic()
        assert gains.most_promising(site).survivors == 0
        site.suite.deadline = math.inf
        assert Gains(site, faults=1).most_promising(site).survivors > 0, "it asserts nothing"
