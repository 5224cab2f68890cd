"""Does what trains all the time recover when the world changes? One agent in a world that turns.

    python benchmarks/deep_drift.py [--seeds 5] [--first-seed 100] [--quick] [--keep FOLDER]

The agent of `steersman.testing.hills` begins with a rule that explores. Its pipeline trains each 1,000 outcomes, the gate
judges, and live trials release: all by the duties of an open store, called as its clock goes, a decision a second.
After 5,000 decisions each action has the place that another one had, so that the network in production earns less than the
rule. Beside it, with the same seed, lives an agent whose pipeline is switched off at that moment: its network is frozen.

Printed is what a decision earns in the mean (its true chance, so that no luck is in it), as a part of what the best policy
of the world of that moment earns that explores as much: the rule at first, before the change, right after it, at the end;
decisions until 1,000 in a row earn 90 % again; and networks that were trained, released and rolled back. Means over seeds
with 95 % intervals (t). Exit code 1 unless with every seed the pipeline comes back to 90 % and the frozen network does not.

--keep writes the first seed's store to FOLDER: `steersman up` in FOLDER shows its timeline on the page Training.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student

from steersman.app import Steersman
from steersman.loops.agent import Agent
from steersman.testing.hills import NAME, Hills, hills_agent
from steersman.testing.traffic import Clock, Traffic, numbered

BEFORE, AFTER = 5_000, 15_000
LOOK_EVERY, WINDOW, ENOUGH = 100, 1_000, 0.9
EPSILON, RULE_SHARE = 0.2, 0.05
Settings = dict[str, dict[str, Any]]
NAMES = ("the rule, at first", "before the change", "right after it", "at the end")
SETTINGS: Settings = {
    "learning": {"gamma": 0.0},
    "exploration": {"schedule": "constant", "epsilon": EPSILON},
    "serving": {"baseline_share": RULE_SHARE},
    "release": {
        "mode": "staged",
        "stages": "shadow 100s, 20% 300s, 50% 600s",
        "cohort_wait_s": 2.0,
        "min_units": 50,
        "cut_outcomes": 1_000_000_000,  # networks alone are released here, no tables
    },
    "training": {
        "enabled": True,
        "min_hours": 0.0,
        "hidden": "32, 32",
        "stream": 0,
        "batch": 64,
        "updates": 1_000,
        "learning_rate": 3e-3,
        "later_rate": 3e-3,
        "ewc": 100.0,
    },
}

AGENTS = f"from steersman.testing.hills import hills_agent\n\nagent = hills_agent({SETTINGS!r})\n"


@dataclass(frozen=True, kw_only=True)
class Lived:
    """What one agent came to. parts: as NAMES say. recovered: decisions after the change, None for never."""

    parts: tuple[float, ...]
    recovered: int | None
    trained: int
    released: int
    rolled_back: int


def possible(world: Hills, epsilon: float) -> float:
    """Return what the best policy earns per decision that explores as much and leaves the rule its share."""
    explored = (1.0 - epsilon) * world.best + epsilon * float(world.chances.mean())
    return (1.0 - RULE_SHARE) * explored + RULE_SHARE * world.rule


def live(
    url: str,
    seed: int,
    *,
    frozen: bool = False,
    before: int = BEFORE,
    after: int = AFTER,
    epsilon: float = EPSILON,
    begins: float = 1_800_000_000.0,
) -> Lived:
    """Let an agent live through the change, from a time (unix seconds); frozen: its pipeline stops there."""
    settings: Settings = {"exploration": {"epsilon": epsilon}}
    world, clock = Hills(seed), Clock(now=begins)
    with Steersman.open(url, agents=[hills_agent(SETTINGS)], settings=settings, clock=clock, ids=numbered()) as steersman:
        steersman._duties._closing.set()  # its duties are called here, by the clock of the world
        agent = steersman.agent(NAME)
        traffic = Traffic(agent=agent, clock=clock, reward=world.pays, state=world.state, seed=seed)
        first = _spend(agent, traffic, world, before)
        world.turn(2)
        later = _spend(agent, traffic, world, after, trains=not frozen)
        moves = [each.move for each in agent.release.moves(1_000)]
        trained = sum(each.kind == "training" for each in agent.release.judgements(1_000))
    means = np.convolve(later, np.full(WINDOW, 1.0 / WINDOW), mode="valid")
    back = np.flatnonzero(means >= ENOUGH)
    parts = (first[:WINDOW], first[-WINDOW:], later[:WINDOW], later[-2 * WINDOW :])
    return Lived(
        parts=tuple(float(np.mean(each)) for each in parts),
        recovered=int(back[0]) + WINDOW if len(back) else None,
        trained=trained,
        released=moves.count("promoted"),
        rolled_back=moves.count("rolled back"),
    )


def _spend(agent: Agent, traffic: Traffic, world: Hills, decisions: int, *, trains: bool = True) -> list[float]:
    """Return what each decision earns, as a part of what is possible."""
    best, found = possible(world, agent.settings.exploration.epsilon), []
    for _ in range(0, decisions, LOOK_EVERY):
        found += [world.chance(each) / best for each in traffic.run(LOOK_EVERY)]
        agent.pipeline._look_at = 0.0  # the world's clock runs faster than this machine's
        if trains:
            agent._runtime.log.flush()  # so that a store in a file learns from the same rows as one in memory
            agent.pipeline.run_if_due()
    return found


def interval(values: Sequence[float]) -> str:
    """Return mean and 95 % interval (Student's t) in words, in per cent."""
    mean = 100.0 * float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.1f} %"
    reach = 100.0 * float(student.ppf(0.975, len(values) - 1) * np.std(values, ddof=1)) / len(values) ** 0.5
    return f"{mean:.1f} % [{mean - reach:.1f}, {mean + reach:.1f}]"


def show(name: str, found: Sequence[Lived]) -> None:
    """Print what agents came to."""
    print(f"\n{name}, {len(found)} seeds")
    for place, part in enumerate(NAMES):
        print(f"   {part:<28}{interval([each.parts[place] for each in found])}")
    back = [each.recovered for each in found]
    print(f"   {'decisions until 90 % again':<28}{', '.join('never' if each is None else f'{each:,}' for each in back)}")
    for what in ("trained", "released", "rolled_back"):
        print(f"   {what.replace('_', ' '):<28}{', '.join(str(getattr(each, what)) for each in found)}", flush=True)


def main() -> None:
    """Print the figures, and exit with 1 where what must hold does not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="a short form: one seed")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the first seed's store here")
    given = parser.parse_args()
    seeds, began = range(given.first_seed, given.first_seed + (1 if given.quick else given.seeds)), time.perf_counter()
    if given.keep is not None:
        (given.keep / ".steersman").mkdir(parents=True)
        (given.keep / "agents.py").write_text(AGENTS)
        (given.keep / "steersman.toml").write_text('agent_files = ["agents.py"]\n')
        kept = str(given.keep / ".steersman" / "log.db")
    alive, frozen = [], []
    for seed in seeds:
        if seed == given.first_seed and given.keep is not None:
            alive.append(live(kept, seed, begins=time.time() - BEFORE - AFTER))  # a store that is looked at ends now
        else:
            alive.append(live("memory:", seed))
        frozen.append(live("memory:", seed, frozen=True))
        print(f"seed {seed}: {alive[-1]}, frozen {frozen[-1]}", file=sys.stderr, flush=True)
    show("The pipeline trains on", alive)
    show("The network is frozen", frozen)
    print(f"\n{time.perf_counter() - began:.0f} s in all")
    held = all(each.parts[-1] >= ENOUGH for each in alive) and all(each.parts[-1] < ENOUGH for each in frozen)
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
