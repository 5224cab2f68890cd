"""Sweeps refuse what cannot be tried before anything is trained, and rank what was."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from steersman.app.gym_training import GymResult
from steersman.app.sweep import Job, Sweep, Trial, answer, ranked, sweep
from steersman.core.errors import InvalidInput, NotFound
from steersman.core.progress import Silent

BANDIT = "steersman/lab-bandit-v1"
OVER = ["learning_rate=0.001:0.01:log"]
ODD = """
import gymnasium

class Odd(gymnasium.Env):
    def __init__(self):
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (2,))
        self.action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.low.copy(), {}

    def step(self, action):
        return self.observation_space.low.copy(), float("nan"), True, False, {}

gymnasium.register("Odd-v0", Odd)
"""


def trial(number: int, mean: float | None, low: float = 0.0, high: float = 0.0) -> Trial:
    if mean is None:
        return Trial(number=number, settings={}, result=None, failed="its memory was used up")
    result = GymResult(
        environment=BANDIT,
        method="dqn",
        steps=10,
        steps_made=10,
        seed=0,
        settings={},
        episodes=2,
        mean_return=mean,
        low=low,
        high=high,
        returns=(mean, mean),
        policy="",
        wall_s=1.0,
        cpu_s=2.0,
        stopped="",
        actors=0,
    )
    return Trial(number=number, settings={}, result=result)


def test_the_best_comes_first_those_without_a_result_last_and_rivals_are_those_that_reach_it() -> None:
    given = [trial(1, None), trial(2, 1.0, 0.0, 2.0), trial(3, 4.0, 3.0, 5.0), trial(4, 3.5, 2.5, 4.5), trial(5, np.nan)]
    found = Sweep(
        environment=BANDIT,
        method="dqn",
        steps=10,
        seed=0,
        compute="local",
        trials=ranked(given),
        wall_s=1.0,
        cpu_s=8.0,
    )
    assert [each.number for each in found.trials] == [3, 4, 2, 5, 1]
    assert found.best is given[2]
    assert found.rivals == [given[3]]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"over": []}, "something to vary"),
        ({"over": ["batch=1"]}, "two values or more"),
        ({"over": ["updates=1:8"]}, "updates: given by --set and by --over"),
        ({"over": ["learning_rat=0.1:0.2"]}, "Did you mean 'learning_rate'"),
        ({"over": ["learning_rate=-1:0.1"]}, "learning_rate"),
        ({"method": "dnq"}, "Did you mean 'dqn'"),
        ({"compute": "cloud"}, "Use local"),
        ({"seconds": 0.0}, "above 0"),
    ],
)
def test_what_cannot_be_tried_is_refused_before_anything_is(more: dict[str, Any], says: str) -> None:
    asked: dict[str, Any] = {"over": OVER, "fixed": {"updates": 8}, "steps": 200, "progress": Silent()}
    with pytest.raises(InvalidInput, match=says):
        sweep(BANDIT, **asked | more)


def test_an_environment_that_is_none_is_refused() -> None:
    with pytest.raises(NotFound, match="CartPole"):
        sweep("CartPol-v1", over=OVER, steps=10, progress=Silent())


@pytest.mark.filterwarnings("ignore:.*The reward is a NaN value")
def test_a_return_that_is_no_number_comes_back_from_where_a_trial_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_environment.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    job = Job(
        number=1,
        environment="odd_environment:Odd-v0",
        method="dqn",
        steps=20,
        seed=0,
        settings={"updates": 1},
        until=None,
    )
    result = msgspec.msgpack.decode(answer(msgspec.msgpack.encode(job)), type=Trial).result
    assert result is not None
    assert np.isnan(result.mean_return)
    assert (result.low, result.high) == (-np.inf, np.inf)
