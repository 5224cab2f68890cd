"""Several agents that learn at once, each with a network of its own; all networks are trained as one program.

What each is told is what `loops.team` tells: its own reward, the team's, or its difference reward (Wolpert & Tumer, 2002).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import jax
import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput, nearest
from steersman.maths.credit import difference_rewards
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import device_replay, fleet
from steersman.stages.learn.deep.collector import Greedy
from steersman.stages.learn.deep.device_replay import Steps
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import RolloutSettings

Mode = Literal["independent", "cooperative", "difference"]
Utility = Callable[[Mapping[str, int]], float]
"""What the team earns by a joint action, by agent, in the state that a world is in. A pure function."""
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
_MODES = ("independent", "cooperative", "difference")


class Moment(NamedTuple):
    """What came of a joint action.

    rewards: each agent's own, (agents, copies). states: what it led to, (agents, copies, features), never the first ones of
    the next episode. terminated, ended: (copies,); ended is true for a time limit, too.
    """

    rewards: Floats
    states: Floats
    terminated: Bools
    ended: Bools


class TeamWorld(Protocol):
    """Copies of a world in which agents of equal spaces act at once."""

    copies: int

    @property
    def agents(self) -> Sequence[str]:
        """The agents' names, in the order of every first axis."""
        ...

    @property
    def default(self) -> Mapping[str, int]:
        """The action of each agent that stands for having done nothing."""
        ...

    def states(self) -> Floats:
        """Return what each agent sees now, (agents, copies, features)."""
        ...

    def utility(self, copy: int) -> Utility:
        """Return what the team would earn now, in one copy."""
        ...

    def step(self, actions: Ints) -> Moment:
        """Act, (agents, copies); where an episode has ended, the next one begins."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainedTeam:
    """What training came to: each agent's weights, the scores by the steps before them, and what the team earned a step.

    scores: (steps, score). earned: (trainings,), means since the training before, exploration included.
    """

    weights: Mapping[str, Mapping[str, Floats]]
    scores: tuple[tuple[int, float], ...]
    earned: tuple[float, ...]
    finite: bool

    def solved_at(self, score: float) -> int | None:
        """Return the steps after which a score was reached first; None for never."""
        return next((steps for steps, each in self.scores if each >= score), None)


Score = Callable[[Sequence[Greedy]], float]
"""What the agents are worth together without exploration, in the order of `TeamWorld.agents`."""


def train_team(
    world: TeamWorld,
    net: Architecture,
    settings: QSettings,
    rollout: RolloutSettings,
    *,
    mode: Mode,
    seed: int,
    budget_steps: int,
    score: Score | None = None,
) -> TrainedTeam:
    """Let agents act at once and learn at once until each has made the budget of steps, and return what they learned.

    Each has a replay of its own with the rewards that its mode tells it. score: called after a training, every `score_every`
    steps. A seed gives the same weights to the bit on one machine. Raises InvalidInput for an unknown mode.
    """
    if mode not in _MODES:
        raise InvalidInput(f"team: mode {mode!r} is none of {', '.join(_MODES)}.{nearest(str(mode), _MODES)}")
    run = _Run(world, net, settings, rollout, mode, np.random.default_rng(seed))
    scores, earned = list[tuple[int, float]](), list[float]()
    while run.steps < budget_steps and run.finite:
        earned.append(run.collect(rollout.epsilon(run.steps, budget_steps)))
        if run.steps >= rollout.warmup:
            run.learn()
        if score is not None and run.steps >= rollout.score_every * (len(scores) + 1):
            scores.append((run.steps, score(run.actors)))
    weights = dict(zip(world.agents, run.weights(), strict=True))
    return TrainedTeam(weights=weights, scores=tuple(scores), earned=tuple(earned), finite=run.finite)


def told(mode: Mode, own: Floats, utilities: Sequence[Utility], actions: Ints, world: TeamWorld) -> tuple[Floats, float]:
    """Return what each agent is told, (agents, copies), and what the team earned, the mean over copies.

    own, actions: (agents, copies). utilities: of each copy, in the state in which it was acted.
    """
    joints = [dict(zip(world.agents, column, strict=True)) for column in actions.T.tolist()]
    earned = np.array([utility(joint) for utility, joint in zip(utilities, joints, strict=True)], dtype=np.float32)
    shares = own
    if mode == "cooperative":
        shares = np.broadcast_to(earned, own.shape)
    elif mode == "difference":
        added = [difference_rewards(*each, world.default) for each in zip(utilities, joints, strict=True)]
        shares = np.array([[each[name] for each in added] for name in world.agents], dtype=np.float32)
    return shares, float(earned.mean())


class _Run:
    """One training, between two steps of it. Everything of an agent has its place along a first axis."""

    def __init__(
        self,
        world: TeamWorld,
        net: Architecture,
        settings: QSettings,
        rollout: RolloutSettings,
        mode: Mode,
        rng: np.random.Generator,
    ) -> None:
        self.world, self.net, self.settings, self.rollout, self.mode, self.rng = world, net, settings, rollout, mode, rng
        self.states = fleet.begin_fleet(net, settings, rng.spawn(len(world.agents)))
        capacity = max(1, rollout.capacity // world.copies) * world.copies
        empty = device_replay.empty(net, net.width, capacity, world.copies)
        self.replays = fleet.stack([empty] * len(world.agents))
        self.key = jax.random.key(int(rng.integers(2**31)))
        self.incidence = net.incidence(None)
        self.actors = self._actors()
        self.steps, self.finite = 0, True

    def collect(self, epsilon: float) -> float:
        """Let all act for a while, and return what the team earned a step."""
        made = [self._step(epsilon) for _ in range(self.rollout.collect)]
        steps = Steps(*(np.stack(each, axis=1) for each in zip(*(steps for steps, _ in made), strict=True)))
        self.replays = _add(self.replays, steps)
        self.steps += self.rollout.collect * self.world.copies
        return float(np.mean([earned for _, earned in made]))

    def learn(self) -> None:
        """Let all learn, as one program."""
        self.key, key = jax.random.split(self.key)
        keys = jax.random.split(key, len(self.world.agents))
        self.states, self.replays, metrics = fleet.learn_fleet(
            self.net, self.settings, self.incidence, self.states, self.replays, keys, updates=self.rollout.updates
        )
        self.finite = bool(metrics.finite.all())
        self.actors = self._actors()

    def weights(self) -> list[dict[str, Floats]]:
        """Return the weights of each agent."""
        stacked = {name: np.asarray(each) for name, each in self.states.weights.items()}
        return [{name: each[place] for name, each in stacked.items()} for place in range(len(self.world.agents))]

    def _step(self, epsilon: float) -> tuple[Steps, float]:
        world, before = self.world, self.world.states()
        allowed = np.ones((*before.shape[:2], self.net.width), bool)
        each = zip(self.actors, before, allowed, strict=True)
        actions = np.array([actor.act(seen, may, epsilon=epsilon, rng=self.rng) for actor, seen, may in each])
        utilities = [world.utility(copy) for copy in range(world.copies)]
        moment = world.step(actions)
        rewards, earned = told(self.mode, moment.rewards, utilities, actions, world)
        steps = Steps(
            states=before,
            actions=actions,
            rewards=rewards,
            next_states=moment.states,
            terminated=np.broadcast_to(moment.terminated, actions.shape),
            ended=np.broadcast_to(moment.ended, actions.shape),
            allowed=allowed,
            next_allowed=allowed,
            valid=np.ones(actions.shape, bool),
        )
        return steps, earned

    def _actors(self) -> list[Greedy]:
        return [Greedy(self.net, self.incidence, weights) for weights in self.weights()]


_add = jax.jit(jax.vmap(device_replay.add), donate_argnums=0)
