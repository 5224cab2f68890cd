"""What a run of the fleet came to."""

from collections.abc import Mapping
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.member import Round
from steersman.packs.qe.fleet.upcoming import Next
from steersman.packs.qe.fleet.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class AgentReport:
    """What one agent did. round: None where it did not work, for the reason `left_out`. next: what it would do now."""

    agent: str
    category: str
    reward_range: tuple[float, float]
    wall_s: float
    round: Round | None
    left_out: str
    next: Next | None


@dataclass(frozen=True, kw_only=True)
class Step:
    """One decision of the commander: what it chose, who worked, how long it took and what it was paid."""

    decision_id: str
    action: Mapping[str, Choice]
    agents: tuple[str, ...]
    wall_s: float
    reward: float


@dataclass(frozen=True, kw_only=True)
class FleetReport:
    """What a run of the fleet came to. stopped: why it ended before all had worked, if it did.

    written: the files that hold it.
    """

    project: str
    path: str
    seed: int
    budget_s: float
    wall_s: float
    cpu_s: float
    tests: int
    suite_s: float
    failing: tuple[str, ...]
    flaky: tuple[str, ...]
    verdict: Verdict
    agents: tuple[AgentReport, ...]
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    files: Mapping[str, str]
    stopped: str
    written: tuple[str, ...] = ()
