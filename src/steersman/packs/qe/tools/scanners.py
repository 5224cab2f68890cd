"""Scanners for weak code and for secrets: ruff's S rules, bandit, and detect-secrets. None of them executes the code."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.core.errors import InvalidInput
from steersman.packs.qe.fleet.findings import Finding, Severity
from steersman.packs.qe.tools.run import Output, run_tool

_HIGH = ("S102", "S301", "S302", "S501", "S506", "S602", "S604", "S605", "S608", "S307")
_SECRETS: dict[str, Severity] = {"Private Key": "critical", "AWS Access Key": "critical", "GitHub Token": "critical"}
_BANDIT: dict[str, Severity] = {"HIGH": "high", "MEDIUM": "medium", "LOW": "low"}


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What a scanner found, and what it took in seconds of the processor and of the clock."""

    findings: tuple[Finding, ...]
    cpu_s: float
    wall_s: float


Scanner = Callable[[Path, Sequence[str], Path, float], Scan]
"""(root, files below it, a folder for its output, its time in s) → what it found."""


def ruff(root: Path, files: Sequence[str], scratch: Path, timeout_s: float) -> Scan:
    """Return what ruff's rules S (flake8-bandit) say: the quickest, and the shallowest."""
    arguments = ["check", "--isolated", "--no-cache", "--select", "S", "--output-format", "json", "--exit-zero", *files]
    output = run_tool("ruff", arguments, root=root, scratch=scratch, timeout_s=timeout_s)
    found = [
        Finding(
            tool="ruff",
            rule=each["code"],
            severity="high" if each["code"] in _HIGH else "low",
            file=_below(root, each["filename"]),
            line=each["location"]["row"],
            message=each["message"],
        )
        for each in _json(output, "ruff")
        if each["code"]
    ]
    return _scan(found, output)


def bandit(root: Path, files: Sequence[str], scratch: Path, timeout_s: float) -> Scan:
    """Return what bandit says of the code, of any confidence."""
    target = scratch / "bandit.json"
    target.unlink(missing_ok=True)
    arguments = ["-q", "-f", "json", "-o", str(target), "--exit-zero", *files]
    output = run_tool("bandit", arguments, root=root, scratch=scratch, timeout_s=timeout_s)
    if not target.exists():
        raise InvalidInput(f"bandit ended with {output.exit_code} and said nothing: {output.text.strip()[-400:]}")
    found = [
        Finding(
            tool="bandit",
            rule=each["test_id"],
            severity=_BANDIT[each["issue_severity"]],
            file=_below(root, each["filename"]),
            line=each["line_number"],
            message=each["issue_text"],
        )
        for each in json.loads(target.read_text(encoding="utf-8"))["results"]
    ]
    return _scan(found, output)


def detect_secrets(root: Path, files: Sequence[str], scratch: Path, timeout_s: float) -> Scan:
    """Return what looks like a secret. Nothing is asked of any network."""
    arguments = ["scan", "--no-verify", "--all-files", *files]
    output = run_tool("detect_secrets", arguments, root=root, scratch=scratch, timeout_s=timeout_s)
    found = [
        Finding(
            tool="detect-secrets",
            rule=each["type"],
            severity=_SECRETS.get(each["type"], "high"),
            file=_below(root, file),
            line=each["line_number"],
            message=f"looks like a secret: {each['type']}",
        )
        for file, entries in _json(output, "detect-secrets", "{")["results"].items()
        for each in entries
    ]
    return _scan(found, output)


def _scan(found: list[Finding], output: Output) -> Scan:
    return Scan(findings=tuple(found), cpu_s=output.cpu_s, wall_s=output.wall_s)


def _json(output: Output, tool: str, opening: str = "[") -> Any:
    """Return the document in what a tool said; warnings may stand before it."""
    start = output.text.find(opening)
    try:
        return json.JSONDecoder().raw_decode(output.text[max(start, 0) :])[0]
    except ValueError as error:
        raise InvalidInput(f"{tool} ended with {output.exit_code} and said: {output.text.strip()[-400:]}") from error


def _below(root: Path, file: str) -> str:
    path = Path(file)
    return (path.relative_to(root) if path.is_absolute() else path).as_posix().removeprefix("./")
