"""Which of two tests is the likelier to fail? A linear score, learned from pairs of which one failed and one did not."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput
from steersman.packs.qe.ordering.saved import State, array

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_KEPT, _MOST = 300, 200
_SLOWEST = 0.02
"""The scale of the features follows them with at least this step."""


class PairwiseRanker:
    """A linear ranker by logistic loss over pairs (RankNet, Burges et al. 2005), with AdaGrad's steps (Duchi et al. 2011).

    Each cycle gives one step and `replays` of earlier ones. Features are scaled by their running mean and deviation.
    """

    def __init__(
        self, features: int, generator: np.random.Generator, *, rate: float, replays: int, decay: float = 1e-3
    ) -> None:
        self.weights: Floats = np.zeros(features)
        self._mean, self._variance, self._cycles = np.zeros(features), np.ones(features), 0
        self._squares = np.full(features, 1e-2)
        self._memory: deque[tuple[Floats, Flags]] = deque(maxlen=_KEPT)
        self._generator, self._rate, self._replays, self._decay = generator, rate, replays, decay

    def scores(self, features: Floats) -> Floats:
        """Return the scores of tests, (n,), the likelier to fail the higher, with a deviation of 1 among them."""
        scores = self._scaled(features) @ self.weights
        spread = float(scores.std())
        return np.asarray((scores - scores.mean()) / spread) if spread > 1e-12 else np.zeros(len(scores))

    def learn(self, features: Floats, failed: Flags) -> None:
        """Let a cycle in: (n, k) and (n,). Where all tests fail, or none, there is no pair to learn from."""
        self._cycles += 1
        step = max(_SLOWEST, 1.0 / self._cycles)
        self._mean += step * (features.mean(axis=0) - self._mean)
        self._variance += step * (((features - self._mean) ** 2).mean(axis=0) - self._variance)
        if not failed.any() or failed.all():
            return
        chosen = np.concatenate([self._some(np.flatnonzero(failed)), self._some(np.flatnonzero(~failed))])
        self._memory.append((features[chosen], failed[chosen]))
        self._step(*self._memory[-1])
        for index in self._generator.integers(0, len(self._memory), self._replays):
            self._step(*self._memory[index])

    def state(self) -> State:
        """Return all that was learned, and what may be replayed, as arrays; the generator belongs to whoever gave it."""
        none = (np.zeros((0, len(self.weights))), np.zeros(0, dtype=np.bool_))
        pairs = [none, *self._memory]
        return {
            "weights": self.weights,
            "mean": self._mean,
            "variance": self._variance,
            "squares": self._squares,
            "cycles": np.array([self._cycles]),
            "lengths": np.array([len(failed) for _, failed in self._memory], dtype=np.int64),
            "features": np.concatenate([features for features, _ in pairs]),
            "failed": np.concatenate([failed for _, failed in pairs]),
        }

    def restore(self, state: State) -> None:
        """Take up where `state` was taken. Raises InvalidInput where that does not fit this ranker."""
        size = len(self.weights)
        weights, mean, variance, squares = (
            array(state, name, float, (size,)) for name in ("weights", "mean", "variance", "squares")
        )
        lengths = array(state, "lengths", np.int64, (None,))
        total = int(lengths.sum())
        if len(lengths) > _KEPT or (lengths < 0).any():
            raise InvalidInput(f"{len(lengths)} saved cycles do not fit {_KEPT}, or have a length below 0.")
        features = array(state, "features", float, (total, size))
        failed = array(state, "failed", np.bool_, (total,))
        self.weights, self._mean, self._variance, self._squares = weights, mean, variance, squares
        self._cycles = int(array(state, "cycles", np.int64, (1,))[0])
        ends = np.cumsum(lengths)[:-1]
        pairs = zip(np.split(features, ends), np.split(failed, ends), strict=True)
        self._memory = deque(pairs if len(lengths) else (), maxlen=_KEPT)

    def _scaled(self, features: Floats) -> Floats:
        return np.asarray((features - self._mean) / np.sqrt(np.maximum(self._variance, 1e-3)))

    def _some(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows if len(rows) <= _MOST else self._generator.choice(rows, _MOST, replace=False)

    def _step(self, features: Floats, failed: Flags) -> None:
        scaled = self._scaled(features)
        scores = scaled @ self.weights
        ahead = scores[failed][:, None] - scores[~failed][None, :]
        error = 1.0 / (1.0 + np.exp(np.clip(ahead, -30.0, 30.0))) / ahead.size
        gradient = error.sum(axis=0) @ scaled[~failed] - error.sum(axis=1) @ scaled[failed] + self._decay * self.weights
        self._squares += gradient**2
        self.weights -= self._rate * gradient / np.sqrt(self._squares)
