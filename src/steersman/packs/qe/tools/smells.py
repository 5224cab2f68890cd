"""Linters on the files of a copy: what ruff says of style and likely errors, and what vulture thinks is never used."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steersman.core.errors import InvalidInput
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.tools.run import Output, run_tool
from steersman.packs.qe.tools.scanners import Scan

_RULES = "E,F,W,B,C4,SIM,RET,PIE,PLR,PLW,PERF,TRY,C90"
_NOT_SAID = "E501,W291,W293,TRY003"
_DEAD = re.compile(r"^(?P<file>.+?):(?P<line>\d+): (?P<message>.+) \(\d+% confidence")
_NOTHING, _SOMETHING = 0, 3


def smells(root: Path, files: Sequence[str], scratch: Path, timeout_s: float) -> Scan:
    """Return what ruff says of files, by the rules that are about more than layout, whatever the project has configured."""
    arguments = ["check", "--isolated", "--no-cache", "--select", _RULES, "--ignore", _NOT_SAID, "--exit-zero"]
    arguments += ["--per-file-ignores", "__init__.py:F401,__init__.py:F403"]  # what a package imports there, it offers
    output = run_tool(
        "ruff", [*arguments, "--output-format", "json", *files], root=root, scratch=scratch, timeout_s=timeout_s
    )
    found = tuple(
        Finding(
            tool="ruff",
            rule=each["code"] or "syntax",
            severity="medium" if (each["code"] or "F").startswith("F") else "low",
            file=Path(each["filename"]).resolve().relative_to(root.resolve()).as_posix(),
            line=each["location"]["row"],
            message=each["message"],
        )
        for each in _documents(output)
    )
    return Scan(findings=found, cpu_s=output.cpu_s, wall_s=output.wall_s)


def dead_code(root: Path, files: Sequence[str], scratch: Path, timeout_s: float) -> Scan:
    """Return what vulture thinks is never used, tests and all counted as users where they are among the files."""
    output = run_tool("vulture", ["--min-confidence", "60", *files], root=root, scratch=scratch, timeout_s=timeout_s)
    matches = [match for each in output.text.splitlines() if (match := _DEAD.match(each))]
    if output.exit_code not in (_NOTHING, _SOMETHING) and not matches:
        raise InvalidInput(f"vulture ended with {output.exit_code} and said: {output.text.strip()[-400:]}")
    found = tuple(
        Finding(
            tool="vulture", rule="unused", severity="low", file=each["file"], line=int(each["line"]), message=each["message"]
        )
        for each in matches
    )
    return Scan(findings=found, cpu_s=output.cpu_s, wall_s=output.wall_s)


def _documents(output: Output) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(output.text[output.text.index("[") :])[0]
    except ValueError as error:
        raise InvalidInput(f"ruff ended with {output.exit_code} and said: {output.text.strip()[-400:]}") from error
    return found
