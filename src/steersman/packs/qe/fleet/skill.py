"""How an agent works: it looks at a site, acts there by real tools, and measures what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from steersman.core.actions import Action
from steersman.core.state import StateValues
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.site import Site


@dataclass(frozen=True, kw_only=True)
class Worked:
    """What came of one action. measurements: of the agent's reward; None where the outcome is known only later.

    findings: in the project itself. files: what the user may add to the project, by path. notes: what else to tell; in
    them DECISION stands for the id of the decision.
    """

    measurements: Mapping[str, float] | None
    findings: tuple[Finding, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Skill(Protocol):
    """What an agent of the fleet can do. needs_tests: whether a project without a test file is nothing for it."""

    needs_tests: bool

    def look(self, site: Site) -> StateValues:
        """Return the state before a decision. It may plant what there is to find; `work` then looks for it."""

    def work(self, site: Site, action: Action) -> Worked:
        """Carry out an action and measure it; the site is as it was in the end. Raises DeadlineExceeded over its time."""
