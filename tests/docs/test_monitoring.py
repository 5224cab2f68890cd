"""The pages of monitoring say what the code says: every metric with its help, every alert with its runbook."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from steersman.backends.metrics.alerting import Alert
from steersman.backends.metrics.rules import OBJECTIVE, alerts
from steersman.backends.metrics.table import METRICS, SLO_S, Definition
from steersman.cli.app import app
from steersman.service.logs import FIELDS
from steersman.service.table import operations

INLINE = re.compile(r"`steersman ([^`]+)`")
DOCS = Path(__file__).parents[2] / "docs"
MONITORING = (DOCS / "monitoring.md").read_text(encoding="utf-8")
RUNBOOKS = (DOCS / "runbooks.md").read_text(encoding="utf-8")
HEADINGS = {each.lower().replace(" ", "-"): each for each in re.findall(r"^## (.+)$", RUNBOOKS, re.MULTILINE)}


@pytest.mark.parametrize("metric", METRICS, ids=lambda each: each.name)
def test_every_metric_is_in_the_table(metric: Definition) -> None:
    labels = ", ".join(f"`{each}`" for each in metric.labels)
    line = f"| {metric.measure} | `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"
    assert line in MONITORING.splitlines()


def test_no_metric_is_in_the_table_that_is_gone() -> None:
    assert re.findall(r"^\| (?:M\d+)? \| `(\w+)` \|", MONITORING, re.MULTILINE) == [each.name for each in METRICS]


def test_all_twelve_measures_of_the_catalogue_are_there() -> None:
    assert {each.measure for each in METRICS} == {"", *(f"M{number}" for number in range(1, 13))}


def test_the_objective_is_that_of_the_rules() -> None:
    assert f"{OBJECTIVE:.0%} of decisions within {SLO_S * 1000:g} ms".replace("%", " %") in MONITORING


@pytest.mark.parametrize(
    "field", re.findall(r"fields of known names, among\nthem (.+?)\. An", MONITORING, re.DOTALL)[0].split(",")
)
def test_fields_of_a_log_line_are_those_of_the_code(field: str) -> None:
    assert {*re.findall(r"`(\w+)`", field)} <= FIELDS


@pytest.mark.parametrize("alert", alerts(), ids=lambda each: each.name)
def test_every_alert_has_its_runbook_and_its_line(alert: Alert) -> None:
    severity = "ticket" if alert.severity == "ticket" else "page"
    words = HEADINGS[alert.runbook].lower()
    assert f"| `{alert.name}` | {severity} | [{words}](#{alert.runbook}) |" in RUNBOOKS.splitlines()


def test_no_alert_is_listed_that_is_gone_and_no_runbook_is_left_over() -> None:
    assert re.findall(r"^\| `(\w+)` \|", RUNBOOKS, re.MULTILINE) == [each.name for each in alerts()]
    assert {*HEADINGS} == {each.runbook for each in alerts()}


@pytest.mark.parametrize("line", sorted({*INLINE.findall(RUNBOOKS), *INLINE.findall(MONITORING)}))
def test_every_command_in_a_sentence_exists_with_its_options(line: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(line)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, line
        command = command.commands[words.pop(0)]
    options = {name for each in command.params for name in each.opts}
    assert [word for word in words if word.startswith("-") and word not in options] == []


@pytest.mark.parametrize("path", sorted({*re.findall(r"`(?:GET|POST) (/[^`]+)`", RUNBOOKS + MONITORING)}))
def test_every_path_in_a_sentence_is_served(path: str) -> None:
    served = {each.path.replace("{agent:agent}", "AGENT") for each in operations()}
    assert path in served
