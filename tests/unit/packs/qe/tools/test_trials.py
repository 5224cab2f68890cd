"""What tests show of a fault is what they say themselves, and not that our time was over."""

import json
from collections.abc import Iterator

import pytest

from steersman.packs.qe.faults.mutation import Fault, candidates
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.suite import Plan
from steersman.packs.qe.tools.survey import survey
from steersman.packs.qe.tools.trials import kills
from tests.unit.packs.qe.conftest import Lines, write

SOURCE = """def count(n):
    while n > 0:
        n = n - 1
    return n


def half(n):
    return n / 2


READY = half(4)
"""
TESTS = (
    "import calc\n\n\ndef test_count():\n    assert calc.count(3) == 0\n\n\ndef test_ready():\n    assert calc.READY == 2\n"
)
NAMES = ("test_calc.py::test_count", "test_calc.py::test_ready")


def fault(operator: str, after: str) -> Fault:
    return next(each for each in candidates("calc.py", SOURCE) if (each.operator, each.after) == (operator, after))


ENDLESS, WRONG = fault("deleted statement", "pass"), fault("arithmetic", "*")
BROKEN = Fault(
    file="calc.py", line=8, function="half", operator="made", start=WRONG.start, end=WRONG.end, before="/", after="/ 0 /"
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    files = {"calc.py": SOURCE, "test_calc.py": TESTS, "conftest.py": "import calc\n"}
    root = write(tmp_path_factory.mktemp("calc"), files)
    with open_site(discover(root), seed=0, timeout_s=120.0, progress=Lines()) as site:
        assert site.reference.collected == NAMES
        yield site


@pytest.fixture
def site(opened: Site) -> Iterator[Site]:
    yield opened
    opened.timeout_s = 120.0
    assert opened.sandbox.read("calc.py") == SOURCE, "the copy is as it was"


def test_what_fails_with_a_fault_and_what_keeps_the_tests_from_starting(site: Site) -> None:
    plan = Plan(order=NAMES, rest=False)
    assert kills(site, WRONG, plan, 0.1) == frozenset({NAMES[1]})
    assert (kills(site, BROKEN, plan, 0.1) or set()) >= set(NAMES)
    assert survey(site, [WRONG, BROKEN]).fates == {WRONG: "killed", BROKEN: "killed"}


def test_tests_that_hang_show_a_fault(site: Site) -> None:
    """Hanging is what takes over three times what it usually takes, and ten seconds."""
    assert kills(site, ENDLESS, Plan(order=NAMES[:1], rest=False), 0.1)
    assert survey(site, [ENDLESS]).fates == {ENDLESS: "killed"}


def test_what_only_our_time_cuts_off_shows_nothing(site: Site) -> None:
    site.timeout_s = 2.0
    assert kills(site, ENDLESS, Plan(order=NAMES[:1], rest=False), 0.1) is None
    assert survey(site, [ENDLESS]).fates == {}


def test_a_slow_suite_has_its_time(site: Site) -> None:
    site.timeout_s = 600.0
    kills(site, WRONG, Plan(order=NAMES, rest=False), 30.0)
    plan = json.loads((site.sandbox.scratch / "plan.json").read_text(encoding="utf-8"))
    assert plan["limit_s"] == 25.0, "a quarter of ten seconds and three times thirty"
