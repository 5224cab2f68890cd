"""The exploration rate as a fold: it moves when an episode ends, and never in between."""

import msgspec

from steersman.core.sections import Exploration
from steersman.maths import schedules

_WINDOW = 100
_RBED_MOVES = 20


class ScheduleState(msgspec.Struct, kw_only=True):
    """What the schedule remembers: episodes and steps so far, the rate, recent episode rewards, the moving threshold."""

    epsilon: float
    episodes: int = 0
    steps: int = 0
    window: list[float] = []
    threshold: float = 0.0


class Schedule:
    """Moves epsilon by one of the schedules of the settings, for rewards between `low` and `high`."""

    def __init__(self, settings: Exploration, low: float, high: float) -> None:
        self._settings = settings
        self._bounds = (low, high)
        self._rise = (high - low) / _RBED_MOVES
        self._drop = (settings.epsilon - settings.floor) / _RBED_MOVES

    def start(self) -> ScheduleState:
        """Return the state before the first episode."""
        return ScheduleState(epsilon=self._settings.epsilon, threshold=sum(self._bounds) / 2)

    def episode_ended(self, state: ScheduleState, reward: float, steps: int) -> None:
        """Move the rate after an episode with a total reward over a number of steps."""
        state.episodes += 1
        state.steps += steps
        now, per_step = self._settings, reward / max(steps, 1)
        match now.schedule:
            case "exponential":
                state.epsilon = schedules.exponential_epsilon(state.epsilon, decay=now.decay, floor=now.floor)
            case "step":
                state.epsilon = schedules.step_epsilon(state.episodes)
            case "reward":
                state.window = [*state.window[-(_WINDOW - 1) :], per_step]
                state.epsilon = schedules.reward_epsilon(state.epsilon, state.window, self._bounds, floor=now.floor)
            case "rbed":
                state.epsilon, state.threshold = schedules.rbed_epsilon(
                    state.epsilon,
                    state.threshold,
                    per_step,
                    drop=max(self._drop, 0.0),
                    rise=self._rise,
                    floor=now.floor,
                )
            case _:
                pass
