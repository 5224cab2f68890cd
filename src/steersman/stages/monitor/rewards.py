"""Rewards as they come in: whether their mean falls, and whether they still mean what they should. A fold over outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from steersman.core.agent import AgentSpec
from steersman.core.values import Outcome
from steersman.maths.drift import EMPTY, Adwin, Shift
from steersman.maths.statistics import Moments, welford
from steersman.stages.monitor.anomaly import Better, Metric, Rewards, anomalies
from steersman.stages.monitor.blocks import Blocks
from steersman.stages.monitor.signals import Signal

_DELTA = 0.01
"""For ADWIN: no false alarm in 10^6 independent rewards (benchmarks/drift.py)."""
_FALL_WARN, _FALL_ACT = 0.01, 0.05
"""Falls of the mean reward that are told, in reward ranges."""
_SUCCESS = "success"


@dataclass(kw_only=True)
class _Block:
    """What some outcomes in a row amount to."""

    rewards: Moments = EMPTY
    steps: Moments = EMPTY
    repeats: int = 0
    metrics: dict[str, Moments] = field(default_factory=dict)


class RewardWatch:
    """Watches the first revision of each outcome that has a reward.

    blocks: the windows that are compared. guardrails: names of measurements, or of components of the reward, and which
    direction is better. The share of successes is one always.
    """

    def __init__(self, spec: AgentSpec, blocks: Blocks[_Block], guardrails: Mapping[str, Better]) -> None:
        self._agent, self._width, self._success_from = spec.name, spec.reward.high - spec.reward.low, spec.success_from
        self._guardrails: dict[str, Better] = {**guardrails, _SUCCESS: "higher"}
        self._blocks, self._block = blocks, _Block()
        self._adwin = Adwin(_DELTA)
        self._last: float | None = None
        self._found: tuple[Signal, ...] = ()
        self.shift: Shift | None = None
        self._shift_at, self._since_shift = 0.0, 0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome. Corrections and withdrawals come too late to tell when something changed, and are left out."""
        if outcome.reward is None or outcome.revision:
            return
        self._follow(outcome.reward, outcome.reported_at)
        self._count(outcome, outcome.reward)
        if self._block.rewards[0] == self._blocks.size:
            block, self._block = self._block, _Block()
            if self._blocks.close(block):
                self._look(outcome.reported_at)

    def signals(self) -> tuple[Signal, ...]:
        """Return what is odd about the rewards."""
        fall = self._fall()
        return (fall, *self._found) if fall else self._found

    def rebase(self) -> None:
        """Take the rewards of the current window as the normal."""
        self._blocks.rebase()
        self._found, self.shift = (), None

    def _follow(self, reward: float, at: float) -> None:
        shift = self._adwin.add(reward)
        self._since_shift += 1
        if shift and self.shift:  # a change often comes in steps, and part of it may be taken back
            self.shift, self._since_shift = replace(shift, before=self.shift.before), 0
        elif shift:
            self.shift, self._shift_at, self._since_shift = shift, at, 0
        elif self._since_shift >= self._blocks.reference_size:
            self.shift = None  # by now this is the normal

    def _count(self, outcome: Outcome, reward: float) -> None:
        block = self._block
        block.rewards = welford(block.rewards, reward)
        if self._last is not None:
            block.steps = welford(block.steps, abs(reward - self._last))
            block.repeats += reward == self._last
        self._last = reward
        for name in self._guardrails:
            value = self._value(outcome, reward, name)
            if value is not None:
                block.metrics[name] = welford(block.metrics.get(name, EMPTY), value)

    def _value(self, outcome: Outcome, reward: float, name: str) -> float | None:
        if name == _SUCCESS:
            return float(reward >= self._success_from if outcome.success is None else outcome.success)
        return outcome.measurements.get(name, outcome.components.get(name))

    def _look(self, at: float) -> None:
        before = {(each.kind, each.subject): each.since for each in self._found}
        guardrails = [self._metric(name, better) for name, better in self._guardrails.items()]
        windows = (self._blocks.reference, self._blocks.current)
        repeats, repeats_now = (sum(block.repeats for block in window) for window in windows)
        rewards = Rewards(
            rewards=self._metric("reward", "higher"), steps=self._metric("steps", "higher"), repeats=(repeats, repeats_now)
        )
        found = anomalies(self._agent, rewards, guardrails, looks=self._blocks.looks)
        self._found = tuple(replace(each, since=before.get((each.kind, each.subject), at)) for each in found)

    def _metric(self, name: str, better: Better) -> Metric:
        reference, current = (
            tuple(_moments(block, name) for block in window) for window in (self._blocks.reference, self._blocks.current)
        )
        return Metric(name=name, better=better, reference=reference, current=current)

    def _fall(self) -> Signal | None:
        """Return the signal of a fall that stands, by the mean of all rewards since."""
        if self.shift is None:
            return None
        before, after = self.shift.before, self._adwin.mean
        fall = after - before
        if -fall < _FALL_WARN * self._width:
            return None
        return Signal(
            agent=self._agent,
            kind="reward shift",
            level="act" if -fall >= _FALL_ACT * self._width else "warn",
            subject="reward",
            figure=fall,
            threshold=-_FALL_WARN * self._width,
            since=self._shift_at,
            sentence=f"The mean reward of {self._agent} fell from {before:.3g} to {after:.3g}.",
            what_to_do="See what changed about then: a version of the policy, the states (drift), a measurement, the "
            "surroundings. Roll back if it was the policy; otherwise let it learn, exploring more if it may.",
        )


def _moments(block: _Block, name: str) -> Moments:
    match name:
        case "reward":
            return block.rewards
        case "steps":
            return block.steps
        case _:
            return block.metrics.get(name, EMPTY)
