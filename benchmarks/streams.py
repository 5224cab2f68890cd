"""P11 with several worker processes on one PostgreSQL store: logged propensities are true, random numbers never shared.

    python benchmarks/streams.py [--seeds 200] [--draws 5000] [--quick]

Workers share an agent whose learning is frozen, and each makes its part of the decisions of every seed, in fifty contexts.
χ² compares how often each arm and action was taken with the propensity in its rows of the log; what is logged must be the
same for all workers. And no two decisions of a seed may have come from the same random numbers, which is what tells streams
apart: a planted bug puts all workers on one, and must be found.
"""

import argparse
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats

from steersman import Steersman
from steersman.backends.sql.postgres import PostgresLog
from steersman.core.agent import AgentSpec
from steersman.core.values import Decision
from steersman.loops.runtime import draw_key
from steersman.maths.randomness import uniforms
from steersman.testing.crew import Post, crew
from steersman.testing.postgres import PostgresServer
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

POLICIES = ("epsilon_greedy", "softmax", "ucb", "thompson")
WAIT_S = 60.0
CONTEXTS = 50
BUG = "one stream"

Cell = tuple[int, str, str]


@dataclass(kw_only=True)
class Drawn:
    """What came of comparing frequencies with propensities. `band`: how many rejections are to be expected."""

    seeds: int
    band: tuple[int, int]
    decisions: int = 0
    safe: int = 0
    rejected: int = 0
    coincidences: int = 0
    ambiguous: int = 0
    streams: Counter[int] = field(default_factory=Counter)

    @property
    def held(self) -> bool:
        """Whether propensities are true, the same for all workers, and random numbers are of nobody else."""
        tested = len(self.streams) > 1 and self.safe <= 0.05 * self.decisions
        return tested and self.band[0] <= self.rejected <= self.band[1] and not self.coincidences and not self.ambiguous


def draw(url: str, seeds: int, draws: int, *, workers: int = 2, bug: str = "") -> Drawn:
    """Let workers share so many decisions for each seed, and hold the log's propensities against what was drawn."""
    for policy in POLICIES:
        _train(url, policy)
    plan = {"bug": bug, "seeds": seeds, "draws": draws // workers}
    with crew(__file__, url, workers, plan) as hands:
        hands.finish(stop=False)
    low, high = (int(stats.binom.ppf(each, seeds, 0.05)) for each in (0.0005, 0.9995))
    found = Drawn(seeds=seeds, band=(low, high))
    for number, policy in enumerate(POLICIES):
        _judge_drawn(url, f"lab/{policy}", range(number, seeds, len(POLICIES)), found)
    return found


def _judge_drawn(url: str, agent: str, seeds: range, found: Drawn) -> None:
    tallies: dict[int, Counter[Cell]] = defaultdict(Counter)
    numbers: dict[int, set[bytes]] = defaultdict(set)
    logged: dict[Cell, float] = {}
    for row in decisions_of(url, agent):
        if not row.subject.startswith("context-"):
            continue  # made in training
        found.decisions += 1
        if row.propensity is None:  # the safe action, because the store was not heard of for long: nothing was drawn
            found.safe += 1
            continue
        cell = (int(row.subject.removeprefix("context-")), row.arm, str(row.executed["action"]))
        found.ambiguous += (
            logged.setdefault(cell, row.arm_probability * row.propensity) != row.arm_probability * row.propensity
        )
        tallies[row.seed][cell] += 1
        drawn = uniforms(draw_key(row.seed, agent, row.stream), row.draw).tobytes()
        found.coincidences += drawn in numbers[row.seed]
        numbers[row.seed].add(drawn)
        found.streams[row.stream] += 1
    found.rejected += sum(rejected(tallies[seed], logged) for seed in seeds)


def rejected(tally: Counter[Cell], logged: dict[Cell, float]) -> bool:
    """Return whether χ² rejects at 5 % that cells of (context, arm, action) came as often as logged."""
    statistic, freedom = 0.0, 0
    for context in range(CONTEXTS):
        cells = [cell for cell in logged if cell[0] == context]
        seen = np.array([tally[cell] for cell in cells], dtype=float)
        due = np.array([logged[cell] for cell in cells]) * seen.sum()
        seen, due = _pooled(seen, due)
        if len(due) > 1:
            statistic += float(((seen - due) ** 2 / due).sum())
            freedom += len(due) - 1
    return bool(stats.chi2.sf(statistic, freedom) < 0.05)


def _pooled(seen: Any, due: Any) -> tuple[Any, Any]:
    """Put rare cells together: χ² holds where at least 5 are due. What is still rare is left out."""
    rare = due < 5
    seen, due = (np.append(each[~rare], each[rare].sum()) for each in (seen, due))
    if due[-1] < 5:
        seen, due = seen[:-1], due[:-1]
    return seen, due * seen.sum() / due.sum()


def _train(url: str, policy: str) -> None:
    rng = np.random.default_rng(0)
    with Steersman.open(url, agents=[_drawing(policy)], settings={}) as steersman:
        agent = steersman.agent(f"lab/{policy}")
        for state in contexts(agent.spec) * 8:
            receipt = agent.report(agent.decide(state), {"reward": float(rng.uniform(-1, 1))})
        receipt.wait(WAIT_S)
        deadline = time.monotonic() + WAIT_S
        while agent._runtime.fold.carry.transitions < CONTEXTS * 8:
            if time.monotonic() > deadline:
                raise SystemExit("what was reported in training is not learned")
            time.sleep(0.02)


def _drawing(policy: str) -> AgentSpec:
    settings: dict[str, dict[str, Any]] = {
        "learning": {"gamma": 0.0, "alpha_schedule": "visits", "alpha": 0.5},
        "exploration": {"policy": policy, "schedule": "constant", "epsilon": 0.3, "temperature": 0.3},
        "serving": {"baseline_share": 0.1},
    }
    return replace(small_agent(settings), name=f"lab/{policy}")


def contexts(spec: AgentSpec) -> list[dict[str, Any]]:
    """Return fifty states, the same for everyone."""
    rng = np.random.default_rng(0)
    return [sample_state(spec.state, rng) for _ in range(CONTEXTS)]


# a worker


def work(url: str, post: Post) -> None:
    """Make this worker's share of the decisions for each seed; its stream is its own for as long as its log is open."""
    if post.plan["bug"] == BUG:
        PostgresLog.stream = property(lambda log: 0)  # type: ignore[assignment, method-assign]
    log = PostgresLog(url)
    post.ready()
    for seed in range(post.plan["seeds"]):
        steersman = Steersman(log, seed=seed, learn=False)
        agent = steersman.agent(_drawing(POLICIES[seed % len(POLICIES)]))
        states = contexts(agent.spec)
        for index in range(post.plan["draws"]):
            agent.decide(states[index % CONTEXTS], subject=f"context-{index % CONTEXTS}")
        log.flush(WAIT_S)
    log.close()


def decisions_of(url: str, agent: str) -> Iterator[Decision]:
    """Yield the decisions of an agent from the log."""
    with Steersman.open(url, settings={}, read_only=True) as steersman:
        yield from (row for row in steersman.log.rows(agent) if isinstance(row, Decision))


def main() -> None:
    """Run the harness, or a worker of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--draws", type=int, default=5_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a short form: 40 seeds, 1,000 decisions each")
    parser.add_argument("--worker", nargs=3, metavar=("URL", "FOLDER", "NUMBER"))
    given = parser.parse_args()
    if given.worker:
        with Post(*given.worker[1:]) as post:
            work(given.worker[0], post)
        return
    if given.quick:
        given.seeds, given.draws = 40, 1_000
    server = PostgresServer(durable=True)
    try:
        bad = draw(server.url("bug"), 4, 400, workers=given.workers, bug=BUG)
        found = draw(server.url(), given.seeds, given.draws, workers=given.workers)
    finally:
        server.close()
    _print("seeded bug (all on one stream): decisions from the same numbers", f"{bad.coincidences:,} of {bad.decisions:,}")
    _print("seeds, decisions, by stream", f"{found.seeds:,}, {found.decisions:,}, {sorted(found.streams.values())}")
    _print("   safe actions, which are not drawn", f"{found.safe:,}")
    _print("   rejected by χ² at 5 %, expected", f"{found.rejected:,}, {found.band[0]} to {found.band[1]}")
    _print("   propensities that differ between workers", f"{found.ambiguous:,}")
    _print("   decisions from the same random numbers", f"{found.coincidences:,}")
    sys.exit(0 if found.held and bad.coincidences else 1)


def _print(what: str, number: str) -> None:
    print(f"{what:<74}{number}", flush=True)


if __name__ == "__main__":
    main()
