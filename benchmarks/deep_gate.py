"""Does a worse network ever come to decide for everybody? Eight challengers in each of 100 runs, their true values known.

    python benchmarks/deep_gate.py [--runs 100] [--quick]

The world is `steersman.testing.hills`, where what a policy earns is a sum over 256 states and not an estimate. In each run a
rule that explores makes a log of 2,400 outcomes; in every second run a first network, trained on the oldest 200 of them, is
in production. Then challengers come in a random order: networks trained by the product's own code on this log, and on this
log with a fault in it (FAULTS); the network in production with next to no change; the good one with noise on its weights.
Each is released by `agent.release.start`: the gate judges it on outcomes that it did not learn from, and where that lets it
pass, it is tried on live traffic, shadow, 20 %, 50 %, until it decides for everybody, is rolled back, or 3,000 decisions are
over. Margins are those that every agent has: 5 % of the reward's range.

A network is worse if it truly earns less than what is in production, or than the rule, by more than the margin; better if
it earns more than both by more than the margin. Exit code 1 if a worse one ever decides for everybody, if fewer than half of
the better ones do, or if the same simulation without gate and margins (planted) lets no worse one through: then it proves
nothing. In a third form the gate alone is left out, which tells what the trial catches by itself.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from msgspec import structs

from steersman.app import Steersman
from steersman.core.errors import NotPermitted
from steersman.core.progress import Silent
from steersman.core.values import Decision, Outcome
from steersman.loops import promote
from steersman.loops.agent import Agent
from steersman.loops.cut import blank, keep
from steersman.loops.evidence import holdout
from steersman.loops.exchange import import_rows
from steersman.loops.train import train
from steersman.policies import content
from steersman.policies.deep.artefact import FrozenNetwork
from steersman.testing.hills import ACTIONS, NAME, Hills, hills_agent
from steersman.testing.traffic import Clock, Traffic, numbered

ME = "bench"
LOGGED, FIRST, LIVE = 2_400, 200, 3_000
MARGIN = 0.05
Settings = dict[str, dict[str, Any]]
Rows = list[Decision | Outcome]
SETTINGS: Settings = {
    "learning": {"gamma": 0.0},
    "exploration": {"schedule": "constant", "epsilon": 0.3},
    "evaluation": {"rows": 2_000},
    "release": {"stages": "shadow 50s, 20% 200s, 50% 400s", "cohort_wait_s": 2.0, "min_units": 50},
    "training": {
        "hidden": "32, 32",
        "stream": 0,
        "batch": 64,
        "updates": 1_000,
        "learning_rate": 3e-3,
        "tracker": "none",
        "check_s": 1e9,
    },
}
OPEN: Settings = {
    "evaluation": {"margin": 1.0, "regression": 0.0, "forecast_accuracy": 0.0},
    "release": {"margin": 0.99, "success_margin": 0.99, "breaker": 0.99},
}
"""Settings with which the gate and the trial stop nothing."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """What became of one challenger. better, than the rule: by how much more it truly earns than each of them.

    end: "shipped", "rolled back" or "open" (the decisions were over) of those that were tried; "refused" or "held" of those
    that the gate did not let pass, because it can tell or because it cannot.
    """

    fault: str
    incumbent: str
    better: float
    than_rule: float
    end: str

    @property
    def truth(self) -> str:
        """What it is, by true values."""
        least = min(self.better, self.than_rule)
        return "worse" if least < -MARGIN else "better" if least > MARGIN else "within the margin"


# logs with a fault in them


def shuffled(rows: Rows, rng: np.random.Generator) -> Rows:
    """Each decision gets the reward of another one, as where outcomes are joined wrongly."""
    outcomes = [each for each in rows if isinstance(each, Outcome)]
    rewards = iter(rng.permutation([each.reward or 0.0 for each in outcomes]).tolist())
    return [_paid(each, next(rewards)) if isinstance(each, Outcome) else each for each in rows]


def reversed_(rows: Rows, _: np.random.Generator) -> Rows:
    """Success is reported as failure, and failure as success."""
    return [_paid(each, 1.0 - (each.reward or 0.0)) if isinstance(each, Outcome) else each for each in rows]


def renamed(rows: Rows, _: np.random.Generator) -> Rows:
    """Actions are logged by the name of the next one, as where an enumeration was changed."""
    after = dict(zip(ACTIONS, (*ACTIONS[1:], ACTIONS[0]), strict=True))

    def taken(each: Decision) -> Decision:
        action = {"action": after[str(each.choice)]}
        return structs.replace(each, executed=action, proposed=action)

    return [taken(each) if isinstance(each, Decision) else each for each in rows]


def few(rows: Rows, _: np.random.Generator) -> Rows:
    """There are but 150 outcomes."""
    return rows[:300]


def elsewhere(rows: Rows, rng: np.random.Generator) -> Rows:
    """Outcomes are those of a world in which each action has the place of another one."""
    other = Hills(int(rng.integers(2**31)))
    other.turn(2)
    made = {each.id: each for each in rows if isinstance(each, Decision)}
    return [_paid(each, other.pays(made[each.decision_id], rng)) if isinstance(each, Outcome) else each for each in rows]


def _paid(outcome: Outcome, reward: float) -> Outcome:
    return structs.replace(outcome, reward=reward, measurements={"reward": reward}, components={"reward": reward})


Fault = Callable[[Rows, np.random.Generator], Rows]
FAULTS: Mapping[str, Fault] = {
    "none": lambda rows, _: rows,
    "rewards shuffled": shuffled,
    "rewards reversed": reversed_,
    "actions renamed": renamed,
    "150 outcomes, overfitted": few,
    "another world's log": elsewhere,
}
OVERFITTED: Settings = {
    "training": {"patience": 1_000, "holdout": 0.01, "updates": 1_500},
    "evaluation": {"min_outcomes": 50, "holdout": 0.01},
}


# one run


@contextmanager
def opened(settings: Settings, clock: Clock) -> Iterator[tuple[Steersman, Agent]]:
    """Open a store in memory with the agent, which does nothing by itself here."""
    spec = hills_agent(SETTINGS)
    with Steersman.open("memory:", agents=[spec], settings=settings, clock=clock, ids=numbered()) as steersman:
        steersman._duties._closing.set()  # moves are made by the traffic alone, so that runs repeat
        yield steersman, steersman.agent(NAME)


def network(rows: Rows, settings: Settings) -> FrozenNetwork:
    """Return the network that training makes of a log."""
    with opened(settings, Clock()) as (steersman, agent):
        import_rows(steersman.log, rows, lambda _: None)
        version = train(agent._runtime, actor=ME, progress=Silent()).version
        frozen = _content(agent, version.id)
    if frozen is None:
        raise SystemExit("training made no network")
    return frozen


def noised(frozen: FrozenNetwork, size: float, rng: np.random.Generator) -> FrozenNetwork:
    """Return a network with noise on its weights, `size` times the spread of each array."""
    weights = {
        name: (each + rng.normal(0.0, size * float(each.std() + 1e-6), each.shape)).astype(np.float32)
        for name, each in frozen.weights.items()
    }
    return replace(frozen, weights=weights)


def run(seed: int, settings: Settings, *, gated: bool = True) -> list[Found]:
    """Return what becomes of each challenger in one run. gated: whether the gate is asked before one is tried."""
    world, clock, rng = Hills(seed), Clock(), np.random.default_rng([seed, 11])
    with opened(settings, clock) as (steersman, agent):
        promote.begin(agent._runtime, blank(agent._runtime, actor=ME), actor=ME, reason="the rule, exploring")
        traffic = Traffic(agent=agent, clock=clock, reward=world.pays, state=world.state, seed=seed)
        traffic.run(LOGGED)
        rows = list(steersman.log.rows(NAME))
        incumbent = "rule" if seed % 2 == 0 else "network"
        if incumbent == "network":
            agent.release.rollback(_kept(agent, network(rows[: 2 * FIRST], {})), actor=ME)
        made = challengers(agent, rows, rng)
        return [
            _tried(agent, traffic, world, (fault, incumbent, made[fault]), gated=gated)
            for fault in rng.permutation(list(made)).tolist()
        ]


def challengers(agent: Agent, rows: Rows, rng: np.random.Generator) -> dict[str, str]:
    """Keep the networks that are to be tried as versions of the agent; return their names by what is wrong with each."""
    made = {fault: network(change(rows, rng), OVERFITTED if change is few else {}) for fault, change in FAULTS.items()}
    now = _content(agent, agent.release.now.champion)
    if now is not None:
        made["the incumbent, next to unchanged"] = noised(now, 0.01, rng)
    made["noise on good weights"] = noised(made["none"], 1.0, rng)
    return {fault: _kept(agent, each) for fault, each in made.items()}


def _tried(agent: Agent, traffic: Traffic, world: Hills, challenger: tuple[str, str, str], *, gated: bool) -> Found:
    """Release a challenger, let it come to what it comes to, and put the incumbent back."""
    fault, incumbent, version = challenger
    before = agent.release.now.champion
    policy = agent._runtime.serving.policy
    mine, other, rule = (world.value(policy(each)) for each in (version, before, "baseline"))
    found = Found(fault=fault, incumbent=incumbent, better=mine - other, than_rule=mine - rule, end="")
    try:
        if gated:
            agent.release.start(version, actor=ME)
        else:
            promote.start(agent._runtime, version, actor=ME, reason="whatever the gate says")
    except NotPermitted:
        passed = agent.release.judgements(1)[0].body["gate"]["passed"]
        return replace(found, end="refused" if passed is False else "held")
    traffic.moves.clear()
    traffic.run(LIVE, until=lambda move: not move.under_way)
    now = agent.release.now
    if now.under_way:
        agent.release.abort(actor=ME)
        return replace(found, end="open")
    if now.champion == version:
        agent.release.rollback(before, actor=ME)
        return replace(found, end="shipped")
    return replace(found, end="rolled back")


def _kept(agent: Agent, frozen: FrozenNetwork) -> str:
    """Keep a network as a version that has learned from all but the newest outcomes, as training does."""
    box = agent._runtime
    if box.world.production is None:
        raise SystemExit("there is no registry")
    position = holdout(box, box.settings.evaluation.holdout)
    said: dict[str, Any] = {"outcomes": LOGGED, "actor": ME, "reason": "trained"}
    return keep(box, box.world.production, frozen, position=position, **said).id


def _content(agent: Agent, version: str) -> FrozenNetwork | None:
    """Return the network that a version holds; None for a table."""
    production = agent._runtime.world.production
    if production is None:
        raise SystemExit("there is no registry")
    found = content.unpack(production.registry.artefact(NAME, version), version)
    return found if isinstance(found, FrozenNetwork) else None


# all runs

ENDS = ("shipped", "rolled back", "open", "refused", "held")


def table(title: str, found: Sequence[Found], by: Callable[[Found], str]) -> None:
    """Print how many came to which end, in rows by something."""
    print(f"\n{title:<38}{'':>7}" + "".join(f"{end:>13}" for end in ENDS) + f"{'mean gain':>12}")
    for name in sorted({by(each) for each in found}):
        mine = [each for each in found if by(each) == name]
        ends = Counter(each.end for each in mine)
        gain = float(np.mean([each.better for each in mine]))
        print(f"{name:<38}{len(mine):>7}" + "".join(f"{ends[end]:>13}" for end in ENDS) + f"{gain:>+12.3f}", flush=True)


def shipped(found: Sequence[Found], truth: str) -> tuple[int, int]:
    """Return how many of the networks that truly are so came to decide for everybody, and how many there are."""
    mine = [each for each in found if each.truth == truth]
    return sum(each.end == "shipped" for each in mine), len(mine)


def main() -> None:
    """Print the tables, and exit with 1 where what must hold does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="a short form: 6 runs")
    given = parser.parse_args()
    runs, began = 6 if given.quick else given.runs, time.perf_counter()
    few_runs = max(runs // 10, 2)
    found = [each for seed in range(runs) for each in run(seed, {})]
    table(f"As it is in production, {runs} runs", found, lambda each: each.truth)
    table("   by what was wrong with it", found, lambda each: each.fault)
    ungated = [each for seed in range(few_runs) for each in run(seed, {}, gated=False)]
    table(f"Tried live without the gate, {few_runs} runs", ungated, lambda each: each.truth)
    planted = [each for seed in range(few_runs) for each in run(seed, OPEN)]
    table(f"Nothing stops it (planted), {few_runs} runs", planted, lambda each: each.truth)
    (bad, worse), (good, better), (through, let) = (
        shipped(found, "worse"),
        shipped(found, "better"),
        shipped(planted, "worse"),
    )
    print(f"\nworse networks that came to decide for everybody: {bad} of {worse}; better ones: {good} of {better}")
    print(f"with nothing to stop them: {through} of {let} worse; {time.perf_counter() - began:.0f} s in all")
    sys.exit(0 if not bad and 2 * good >= better > 0 and through else 1)


if __name__ == "__main__":
    main()
