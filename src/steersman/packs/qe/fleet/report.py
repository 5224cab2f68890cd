"""What a run of the fleet came to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from steersman.core.actions import Choice
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.member import Member, Round, words
from steersman.packs.qe.fleet.tally import Tally, tally
from steersman.packs.qe.fleet.upcoming import Next
from steersman.packs.qe.fleet.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class AgentReport:
    """What one agent did. rounds: none where it did not work. left_out: why it did not, or stopped before its time.

    chose: its actions in words, each once. reward: the mean of its rounds, None where none is known yet. tally: what they
    found of what there was to find. seen: what the last one saw. next: what it would do now.
    """

    agent: str
    category: str
    reward_range: tuple[float, float]
    wall_s: float
    rounds: tuple[Round, ...]
    chose: str
    reward: float | None
    tally: Tally
    seen: str
    left_out: str
    next: Next | None

    @property
    def earned(self) -> str:
        """The mean reward in words."""
        return "to come" if self.reward is None else f"{self.reward:+.1f}"

    @property
    def line(self) -> str:
        """What it did in one line."""
        return f"{self.chose}: {self.seen}; {self.earned}" if self.rounds else self.seen


def agent_report(worker: Member, *, wall_s: float = 0.0, rounds: Sequence[Round] = (), left_out: str = "") -> AgentReport:
    """Return what an agent did, put together from its rounds."""
    known = [each.reward for each in rounds if each.reward is not None]
    return AgentReport(
        agent=worker.name,
        category=worker.category,
        reward_range=worker.spec.reward_range,
        wall_s=wall_s,
        rounds=tuple(rounds),
        chose=", then ".join(dict.fromkeys(words(each.action) for each in rounds)),
        reward=fmean(known) if known else None,
        tally=tally(worker.name, [each.measurements for each in rounds if each.measurements]),
        seen=_seen(rounds, left_out),
        left_out=left_out,
        next=worker.upcoming() if rounds else None,
    )


def _seen(rounds: Sequence[Round], left_out: str) -> str:
    if not rounds:
        return f"did not work: {left_out}"
    many = f"{len(rounds)} rounds, the last: " if len(rounds) > 1 else ""
    stopped = (f"stopped: {left_out}",) if left_out else ()
    return many + "; ".join((*rounds[-1].notes, *stopped))


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

    idle: who did not work, by the reason. tally: what all found of what there was to find. coverage: of branches, in per
    cent, before and with the generated tests; None where nobody measured it. achievements: both in words. written: the
    files that hold the report.
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
    idle: Mapping[str, tuple[str, ...]]
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    files: Mapping[str, str]
    tally: Tally
    achievements: tuple[str, ...]
    coverage: tuple[float, float] | None
    stopped: str
    written: tuple[str, ...] = ()


def idle(reports: Sequence[AgentReport]) -> dict[str, tuple[str, ...]]:
    """Return who did not work, by the reason."""
    found: dict[str, tuple[str, ...]] = {}
    for each in reports:
        if not each.rounds:
            found[each.left_out] = (*found.get(each.left_out, ()), each.agent)
    return found


def achievements(found: Tally, coverage: tuple[float, float] | None) -> tuple[str, ...]:
    """Return in words what was found of what was planted, and what the generated tests cover more."""
    said = []
    if found.planted:
        said.append(f"Of {found.planted:g} planted faults it found {found.found:g}")
    if coverage and coverage[1] > coverage[0]:
        before, after = coverage
        said.append(f"Its tests cover {after - before:.1f} % of the branches more ({before:.1f} % to {after:.1f} %)")
    return tuple(said)
