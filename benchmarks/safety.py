"""P7, P8, P11 and P15: guards are never bypassed and fail closed in time, propensities are true, memory is bounded.

    python benchmarks/safety.py [--decisions 10000000] [--seeds 1000] [--draws 10000] [--hangs 100] [--processes 2]

P7 makes random decisions in process with NaN and infinite values, corrupt rows, exploration, forced arms, guards that
raise or are late, and a kill switch that flips; an independent predicate says what may be done. A seeded bug (choosing
without the mask) must be caught, or the harness proves nothing. P11 draws from `decide` in 50 contexts for each seed and
compares frequencies with the logged propensities by χ²; 27 to 73 of 1,000 may be rejected at 5 %. A seeded bug (a wrong
logged ε) must be caught. P8 lets a guard hang (holding its interpreter) behind a deadline of 50 ms and times `decide`.
P15 learns about a million states that were never seen before and looks at the memory of the process.
"""

import argparse
import math
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from steersman import Steersman
from steersman.core.guards import Guard, Refusal
from steersman.core.transition import Transition
from steersman.core.values import Arm, Control
from steersman.stages.decide.choose import Situation
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

BLOCK = 100_000


@dataclass(frozen=True, kw_only=True)
class Found:
    """Decisions made and violations seen."""

    decisions: int
    violations: int


class _NoLog:
    """Keeps nothing: ten million decisions would fill the memory."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.switches: list[Control] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, rows: Any, learned: Any = None) -> Any:
        return None

    def controls(self) -> list[Control]:
        return self.switches


def permitted(state: dict[str, Any], action: str, *, killed: bool, broken: bool) -> bool:
    """Say what may be done, written apart from the product: the rules of `_guards` below in other words."""
    if killed or broken:
        return action == "rest"
    if action == "heavy":
        return not (state["load"] >= 80 or state["weekend"])
    if action == "steady":
        return bool(state["backlog"] <= 900)
    return True


def violations(seed: int, count: int, *, unmasked: bool = False) -> Found:
    """Make decisions and count those that the checker does not permit."""
    broken = [False]
    agent = Steersman.open("memory:", settings={}, seed=seed).agent(small_agent(guards=_guards(broken)))
    runtime = agent._runtime
    log = _NoLog(runtime.log)
    runtime.log = log
    if unmasked:
        _remove_mask(runtime)
    rng = np.random.default_rng(seed)
    states = [sample_state(agent.spec.state, rng) for _ in range(2_048)]
    for state in states:
        key = runtime.encoder.key(runtime.encoder.bins(state))
        runtime.fold.table.intern(key, {})
    bad = 0
    arms: tuple[Arm | None, ...] = (None, "champion", "baseline")
    for index in range(count):
        if index % 97 == 0:
            _disturb(runtime, log, broken, rng, index)
        state = states[int(rng.integers(2_048))]
        decision = agent.decide(state, arm=arms[index % 3])
        runtime.open.clear()
        bad += not permitted(state, str(decision.executed["action"]), killed=bool(log.switches), broken=broken[0])
    return Found(decisions=count, violations=bad)


def _guards(broken: list[bool]) -> tuple[Guard, ...]:
    def by_load(state: Any) -> list[Refusal]:
        return [Refusal(where={"action": "heavy"}, reason="load")] if state["load"] >= 80 else []

    def by_calendar(state: Any) -> list[Refusal]:
        if broken[0]:
            raise RuntimeError("the calendar is down")
        return [Refusal(where={"action": "heavy"}, reason="weekend")] if state["weekend"] else []

    def by_backlog(state: Any) -> list[Refusal]:
        return [Refusal(where={"action": "steady"}, reason="backlog")] if state["backlog"] > 900 else []

    slow = 1_000.0  # the machine may stall; lateness has a test of its own
    return (
        Guard(name="load", refuse=by_load, deadline_ms=slow),
        Guard(name="calendar", refuse=by_calendar, deadline_ms=slow),
        Guard(name="backlog", refuse=by_backlog, deadline_ms=slow),
    )


def _disturb(runtime: Any, log: _NoLog, broken: list[bool], rng: np.random.Generator, index: int) -> None:
    table = runtime.fold.table
    what = int(rng.integers(8))
    table.value[:] = rng.normal(size=table.value.shape)
    table.visits[:] = 5
    table._seen.clear()
    if what == 0:
        table.value[int(rng.integers(len(table.value)))] = math.nan
    elif what == 1:
        table.value[:, 3] = rng.choice([math.inf, 1e308])
    elif what == 2:
        table.value[:] = -math.inf
    elif what == 3:
        runtime.fold.carry.schedule.epsilon = float(rng.choice([0.0, 0.5, 1.0]))
    broken[0] = what == 4
    log.switches = []
    if what == 5:
        log.switches = [Control(scope="*", active=True, actor="bench", reason="drill", at=0.0)]
    runtime.polled_at = -math.inf


def _remove_mask(runtime: Any) -> None:
    """The seeded bug: the policy is asked without what the guards said."""
    original = runtime.chooser.choose

    def choose(table: Any, now: Situation) -> Any:
        return original(table, Situation(**{**_fields(now), "allowed": np.ones(4, dtype=bool)}))

    runtime.chooser.choose = choose


def _fields(now: Situation) -> dict[str, Any]:
    return {name: getattr(now, name) for name in now.__struct_fields__}


def propensity_rejected(seed: int, draws: int, *, wrong: bool = False) -> bool:
    """Return whether χ² rejects at 5 % that actions come as often as logged, over 50 contexts."""
    from scipy import stats

    policy = ("epsilon_greedy", "softmax", "ucb", "thompson")[seed % 4]
    settings: dict[str, dict[str, Any]] = {
        "learning": {"gamma": 0.0, "alpha_schedule": "visits", "alpha": 0.5},
        "exploration": {"policy": policy, "schedule": "constant", "epsilon": 0.3, "temperature": 0.3},
        "serving": {"baseline_share": 0.1},
    }
    agent = Steersman.open("memory:", settings={}, seed=seed).agent(small_agent(settings))
    runtime = agent._runtime
    rng = np.random.default_rng(seed)
    states = [sample_state(agent.spec.state, rng) for _ in range(50)]
    for index in range(400):
        agent.report(agent.decide(states[index % 50]), {"reward": float(rng.uniform(-1, 1))})
    runtime.log = _NoLog(runtime.log)
    names = [str(each["action"]) for each in runtime.spec.actions.actions]
    statistic, freedom = 0.0, 0
    for state in states:
        seen, due = np.zeros(8), np.zeros(8)
        for _ in range(draws // 50):
            decision = agent.decide(state)
            runtime.open.clear()
            seen[names.index(str(decision.choice)) + (4 if decision.arm == "baseline" else 0)] += 1
        _expected(runtime, state, due, draws // 50, wrong=wrong)
        big = due >= 5
        cells = [(seen[big], due[big])]
        rest_seen, rest_due = seen[~big].sum(), due[~big].sum()
        if rest_due >= 5:
            cells.append((np.array([rest_seen]), np.array([rest_due])))
        observed, expected = (np.concatenate(each) for each in zip(*cells, strict=True))
        if len(expected) > 1:
            expected = expected * observed.sum() / expected.sum()
            statistic += float(((observed - expected) ** 2 / expected).sum())
            freedom += len(expected) - 1
    return bool(stats.chi2.sf(statistic, freedom) < 0.05)


def _expected(runtime: Any, state: Any, due: Any, draws: int, *, wrong: bool) -> None:
    """Fill in what the logged probabilities promise: 4 actions of the champion, 4 of the baseline."""
    table = runtime.fold.table
    row = table.rows.get(runtime.encoder.key(runtime.encoder.bins(state)))
    now = Situation(
        row=row,
        allowed=runtime.guards.narrow(state).allowed,
        baseline=runtime.spec.actions.index(runtime.spec.baseline(state)),
        epsilon=runtime.fold.epsilon * (0.8 if wrong else 1.0),
        uniforms=np.zeros(4),
    )
    champion, _ = runtime.chooser.probabilities(table, now, table.slot_values(row))
    due[:4] = 0.9 * champion * draws
    due[4 + now.baseline] = 0.1 * draws


def hang(state: Any) -> list[Refusal]:
    """A guard that never answers at a high load."""
    while state["load"] > 50:
        pass
    return []


def late_decisions_ms(count: int) -> list[float]:
    """Return how long `decide` took each time that a guard with a deadline of 50 ms hung, in milliseconds."""
    guard = Guard(name="hanging", refuse=hang, deadline_ms=50.0, blocking=True)
    calm: dict[str, Any] = {"load": 1.0, "backlog": 1.0, "weekend": False}
    found = []
    with Steersman.open("memory:", settings={}) as steersman:
        agent = steersman.agent(small_agent(guards=(guard,)))
        for _ in range(count):
            while agent.decide(calm).arm == "safe":  # its process is being started again
                time.sleep(0.02)
            began = time.perf_counter()
            decision = agent.decide({**calm, "load": 90.0})
            found.append((time.perf_counter() - began) * 1000)
            if decision.executed != {"action": "rest"}:
                raise SystemExit("P8: a guard that hung did not end in the safe action")
    return found


def unseen_states(count: int) -> tuple[float, bool]:
    """Return the growth in MB over that many states beyond the cap, and whether known ones answer as before."""
    agent = Steersman.open("memory:", settings={}).agent(small_agent())
    fold = agent._runtime.fold
    _learn_about(fold, range(2_000))
    before = {key: fold.table.value[row].tolist() for key, row in fold.table.rows.items()}
    fold.changes()
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for first in range(2_000, 2_000 + count, 10_000):
        _learn_about(fold, range(first, first + 10_000))
        fold.changes()
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024
    return growth, before == {key: fold.table.value[row].tolist() for key, row in fold.table.rows.items()}


def _learn_about(fold: Any, states: range) -> None:
    for state in states:
        fold.apply(
            Transition(
                decision_id="",
                episode=str(state),
                step=0,
                key=str(state),
                bins={},
                action=state % 4,
                reward=0.5,
                next_key=None,
                next_allowed=None,
                terminated=True,
                truncated=False,
                epsilon=0.1,
                decided_at=0.0,
                at=0.0,
            )
        )


def _violations(arguments: tuple[int, int]) -> Found:
    return violations(*arguments)


def _rejected(arguments: tuple[int, int]) -> bool:
    return propensity_rejected(*arguments)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--decisions", type=int, default=10_000_000)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--hangs", type=int, default=100)
    parser.add_argument("--unseen", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    caught = violations(0, 20_000, unmasked=True)
    print(f"P7 seeded bug (choice without the mask): {caught.violations} of {caught.decisions} caught")
    wrong = sum(propensity_rejected(seed, options.draws, wrong=True) for seed in range(0, 80, 4))
    print(f"P11 seeded bug (logged ε 20 % too low): {wrong} of 20 runs rejected")
    late = np.array(late_decisions_ms(options.hangs))
    print(f"P8: {options.hangs} hangs, deadline 50 ms: p50 {np.median(late):.1f} ms, p99 {np.percentile(late, 99):.1f} ms")
    growth, same = unseen_states(options.unseen)
    print(f"P15: {options.unseen:,} unseen states: {growth:.1f} MB more, known states answer as before: {same}")
    with ProcessPoolExecutor(options.processes) as pool:
        blocks = [(seed, min(BLOCK, options.decisions - seed * BLOCK)) for seed in range(-(-options.decisions // BLOCK))]
        done = list(pool.map(_violations, blocks))
        total, bad = sum(each.decisions for each in done), sum(each.violations for each in done)
        print(f"P7: {bad} violations in {total:,} decisions (rate ≤ {3 / total:.1e} at 95 % if 0)")
        rejected = sum(pool.map(_rejected, [(seed, options.draws) for seed in range(options.seeds)]))
        print(f"P11: {rejected} of {options.seeds} rejected at 5 %, {options.draws} draws each")
    if bad or not same or not caught.violations or wrong < 15:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
