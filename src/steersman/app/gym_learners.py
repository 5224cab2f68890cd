"""Learners of Gymnasium environments, by the names of their methods: from a task to the weights of a network."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

import msgspec

from steersman.app.compute import check_compute
from steersman.app.worlds import library
from steersman.core.compute import Budget
from steersman.core.errors import InvalidInput, nearest
from steersman.policies.deep.architecture import Architecture, Weights

Method = Literal["double_dqn", "dqn", "ppo"]
METHODS: tuple[Method, ...] = get_args(Method)
_PLAYED_TOGETHER = 8
"""Environments that PPO steps together."""
_SPREAD = ("double_dqn", "dqn")
_SCORES, _SCORED_EPISODES = 20, 20
"""How often the policy is scored while it learns, and by how many episodes."""


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """How far training was, with ε, loss and mean Q then. mean_return: of the last 100 episodes; None before the first."""

    steps: int
    updates: int
    mean_return: float | None
    epsilon: float | None
    loss: float
    q: float


@dataclass(frozen=True, kw_only=True)
class Spread:
    """That so many actors collect for one learner, each in a process of its own. compute: as in `open_compute`."""

    actors: int
    compute: str = "local"


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a learner is asked to do. told: hears of each training, and returns whether to stop.

    spread: over which processes; None for this one alone. budget: of those that it is spread over.
    """

    env_id: str
    features: int
    actions: int
    steps: int
    seed: int
    settings: Mapping[str, Any]
    told: Callable[[Point], bool]
    spread: Spread | None
    budget: Budget

    def vector(self, count: int) -> Any:
        """Return so many of the environment, stepped together."""
        return library().make_vec(self.env_id, num_envs=count, vectorization_mode="sync")


@dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """What a learner gives: a network, whether it tells values or a policy, and whether every loss was a number.

    cpu_seconds: of other processes. lost: how many of them were. stopped: why those ended early; "" where they did not.
    """

    kind: Literal["value", "policy"]
    net: Architecture
    weights: Weights
    finite: bool
    cpu_seconds: float = 0.0
    lost: int = 0
    stopped: str = ""


def learn(method: str, task: Task) -> Learned:
    """Learn by a method. Raises InvalidInput for settings that are none of it."""
    settings, learner = _LEARNERS[method]
    return learner(task, *settings(task.steps, task.settings))


def check_settings(method: str, steps: int, settings: Mapping[str, Any]) -> None:
    """Raise InvalidInput for settings that a method does not take."""
    _LEARNERS[method][0](steps, settings)


def check_method(method: str, spread: Spread | None = None) -> None:
    """Raise InvalidInput for a method that is none, or that cannot be spread where that is asked for, as it is asked for."""
    if method not in METHODS:
        raise InvalidInput(f"method {method!r} is none.{nearest(method, METHODS)}")
    if spread is not None and method not in _SPREAD:
        raise InvalidInput(f"method {method!r} learns in one process. Leave actors out, or take {' or '.join(_SPREAD)}.")
    if spread is not None:
        check_compute(spread.compute)


def _q_settings(steps: int, given: Mapping[str, Any], *, double: bool) -> list[Any]:
    from steersman.stages.learn.deep.q_learning import QSettings
    from steersman.stages.learn.deep.rollout import RolloutSettings

    return _settings(
        given,
        QSettings(learning_rate=2.3e-3, batch=64, tau=0.02, n_step=3, double=double),
        RolloutSettings(
            collect=min(256, max(steps // _SCORES, 1)),
            warmup=min(1_000, max(steps // 10, 1)),
            epsilon_last=0.04,
            epsilon_over=0.4,
            score_every=max(steps // _SCORES, 1),
        ),
    )


def _learn_q(task: Task, own: Any, rollout: Any) -> Learned:
    from steersman.stages.learn.deep.rollout import train_q

    net = Architecture(features=task.features, groups=(task.actions,), hidden=(128, 128), stream=0, layer_norm=False)
    if task.spread is not None:
        return _learn_spread(task, task.spread, net, own, rollout)
    trained = train_q(
        task.vector(1),
        net,
        own,
        rollout,
        seed=task.seed,
        budget_steps=task.steps,
        score=_score(task),
        on_progress=lambda now, _: task.told(_point(now, now.epsilon)),
    )
    return Learned(kind="value", net=net, weights=trained.weights, finite=trained.finite)


def _learn_spread(task: Task, spread: Spread, net: Architecture, own: Any, rollout: Any) -> Learned:
    from steersman.app.scale import train_scaled

    def told(now: Any) -> None:
        task.told(_point(now, now.epsilon))

    made = train_scaled(
        task.env_id,
        net,
        own,
        rollout,
        compute=spread.compute,
        actors=spread.actors,
        budget=replace(task.budget, steps=task.steps),
        seed=task.seed,
        told=told,
    )
    return Learned(
        kind="value",
        net=net,
        weights=made.weights,
        finite=made.finite,
        cpu_seconds=made.cost.cpu_seconds,
        lost=made.lost,
        stopped="" if made.reason == Budget(steps=task.steps).spent(made.cost) or not made.finite else made.reason,
    )


def _ppo_settings(steps: int, given: Mapping[str, Any]) -> list[Any]:
    from steersman.stages.learn.deep.ppo import PPOSettings

    return _settings(given, PPOSettings(score_every=max(steps // _SCORES, 1)))


def _learn_ppo(task: Task, own: Any) -> Learned:
    from steersman.stages.learn.deep.ppo import networks, train_ppo

    nets = networks(task.features, (task.actions,), own)
    trained = train_ppo(
        task.vector(_PLAYED_TOGETHER),
        nets,
        own,
        seed=task.seed,
        budget_steps=task.steps,
        score=_score(task),
        on_progress=lambda now: task.told(_point(now, None)),
    )
    return Learned(kind="policy", net=nets.actor, weights=trained.weights, finite=trained.finite)


def _score(task: Task) -> Callable[[Any], float]:
    """Return what tells how much a policy earns, by some episodes that are always the same."""
    from steersman.stages.learn.deep.rollout import mean_return

    scored = task.vector(_SCORED_EPISODES)
    sizes = {"actions": task.actions, "features": task.features, "episodes": _SCORED_EPISODES, "seed": task.seed + 1}
    return lambda actor: mean_return(actor, scored, **sizes)


def _point(now: Any, epsilon: float | None) -> Point:
    mean = now.mean_return if math.isfinite(now.mean_return) else None
    return Point(steps=now.steps, updates=now.updates, mean_return=mean, epsilon=epsilon, loss=now.loss, q=now.q)


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


_LEARNERS: dict[str, tuple[Callable[[int, Mapping[str, Any]], list[Any]], Callable[..., Learned]]] = {
    "double_dqn": (partial(_q_settings, double=True), _learn_q),
    "dqn": (partial(_q_settings, double=False), _learn_q),
    "ppo": (_ppo_settings, _learn_ppo),
}
