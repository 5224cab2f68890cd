"""The versions that a project pins, and what pip-audit knows of them. It asks PyPI, or the server that you name.

Without a network pip-audit says "no known vulnerabilities found" of everything; with `--strict` it does not, and what it
says is only believed here after it has shown that it knows of a version known to be vulnerable.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.project.discovery import LEFT_OUT
from steersman.packs.qe.tools.run import has, run_tool
from steersman.packs.qe.tools.scanners import Scan

SERVER = "STEERSMAN_OSV_URL"
"""Names the environment variable with the address of a server that answers as https://api.osv.dev/v1/query does."""
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([0-9][A-Za-z0-9.!+-]*)\s*(?:[;#\\\s].*)?$")
_CONTROL_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One requirement that is pinned to a version, and the line where it stands, from 1."""

    name: str
    version: str
    file: str
    line: int


CONTROL = Pin(name="jinja2", version="2.4.1", file="", line=0)
"""Known to be vulnerable since 2014: CVE-2014-0012."""


def pins(root: Path) -> tuple[Pin, ...]:
    """Return what a project pins in requirements*.txt, requirements/*.txt and the dependencies of pyproject.toml."""
    found = [
        pin
        for file in requirement_files(root)
        for pin in pins_in(file, (root / file).read_text(encoding="utf-8", errors="replace"))
    ]
    return (*found, *_of_pyproject(root))


def requirement_files(root: Path) -> list[str]:
    """Return the requirement files of a project, relative to its root."""
    found = [*root.glob("requirements*.txt"), *root.glob("requirements/*.txt"), *root.glob("*/requirements*.txt")]
    inside = (each.relative_to(root) for each in dict.fromkeys(found) if each.is_file())
    return sorted(each.as_posix() for each in inside if not LEFT_OUT & set(each.parts))


def pins_in(file: str, text: str) -> Iterator[Pin]:
    """Yield the pinned requirements of a requirement file."""
    for number, line in enumerate(text.splitlines(), 1):
        match = _PIN.match(line.strip())
        if match:
            yield Pin(name=_normal(match[1]), version=match[2], file=file, line=number)


def why_not(scratch: Path) -> str:
    """Return why nothing can be said of dependencies here; "" where pip-audit is there and knows what is known."""
    if not has("pip_audit"):
        return "sca needs pip-audit: pip install pip-audit"
    try:
        scan = pip_audit([CONTROL], scratch, _CONTROL_S)
    except (InvalidInput, DeadlineExceeded) as error:
        return f"sca was not run, because pip-audit cannot look up advisories here: {error}"
    known = f"{CONTROL.name} {CONTROL.version}"
    return "" if scan.findings else f"sca was not run, because pip-audit does not know that {known} is vulnerable"


def pip_audit(wanted: Sequence[Pin], scratch: Path, timeout_s: float) -> Scan:
    """Return what is known of pinned versions. Raises InvalidInput where one of them could not be looked up."""
    findings: list[Finding] = []
    cpu_s, wall_s, left = 0.0, 0.0, list(wanted)
    while left:
        chosen = list({each.name: each for each in reversed(left)}.values())  # pip-audit refuses a name that stands twice
        left = [each for each in left if each not in chosen]
        file = scratch / "audited.txt"
        file.write_text("".join(f"{each.name}=={each.version}\n" for each in chosen), encoding="utf-8")
        arguments = ["--strict", "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", *_server()]
        output = run_tool("pip_audit", [*arguments, "-r", str(file)], root=scratch, scratch=scratch, timeout_s=timeout_s)
        findings += _findings(_answer(output.text, output.exit_code), chosen)
        cpu_s += output.cpu_s
        wall_s += output.wall_s
    return Scan(findings=tuple(findings), cpu_s=cpu_s, wall_s=wall_s)


def _server() -> list[str]:
    address = os.environ.get(SERVER, "")
    return ["--vulnerability-service", "osv", "--osv-url", address] if address else []


def _answer(text: str, exit_code: int) -> list[dict[str, Any]]:
    start = text.find('{"dependencies"')
    try:
        if start >= 0:
            answer: dict[str, list[dict[str, Any]]] = json.JSONDecoder().raw_decode(text[start:])[0]
            if not any("skip_reason" in each for each in answer["dependencies"]):
                return answer["dependencies"]
    except ValueError:
        pass
    said = [each for each in text.strip().splitlines() if each.startswith("ERROR")] or text.strip().splitlines()[-1:]
    raise InvalidInput(f"pip-audit ended with {exit_code} and said: {' '.join(said)[-300:]}")


def _findings(answer: Iterable[dict[str, Any]], chosen: Sequence[Pin]) -> Iterator[Finding]:
    by_name = {each.name: each for each in chosen}
    for entry in answer:
        pin = by_name[_normal(entry["name"])]
        for known in entry.get("vulns", ()):
            fixed = ", ".join(known.get("fix_versions", ())) or "none"
            yield Finding(
                tool="pip-audit",
                rule=known["id"],
                severity="high",
                file=pin.file,
                line=pin.line,
                message=f"{pin.name} {pin.version} is known to be vulnerable ({known['id']}); fixed in: {fixed}",
            )


def _of_pyproject(root: Path) -> Iterator[Pin]:
    try:
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (OSError, ValueError):
        return
    project = tables.get("project", {})
    groups = [*project.get("optional-dependencies", {}).values(), *tables.get("dependency-groups", {}).values()]
    lines = text.splitlines()
    for each in [*project.get("dependencies", ()), *(inner for group in groups for inner in group)]:
        match = _PIN.match(each) if isinstance(each, str) else None
        if match:
            line = next((number for number, line in enumerate(lines, 1) if each in line), 1)
            yield Pin(name=_normal(match[1]), version=match[2], file="pyproject.toml", line=line)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
