"""A report says the same in every form, and whatever a project's files say stays text."""

import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from steersman.core.errors import NotPermitted
from steersman.packs.qe.fleet.rendering.folder import write_report
from steersman.packs.qe.fleet.rendering.junit import junit
from steersman.packs.qe.fleet.rendering.markdown import markdown
from steersman.packs.qe.fleet.rendering.page import page, time_line
from steersman.packs.qe.fleet.rendering.patch import patch
from steersman.packs.qe.fleet.rendering.sarif import sarif
from steersman.packs.qe.fleet.report import FleetReport


def test_junit_fails_for_what_fails_and_skips_what_was_left_out(report: FleetReport) -> None:
    suite = ElementTree.fromstring(junit(report)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "2", "2")
    skipped = suite.find("testcase[@name='visual-tester']/skipped")
    assert skipped is not None
    assert skipped.get("message") == "no page"
    assert "\x00" not in junit(report)
    calm = replace(report, failing=(), verdict=replace(report.verdict, word="go"))
    assert 'failures="0"' in junit(calm)


def test_sarif_has_a_run_for_each_tool_and_a_place_for_each_finding(report: FleetReport) -> None:
    runs = sarif(report)["runs"]
    assert [each["tool"]["driver"]["name"] for each in runs] == ["steersman: bandit", "steersman: ruff"]
    (first,), (second,) = (each["results"] for each in runs)
    assert (first["level"], first["ruleId"]) == ("error", "B602")
    place = first["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]["startLine"]) == ("shop.py", 5)
    assert "region" not in second["locations"][0]["physicalLocation"], "a finding of a whole file has no line"
    assert sarif(replace(report, findings=()))["runs"][0]["results"] == []


def test_markdown_keeps_its_tables(report: FleetReport) -> None:
    text = markdown(report)
    assert text.startswith("# shop: no-go")
    rows = [line for line in text.splitlines() if line.startswith("| high")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 6, "a bar in a message does not end its cell"
    assert "- visual-tester: no page" in text
    assert "Of 8 planted faults it found 8." in text


def test_the_page_shows_hostile_text_as_text(report: FleetReport) -> None:
    text = page(report)
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "No-go" in text
    assert 'style="width: 50.0%"' in text, "25 lies in the middle of −50 to 100"
    assert "http" not in text.replace("http-equiv", ""), "it needs nothing from anywhere"


def test_the_time_line_is_as_long_as_the_work(report: FleetReport) -> None:
    first, second = time_line(report)
    assert (first.x, first.width, second.x, second.width) == (0.0, 480.0, 480.0, 160.0)


def test_the_patch_applies(report: FleetReport, tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("a = 1\nb = 2\n")
    (tmp_path / "same.py").write_text("c = 3\n")
    files = {"tests/test_new.py": "def test_new():\n    assert True", "old.py": "a = 1\nb = 3\n", "same.py": "c = 3\n"}
    text = patch(tmp_path, files)
    (tmp_path / "fleet.patch").write_text(text)
    subprocess.run(["git", "apply", "fleet.patch"], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "tests" / "test_new.py").read_text() == files["tests/test_new.py"]
    assert (tmp_path / "old.py").read_text() == "a = 1\nb = 3\n"
    assert patch(tmp_path, files) == ""


def test_a_folder_that_cannot_be_written_is_told(report: FleetReport, tmp_path: Path) -> None:
    assert {each.name for each in write_report(report, tmp_path / "out")} == {
        "fleet.md",
        "fleet.html",
        "fleet.junit.xml",
        "fleet.sarif",
        "fleet.patch",
    }
    (tmp_path / "file").write_text("")
    with pytest.raises(NotPermitted, match="--report"):
        write_report(report, tmp_path / "file")
