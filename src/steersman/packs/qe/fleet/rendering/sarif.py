"""Findings as SARIF 2.1.0 (OASIS, 2020), which GitHub, GitLab and editors show beside the code."""

from typing import Any

from steersman.packs.qe.fleet.findings import Finding, Severity
from steersman.packs.qe.fleet.report import FleetReport

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: dict[Severity, str] = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_SCORES: dict[Severity, str] = {"critical": "9.5", "high": "8.0", "medium": "5.0", "low": "2.0"}
"""What GitHub sorts by (`security-severity`)."""


def sarif(report: FleetReport) -> dict[str, Any]:
    """Return the document, with one run for each tool that found something."""
    tools = sorted({each.tool for each in report.findings})
    runs = [_run(tool, [each for each in report.findings if each.tool == tool]) for tool in tools]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": runs or [_run("steersman", [])],
    }


def _run(tool: str, findings: list[Finding]) -> dict[str, Any]:
    rules = sorted({each.rule for each in findings})
    return {
        "tool": {"driver": {"name": f"steersman: {tool}", "rules": [{"id": each} for each in rules]}},
        "results": [
            {
                "ruleId": each.rule,
                "ruleIndex": rules.index(each.rule),
                "level": _LEVELS[each.severity],
                "message": {"text": each.message},
                "locations": [_location(each)],
                "properties": {"security-severity": _SCORES[each.severity], "confirmed": each.confirmed},
            }
            for each in findings
        ],
    }


def _location(finding: Finding) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": finding.file, "uriBaseId": "%SRCROOT%"}}
    if finding.line > 0:
        place["region"] = {"startLine": finding.line}
    return {"physicalLocation": place}
