"""Step sizes and exploration rates: from how far learning has come to how boldly it goes on. State in, new state."""

from collections.abc import Sequence

from steersman.core.errors import InvalidInput


def visit_alpha(alpha: float, floor: float, scale: float, visits: int) -> float:
    """Shrink the step size with the visits already paid to the entry.

    α(n) = max(α_min, α₀/(1 + n/k)). With `floor` 0 it meets the conditions of Robbins & Monro (1951). A `scale` k of
    infinity keeps α₀.
    """
    return max(floor, alpha / (1.0 + visits / scale))


def effective_count(visits: int, alpha: float) -> float:
    """Return how many equally weighted samples an exponentially weighted mean of step size `alpha` ∈ (0, 1] is worth.

    n_eff = min(n, (2 − α)/α), the inverse of the limit Σ w² = α/(2 − α) of the squared weights.
    """
    return min(float(visits), (2.0 - alpha) / alpha)


def exponential_epsilon(epsilon: float, *, decay: float = 0.995, floor: float = 0.01) -> float:
    """Return the exploration rate after one more episode.

    ε ← max(ε_min, ε·decay); usually from ε₀ = 0.2.
    """
    return max(floor, epsilon * decay)


def step_epsilon(
    episodes: int,
    *,
    steps: Sequence[tuple[int, float]] = ((100, 0.2), (500, 0.1), (1000, 0.05)),
    last: float = 0.01,
) -> float:
    """Return the exploration rate of an episode, given how many were completed before it.

    `steps` holds (number of episodes, rate below that number), rising; `last` holds from there on.
    """
    return next((rate for below, rate in steps if episodes < below), last)


def reward_epsilon(epsilon: float, rewards: Sequence[float], bounds: tuple[float, float], *, floor: float = 0.01) -> float:
    """Return the exploration rate after one more episode, falling faster while rewards are good.

    With the mean of the last 100 `rewards` (at least 10, else ε stays) above the low bound, over a target of half of
    the reward range `bounds`: × 0.99 above 1, × 0.995 above 0.7, else × 0.998. Raises InvalidInput for an empty range.
    """
    low, high = bounds
    if not low < high:
        raise InvalidInput(f"reward range: [{low}, {high}] is empty.")
    window = rewards[-100:]
    if len(window) < 10:
        return epsilon
    progress = (sum(window) / len(window) - low) / ((high - low) / 2.0)
    decay = 0.99 if progress > 1.0 else 0.995 if progress > 0.7 else 0.998
    return max(floor, epsilon * decay)


def rbed_epsilon(
    epsilon: float, threshold: float, reward: float, *, drop: float, rise: float, floor: float = 0.01
) -> tuple[float, float]:
    """Return (exploration rate, threshold) after a reward: both move only if the reward has reached the threshold.

    r ≥ θ: ε ← max(ε_min, ε − drop), θ ← θ + rise; reward based epsilon decay of Maroti (2019), arXiv:1910.13701.
    """
    if reward < threshold:
        return epsilon, threshold
    return max(floor, epsilon - drop), threshold + rise
