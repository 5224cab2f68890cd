"""Do eighteen agents learn faster together than alone, and does it cost anything where they have nothing in common?

    python benchmarks/fleet.py [--seeds 20] [--decisions 300] [--processes 2]

Each agent decides in a world of its own, with its own fields, bins, choices, reward range and noise. In *related* worlds
what a choice is worth is one part common to the fleet, one to its category, one to its pair of twins and one of its own; in
*unrelated* worlds all of it is its own, while the agents still call their states and choices by the same names. The
contenders meet the same worlds and noise, on the product's own loops and a log in memory: each agent alone; alone, with
values that begin at the top of their range; hierarchy (category and fleet); hierarchy and transfer. A learning curve is the
expected reward of what was decided, on a scale where 0 is choosing at random and 1 the best choice in each state; printed
is the area under it, for the whole fleet and for newcomers among agents that have learned, and the 95 % interval of the
paired difference to agents alone. Agents exchange every 300 s of simulated time, one decision taking 12 s. `--sequential`
lets choices change the next state (γ 0.9, episodes of five steps). Exits with 1 where an interval lies below zero.
"""

import argparse
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.app import Steersman
from steersman.backends.memory import MemoryLog
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.kinship import Kinship
from steersman.core.reward import Reward
from steersman.core.settings import SettingsFile
from steersman.core.state import Number, StateSchema, StateValues
from steersman.loops.agent import Agent
from steersman.maths.statistics import mean_interval

Floats = NDArray[np.float64]
CONTENDERS = ("alone", "alone, optimistic", "hierarchy", "hierarchy and transfer")
CATEGORIES = ("core",) * 6 + ("security",) * 2 + ("advanced",) * 4 + ("special",) * 3 + ("strategic",) * 2 + ("command",)
GROUPS = {
    0: "generation",
    9: "generation",
    1: "execution",
    8: "execution",
    2: "coverage",
    3: "coverage",
    7: "safety",
    14: "safety",
}
NEWCOMERS = (0, 1, 2, 7)
ROLES = ("narrow", "broad", "deep", "quick", "random", "none")
RANGES = ((0.0, 1.0), (-50.0, 100.0), (-1.0, 1.0), (0.0, 10.0))
LEVELS = 3
Curve = Callable[[str, int, bool, argparse.Namespace], Floats]
STEP_S = 12.0
STEPS = 5
FLEET, CATEGORY, GROUP, OWN = 0.10, 0.08, 0.06, 0.04
NOISE = 0.15


@dataclass(frozen=True, kw_only=True)
class World:
    """One agent's world: what each of its choices is worth in each of the nine shared states, on a scale of [0, 1].

    value: shape (9, choices). calm: shape (choices,), the chance that a choice lowers the urgency of the next state.
    """

    name: str
    category: str
    group: str
    roles: tuple[str, ...]
    edges: tuple[tuple[float, ...], tuple[float, ...]]
    sizes: tuple[float, float]
    range: tuple[float, float]
    value: Floats
    calm: Floats

    def spec(self, settings: dict[str, dict[str, Any]], rule: int) -> AgentSpec:
        """Return the agent that acts in it; its baseline is one of its choices, whatever the state."""
        names = (f"load_{self.name}", f"haste_{self.name}")
        choices = tuple(f"{role}-{self.name}" for role in self.roles)
        return AgentSpec(
            name=f"fleet/{self.name}",
            description="Acts in a world of its own, for a benchmark.",
            state=StateSchema(
                name=self.name,
                fields=tuple(
                    Number(name=name, low=0, high=size, edges=edges)
                    for name, size, edges in zip(names, self.sizes, self.edges, strict=True)
                ),
            ),
            actions=ActionSpace.flat(*choices),
            reward=Reward.plain(*self.range),
            baseline=lambda state: choices[rule],
            safe_action=choices[0],
            settings=settings,
            kinship=Kinship(
                category=self.category,
                group=self.group,
                project=partial(_project, names, self.sizes),
                roles={f"action={choice}": role for choice, role in zip(choices, self.roles, strict=True)},
            ),
        )

    def state(self, at: tuple[float, float]) -> dict[str, float]:
        """Return the agent's view of a point of [0, 1]²."""
        return {f"load_{self.name}": at[0] * self.sizes[0], f"haste_{self.name}": at[1] * self.sizes[1]}


def _project(names: tuple[str, str], sizes: tuple[float, float], state: StateValues) -> dict[str, float]:
    complexity, urgency = (float(state[name]) / size for name, size in zip(names, sizes, strict=True))
    return {"complexity": complexity, "urgency": urgency}


def worlds(rng: np.random.Generator, related: bool) -> list[World]:
    """Return eighteen worlds that share the parts of what choices are worth, or none of them."""
    shape = (LEVELS**2, len(ROLES))
    size = float(np.sqrt(FLEET**2 + CATEGORY**2 + GROUP**2 + OWN**2))
    fleet, calm = rng.normal(0.0, FLEET, shape), rng.uniform(0.1, 0.9, len(ROLES))
    of_category = {name: rng.normal(0.0, CATEGORY, shape) for name in sorted(set(CATEGORIES))}
    of_group = {name: rng.normal(0.0, GROUP, shape) for name in sorted(set(GROUPS.values()))}
    found = []
    for index, category in enumerate(CATEGORIES):
        own = rng.normal(0.0, OWN if related else size, shape)
        near = of_group.get(GROUPS.get(index, ""), rng.normal(0.0, GROUP, shape))
        effect = fleet + of_category[category] + near + own if related else own
        kept = rng.permutation(len(ROLES))[: rng.integers(4, len(ROLES) + 1)]
        level = rng.uniform(0.3, 0.7) + rng.normal(0.0, 0.05, (shape[0], 1))
        chance = calm if related else rng.uniform(0.1, 0.9, len(ROLES))
        found.append(
            World(
                name=f"a{index + 1}",
                category=category,
                group=GROUPS.get(index, ""),
                roles=tuple(ROLES[each] for each in kept),
                edges=(_edges(rng, 100.0), _edges(rng, 8.0)),
                sizes=(100.0, 8.0),
                range=RANGES[rng.integers(len(RANGES))],
                value=np.clip(level + effect, 0.0, 1.0)[:, kept],
                calm=chance[kept],
            )
        )
    return found


def _edges(rng: np.random.Generator, size: float) -> tuple[float, ...]:
    """Return edges at the thirds, and now and then a finer one: agents of one fleet do not cut alike."""
    extra = rng.choice([1.0 / 6.0, 0.5, 5.0 / 6.0], rng.integers(0, 3), replace=False)
    return tuple(sorted(float(each) * size for each in (1.0 / 3.0, 2.0 / 3.0, *extra)))


def settings(contender: str, sequential: bool, high: float) -> dict[str, dict[str, Any]]:
    """Return the settings of a contender: plain means in a bandit, a constant step where values are bootstrapped."""
    mean = {"gamma": 0.0, "alpha": 1.0, "alpha_schedule": "visits", "alpha_scale": 1.0}
    chain = {"gamma": 0.9, "alpha": 0.2, "alpha_schedule": "visits", "alpha_scale": 20.0}
    hopeful = {"initial_value": high} if "optimistic" in contender else {}
    return {
        "learning": {**(chain if sequential else mean), **hopeful},
        "episodes": {"max_steps": STEPS if sequential else 1},
        "hierarchy": {"enabled": "hierarchy" in contender},
        "transfer": {"enabled": "transfer" in contender},
    }


def curve(contender: str, seed: int, related: bool, options: argparse.Namespace) -> Floats:
    """Return one fleet's learning curve, shape (decisions,): the mean over its agents of their scaled expected reward."""
    return _lives(contender, seed, related, options, range(len(CATEGORIES)), options.decisions)


def newcomers(contender: str, seed: int, related: bool, options: argparse.Namespace) -> Floats:
    """Return the learning curve of one of each pair of twins, where they begin when the others have decided for long."""
    return _lives(contender, seed, related, options, NEWCOMERS, options.decisions // 3)


def _lives(
    contender: str, seed: int, related: bool, options: argparse.Namespace, judged: Sequence[int], decisions: int
) -> Floats:
    family = worlds(np.random.default_rng([seed, related]), related)
    clock = [0.0]
    with Steersman(MemoryLog(), settings=SettingsFile(), seed=seed, clock=lambda: clock[0]) as steersman:
        lives = []
        for index, world in enumerate(family):
            chosen = settings(contender, options.sequential, world.range[1])
            agent = steersman.agent(world.spec(chosen, (seed + index) % len(world.roles)))
            lives.append(Life(agent, world, np.random.default_rng([seed, index]), options.sequential))
        waiting = () if len(judged) == len(lives) else judged
        for _ in range(options.decisions if waiting else 0):
            _round(clock, [life for index, life in enumerate(lives) if index not in waiting])
        return np.array([_round(clock, [lives[index] for index in judged]) for _ in range(decisions)])


def _round(clock: list[float], lives: list["Life"]) -> float:
    """Let each decide once, and exchange where it is time (switched off, an exchange changes nothing)."""
    clock[0] += STEP_S
    score = float(np.mean([life.step() for life in lives]))
    for life in lives:
        life.agent.share(if_due=True)
    return score


class Life:
    """One agent in its world. The draws for states and noise are the same for every contender."""

    def __init__(self, agent: Agent, world: World, rng: np.random.Generator, sequential: bool) -> None:
        self.agent, self._world, self._rng, self._sequential = agent, world, rng, sequential
        self._at = (0.0, 0.0)
        self._step, self._episode = 0, 0

    def step(self) -> float:
        """Decide once, earn, report; return the expected reward on the scale from random (0) to best (1)."""
        world, noise = self._world, float(self._rng.normal(0.0, NOISE))
        fresh, luck = (float(self._rng.random()), float(self._rng.random())), float(self._rng.random())
        if self._step == 0:
            self._at, self._episode = fresh, self._episode + 1
        decision = self.agent.decide(
            world.state(self._at), episode=f"{world.name}-{self._episode}" if self._sequential else None
        )
        action = self.agent.spec.actions.index(decision.choice)
        values = world.value[_cell(self._at)]
        low, high = world.range
        reward = low + (high - low) * float(np.clip(values[action] + noise, 0.0, 1.0))
        if self._sequential:
            self._go_on(decision, reward, action, luck)
        else:
            self.agent.report(decision, {"reward": reward})
        return float((values[action] - values.mean()) / (values.max() - values.mean()))

    def _go_on(self, decision: Any, reward: float, action: int, luck: float) -> None:
        """Report a step of an episode: what was chosen raises or lowers the urgency by a third."""
        move = -1.0 if luck < self._world.calm[action] else 1.0
        self._at = (self._at[0], float(np.clip(self._at[1] + move / LEVELS, 0.0, 0.999)))
        self._step = (self._step + 1) % STEPS
        following = self._world.state(self._at)
        self.agent.report(decision, {"reward": reward}, next_state=following, truncated=self._step == 0)


def _cell(at: tuple[float, float]) -> int:
    return min(int(at[0] * LEVELS), LEVELS - 1) * LEVELS + min(int(at[1] * LEVELS), LEVELS - 1)


def _run(case: tuple[Curve, str, int, bool, argparse.Namespace]) -> Floats:
    return case[0](*case[1:])


CASES: tuple[tuple[str, Curve, bool], ...] = (
    ("related worlds", curve, True),
    ("unrelated worlds", curve, False),
    ("newcomers among relatives", newcomers, True),
    ("newcomers among strangers", newcomers, False),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--decisions", type=int, default=300)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--sequential", action="store_true")
    options = parser.parse_args()
    harm = False
    with ProcessPoolExecutor(options.processes) as pool:
        for title, measure, related in CASES:
            cases = [(measure, each, seed, related, options) for each in CONTENDERS for seed in range(options.seeds)]
            curves = np.array(list(pool.map(_run, cases))).reshape(len(CONTENDERS), options.seeds, -1)
            harm |= _show(title, curves)
    raise SystemExit(1 if harm else 0)


def _show(title: str, curves: Floats) -> bool:
    """Print the areas of the contenders, shape (contenders, seeds, decisions), and return whether sharing did harm."""
    marks = sorted({max(1, curves.shape[2] // 6), max(1, curves.shape[2] // 3), curves.shape[2]})
    print(f"{title:<34}" + "".join(f"  first {mark:<4} decisions      " for mark in marks))
    harm = False
    for index, name in enumerate(CONTENDERS):
        line = f"  {name:<32}"
        for mark in marks:
            area = curves[:, :, :mark].mean(axis=2)
            line += f"  {area[index].mean():6.3f}"
            low, high = mean_interval(area[index] - area[0]) if index else (0.0, 0.0)
            line += f" ({low:+.3f} … {high:+.3f})" if index else " " * 19
            harm |= "hierarchy" in name and high < 0.0
        print(line, flush=True)
    return harm


if __name__ == "__main__":
    main()
