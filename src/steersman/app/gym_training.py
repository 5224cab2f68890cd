"""Training on any Gymnasium environment: from its name to a policy in a file, and to what that policy earns."""

import math
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.app import gym_policies
from steersman.app.gym_learners import Learned, Point, Spread, Task, check_method, check_settings, learn
from steersman.app.gym_policies import GymPolicy
from steersman.app.gym_telling import Telling
from steersman.app.worlds import library, register_worlds
from steersman.core.compute import Budget
from steersman.core.errors import InvalidInput, NotFound, NotPermitted
from steersman.core.ports import Progress
from steersman.core.tracking import Begun, Param, Quiet, begin
from steersman.maths.intervals import bootstrap_interval

PREFIX = "gym:"
_TESTED_FROM = 1_000_000
"""Seeds of the episodes at the end, apart from those of training."""


class GymResult(msgspec.Struct, frozen=True, kw_only=True):
    """What training came to, as it is kept in JSON beside the policy.

    steps: those asked for; steps_made: those made when training ended. settings: of the learner, as far as they were given.
    mean_return: of `episodes` episodes that the finished policy played without exploring; low, high: its 95 % interval.
    returns: of each of them. policy: the hash of the file of weights. wall_s, cpu_s: of training alone. stopped: why it
    ended before its steps were made; "" where it did not. actors: processes that collected; 0 for one process in all.
    """

    environment: str
    method: str
    steps: int
    steps_made: int
    seed: int
    settings: dict[str, Any]
    episodes: int
    mean_return: float
    low: float
    high: float
    returns: tuple[float, ...]
    policy: str
    wall_s: float
    cpu_s: float
    stopped: str
    actors: int


def train(
    env_id: str,
    *,
    method: str = "double_dqn",
    steps: int,
    seed: int = 0,
    progress: Progress,
    out: Path,
    episodes: int = 100,
    settings: Mapping[str, Any] | None = None,
    budget: Budget | None = None,
    tracker: Quiet | None = None,
    spread: Spread | None = None,
) -> GymResult:
    """Train on an environment, and keep `policy.safetensors`, `result.json` and `curve.jsonl` in the folder `out`.

    env_id: as `gymnasium.make` takes it, with or without "gym:" before it: "CartPole-v1", "module:Env-v0" (the module is
    imported first), or a world of ours such as "steersman/lab-cliff-v1". settings: of the learner, by the names of its
    fields, such as {"learning_rate": 0.001}. budget: of training alone; where it is used up, what was learned so far is
    kept and played. tracker: is told of the run. spread: over several processes; a seed then gives no longer the same
    policy. Raises InvalidInput for a method that is none, for settings that are none, and for spaces other than `Box` for
    observations and `Discrete` for actions; NotFound for an environment that is none, or where an extra is missing;
    NotPermitted where `out` cannot be written to.
    """
    env_id, given, budget = env_id.removeprefix(PREFIX), dict(settings or {}), budget or Budget()
    check_method(method, spread)
    env = check(env_id, method, steps, episodes)
    check_settings(method, steps, given)
    _make_folder(out)
    own = Budget() if spread else budget  # whoever has processes looks after the budget of all of them
    head = _head(env_id, method, steps, seed, given)
    telling = Telling(head, steps, progress=progress, budget=own, tracker=tracker or Quiet([]))
    task = Task(
        env_id=env_id,
        features=math.prod(env.observation_space.shape),
        actions=int(env.action_space.n),
        steps=steps,
        seed=seed,
        settings=given,
        told=telling.told,
        spread=spread,
        budget=budget,
    )
    progress.phase(f"training {method} on {env_id}", steps)
    with telling:
        return _trained(method, task, telling, env=env, out=out, episodes=episodes, progress=progress)


def check(env_id: str, method: str, steps: int, episodes: int = 1) -> Any:
    """Return the environment that training would be on. Raises as `train` does, but for settings."""
    check_method(method)
    if steps < 1 or episodes < 1:
        raise InvalidInput(f"steps and episodes must be at least 1, got {steps} and {episodes}.")
    if not (find_spec("jax") and find_spec("optax")):
        raise NotFound("training in an environment needs an extra: pip install 'steersman[deep]'.")
    env, spaces = make(env_id), library().spaces
    seen, done = env.observation_space, env.action_space
    if not isinstance(seen, spaces.Box) or not isinstance(done, spaces.Discrete) or done.start != 0:
        raise InvalidInput(
            f"{env_id}: observations of {seen} and actions of {done}; a Box and a Discrete from 0 can be trained. Wrap it "
            "in an environment of your own, and name that as gym:MODULE:ENV."
        )
    return env


def _make_folder(out: Path) -> None:
    """Make a folder to keep results in, before hours of training rather than after. Raises NotPermitted."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=out).close()
    except OSError as error:
        raise NotPermitted(f"cannot write to {out}: {error.strerror}. Name another folder with --out.") from error


def _head(env_id: str, method: str, steps: int, seed: int, settings: Mapping[str, Any]) -> Begun:
    said: dict[str, Param] = {"method": method, "steps": steps, "seed": seed}
    said |= {name: each if isinstance(each, Param) else str(each) for name, each in settings.items()}
    return begin("training", agent=f"{PREFIX}{env_id}", at=time.time(), params=said, unit="steps")


def make(env_id: str) -> Any:
    """Return an environment by its id. Raises NotFound, saying why, where it cannot be made."""
    gymnasium = library()
    if env_id.startswith("steersman/"):
        register_worlds()
    try:
        return gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError) as error:
        raise NotFound(f"environment {env_id!r} cannot be made: {error}") from error


def _trained(
    method: str, task: Task, telling: Telling, *, env: Any, out: Path, episodes: int, progress: Progress
) -> GymResult:
    """Learn, play, and keep what came of it."""
    learned, cost = learn(method, task), telling.cost
    cpu_s, stopped = cost.cpu_seconds + learned.cpu_seconds, telling.stopped or learned.stopped
    _note(progress, learned, stopped)
    name = _keep(task.env_id, learned, telling.curve, out)
    returns = _tested(env, gym_policies.load(out / "policy.safetensors", name), episodes, progress)
    telling.figures({"mean_return": float(returns.mean()), "wall_s": cost.seconds, "cpu_s": cpu_s})
    result = _result(
        method, task, returns, policy=name, steps_made=cost.steps, wall_s=cost.seconds, cpu_s=cpu_s, stopped=stopped
    )
    (out / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    return result


def _result(method: str, task: Task, returns: NDArray[np.float64], **found: Any) -> GymResult:
    rng = np.random.default_rng(task.seed)
    low, high = bootstrap_interval(returns, rng) if len(returns) > 1 else (-math.inf, math.inf)
    return GymResult(
        environment=task.env_id,
        method=method,
        steps=task.steps,
        seed=task.seed,
        settings=dict(task.settings),
        episodes=len(returns),
        mean_return=float(returns.mean()),
        low=low,
        high=high,
        returns=tuple(returns.tolist()),
        actors=task.spread.actors if task.spread else 0,
        **found,
    )


def _note(progress: Progress, learned: Learned, stopped: str) -> None:
    if not learned.finite:
        progress.note("the loss was no number any more: training stopped, and the last good weights are kept")
    if learned.lost:
        progress.note(f"{learned.lost} processes were lost, and others took their places")
    if stopped:
        progress.note(f"{stopped}: training stopped, and what was learned so far is kept")


def _keep(env_id: str, learned: Learned, curve: list[Point], out: Path) -> str:
    """Write the policy and the curve, and return the policy's hash."""
    (out / "curve.jsonl").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in curve))
    policy = GymPolicy(environment=env_id, kind=learned.kind, net=learned.net, weights=learned.weights)
    return gym_policies.save(policy, out / "policy.safetensors")


def _tested(env: Any, policy: GymPolicy, episodes: int, progress: Progress) -> NDArray[np.float64]:
    """Return what a policy earned in each of so many episodes, without exploring."""
    progress.phase("playing without exploring", episodes)
    return np.array([_played(env, policy, _TESTED_FROM + each, progress) for each in range(episodes)])


def _played(env: Any, policy: GymPolicy, seed: int, progress: Progress) -> float:
    """Return what the policy earned in one episode."""
    total, over = 0.0, False
    seen, info = env.reset(seed=seed)
    while not over:
        mask = info.get("action_mask")
        seen, reward, terminated, truncated, info = env.step(policy.act(seen, None if mask is None else mask.astype(bool)))
        total, over = total + float(reward), terminated or truncated
    progress.step(f"return {total:.1f}")
    return total
