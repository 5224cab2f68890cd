"""A bandit and an MDP whose values are known, and logs of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from steersman.stages.evaluate.evidence import Evidence

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def sharpened(values: Floats, sharpness: float) -> Floats:
    """Return chances in proportion to exp(sharpness·value)."""
    raised = np.exp(sharpness * values)
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class World:
    """Six states and three actions with rewards 0 or 1; the log is the incumbent's with a tenth of even chances."""

    chances: Floats
    incumbent: Floats

    @property
    def better(self) -> Floats:
        """A policy that is greedier for what is worth more."""
        return sharpened(self.chances, 8.0)

    @property
    def worse(self) -> Floats:
        """A policy that prefers what is worth less."""
        return sharpened(self.chances, -4.0)

    @property
    def log(self) -> Floats:
        """What made the log."""
        return 0.9 * self.incumbent + 0.1 / 3.0

    def value(self, policy: Floats) -> float:
        """The exact value of a policy."""
        return float((policy * self.chances).sum(axis=1).mean())

    def evidence(self, rows: int, seed: int, candidate: Floats, **columns: Any) -> Evidence:
        """Return rows of the log; the baseline takes the first action."""
        rng = np.random.default_rng(seed)
        state = rng.integers(0, 6, rows)
        action = drawn(self.log[state], rng)
        reward = (rng.random(rows) < self.chances[state, action]).astype(float)
        policies = {"candidate": candidate, "incumbent": self.incumbent, "baseline": np.eye(3)[np.zeros(6, dtype=int)]}
        return evidence_of(policies, state, action, **{"reward": reward, "propensity": self.log[state, action], **columns})

    def episodes(self, count: int, seed: int, candidate: Floats, *, steps: int = 3, gamma: float = 0.9) -> Evidence:
        """Return episodes of as many steps through states that come by chance, whatever is done."""
        found = self.evidence(count * steps, seed, candidate)
        step = np.arange(count * steps) % steps
        return replace(
            found,
            episode=np.arange(count * steps) // steps,
            step=step,
            next_state=np.append(found.state[1:], 0),
            terminated=step == steps - 1,
            gamma=gamma,
        )


def drawn(chances: Floats, rng: np.random.Generator) -> Ints:
    """Return an action for each row of chances (n, A)."""
    found = (chances.cumsum(axis=1) < rng.random((len(chances), 1))).sum(axis=1)
    return np.asarray(np.minimum(found, chances.shape[1] - 1), dtype=np.int64)


def evidence_of(policies: Mapping[str, Floats], state: Ints, action: Ints, **columns: Any) -> Evidence:
    """Return evidence of rows; what is not given is that of a bandit with rewards in [0, 1]."""
    count = len(state)
    rest: dict[str, Any] = {
        "episode": np.arange(count),
        "step": np.zeros(count, dtype=np.int64),
        "next_state": np.full(count, -1),
        "terminated": np.ones(count, dtype=np.bool_),
        "decided_at": np.arange(count, dtype=np.float64),
        "allowed": np.ones((count, policies["candidate"].shape[1]), dtype=np.bool_),
        "low": 0.0,
        "high": 1.0,
        "gamma": 0.0,
        **{name: policy[state] for name, policy in policies.items()},
        **columns,
    }
    return Evidence(state=state, action=action, **rest)


@pytest.fixture(scope="session")
def world() -> World:
    """A world whose incumbent prefers better actions a little."""
    chances = np.random.default_rng(11).uniform(0.1, 0.9, (6, 3))
    return World(chances=chances, incumbent=sharpened(chances, 2.0))
