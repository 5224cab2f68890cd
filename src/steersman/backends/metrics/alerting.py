"""The nouns of rules: what is computed beforehand, and when somebody is told."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Record:
    """A series that is computed beforehand."""

    name: str
    expression: str

    def plain(self) -> dict[str, Any]:
        """Return it as Prometheus reads it."""
        return {"record": self.name, "expr": self.expression}


@dataclass(frozen=True, kw_only=True)
class Alert:
    """A condition, how long it must hold, and what somebody reads who gets it. `runbook` is a heading of the runbooks."""

    name: str
    expression: str
    hold: str
    severity: str
    area: str
    summary: str
    description: str
    runbook: str

    def plain(self, runbooks: str) -> dict[str, Any]:
        """Return it as Prometheus reads it, with runbooks under an address."""
        return {
            "alert": self.name,
            "expr": self.expression,
            "for": self.hold,
            "labels": {"severity": self.severity, "area": self.area},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{runbooks}#{self.runbook}",
            },
        }


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rules that are evaluated together, in order."""

    name: str
    records: tuple[Record, ...] = ()
    alerts: tuple[Alert, ...] = ()
