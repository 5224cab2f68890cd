"""What an agent found in a project, in words that reports and other tools understand."""

from dataclasses import dataclass
from typing import Literal

from steersman.packs.qe.project.discovery import Project

Severity = Literal["critical", "high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low")
"""From the worst to the least."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to look at. line: from 1; 0 for a whole file. tool: who said so. rule: its own name for this kind.

    confirmed: whether it was shown by running something, or only suspected.
    """

    tool: str
    rule: str
    severity: Severity
    file: str
    line: int
    message: str
    confirmed: bool = False


def unreadable(project: Project) -> list[Finding]:
    """Return a finding for each source file that no agent can look at, since it is no text or no Python."""
    return [
        Finding(tool="python", rule="unreadable", severity="high", file=file, line=0, message=why, confirmed=True)
        for file, why in project.unreadable.items()
    ]
