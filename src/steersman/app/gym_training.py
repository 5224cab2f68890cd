"""Training on any Gymnasium environment: from its name to a policy in a file, and to what that policy earns."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.app import gym_policies
from steersman.app.gym_policies import GymPolicy
from steersman.app.worlds import library, register_worlds
from steersman.core.errors import InvalidInput, NotFound, nearest
from steersman.core.ports import Progress
from steersman.maths.intervals import bootstrap_interval
from steersman.policies.deep.architecture import Architecture, Weights

PREFIX = "gym:"
Method = Literal["double_dqn", "dqn", "ppo"]
METHODS: tuple[Method, ...] = get_args(Method)
_TESTED_FROM = 1_000_000
"""Seeds of the episodes at the end, apart from those of training."""
_PLAYED_TOGETHER = 8
"""Environments that PPO steps together."""
_SCORES, _SCORED_EPISODES, _LINES = 20, 20, 100
"""How often the policy is scored while it learns, by how many episodes, and how many lines tell of it at most."""


class GymResult(msgspec.Struct, frozen=True, kw_only=True):
    """What training came to, as it is kept in JSON beside the policy.

    mean_return: of `episodes` episodes that the finished policy played without exploring; low, high: its 95 % interval.
    returns: of each of them. policy: the hash of the file of weights. wall_s: of training alone.
    """

    environment: str
    method: str
    steps: int
    seed: int
    episodes: int
    mean_return: float
    low: float
    high: float
    returns: tuple[float, ...]
    policy: str
    wall_s: float


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """How far training was: steps, the mean return of the last 100 episodes (None before the first ended), ε and loss."""

    steps: int
    mean_return: float | None
    epsilon: float | None
    loss: float


@dataclass(frozen=True, kw_only=True, eq=False)
class _Task:
    """What a learner is asked to do."""

    env_id: str
    features: int
    actions: int
    steps: int
    seed: int
    settings: Mapping[str, Any]
    told: Callable[[Point], None]

    def vector(self, count: int) -> Any:
        """Return so many of the environment, stepped together."""
        return library().make_vec(self.env_id, num_envs=count, vectorization_mode="sync")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Learned:
    kind: Literal["value", "policy"]
    net: Architecture
    weights: Weights
    finite: bool


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
) -> GymResult:
    """Train on an environment, and keep `policy.safetensors`, `result.json` and `curve.jsonl` in the folder `out`.

    env_id: as `gymnasium.make` takes it, with or without "gym:" before it: "CartPole-v1", "module:Env-v0" (the module is
    imported first), or a world of ours such as "steersman/lab-cliff-v1". settings: of the learner, by the names of its
    fields, such as {"learning_rate": 0.001}. Raises InvalidInput for a method that is none, for settings that are none, and
    for spaces other than `Box` for observations and `Discrete` for actions; NotFound for an environment that is none, or
    where an extra is missing.
    """
    if method not in METHODS:
        raise InvalidInput(f"method {method!r} is none.{nearest(method, METHODS)}")
    if steps < 1 or episodes < 1:
        raise InvalidInput(f"steps and episodes must be at least 1, got {steps} and {episodes}.")
    if not (find_spec("jax") and find_spec("optax")):
        raise NotFound("training in an environment needs an extra: pip install 'steersman[deep]'.")
    env_id, curve = env_id.removeprefix(PREFIX), list[Point]()
    env = make(env_id)
    task = _task(env, env_id, steps, seed, settings or {}, _telling(progress, steps, curve))
    progress.phase(f"training {method} on {env_id}", steps)
    started = time.monotonic()
    learned = _LEARNERS[method](task)
    wall_s = time.monotonic() - started
    if not learned.finite:
        progress.note("the loss was no number any more: training stopped, and the last good weights are kept")
    out.mkdir(parents=True, exist_ok=True)
    kept = GymPolicy(environment=env_id, kind=learned.kind, net=learned.net, weights=learned.weights)
    name = gym_policies.save(kept, out / "policy.safetensors")
    (out / "curve.jsonl").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in curve))
    returns = _tested(env, gym_policies.load(out / "policy.safetensors", name), episodes, progress)
    low, high = bootstrap_interval(returns, np.random.default_rng(seed)) if episodes > 1 else (-math.inf, math.inf)
    result = GymResult(
        environment=env_id,
        method=method,
        steps=steps,
        seed=seed,
        episodes=episodes,
        mean_return=float(returns.mean()),
        low=low,
        high=high,
        returns=tuple(returns.tolist()),
        policy=name,
        wall_s=wall_s,
    )
    (out / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    return result


def make(env_id: str) -> Any:
    """Return an environment by its id. Raises NotFound, saying why, where it cannot be made."""
    gymnasium = library()
    if env_id.startswith("steersman/"):
        register_worlds()
    try:
        return gymnasium.make(env_id)
    except (gymnasium.error.Error, ImportError) as error:
        raise NotFound(f"environment {env_id!r} cannot be made: {error}") from error


def _task(env: Any, env_id: str, steps: int, seed: int, settings: Mapping[str, Any], told: Callable[[Point], None]) -> _Task:
    spaces, seen, done = library().spaces, env.observation_space, env.action_space
    if not isinstance(seen, spaces.Box) or not isinstance(done, spaces.Discrete) or done.start != 0:
        raise InvalidInput(
            f"{env_id}: observations of {seen} and actions of {done}; a Box and a Discrete from 0 can be trained. Wrap it "
            "in an environment of your own, and name that as gym:MODULE:ENV."
        )
    return _Task(
        env_id=env_id,
        features=math.prod(seen.shape),
        actions=int(done.n),
        steps=steps,
        seed=seed,
        settings=settings,
        told=told,
    )


def _telling(progress: Progress, steps: int, curve: list[Point]) -> Callable[[Point], None]:
    """Return what hears how far training is, keeps it, and lets at most 100 lines of it through."""
    told = 0

    def tell(point: Point) -> None:
        nonlocal told
        curve.append(point)
        if point.steps - told >= steps / _LINES or point.steps >= steps:
            mean = "none yet" if point.mean_return is None else f"{point.mean_return:.1f}"
            epsilon = "" if point.epsilon is None else f", ε {point.epsilon:.2f}"
            now = min(point.steps, steps)
            progress.step(f"{point.steps:,} steps: mean return {mean}{epsilon}, loss {point.loss:.3g}", now - told)
            told = now

    return tell


def _learn_q(task: _Task, *, double: bool) -> _Learned:
    from steersman.stages.learn.deep.q_learning import QSettings
    from steersman.stages.learn.deep.rollout import RolloutSettings, train_q

    net = Architecture(features=task.features, groups=(task.actions,), hidden=(128, 128), stream=0, layer_norm=False)
    own, rollout = _settings(
        task.settings,
        QSettings(learning_rate=2.3e-3, batch=64, tau=0.02, n_step=3, double=double),
        RolloutSettings(
            collect=min(256, max(task.steps // _SCORES, 1)),
            warmup=min(1_000, max(task.steps // 10, 1)),
            epsilon_last=0.04,
            epsilon_over=0.4,
            score_every=max(task.steps // _SCORES, 1),
        ),
    )
    trained = train_q(
        task.vector(1),
        net,
        own,
        rollout,
        seed=task.seed,
        budget_steps=task.steps,
        score=_score(task),
        on_progress=lambda now, _: task.told(_point(now.steps, now.mean_return, now.epsilon, now.loss)),
    )
    return _Learned(kind="value", net=net, weights=trained.weights, finite=trained.finite)


def _learn_ppo(task: _Task) -> _Learned:
    from steersman.stages.learn.deep.ppo import PPOSettings, networks, train_ppo

    (own,) = _settings(task.settings, PPOSettings(score_every=max(task.steps // _SCORES, 1)))
    nets = networks(task.features, (task.actions,), own)
    trained = train_ppo(
        task.vector(_PLAYED_TOGETHER),
        nets,
        own,
        seed=task.seed,
        budget_steps=task.steps,
        score=_score(task),
        on_progress=lambda now: task.told(_point(now.steps, now.mean_return, None, now.loss)),
    )
    return _Learned(kind="policy", net=nets.actor, weights=trained.weights, finite=trained.finite)


def _score(task: _Task) -> Callable[[Any], float]:
    """Return what tells how much a policy earns, by some episodes that are always the same."""
    from steersman.stages.learn.deep.rollout import mean_return

    scored = task.vector(_SCORED_EPISODES)
    sizes = {"actions": task.actions, "features": task.features, "episodes": _SCORED_EPISODES, "seed": task.seed + 1}
    return lambda actor: mean_return(actor, scored, **sizes)


def _point(steps: int, mean_return: float, epsilon: float | None, loss: float) -> Point:
    mean = mean_return if math.isfinite(mean_return) else None
    return Point(steps=steps, mean_return=mean, epsilon=epsilon, loss=loss)


def _settings(given: Mapping[str, Any], *defaults: Any) -> list[Any]:
    """Return settings with what was given in the place of defaults. Raises InvalidInput for a name or a value of none."""
    known = {name for each in defaults for name in each.__struct_fields__}
    for name in given:
        if name not in known:
            raise InvalidInput(f"setting {name!r} is none of this learner.{nearest(name, known)}")
    try:
        return [
            msgspec.convert(
                msgspec.to_builtins(each) | {name: given[name] for name in each.__struct_fields__ if name in given},
                type(each),
                strict=False,
            )
            for each in defaults
        ]
    except msgspec.ValidationError as error:
        raise InvalidInput(f"settings {dict(given)}: {error}.") from error


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


_LEARNERS: dict[str, Callable[[_Task], _Learned]] = {
    "double_dqn": lambda task: _learn_q(task, double=True),
    "dqn": lambda task: _learn_q(task, double=False),
    "ppo": _learn_ppo,
}
