"""Incidents from what a service left behind: tracebacks in logs, and reports of wrong answers."""

import ast
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.packs.qe.fleet.findings import SEVERITIES, Severity
from steersman.packs.qe.project.discovery import module_name, project_files

_LEVEL = re.compile(r"\b(CRITICAL|FATAL|ERROR|WARNING|INFO|DEBUG)\b")
_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>\S+)')
_LOCAL = re.compile(r"^    (\w+) = (.*)$")
_ENDS = re.compile(r"^([A-Za-z_][\w.]*)(?::\s*(.*))?$")
_CALL = re.compile(r"\b([\w.]+)\((.*)\) (?:failed|done)")
_SEVERITY: dict[str, Severity] = {"CRITICAL": "critical", "FATAL": "critical", "ERROR": "high", "WARNING": "medium"}
BASE_RATE = 0.01
"""Failures per call that are nothing unusual."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """One kind of failure. function: "module.name" in the project, "" where no frame is its own. arguments: if known.

    expected: the right answer where a report tells it. failures, calls: how often it failed and was called, by the log.
    passed_before: whether the same arguments went well elsewhere in the log.
    """

    file: str
    line: int
    severity: Severity
    function: str
    exception: str
    arguments: str = ""
    expected: str = ""
    failures: int = 1
    calls: int = 1
    passed_before: bool = False

    @property
    def sigma(self) -> float:
        """How far the failures lie above the usual rate, in standard deviations of a Poisson count."""
        usual = max(self.calls * BASE_RATE, 0.01)
        return float((self.failures - usual) / usual**0.5)


@dataclass(frozen=True, kw_only=True)
class _Frame:
    file: str
    name: str
    values: Mapping[str, str]


def incident_files(root: Path) -> list[str]:
    """Return the logs below a root, and what lies in a folder "incidents", relative to the root."""
    found = []
    for path in sorted(project_files(root)):
        inside = path.relative_to(root)
        wanted = path.suffix == ".log" or ("incidents" in inside.parts[:-1] and path.suffix in (".json", ".txt"))
        if wanted and path.is_file():
            found.append(inside.as_posix())
    return found


def read_incidents(texts: Mapping[str, str], sources: Sequence[str], source_root: str) -> tuple[Incident, ...]:
    """Return the incidents in files: logs with tracebacks, and JSON reports with a function and its arguments."""
    found: list[Incident] = []
    for file, text in texts.items():
        if file.endswith(".json"):
            found += _of_report(file, text)
        else:
            found += _of_log(file, text, sources, source_root)
    return tuple(found)


def _of_report(file: str, text: str) -> Iterator[Incident]:
    try:
        document = json.loads(text)
    except ValueError:
        return
    for each in document if isinstance(document, list) else [document]:
        if isinstance(each, dict) and isinstance(each.get("function"), str):
            severity = each.get("severity", "high")
            given = each.get("arguments")
            yield Incident(
                file=file,
                line=1,
                severity=severity if severity in SEVERITIES else "high",
                function=each["function"],
                exception=str(each.get("exception", "")),
                arguments=repr(given) if isinstance(given, dict) else "",
                expected=str(each.get("expected", "")),
                failures=int(each.get("failures", 1)),
                calls=int(each.get("calls", 1)),
            )


def _of_log(file: str, text: str, sources: Sequence[str], source_root: str) -> Iterator[Incident]:
    lines = text.splitlines()
    grouped: dict[tuple[str, str], list[Incident]] = {}
    for start, line in enumerate(lines):
        if line.startswith("Traceback (most recent call last)"):
            each = _of_traceback(file, lines, start, sources, source_root)
            grouped.setdefault((each.function, each.exception), []).append(each)
    for (function, _), some in grouped.items():
        passed = {arguments for name, arguments in _calls(lines, " done") if name == function}
        told = [each.arguments for each in some if each.arguments]
        first = some[0]
        yield Incident(
            file=file,
            line=first.line,
            severity=first.severity,
            function=function,
            exception=first.exception,
            arguments=told[0] if told else "",
            failures=len(some),
            calls=max(
                sum(bool(function) and f"{function}" in each and bool(_LEVEL.search(each)) for each in lines), len(some)
            ),
            passed_before=bool(passed & set(told)),
        )


def _of_traceback(file: str, lines: list[str], start: int, sources: Sequence[str], source_root: str) -> Incident:
    """Read one traceback: the outermost function of the project in it, its locals, and the line that was logged before."""
    frames, end = _frames(lines, start + 1)
    own = next((each for each in frames if _source_of(each.file, sources)), None)
    function = f"{module_name(_source_of(own.file, sources), source_root)}.{own.name}" if own else ""
    matched = _ENDS.match(lines[end]) if end < len(lines) else None
    before = lines[start - 1] if start else ""
    level = _LEVEL.search(before)
    logged = dict(_calls([before], " failed"))
    return Incident(
        file=file,
        line=start + 1,
        severity=_SEVERITY.get(level[1], "medium") if level else "medium",
        function=function,
        exception=matched[1].rsplit(".", 1)[-1] if matched else "",
        arguments=logged.get(function, "") or (_written(own.values) if own and own.values else ""),
    )


def _frames(lines: list[str], start: int) -> tuple[list[_Frame], int]:
    """Return the frames of a traceback, the outermost first, and the line behind them."""
    frames: list[_Frame] = []
    values: dict[str, str] = {}
    at = start
    while at < len(lines) and lines[at].startswith("  "):
        head, value = _FRAME.match(lines[at]), _LOCAL.match(lines[at])
        if head:
            values = {}
            frames.append(_Frame(file=head["file"], name=head["name"], values=values))
        elif value and (at == start or not _FRAME.match(lines[at - 1])):
            values[value[1]] = value[2]
        at += 1
    return frames, at


def _source_of(path: str, sources: Sequence[str]) -> str:
    return next((each for each in sources if path == each or path.endswith(f"/{each}")), "")


def _calls(lines: Sequence[str], ending: str) -> Iterator[tuple[str, str]]:
    """Yield the calls in log lines such as "… ERROR shop.pay(amount=3) failed", with their arguments written out."""
    for line in lines:
        match = _CALL.search(line) if line.endswith(ending) else None
        if match:
            arguments = _keywords(match[2])
            if arguments is not None:
                yield match[1], arguments


def _keywords(text: str) -> str | None:
    try:
        call: Any = ast.parse(f"f({text})", mode="eval").body
        return repr({each.arg: ast.literal_eval(each.value) for each in call.keywords})
    except (SyntaxError, ValueError, AttributeError):
        return None


def _written(values: Mapping[str, str]) -> str:
    """Return the locals that can be read back. They are as they were when it failed, not as they were given."""
    found: dict[str, Any] = {}
    for name, text in values.items():
        try:
            found[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            continue
    return repr(found)
