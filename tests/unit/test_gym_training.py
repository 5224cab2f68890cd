"""Training on Gymnasium environments: what is learned earns more than luck, is kept as a file, and a seed gives it again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steersman.app import gym_policies
from steersman.app.gym_learners import Spread
from steersman.app.gym_training import train
from steersman.backends.runs import MemoryTracker
from steersman.core.compute import Budget
from steersman.core.errors import InvalidInput, NotFound, NotPermitted, StoreError
from steersman.core.tracking import Quiet

STEPS = 1_000
SMALL = {"updates": 32, "learning_rate": 0.01}
BEST, LUCK = 0.7375, 0.4425
"""Of the bandit with four contexts: the mean of the best chances, and of all."""
MODULE = """
import gymnasium

class Corridor(gymnasium.Env):
    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (2, 3))
        self.action_space = gymnasium.spaces.Discrete(5)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.low.copy(), {}

    def step(self, action):
        return self.observation_space.low.copy(), float(action == 1), True, False, {}

gymnasium.register("Corridor-v0", Corridor)
"""


class Told:
    """Keeps what progress was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.counted: list[tuple[int | None, int]] = []

    def phase(self, title: str, total: int | None = None) -> None:
        self.lines.append(title)
        self.counted.append((total, 0))

    def step(self, text: str, amount: int = 1) -> None:
        self.lines.append(text)
        total, done = self.counted[-1]
        self.counted[-1] = total, done + amount

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_what_is_learned_earns_more_than_luck_and_only_as_it_was_written_is_it_loaded_again(tmp_path: Path) -> None:
    told, runs = Told(), MemoryTracker()
    first, again = (
        train(
            "gym:steersman/lab-bandit-v1",
            steps=STEPS,
            seed=3,
            episodes=200,
            progress=told,
            out=tmp_path / name,
            settings=SMALL,
            tracker=Quiet([runs]),
        )
        for name in ("first", "again")
    )
    assert first.mean_return > (BEST + LUCK) / 2
    assert first.low < first.mean_return < first.high
    assert (again.policy, again.returns) == (first.policy, first.returns)
    curves = [(tmp_path / name / "curve.jsonl").read_bytes() for name in ("first", "again")]
    assert curves[0] == curves[1]
    assert json.loads(curves[0].splitlines()[-1])["steps"] == STEPS
    kept = json.loads((tmp_path / "first" / "result.json").read_bytes())
    assert (kept["policy"], kept["steps"], kept["method"]) == (first.policy, STEPS, "double_dqn")
    assert (kept["settings"], kept["steps_made"], kept["stopped"]) == (SMALL, STEPS, "")
    assert kept["wall_s"] > 0 < kept["cpu_s"]
    run = runs.runs()[0]
    assert (run.begun.agent, run.state, run.step) == ("gym:steersman/lab-bandit-v1", "done", STEPS)
    assert run.begun.params["learning_rate"] == SMALL["learning_rate"]
    assert set(run.metrics) == {"reward", "loss", "q", "epsilon", "mean_return", "wall_s", "cpu_s"}
    assert run.metrics["mean_return"] == [(STEPS, again.mean_return)]
    assert any("ε 0.04, loss" in line and "mean return" in line for line in told.lines)
    assert told.counted == [(STEPS, STEPS), (200, 200)] * 2
    policy = gym_policies.load(tmp_path / "first" / "policy.safetensors", first.policy)
    third = np.eye(6, dtype=np.float32)[3]
    assert policy.act(third) == 1
    assert policy.act(third, np.array([False, False, True, False, True])) == 4

    with pytest.raises(NotFound, match="nowhere"):
        gym_policies.load(tmp_path / "nowhere", first.policy)
    file = tmp_path / "again" / "policy.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(StoreError, match="changed"):
        gym_policies.load(file, first.policy)


def test_a_budget_stops_training_and_what_was_learned_so_far_is_kept(tmp_path: Path) -> None:
    told = Told()
    found = train(
        "steersman/lab-bandit-v1",
        steps=STEPS,
        episodes=2,
        progress=told,
        out=tmp_path,
        settings=SMALL,
        budget=Budget(cpu_seconds=1e-6),
    )
    assert 0 < found.steps_made < STEPS
    assert found.stopped == "the budget of 1e-06 CPU seconds is used up"
    assert any(found.stopped in line for line in told.lines)
    assert gym_policies.load(tmp_path / "policy.safetensors", found.policy).environment == "steersman/lab-bandit-v1"
    assert len((tmp_path / "curve.jsonl").read_bytes().splitlines()) == 1


def test_a_training_spread_over_processes_counts_what_all_of_them_took(tmp_path: Path) -> None:
    found = train(
        "steersman/lab-bandit-v1",
        steps=400,
        episodes=2,
        progress=Told(),
        out=tmp_path,
        settings=SMALL,
        spread=Spread(actors=1),
        budget=Budget(seconds=300.0),
    )
    assert (found.steps_made >= 400, found.stopped, found.actors) == (True, "", 1)
    assert found.cpu_s > 0
    assert gym_policies.load(tmp_path / "policy.safetensors", found.policy).kind == "value"
    assert json.loads((tmp_path / "curve.jsonl").read_bytes().splitlines()[-1])["steps"] == found.steps_made


def test_an_environment_of_ones_own_is_named_by_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "corridor_of_ones_own.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    corridor = "gym:corridor_of_ones_own:Corridor-v0"
    found = train(corridor, method="dqn", steps=STEPS, episodes=3, progress=Told(), out=tmp_path, settings=SMALL)
    assert found.mean_return == 1.0


@pytest.mark.parametrize(
    ("env_id", "more", "error", "says"),
    [
        ("Pendulum-v1", {}, InvalidInput, r"actions of Box.*gym:MODULE:ENV"),
        ("FrozenLake-v1", {}, InvalidInput, r"observations of Discrete\(16\)"),
        ("CartPol-v1", {}, NotFound, "CartPole"),
        ("gym:no_such_module:Env-v0", {}, NotFound, "no_such_module"),
        ("CartPole-v1", {"method": "double_dnq"}, InvalidInput, "Did you mean 'double_dqn'"),
        ("CartPole-v1", {"steps": 0}, InvalidInput, "at least 1"),
        ("CartPole-v1", {"method": "ppo", "spread": Spread(actors=2)}, InvalidInput, "'ppo' learns in one process"),
        ("CartPole-v1", {"settings": {"learning_rat": 1}}, InvalidInput, "Did you mean 'learning_rate'"),
        ("CartPole-v1", {"settings": {"learning_rate": -1.0}}, InvalidInput, "learning_rate"),
        ("CartPole-v1", {"out": Path(__file__) / "out"}, NotPermitted, "cannot write to .*--out"),
        ("CartPole-v1", {"out": Path("/proc")}, NotPermitted, "cannot write to /proc"),
        ("CartPole-v1", {"spread": Spread(actors=2, compute="cloud")}, InvalidInput, "'cloud' is none"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_way_out_before_a_run_of_it_begins(
    env_id: str, more: dict[str, Any], error: type[Exception], says: str, tmp_path: Path
) -> None:
    runs = MemoryTracker()
    asked: dict[str, Any] = {"steps": 10, "progress": Told(), "out": tmp_path / "out", "tracker": Quiet([runs]), **more}
    with pytest.raises(error, match=says):
        train(env_id, **asked)
    assert not (tmp_path / "out").exists()
    assert runs.runs() == []
