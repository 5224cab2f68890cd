"""Candidate releases are a fault or a comment at places that take both, and the copy is as it was after each run."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.plants.releases import Release, Releases
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.suite import Plan
from tests.unit.packs.qe.conftest import Lines, write

FILES = {
    "rebate.py": "LIMIT = 100\n\n\ndef rebate(total):\n    return total - 10 if total > LIMIT else total\n",
    "conftest.py": "import rebate\n\nassert rebate.rebate(0) is not None, 'the project does not start'\n",
    "tests/test_rebate.py": "from rebate import rebate\n\n\ndef test():\n    assert rebate(200) == 190\n",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    project = discover(write(tmp_path_factory.mktemp("releases"), FILES))
    with open_site(project, seed=1, timeout_s=60.0, progress=Lines()) as opened:
        yield opened


def test_half_are_faults_and_half_are_comments_that_change_nothing_that_runs(site: Site) -> None:
    releases = Releases(site)
    drawn = [releases.draw() for _ in range(200)]
    faulty = [each for each in drawn if each.fault]
    assert 70 < len(faulty) < 130
    before = releases.texts["rebate.py"]
    for each in drawn:
        same = ast.dump(ast.parse(each.text)) == ast.dump(ast.parse(before))
        assert each.text != before
        assert same == (each.fault is None)
    assert {each.line for each in faulty} == {each.line for each in drawn if not each.fault}


def test_what_is_proved_to_change_nothing_is_no_release(tmp_path: Path) -> None:
    text = "def area(side):\n    scale = 2 * 2\n    while 1:\n        return side * scale\n        side = 0\n"
    files = {"shape.py": text, "test_shape.py": "import shape\n\n\ndef test():\n    assert shape.area(2) == 8\n"}
    with open_site(discover(write(tmp_path, files)), seed=1, timeout_s=60.0, progress=Lines()) as opened:
        places = {(each.line, each.after) for each in Releases(opened).places}
    equivalent = {(2, "+"), (3, "2"), (5, "1"), (5, "pass")}
    assert {(2, "3"), (4, "+"), (4, "None")} <= places
    assert not equivalent & places


def test_a_run_sees_the_fault_and_puts_the_copy_back(site: Site) -> None:
    releases = Releases(site)
    place = next(each for each in releases.places if each.operator == "arithmetic")
    assert releases.killers(releases.release(place)) == {"tests/test_rebate.py::test"}
    assert not releases.failures(releases.run(releases.harmless(place), Plan()))
    assert site.sandbox.read("rebate.py") == FILES["rebate.py"]


def test_a_change_that_keeps_pytest_from_starting_is_a_failure(site: Site) -> None:
    text = "def rebate(total):\n    return None\n"
    release = Release(file="rebate.py", line=2, function="rebate", text=text, fault=None)
    releases = Releases(site)
    assert releases.failures(releases.run(release, Plan()))


def test_a_project_without_anything_to_change_is_refused_with_the_way_out(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steersman.packs.qe.plants.releases.candidates", lambda file, text: [])
    with pytest.raises(InvalidInput, match="Give a project with functions"):
        Releases(site)
