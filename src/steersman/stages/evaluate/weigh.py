"""Weigh: the evidence as one policy sees it, and an estimator for each way to value that policy from it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.maths.off_policy import bandit, trajectory
from steersman.maths.off_policy.fitted_q import Transitions, crossfit
from steersman.maths.off_policy.terms import Terms
from steersman.maths.off_policy.trajectory import Grid, Modelled, grid
from steersman.maths.off_policy.weights import importance_weights, of_executed
from steersman.stages.evaluate.evidence import Evidence, Name

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FOLDS = 5
_STATES = 4_096
"""States with values of their own, the most frequent ones; all others share one."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """What is the same for all policies: rows as transitions between few states, folds, and the grid of episodes.

    units: to which unit a row belongs, (n,), episodes in the order of their ids. first: the first row of each unit.
    """

    evidence: Evidence
    rows: Transitions
    states: int
    fold: Ints
    units: Ints
    first: Ints
    grid: Grid | None

    @property
    def count(self) -> int:
        """Number of units: episodes, each independent of the others."""
        return len(self.first)

    @property
    def steps(self) -> float:
        """Rows of a unit, on average."""
        return len(self.units) / self.count

    @property
    def discounts(self) -> Floats:
        """γ^t, (T,); one step in a bandit."""
        steps = 1 if self.grid is None else self.grid.row.shape[1]
        return np.asarray(self.evidence.gamma ** np.arange(steps, dtype=np.float64))

    @property
    def horizon(self) -> float:
        """Σγ^t over an episode, on average: the width of returns in widths of the reward range; 1 in a bandit."""
        if self.grid is None:
            return 1.0
        return float(np.mean((self.grid.row >= 0) @ self.discounts))


@dataclass(frozen=True, kw_only=True, eq=False)
class Weighed:
    """A policy's weights and estimators.

    raw: π/p of the rows, (n,), not cut. rows: the same, cut; along an episode their products are cut too. units: the weight
    of each unit, cut: its last product in an episode, its mean in a bandit. cut: what was taken away, see `cut_away`. mass:
    its mean, in decisions. limit: the largest weight. terms: an estimator by its name. model: what those of episodes were
    made of.
    """

    name: Name
    raw: Floats
    rows: Floats
    units: Floats
    cut: Floats
    mass: float
    terms: Mapping[str, Terms]
    limit: float
    model: Modelled | None = None


def frame(evidence: Evidence) -> Frame:
    """Return what all policies share. The evidence must not be empty."""
    _, first, units = np.unique(evidence.episode, return_index=True, return_inverse=True)
    state, next_state, states = _few(evidence.state, evidence.next_state)
    rows = Transitions(
        state=state,
        action=evidence.action,
        reward=evidence.reward,
        next_state=next_state,
        terminated=evidence.terminated,
    )
    return Frame(
        evidence=evidence,
        rows=rows,
        states=states,
        fold=units % min(_FOLDS, len(first)),
        units=units,
        first=first,
        grid=grid(evidence.episode, evidence.step) if evidence.sequential else None,
    )


def weigh(shared: Frame, name: Name, limit: float) -> Weighed:
    """Return the weights, none above `limit`, and the estimators of a policy. Needs two units or more."""
    evidence = shared.evidence
    target = evidence.policy(name)
    raw = importance_weights(target, evidence.action, evidence.propensity)
    if shared.grid is None:
        return _one_step(shared, name, raw, limit=limit)
    return _many_steps(shared, shared.grid, name, raw, limit=limit)


def cut_away(shared: Frame, raw: Floats, limit: float) -> Floats:
    """Return by how much weights exceed a limit: (n,) in a bandit; products along episodes, discounted, (E, T)."""
    if shared.grid is None:
        return np.maximum(raw - limit, 0.0)
    return np.asarray(np.maximum(shared.grid.products(raw) - limit, 0.0) * (shared.grid.row >= 0) * shared.discounts)


def _one_step(shared: Frame, name: Name, raw: Floats, *, limit: float) -> Weighed:
    predicted, value, _ = _model(shared, shared.evidence.policy(name), 0.0)
    weights, reward = np.minimum(raw, limit), shared.evidence.reward
    cut = cut_away(shared, raw, limit)
    terms = {
        "ips": bandit.ips(weights, reward),
        "snips": bandit.snips(weights, reward),
        "direct": bandit.direct(value),
        "doubly robust": bandit.doubly_robust(weights, reward, predicted, value),
        "switch": bandit.switch_dr(raw, reward, predicted, value, limit=float(weights.max())),
    }
    return Weighed(
        name=name,
        raw=raw,
        rows=weights,
        units=_by_unit(shared, weights) / _by_unit(shared, np.ones(len(weights))),
        cut=cut,
        mass=float(np.mean(cut)),
        limit=limit,
        terms={each: _clustered(shared, found) for each, found in terms.items()},
    )


def _many_steps(shared: Frame, steps: Grid, name: Name, raw: Floats, *, limit: float) -> Weighed:
    evidence, discounts = shared.evidence, shared.discounts
    predicted, value, tail = _model(shared, evidence.policy(name), evidence.gamma)
    rho = np.minimum(steps.products(raw), limit)
    reward = steps.fill(evidence.reward)
    given = Modelled(
        rho=rho,
        reward=reward,
        predicted=steps.fill(predicted),
        value=steps.fill(value),
        tail=_at_the_end(steps, steps.fill(evidence.gamma * tail)),
        discounts=discounts,
    )
    terms = {
        "importance sampling": trajectory.importance_sampling(rho, reward, discounts),
        "weighted importance sampling": trajectory.weighted_sampling(rho, reward, discounts),
        "per decision": trajectory.per_decision(rho, reward, discounts),
        "weighted per decision": trajectory.weighted_per_decision(rho, reward, discounts),
        "direct": trajectory.direct(given),
        "doubly robust": trajectory.doubly_robust(given),
        "weighted doubly robust": trajectory.weighted_doubly_robust(given),
    }
    cut = cut_away(shared, raw, limit)
    return Weighed(
        name=name,
        raw=raw,
        rows=np.minimum(raw, limit),
        units=rho[:, -1],
        cut=cut,
        mass=float(np.mean(cut.sum(axis=1))) / shared.horizon,
        limit=limit,
        terms=terms,
        model=given,
    )


def _model(shared: Frame, target: Floats, gamma: float) -> tuple[Floats, Floats, Floats]:
    """Return q̂ of the executed action, v̂ of the state, and v̂ of the next one, (n,) each, from the other folds' rows.

    A next state in which nothing is known to follow (−1, or an end) has v̂ = 0.
    """
    state, fold = shared.rows.state, shared.fold
    table = _mean_policy(state, target, shared.states)
    values = crossfit(shared.rows, table, fold, gamma=gamma)
    own = values[fold, state]
    predicted = of_executed(own, shared.rows.action)
    value = np.einsum("na,na->n", target, own)
    if gamma == 0.0:
        return predicted, value, np.zeros(len(fold))
    ahead = np.einsum("ksa,sa->ks", values, table)[fold, shared.rows.next_state]
    goes_on = ~shared.rows.terminated & (shared.rows.next_state >= 0)
    return predicted, value, np.where(goes_on, ahead, 0.0)


def _mean_policy(state: Ints, target: Floats, states: int) -> Floats:
    """Return the mean probabilities in each state (S, A); in states without rows, those over all."""
    count = np.bincount(state, minlength=states)
    table = np.column_stack([np.bincount(state, column, states) for column in target.T])
    overall = target.mean(axis=0)
    return np.where(count[:, None] > 0, table / np.maximum(count, 1)[:, None], overall)


def _few(state: Ints, next_state: Ints) -> tuple[Ints, Ints, int]:
    """Return states and next states as 0 … S − 1: the frequent ones by themselves, all others, and new ones, as S − 1."""
    known, place, count = np.unique(state, return_inverse=True, return_counts=True)
    own = min(len(known), _STATES)
    line = np.full(len(known), own, dtype=np.int64)
    line[np.argsort(-count, kind="stable")[:own]] = np.arange(own)
    at = np.minimum(np.searchsorted(known, next_state), len(known) - 1)
    after = np.where(known[at] == next_state, line[at], own)
    return line[place], np.where(next_state < 0, -1, after), own + 1


def _at_the_end(steps: Grid, values: Floats) -> Floats:
    """Return values (E, T) at the last step of each episode, 0 elsewhere."""
    last = (steps.row >= 0).sum(axis=1) - 1
    return np.where(np.arange(values.shape[1]) == last[:, None], values, 0.0)


def _clustered(shared: Frame, terms: Terms) -> Terms:
    """Return the same estimator over episodes, where these hold several rows: what is not independent is one unit."""
    if shared.count == len(shared.units):
        return terms
    below = np.ones_like(terms.numerator) if terms.denominator is None else terms.denominator
    return Terms(
        numerator=np.column_stack([_by_unit(shared, each) for each in terms.numerator.T]),
        denominator=np.column_stack([_by_unit(shared, each) for each in below.T]),
    )


def _by_unit(shared: Frame, values: Floats) -> Floats:
    return np.bincount(shared.units, values, shared.count).astype(np.float64, copy=False)
