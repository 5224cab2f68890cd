"""Twenty workers choose at once where to put their next job, and each learns with a network of its own.

A queue is best used by a few. By its own reward everybody goes to one and all wait; by the team's, nobody can tell what it
has added; by its difference reward (what all earned, less what they would have earned had it waited), each finds its place.

pip install 'steersman[deep]' && python examples/network_team.py
"""

import math

import numpy as np
from numpy.typing import NDArray

from steersman import ActionSpace, AgentSpec, Flag, Reward, StateSchema
from steersman.policies.deep.architecture import Architecture
from steersman.policies.encoding import Encoder
from steersman.stages.learn.deep.collector import Greedy
from steersman.stages.learn.deep.multi_agent import Mode, Moment, Utility, train_team
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import RolloutSettings

worker = AgentSpec(
    name="mine/worker",
    description="Decides in which queue a worker puts its next job.",
    state=StateSchema(name="worker", fields=(Flag(name="night"),)),
    actions=ActionSpace.flat("wait", "left", "right"),
    reward=Reward.plain(-8.0, 8.0),
    baseline=lambda state: "wait",
    safe_action="wait",
)
SEEN = np.array([Encoder(worker.state).vector({"night": night}) for night in (False, True)])
ROOM = np.array([[3.0, 1.0], [1.0, 3.0]])  # how many jobs suit each queue, by day and by night


def earned(room: NDArray[np.float64], actions: list[int]) -> list[float]:
    """Return what each worker earns: e^(−jobs/room) in a queue, nothing for waiting."""
    return [0.0 if not each else math.exp(-actions.count(each) / room[each - 1]) for each in actions]


class Queues:
    """Two queues, in eight copies of the world; each choice stands alone, so each moment is an episode."""

    agents, copies = tuple(f"worker{each}" for each in range(20)), 8
    default = dict.fromkeys(agents, 0)

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._night = self._rng.integers(2, size=self.copies)

    def states(self) -> NDArray[np.float32]:
        """Return what each worker sees, (workers, copies, features)."""
        return np.stack([SEEN[self._night]] * len(self.agents))

    def utility(self, copy: int) -> Utility:
        """Return what all earn together in a copy, by what each of them does."""
        room = ROOM[self._night[copy]]
        return lambda joint: sum(earned(room, list(joint.values())))

    def step(self, actions: NDArray[np.int32]) -> Moment:
        """Return what each earns itself, (workers, copies), and go on."""
        own = [earned(ROOM[night], column) for night, column in zip(self._night, actions.T.tolist(), strict=True)]
        seen, over = self.states(), np.ones(self.copies, bool)
        self._night = self._rng.integers(2, size=self.copies)
        return Moment(rewards=np.array(own, dtype=np.float32).T, states=seen, terminated=over, ended=over)


if __name__ == "__main__":
    net = Architecture(features=1, groups=(len(worker.actions),), hidden=(16,), stream=0, layer_norm=False)
    settings = QSettings(gamma=0.0, batch=32, learning_rate=0.003)
    rollout = RolloutSettings(collect=8, updates=8, capacity=512, warmup=64, epsilon_last=0.02, epsilon_over=0.6)
    modes: tuple[Mode, ...] = ("independent", "cooperative", "difference")
    for mode in modes:
        trained = train_team(Queues(0), net, settings, rollout, mode=mode, seed=0, budget_steps=3_072)
        actors = [Greedy(net, np.eye(3, dtype=np.float32), each) for each in trained.weights.values()]
        actions = np.array([actor.values(SEEN).argmax(axis=1) for actor in actors])
        got = np.mean([sum(earned(room, column.tolist())) for room, column in zip(ROOM, actions.T, strict=True)])
        print(f"{mode:12} earned {got:.2f}; the best is {ROOM[0].sum() / math.e:.2f}")
