"""Rollout: what is collected under each autoreset mode of Gymnasium, and a chain with a known answer."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values
from steersman.stages.learn.deep.collector import Collector, Greedy, VectorWorld
from steersman.stages.learn.deep.device_replay import Steps
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.rollout import Progress, RolloutSettings, mean_return, train_q

LENGTH = 5
NET = Architecture(features=LENGTH, groups=(2,), hidden=(16,), stream=0, layer_norm=False)
EACH = np.eye(2, dtype=np.float32)
MODES = list(AutoresetMode)


class Chain(gymnasium.Env[Any, Any]):
    """Five places in a row, one-hot; action 1 goes right, action 0 stays. Arriving at the last one pays 1 and terminates."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (LENGTH,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, limit: int = 100, masked: bool = False) -> None:
        self.limit, self.masked = limit, masked

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.place, self.steps = 0, 0
        return self._seen()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.place, self.steps = self.place + int(action), self.steps + 1
        arrived = self.place == LENGTH - 1
        state, info = self._seen()
        return state, float(arrived), arrived, not arrived and self.steps >= self.limit, info

    def _seen(self) -> tuple[Any, dict[str, Any]]:
        info = {"action_mask": np.array([False, True] if self.place < 2 else [True, True])} if self.masked else {}
        return np.eye(LENGTH, dtype=np.float32)[self.place], info


def chains(mode: AutoresetMode, count: int = 1, **kind: Any) -> VectorWorld:
    return SyncVectorEnv([lambda: Chain(**kind) for _ in range(count)], autoreset_mode=mode)


def always(action: int) -> Greedy:
    weights = {name: np.zeros(shape, np.float32) for name, shape in NET.shapes().items()}
    return Greedy(NET, EACH, weights | {"head.bias": EACH[action]})


def collected(world: VectorWorld, actor: Greedy, count: int) -> tuple[list[tuple[int, int, bool, bool]], Collector, Steps]:
    """Return (place before, place after, terminated, ended) of each valid step of the first environment."""
    collector = Collector(world=world, features=LENGTH, actions=2, rng=np.random.default_rng(0))
    steps = collector.collect(actor, count, 0.0)
    rows = zip(steps.states[:, 0], steps.next_states[:, 0], steps.terminated[:, 0], steps.ended[:, 0], strict=True)
    seen = [(int(before.argmax()), int(after.argmax()), bool(t), bool(e)) for before, after, t, e in rows]
    return [each for each, valid in zip(seen, steps.valid[:, 0], strict=True) if valid], collector, steps


@pytest.mark.parametrize("mode", MODES)
def test_an_episode_ends_in_its_last_state_not_in_the_first_of_the_next(mode: AutoresetMode) -> None:
    seen, collector, _ = collected(chains(mode), always(1), 10)
    assert seen[:5] == [(0, 1, False, False), (1, 2, False, False), (2, 3, False, False), (3, 4, True, True), seen[0]]
    assert collector.returns == [1.0, 1.0]


@pytest.mark.parametrize("mode", MODES)
def test_a_time_limit_ends_an_episode_without_terminating_it(mode: AutoresetMode) -> None:
    seen, collector, _ = collected(chains(mode, limit=2), always(1), 6)
    assert seen[:4] == [(0, 1, False, False), (1, 2, False, True), (0, 1, False, False), (1, 2, False, True)]
    assert collector.returns[:2] == [0.0, 0.0]


@pytest.mark.parametrize("mode", MODES)
def test_masks_are_kept_and_obeyed(mode: AutoresetMode) -> None:
    seen, _, steps = collected(chains(mode, limit=3, masked=True), always(0), 4)
    assert seen[:3] == [(0, 1, False, False), (1, 2, False, False), (2, 2, False, True)]
    assert steps.allowed[:3, 0].tolist() == [[False, True], [False, True], [True, True]]
    assert steps.next_allowed[:3, 0].tolist() == [[False, True], [True, True], [True, True]]


def test_random_actions_are_drawn_from_what_is_allowed() -> None:
    allowed = np.tile([[True, False]], (200, 1))
    states = np.zeros((200, LENGTH), np.float32)
    rng = np.random.default_rng(0)
    assert not always(1).act(states, allowed, epsilon=1.0, rng=rng).any()
    assert 60 < always(1).act(states, np.ones((200, 2), bool), epsilon=1.0, rng=rng).sum() < 140


def test_states_of_another_width_and_unknown_modes_are_refused() -> None:
    with pytest.raises(InvalidInput, match="5 features"):
        Collector(world=chains(MODES[0]), features=4, actions=2, rng=np.random.default_rng(0))
    world = chains(MODES[0])
    world.metadata = {"autoreset_mode": "Sometimes"}
    with pytest.raises(InvalidInput, match="Sometimes"):
        Collector(world=world, features=LENGTH, actions=2, rng=np.random.default_rng(0))


def test_an_environment_that_hides_its_last_states_is_refused() -> None:
    world = chains(AutoresetMode.NEXT_STEP)
    world.metadata = {"autoreset_mode": "SameStep"}
    with pytest.raises(InvalidInput, match="final_obs"):
        collected(world, always(1), 10)


SETTINGS = QSettings(gamma=0.8, batch=32, learning_rate=0.01, tau=0.05, n_step=2, alpha=0.5)
ROLLOUT = RolloutSettings(collect=32, updates=64, capacity=1_000, warmup=64, epsilon_last=0.5, score_every=128)


def test_a_chain_is_worth_what_it_is_worth() -> None:
    """Q(s, right) = γ^(steps left − 1), Q(s, stay) = γ·Q(s, right), whatever the time limit cuts off."""
    world = chains(AutoresetMode.NEXT_STEP, 2, limit=6)
    trained = train_q(world, NET, SETTINGS, ROLLOUT, seed=0, budget_steps=1_500)
    q = slot_values(NET, trained.weights, np.eye(LENGTH, dtype=np.float32)[:4])
    right = 0.8 ** np.array([3, 2, 1, 0])
    np.testing.assert_allclose(q, np.stack([0.8 * right, right], axis=1), atol=0.1)
    assert trained.finite
    assert trained.solved_at is None
    assert [each.steps for each in trained.curve] == sorted(each.steps for each in trained.curve)


def test_a_seed_gives_the_same_curve_to_the_bit_and_a_score_stops() -> None:
    def score(actor: Greedy) -> float:
        return mean_return(actor, chains(AutoresetMode.SAME_STEP, 2), actions=2, features=LENGTH, episodes=4, seed=1)

    def run(seed: int) -> Any:
        world = chains(AutoresetMode.NEXT_STEP, 2, limit=6)
        return train_q(world, NET, SETTINGS, ROLLOUT, seed=seed, budget_steps=1_500, score=score, solved=1.0)

    first, second = run(3), run(3)
    assert first.curve == second.curve
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    assert first.solved_at == first.curve[-1].steps < 1_500
    assert first.curve[-1].score == 1.0


def test_progress_can_stop_a_training() -> None:
    seen: list[Progress] = []

    def stop(progress: Progress, _: object) -> bool:
        seen.append(progress)
        return len(seen) == 2

    trained = train_q(
        chains(AutoresetMode.NEXT_STEP, 2, limit=6), NET, SETTINGS, ROLLOUT, seed=0, budget_steps=1_500, on_progress=stop
    )
    assert trained.curve == tuple(seen)
    assert seen[-1].updates == 2 * ROLLOUT.updates
