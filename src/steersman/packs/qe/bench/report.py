"""What a run reports: the table of learned against baseline, the cycles, and what it would do next and why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.packs.qe.agents.test_executor import REWARD
from steersman.packs.qe.bench.comparison import Row, compare
from steersman.packs.qe.fleet.upcoming import Next


@dataclass(frozen=True, kw_only=True)
class CycleRow:
    """One decision of a run: the change, who decided, the action, what was measured and the reward it earned.

    `pair` numbers the duel that it belongs to (−1: none), `final` marks the last block of duels. `say` is which say each
    expert has in the learned order once the cycle is over.
    """

    cycle: int
    change: str
    arm: str
    decision_id: str
    action: Mapping[str, Choice]
    measurements: Mapping[str, float]
    reward: float
    components: Mapping[str, float]
    tests_run: int
    pair: int = -1
    final: bool = False
    say: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class RunReport:
    """The result of `bench test-executor`.

    `rows` compare on the final block of duels, `all_rows` on all duels since the start.
    """

    project: str
    path: str
    tests: int
    reference_s: float
    seed: int
    cycles: int
    stopped: str
    interval: str
    rows: tuple[Row, ...]
    all_rows: tuple[Row, ...]
    verdict: str
    next: Next
    world: Mapping[str, object]
    notes: tuple[str, ...]
    log: tuple[CycleRow, ...]


def score(measurements: Mapping[str, float]) -> tuple[float, dict[str, float]]:
    """Return reward and components of measurements, by the agent's own definition."""
    scored = REWARD.score(REWARD.check(measurements))
    return scored.reward, scored.components


def comparison_rows(log: Iterable[CycleRow], *, final: bool) -> tuple[Row, ...]:
    """Return the table over the duels, or over the final block of them."""
    duels: dict[int, dict[str, CycleRow]] = {}
    for row in log:
        if row.pair >= 0 and (row.final or not final):
            duels.setdefault(row.pair, {})[row.arm] = row
    pairs = [(each["learned"], each["baseline"]) for each in duels.values() if len(each) == 2]
    faulty = [pair for pair in pairs if pair[0].measurements["faults_active"] > 0]
    both = [(a, b) for a, b in faulty if a.measurements["faults_found"] > 0 and b.measurements["faults_found"] > 0]
    return (
        compare("reward", "", [(a.reward, b.reward) for a, b in pairs], higher_is_better=True),
        _row("time to first failure", "s", both, "answer_s", higher=False),
        compare("faults found", "share", [(_found(a), _found(b)) for a, b in faulty], higher_is_better=True),
        compare("missed (nothing found)", "share", [(_missed(a), _missed(b)) for a, b in faulty], higher_is_better=False),
        _row("false alarms", "tests", pairs, "false_alarms", higher=False),
        _row("wall time", "s", pairs, "wall_s", higher=False),
        _row("CPU time", "s", pairs, "cpu_s", higher=False),
    )


def _row(name: str, unit: str, pairs: Sequence[tuple[CycleRow, CycleRow]], key: str, *, higher: bool) -> Row:
    return compare(name, unit, [(a.measurements[key], b.measurements[key]) for a, b in pairs], higher_is_better=higher)


def _found(row: CycleRow) -> float:
    return row.measurements["faults_found"] / row.measurements["faults_active"]


def _missed(row: CycleRow) -> float:
    return float(row.measurements["faults_found"] == 0)
