"""Kin: agents of other states and choices learn from one replay, in the words that they share, what is likely for a new one.

What a network of kin says is a prior: it joins what an agent learns from as pseudo-experience that weighs as much as a fixed
number of outcomes, however many there are, so it counts for less with each outcome of the agent's own. It is never recorded,
never counted as a visit, and made without the agent's own experience, which would otherwise count twice.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.kinship import slot_name
from steersman.core.state import StateValues, finite
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values
from steersman.stages.learn.deep import fleet
from steersman.stages.learn.deep.batch import Batch
from steersman.stages.learn.deep.q_learning import QSettings, bootstrap_values, targets
from steersman.stages.learn.deep.quality import Row, experience

Floats = NDArray[np.float32]
Roles = frozenset[str]
"""The parts that the choices of one action play; an action without any is not shared."""
_TOGETHER = 50  # updates in one call: their batches lie in memory at once


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """What one agent has seen, N outcomes, in shared words.

    names: of the shared features. actions: the roles of each of its actions. batch: states in shared features, actions still
    by the agent's own number, rewards as shares of the largest that it can have.
    """

    source: str
    names: tuple[str, ...]
    actions: tuple[Roles, ...]
    batch: Batch


@dataclass(frozen=True, kw_only=True, eq=False)
class SharedReplay:
    """What several agents have seen, one after the other. actions: all that anybody has. source: whose each outcome is."""

    names: tuple[str, ...]
    roles: tuple[str, ...]
    actions: tuple[Roles, ...]
    source: NDArray[np.str_]
    batch: Batch

    @property
    def incidence(self) -> Floats:
        """Which roles make up each action, (actions, roles), as 0 and 1."""
        return np.array([[role in action for role in self.roles] for action in self.actions], dtype=np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """What others say to one agent.

    counts: how many outcomes of others there were of each shared action, (actions,). trust: the most outcomes that it may
    stand for, by what the agent has seen itself; infinite where nothing of that speaks against it.
    """

    replay: SharedReplay
    net: Architecture
    weights: Mapping[str, Floats]
    counts: NDArray[np.int64]
    trust: float


def tell(spec: AgentSpec, rows: Sequence[Row], gamma: float, words: Mapping[str, str] | None = None) -> Told:
    """Return an agent's outcomes in shared words. words: by its role, the role that who asks calls it.

    Rewards are divided by the largest size that they can have and not shifted, since a shift would make long episodes better
    or worse; what a potential added is not among them. Raises InvalidInput for an agent without kinship or outcomes, and for
    features that are no numbers in [0, 1].
    """
    own = experience(rows, spec, gamma)
    states = [each.decision.state for each in rows]
    rewards = np.array([each.made.reward for each in rows], dtype=np.float32)
    following = [each.outcome.next_state or each.decision.state for each in rows]
    names, features = shared_features(spec, [*states, *following])
    return Told(
        source=spec.name,
        names=names,
        actions=_actions(spec, words or {}),
        batch=own._replace(
            states=features[: len(rows)], next_states=features[len(rows) :], rewards=rewards / np.float32(_size(spec))
        ),
    )


def shared_features(spec: AgentSpec, states: Iterable[StateValues]) -> tuple[tuple[str, ...], Floats]:
    """Return the names of an agent's shared features, and those of its states, (N, features).

    Raises InvalidInput for an agent without kinship, and features that are no numbers in [0, 1].
    """
    if spec.kinship is None:
        raise InvalidInput(f"{spec.name}: it has no kinship, so it shares nothing. Give the agent one.")
    found = [spec.kinship.project(each) for each in states]
    names = tuple(sorted(found[0]))
    shared = np.array([[finite(each[name], name=f"shared feature {name}") for name in names] for each in found], np.float32)
    outside = (shared < 0.0) | (shared > 1.0)
    if outside.any():
        raise InvalidInput(
            f"{spec.name}: shared feature {names[int(outside.any(axis=0).argmax())]}: {shared[outside][0]:g} lies outside "
            "[0, 1]. Scale it in `project`."
        )
    return names, shared


def replay_of(told: Sequence[Told]) -> SharedReplay:
    """Return one replay of what several agents have seen; actions without a role are left out.

    Raises InvalidInput for none, and where not all call the shared features alike.
    """
    if len({each.names for each in told}) != 1:
        known = {each.source: each.names for each in told}
        raise InvalidInput(f"shared replay: agents must project to the same features, got {known}.")
    actions = tuple(sorted({roles for each in told for roles in each.actions if roles}, key=sorted))
    parts = [_in_words(each, actions) for each in told]
    return SharedReplay(
        names=told[0].names,
        roles=tuple(sorted(frozenset().union(*actions))),
        actions=actions,
        source=np.concatenate([np.full(len(part.actions), each.source) for part, each in zip(parts, told, strict=True)]),
        batch=join(parts),
    )


def learn(
    replay: SharedReplay,
    asking: Sequence[str],
    settings: QSettings,
    *,
    hidden: tuple[int, ...],
    updates: int,
    rng: np.random.Generator,
) -> dict[str, Network]:
    """Return for each agent that asks what the others have seen comes to: as many networks, trained as one program.

    updates: made in steps of 50. Raises InvalidInput for an agent that is alone, and where the loss is no number.
    """
    net = Architecture(features=len(replay.names), groups=(len(replay.roles),), hidden=hidden, stream=0, layer_norm=False)
    others = [np.flatnonzero(replay.source != name) for name in asking]
    for name, places in zip(asking, others, strict=True):
        if not len(places):
            raise InvalidInput(f"{name}: nobody else has told anything.")
    states = fleet.begin_fleet(net, settings, rng.spawn(len(asking)))
    for _ in range(math.ceil(updates / _TOGETHER)):
        places = np.stack([rng.choice(each, size=(_TOGETHER, settings.batch)) for each in others])
        states, seen = fleet.train_fleet(net, settings, replay.incidence, states, _at(replay.batch, places))
        if not bool(seen.finite.all()):
            raise InvalidInput("shared replay: the loss is no number. Lower the learning rate.")
    found = {}
    for index, (name, places) in enumerate(zip(asking, others, strict=True)):
        weights = {key: np.asarray(each) for key, each in fleet.member(states, index).weights.items()}
        errors = _errors(net, weights, replay)
        found[name] = Network(
            replay=replay,
            net=net,
            weights=weights,
            counts=np.bincount(replay.batch.actions[places], minlength=len(replay.actions)),
            trust=trust(errors[places], errors[replay.source == name]),
        )
    return found


def trust(others: Floats, own: Floats) -> float:
    """Return the most outcomes that others may stand for, σ²/t, by how far off they are for themselves and for one agent.

    σ² is their mean squared error, of (N,) errors; t is by how much that of the agent, (n,), surely exceeds it: by more than
    two standard errors of a mean square, σ²·2·√(2/n). It is the pseudo-count of a normal prior whose mean is off by √t.
    """
    variance = float(np.mean(others**2))
    if not len(own):
        return math.inf
    excess = float(np.mean(own**2)) - variance * (1.0 + 2.0 * math.sqrt(2.0 / len(own)))
    return variance / excess if excess > 0.0 else math.inf


def prior_values(network: Network, spec: AgentSpec, states: Sequence[StateValues]) -> tuple[Floats, NDArray[np.int64]]:
    """Return what kin think that each action is worth, (N, actions), in the agent's own units, and by how many outcomes.

    The outcomes, (actions,), are 0 for an action that no kin know. Raises InvalidInput where features have other names.
    """
    names, features = shared_features(spec, states)
    if names != network.replay.names:
        raise InvalidInput(f"{spec.name}: projects to {names}, and its kin to {network.replay.names}.")
    places = {roles: place for place, roles in enumerate(network.replay.actions)}
    own = [places.get(roles, -1) for roles in _actions(spec, {})]
    values = slot_values(network.net, network.weights, features) @ network.replay.incidence.T
    shaped = values[:, own] * np.float32(_size(spec))
    if spec.potential is not None:  # with shaping, every action of a state is worth its potential less (Ng et al., 1999)
        shaped -= np.array([spec.potential(each) for each in states], np.float32)[:, None]
    return shaped, np.where(np.array(own) < 0, 0, network.counts[own])


def pseudo_experience(
    network: Network, spec: AgentSpec, rows: Sequence[Row], *, count: float, rng: np.random.Generator
) -> Batch:
    """Return what kin say of the states that an agent has seen, for it to learn from beside its own experience.

    Weights sum up to `count` outcomes of weight 1, whatever the number of rows, or to fewer where the network is trusted
    less; an action's to no more than kin have outcomes of it. Actions are drawn evenly from what was allowed.
    """
    own, count = experience(rows, spec, 0.0), min(count, network.trust)
    most = max(len(rows), math.ceil(min(count, float(network.counts.sum()))))  # more than kin have seen says nothing more
    drawn = rng.permutation(np.resize(np.arange(len(rows)), most))
    values, known = prior_values(network, spec, [each.decision.state for each in rows])
    allowed = np.asarray(own.allowed)[drawn] & (known > 0)
    actions = np.where(allowed, rng.random(allowed.shape), -1.0).argmax(axis=1).astype(np.int32)
    valid = allowed.any(axis=1)
    often = np.bincount(actions[valid], minlength=len(known))
    share = np.minimum(count / max(int(valid.sum()), 1), known[actions] / np.maximum(often[actions], 1))
    return _at(own, drawn)._replace(
        actions=actions,
        rewards=values[drawn, actions],
        weights=np.where(valid, share, 0.0).astype(np.float32),
    )


def join(parts: Sequence[Batch]) -> Batch:
    """Return several experiences, (N, …) each, as one."""
    return Batch(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _actions(spec: AgentSpec, words: Mapping[str, str]) -> tuple[Roles, ...]:
    """Return the roles of each action, each as `words` call it."""
    known = {} if spec.kinship is None else spec.kinship.roles
    named = [known.get(slot_name(*each)) for each in spec.actions.slot_names]
    return tuple(
        frozenset(words.get(role, role) for slot in slots if (role := named[slot]) is not None)
        for slots in spec.actions.slots.tolist()
    )


def _in_words(told: Told, actions: Sequence[Roles]) -> Batch:
    """Return what an agent tells with its actions by their shared number; where several are one, any of them allows it."""
    places = np.array([actions.index(roles) if roles else -1 for roles in told.actions])
    merged = places[:, None] == np.arange(len(actions))  # (own actions, shared actions)
    kept = _at(told.batch, np.flatnonzero(places[told.batch.actions] >= 0))
    return kept._replace(
        actions=places[kept.actions].astype(np.int32),
        next_allowed=kept.next_allowed @ merged,
        allowed=None if kept.allowed is None else kept.allowed @ merged,
    )


def _errors(net: Architecture, weights: Mapping[str, Floats], replay: SharedReplay) -> Floats:
    """Return r + γ·max q(s′) − q(s, a) of each outcome of a replay, (N,)."""
    batch = replay.batch
    q, q_next = (
        np.asarray(slot_values(net, weights, states) @ replay.incidence.T) for states in (batch.states, batch.next_states)
    )
    wanted = targets(batch, np.asarray(bootstrap_values(q_next, q_next, batch.next_allowed)))
    return np.asarray(wanted - np.take_along_axis(q, batch.actions[:, None], axis=1)[:, 0], dtype=np.float32)


def _size(spec: AgentSpec) -> float:
    """Return the largest size of a reward."""
    return max(abs(spec.reward.low), abs(spec.reward.high))


def _at(batch: Batch, places: NDArray[np.int64]) -> Batch:
    return Batch(*(None if each is None else each[places] for each in batch))
