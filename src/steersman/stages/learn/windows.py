"""Windows: what learning amounts to over some outcomes in a row, counted while it goes on. A part of the fold.

The open window is carried with each transaction, so it is small and does not grow with the table: entries are put into 16
groups and states into 512 bits by a checksum of their keys.
"""

import math
import zlib

import msgspec

from steersman.core.agent import AgentSpec
from steersman.core.settings import Settings
from steersman.core.transition import Transition
from steersman.core.values import Window
from steersman.policies.tabular import QTable

_GROUPS = 16
_BITS = 512


class OpenWindow(msgspec.Struct, kw_only=True, array_like=True):
    """The window that is being filled: sums of what a `Window` tells."""

    number: int = 0
    started_at: float = 0.0
    ended_at: float = 0.0
    outcomes: int = 0
    updates: int = 0
    td_squares: float = 0.0
    td_sums: list[float] = msgspec.field(default_factory=lambda: [0.0] * _GROUPS)
    td_counts: list[int] = msgspec.field(default_factory=lambda: [0] * _GROUPS)
    reward_mean: float = 0.0
    reward_m2: float = 0.0
    first_reward: float = 0.0
    noise_m2: float = 0.0
    noise_count: int = 0
    successes: int = 0
    varied: int = 0
    explored: float = 0.0
    policy_changes: int = 0
    states: bytearray = msgspec.field(default_factory=lambda: bytearray(_BITS // 8))


class Windows:
    """Fills the open window and closes it: when it is full, or when its time has passed and it holds enough."""

    def __init__(self, spec: AgentSpec, settings: Settings, table: QTable) -> None:
        self._agent = spec.name
        self._table = table
        self._limits = settings.convergence
        self._success_from = spec.success_from
        self._policy = settings.exploration.policy
        self._ranges = _slot_ranges(spec)
        self.closed: list[Window] = []

    def full(self, window: OpenWindow) -> bool:
        """Return whether the window holds all the outcomes that it may."""
        return window.outcomes >= self._limits.window_outcomes

    def overdue(self, window: OpenWindow, at: float) -> bool:
        """Return whether the window ends before an outcome of a decision that was made at a time (unix seconds)."""
        return window.outcomes >= self._limits.window_least and at - window.started_at >= self._limits.window_s

    def close(self, window: OpenWindow, epsilon: float) -> OpenWindow:
        """Keep what the window amounts to and return the next one."""
        self.closed.append(_closed(window, self._agent, epsilon))
        return OpenWindow(number=window.number + 1)

    def take(self) -> list[Window]:
        """Return the windows that closed since this was last called."""
        closed, self.closed = self.closed, []
        return closed

    def outcome(self, window: OpenWindow, transition: Transition) -> None:
        """Count an outcome, before it is learned. Without a reward it says nothing, and is none."""
        reward = transition.reward
        if reward is None:
            return
        if not window.outcomes:
            window.started_at = window.ended_at = transition.decided_at
            window.first_reward = reward
        window.outcomes += 1
        window.ended_at = max(window.ended_at, transition.decided_at)
        window.explored += self._explored(transition)
        window.successes += reward >= self._success_from
        window.varied += reward != window.first_reward
        delta = reward - window.reward_mean
        window.reward_mean += delta / window.outcomes
        window.reward_m2 += delta * (reward - window.reward_mean)

    def update(
        self, window: OpenWindow, transition: Transition, error: float, *, row: int, slots: list[int], before: list[float]
    ) -> None:
        """Count an update of slots of a row that is done, by its TD error. `before` holds the values that the row had."""
        mark = zlib.crc32(transition.key.encode())
        window.states[(mark >> 3) % (_BITS // 8)] |= 1 << (mark & 7)
        group = ((mark >> 9) + transition.action) % _GROUPS
        window.updates += 1
        window.td_squares += error * error
        window.td_sums[group] += error
        window.td_counts[group] += 1
        reward, mean, visits = transition.reward or 0.0, self._table.reward_mean, self._table.visits
        after = before.copy()
        for slot in slots:
            after[slot] = self._table.value.item(row, slot)
            count = visits.item(row, slot)
            if count > 1:  # what the reward added to its entry's sum of squares: δ²·(n − 1)/n with δ from the mean before
                rest = reward - mean.item(row, slot)
                window.noise_m2 += rest * rest * count / (count - 1)
                window.noise_count += 1
        window.policy_changes += self._best(after) != self._best(before)

    def _best(self, row: list[float]) -> list[int]:
        """Return the slot of the best choice in each dimension, the first where several are equal."""
        values = row if self._table.estimators == 1 else self._mean(row)
        if len(self._ranges) == 1:
            return [values.index(max(values))]
        return [values.index(max(values[first:end]), first, end) for first, end in self._ranges]

    def _mean(self, row: list[float]) -> list[float]:
        width, estimators = self._table.width, self._table.estimators
        return [sum(row[slot::width]) / estimators for slot in range(width)]

    def _explored(self, transition: Transition) -> float:
        """Return the share of an outcome that went to exploring: ε, or whether a rule without ε left the best action.

        What the baseline's share decided is no exploring.
        """
        if transition.by_rule or self._policy == "greedy":
            return 0.0
        if self._policy == "epsilon_greedy":
            return transition.epsilon
        row = self._table.rows.get(transition.key)
        if row is None:
            return 0.0
        values = self._table.slot_values(row).tolist()
        taken = self._table.space.slots[transition.action].tolist()
        pairs = zip(taken, self._ranges, strict=True)
        return float(any(values[slot] < max(values[first:end]) for slot, (first, end) in pairs))


def _slot_ranges(spec: AgentSpec) -> list[tuple[int, int]]:
    """Return the first slot of each dimension, and the one behind its last."""
    ranges, start = [], 0
    for choices in spec.actions.dimensions.values():
        ranges.append((start, start + len(choices)))
        start += len(choices)
    return ranges


def _closed(window: OpenWindow, agent: str, epsilon: float) -> Window:
    bias, noise, pairs = td_bias(window.td_sums, window.td_counts, window.td_squares)
    return Window(
        agent=agent,
        number=window.number,
        started_at=window.started_at,
        ended_at=window.ended_at,
        outcomes=window.outcomes,
        updates=window.updates,
        td_bias=bias,
        td_noise=noise,
        td_pairs=pairs,
        reward_mean=window.reward_mean,
        reward_m2=window.reward_m2,
        noise=window.noise_m2 / window.noise_count if window.noise_count else 0.0,
        successes=window.successes,
        varied=window.varied,
        explored=window.explored,
        policy_changes=window.policy_changes,
        states_seen=min(_distinct(window.states), window.updates),
        epsilon=epsilon,
    )


def td_bias(sums: list[float], counts: list[int], squares: float) -> tuple[float, float, int]:
    """Return the bias of TD errors δ in groups (sign · root), what noise alone shows (root of a standard error), pairs.

    Two errors of one group have independent noise, so their product estimates the square of their common mean:
    b² = (Σ_g S_g² − Σ δ²) / Σ_g n_g·(n_g − 1), a U-statistic (Hoeffding, 1948) that noise does not raise. It may be
    negative by chance. Its standard error without bias is √2·s² / √pairs, where s² is the mean of δ².
    sums: S_g, shape (groups,). counts: n_g, shape (groups,). squares: Σ δ².
    """
    pairs = sum(count * (count - 1) for count in counts)
    if not pairs:
        return 0.0, 0.0, 0
    square = (sum(each * each for each in sums) - squares) / pairs
    error = math.sqrt(2.0 / pairs) * squares / sum(counts)
    return math.copysign(math.sqrt(abs(square)), square), math.sqrt(error), pairs


def _distinct(bits: bytearray) -> int:
    """Return how many keys are behind the bits that were set: −m·ln(1 − k/m), linear counting (Whang et al., 1990)."""
    free = _BITS - int.from_bytes(bits, "big").bit_count()
    return round(_BITS * math.log(_BITS / max(free, 1)))
