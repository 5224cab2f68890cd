"""Rules and dashboards ask for what exists, and each alert fires when it should and not otherwise."""

import json
import re
import shutil
import subprocess
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from steersman.app.telemetry import telemetry_files
from steersman.backends.metrics.rule_tests import CASES, TEST_FILES
from steersman.backends.metrics.rules import GROUPS, RULES_FILE, RUNBOOKS, alerts
from steersman.backends.metrics.table import BY_NAME, METRICS, SLO_S

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)")
NAME = re.compile(r"(?:\w+:)?steersman_\w+(?::\w+)?")
SELECTOR = re.compile(r"(steersman_\w+)\{([^}]*)\}")
RULES = telemetry_files("rules")
DASHBOARDS = telemetry_files("dashboards")
SERIES = {name: each for each in METRICS for name in each.series}
RECORDED = {record.name for group in GROUPS for record in group.records}


def expressions() -> list[tuple[str, str]]:
    """Return (where, expression) for all rules and panels."""
    rules = [rule for group in json.loads(RULES[RULES_FILE])["groups"] for rule in group["rules"]]
    found = [(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules]
    for name, content in DASHBOARDS.items():
        document = json.loads(content)
        found += [(f"{name}: {panel['title']}", each["expr"]) for panel in document["panels"] for each in panel["targets"]]
        queries = [each["query"]["query"] for each in document["templating"]["list"] if each["type"] == "query"]
        found += [(name, each) for each in queries]
    return found


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_every_metric_asked_for_exists_with_its_labels(where: str, expression: str) -> None:
    names = [name for name in NAME.findall(expression) if name not in RECORDED]
    assert [each for each in names if each not in SERIES] == []
    for name, inside in SELECTOR.findall(expression):
        labels = re.findall(r"(\w+)\s*(?:=~|=|!=|!~)", inside)
        assert {*labels} <= {*SERIES[name].labels, "le"}, where


def test_every_record_is_of_use() -> None:
    text = "".join(expression for _, expression in expressions())
    assert [each for each in RECORDED if each not in text] == []


def test_a_bucket_ends_where_a_decision_stops_being_quick() -> None:
    assert SLO_S in BY_NAME["steersman_decision_latency_seconds"].buckets


def test_alerts_carry_what_their_reader_needs() -> None:
    names = [each.name for each in alerts()]
    assert len({*names}) == len(names)
    for each in alerts():
        plain = each.plain(RUNBOOKS)
        assert {*plain["annotations"]} == {"summary", "description", "runbook_url"}
        assert plain["annotations"]["runbook_url"] == f"docs/runbooks.md#{each.runbook}"
        assert {*plain["labels"]} == {"severity", "area"}
        assert each.severity in ("page", "ticket") or 'eq $labels.stage "shadow"' in each.severity


def test_runbooks_may_lie_elsewhere() -> None:
    content = telemetry_files("rules", "https://wiki.example.org/steersman")[RULES_FILE]
    assert b"https://wiki.example.org/steersman#latency-burn" in content
    assert b"docs/runbooks.md" not in content


def test_every_alert_has_a_test_of_both_kinds() -> None:
    tests = [each for name in TEST_FILES.values() for each in json.loads(RULES[name])["tests"]]
    for alert in alerts():
        own = [rule for each in tests for rule in each["alert_rule_test"] if rule["alertname"] == alert.name]
        assert any(rule["exp_alerts"] for rule in own), alert.name
        assert any(not rule["exp_alerts"] for rule in own), alert.name
        if "$labels.stage" in alert.severity:
            severities = {each["exp_labels"]["severity"] for rule in own for each in rule["exp_alerts"]}
            assert severities == {"page", "ticket"}, alert.name
    assert {each.alert for each in CASES} == {each.name for each in alerts()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the rules and their tests."""
    for name, content in RULES.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def promtool(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([str(PROMTOOL), *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=280)


@needs_promtool
def test_promtool_reads_the_rules(folder: Path) -> None:
    done = promtool("check", "rules", RULES_FILE, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    config = {
        "rule_files": [RULES_FILE],
        "scrape_configs": [{"job_name": "steersman", "static_configs": [{"targets": ["127.0.0.1:8321"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    done = promtool("check", "config", "prometheus.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize("name", TEST_FILES.values())
def test_every_alert_fires_when_it_should_and_not_otherwise(folder: Path, name: str) -> None:
    done = promtool("test", "rules", name, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_a_wrong_threshold_is_seen(folder: Path) -> None:
    rules = (folder / RULES_FILE).read_text()
    assert "learning_bias_ratio > 0.1" in rules
    (folder / RULES_FILE).write_text(rules.replace("learning_bias_ratio > 0.1", "learning_bias_ratio > 0.5"))
    tests: Any = json.loads((folder / TEST_FILES["1m"]).read_text())
    tests["tests"] = [each for each in tests["tests"] if each["name"].startswith("SteersmanTrainingDiverging")]
    (folder / TEST_FILES["1m"]).write_text(json.dumps(tests))
    done = promtool("test", "rules", TEST_FILES["1m"], cwd=folder)
    assert done.returncode == 1
    assert "SteersmanTrainingDiverging" in done.stdout + done.stderr


@needs_promtool
def test_every_expression_of_a_dashboard_is_one(tmp_path: Path) -> None:
    variables = {"$__rate_interval": "5m", "$tenant": ".*", "$agent": ".*", "$stage": ".*"}
    rules = []
    for number, (_, expression) in enumerate(expressions()):
        if expression.startswith("label_values"):
            continue
        filled = reduce(lambda text, each: text.replace(*each), variables.items(), expression)
        rules.append({"record": f"panel:{number}", "expr": filled})
    (tmp_path / "panels.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = promtool("check", "rules", "panels.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_whole(name: str) -> None:
    document = json.loads(DASHBOARDS[name])
    assert document["uid"] == name.removesuffix(".json")
    assert {each["name"] for each in document["templating"]["list"]} == {"source", "tenant", "agent", "stage"}
    places = [each["gridPos"] for each in document["panels"]]
    assert len({(each["x"], each["y"]) for each in places}) == len(places)
    assert all(each["x"] + each["w"] <= 24 for each in places)
    assert len({each["id"] for each in document["panels"]}) == len(document["panels"])
    assert all(each["description"] and each["targets"] for each in document["panels"])
    assert {each["url"] for each in document["links"]} == {
        f"/d/{other.removesuffix('.json')}" for other in DASHBOARDS if other != name
    }
