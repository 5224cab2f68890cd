"""P11: logged propensities are true, also in a trial: 1,000 seeds × 10,000 decisions in fifty contexts.

    python benchmarks/propensities.py [--seeds 1000] [--draws 10000] [--processes 2] [--quick]

Each seed is a trial of its own: a champion and a challenger that explore in other ways, a share for the challenger, and a
part for the baseline rule. χ² compares how often each context met each arm and each action with what its rows say. At 5 %
between 27 and 73 of 1,000 seeds may be rejected. A planted bug, shares that are logged and not kept to, must be found.
"""

import argparse
import sys
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy import stats

from steersman import Steersman
from steersman.core.agent import AgentSpec
from steersman.core.values import Decision
from steersman.core.versions import BASELINE
from steersman.loops import serving
from steersman.stages.release.assignment import to_challenger
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

POLICIES = ("epsilon_greedy", "softmax", "ucb", "thompson")
CONTEXTS = 50
SHARE = 0.3
BUG_SHARE = 0.4
Cell = tuple[int, str, str]


def drawing(policy: str) -> AgentSpec:
    """Return the agent, exploring by a policy."""
    settings: dict[str, dict[str, Any]] = {
        "learning": {"gamma": 0.0, "alpha_schedule": "visits", "alpha": 0.5},
        "exploration": {"policy": policy, "schedule": "constant", "epsilon": 0.3, "temperature": 0.3},
        "serving": {"baseline_share": 0.1},
    }
    return replace(small_agent(settings), name=f"lab/{policy}")


def rejected(seed: int, *, draws: int, bug: bool = False) -> bool:
    """Return whether χ² rejects at 5 % that the decisions of a seed came as often as their rows say."""
    if bug:
        vars(serving)["to_challenger"] = partial(_wrong, to_challenger)
    policy = POLICIES[seed % len(POLICIES)]
    rng = np.random.default_rng(0)
    with Steersman.open("memory:", agents=[drawing(policy)], settings={}, seed=seed, learn=False) as steersman:
        agent = steersman.agent(f"lab/{policy}")
        states = [sample_state(agent.spec.state, rng) for _ in range(CONTEXTS)]
        for state in states * 8:
            agent.report(agent.decide(state), {"reward": float(rng.uniform(-1, 1))})
        agent.release.experiment(
            BASELINE if seed % 3 == 0 else "learning", _other(agent, states, rng), actor="bench", share=SHARE
        )
        tally: Counter[Cell] = Counter()
        logged: dict[int, dict[Cell, float]] = defaultdict(dict)
        for index in range(draws):
            context = index % CONTEXTS
            made = agent.decide(states[context], subject=f"{seed}-{index}")
            cell = _cell(context, made)
            tally[cell] += 1
            logged[context][cell] = made.arm_probability * (made.propensity or 0.0)
    return _improbable(tally, logged)


def _other(agent: Any, states: list[Any], rng: np.random.Generator) -> str:
    """Return a version that learned something else."""
    for state in states * 8:
        agent.report(agent.decide(state), {"reward": float(rng.uniform(-1, 1))})
    version: str = agent.release.cut(actor="bench").id
    for state in states * 4:
        agent.report(agent.decide(state), {"reward": float(rng.uniform(-1, 1))})
    return version


def _wrong(right: Any, release: str, subject: str, share: float) -> bool:
    return bool(right(release, subject, BUG_SHARE))


def _cell(context: int, made: Decision) -> Cell:
    return context, made.arm, str(made.executed["action"])


def _improbable(tally: Counter[Cell], logged: dict[int, dict[Cell, float]]) -> bool:
    """Return whether χ² over all contexts rejects; cells of which fewer than five are due stand together."""
    statistic, freedom = 0.0, 0
    for chances in logged.values():
        seen = np.array([tally[cell] for cell in chances], dtype=float)
        shares = np.array(list(chances.values()))
        seen, shares = np.append(seen, 0.0), np.append(shares, max(1.0 - shares.sum(), 0.0))  # what never came
        due = shares * seen.sum()
        rare = due < 5
        seen, due = np.append(seen[~rare], seen[rare].sum()), np.append(due[~rare], due[rare].sum())
        if due[-1] < 5:
            seen[-2], due[-2] = seen[-2] + seen[-1], due[-2] + due[-1]
            seen, due = seen[:-1], due[:-1]
        statistic += float(((seen - due) ** 2 / due).sum())
        freedom += len(due) - 1
    return bool(stats.chi2.sf(statistic, freedom) < 0.05)


def main() -> None:
    """Run all seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a short form: 24 seeds, 2,000 decisions each")
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.draws = 24, 2_000
    low, high = (int(stats.binom.ppf(each, given.seeds, 0.05)) for each in (0.0005, 0.9995))
    with ProcessPoolExecutor(given.processes) as pool:
        wrong = sum(pool.map(partial(rejected, draws=given.draws, bug=True), range(8)))
    with ProcessPoolExecutor(given.processes) as pool:
        found = sum(pool.map(partial(rejected, draws=given.draws), range(given.seeds), chunksize=4))
    _print("seeded bug (another share than is logged): rejected of 8 seeds", f"{wrong}")
    _print("seeds × decisions", f"{given.seeds:,} × {given.draws:,}")
    _print("   rejected by χ² at 5 %, expected", f"{found:,}, {low} to {high}")
    sys.exit(0 if low <= found <= high and wrong >= 6 else 1)


def _print(what: str, number: str) -> None:
    print(f"{what:<74}{number}", flush=True)


if __name__ == "__main__":
    main()
