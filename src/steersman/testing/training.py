"""Train an agent's own learning code on a world with a known answer, and say how good the result is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steersman.core.settings import Settings
from steersman.core.transition import Transition
from steersman.maths import distributions
from steersman.maths.randomness import key_for, uniforms
from steersman.policies.exploration import Explorer
from steersman.stages.learn.fold import Fold
from steersman.testing.planning import soft_policy, soft_values, start_value
from steersman.testing.specs import agent_for
from steersman.testing.worlds import TabularWorld

Floats = NDArray[np.float64]
OFF_POLICY = ("q_learning", "double_q")


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training came to: the learned values, shape (states, actions), the policy's true value and the best possible."""

    q: Floats
    value: float
    best: float

    @property
    def regret(self) -> float:
        """How far the value lies below the best, as a share of the best one's size."""
        return (self.best - self.value) / abs(self.best)


def train(world: TabularWorld, settings: Mapping[str, Mapping[str, Any]], *, steps: int, seed: int) -> Trained:
    """Act in the world for a number of steps with the product's own distribution, draw and fold, and judge the result.

    Off-policy methods are judged by the greedy policy against the optimal value, on-policy ones by the ε-soft policy
    against the best ε-soft one. Values are exact (linear solve), weighted by the world's start distribution.
    """
    spec = agent_for(world, settings)
    chosen = Settings().with_values(spec.settings, "training")
    key = key_for(seed, world.name)
    fold = Fold(spec, chosen, lambda count: float(uniforms(key, count, 1)[0]))
    explorer = Explorer(chosen.exploration, spec.reward.high - spec.reward.low)
    _act(world, fold, explorer, steps, np.random.default_rng(seed))
    table = fold.table
    q = np.array([table.action_values(table.slot_values(table.rows.get(str(s)))) for s in range(world.states)])
    epsilon = 0.0 if chosen.learning.method in OFF_POLICY else fold.epsilon
    best = soft_values(world, epsilon)
    return Trained(
        q=q,
        value=start_value(world, soft_policy(q, epsilon)),
        best=start_value(world, soft_policy(best, epsilon)),
    )


def _act(world: TabularWorld, fold: Fold, explorer: Explorer, steps: int, rng: np.random.Generator) -> None:
    """Fill the fold with episodes until the steps are used up. Cells serve as keys, since the world is the table."""
    allowed = np.ones(world.actions, dtype=np.bool_)
    table, taken, episode = fold.table, 0, 0
    while taken < steps:
        state, name, epsilon = world.reset(rng), str(episode), fold.epsilon
        for step in range(world.time_limit):
            row = table.rows.get(str(state))
            values = table.action_values(table.slot_values(row))
            action = distributions.draw(explorer.distribution(table, row, values, allowed, epsilon), rng.random())
            following, reward, terminated = world.step(state, action, rng)
            fold.apply(
                Transition(
                    decision_id=f"{name}-{step}",
                    episode=name,
                    step=step,
                    key=str(state),
                    bins={"cell": state},
                    action=action,
                    reward=reward,
                    next_key=None if terminated else str(following),
                    next_allowed=None,
                    terminated=terminated,
                    truncated=not terminated and step + 1 == world.time_limit,
                    epsilon=epsilon,
                    decided_at=0.0,
                    at=0.0,
                )
            )
            taken += 1
            state = following
            if terminated:
                break
        episode += 1
