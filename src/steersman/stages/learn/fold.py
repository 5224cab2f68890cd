"""Learning as a fold: the same transitions in the same order give the same table, to the bit, live or replayed."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
from msgspec import structs

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.sections import Learning
from steersman.core.settings import Settings
from steersman.core.transition import Transition
from steersman.core.values import EpisodeRecord, Learned
from steersman.maths.statistics import value_bounds
from steersman.policies.exploration import Explorer
from steersman.policies.tabular import QTable
from steersman.stages.learn.kernel import td_step
from steersman.stages.learn.methods import Trajectory, Update, method
from steersman.stages.learn.practice import Replay, Replayed, half_step, practices
from steersman.stages.learn.schedule import Schedule, ScheduleState
from steersman.stages.learn.sources import shares
from steersman.stages.learn.windows import OpenWindow, Windows

_OPEN_EPISODES = 100_000


_BEARING = ("learning", "exploration", "table", "replay")


def _what_bears(settings: Settings) -> list[tuple[str, str, object]]:
    """Return the settings that bear on what is learned, where they are not at their defaults: a new one changes nothing."""
    return [
        (section, each.name, value)
        for section, each, value in settings.items()
        if section in _BEARING and value != each.default and not each.name.startswith("budget")
    ]


def definition(spec: AgentSpec, settings: Settings) -> str:
    """Return what a table belongs to, in one word: settings, schema, bins, actions, reward range, potential."""
    reward = (spec.reward.low, spec.reward.high, spec.success_from)
    whole = repr((_what_bears(settings), spec.state, spec.actions.dimensions, reward))
    if spec.potential is not None:
        whole += getattr(spec.potential, "__qualname__", type(spec.potential).__qualname__)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def _without_bounds(spec: AgentSpec, learning: Learning) -> tuple[float, float]:
    """Return the bounds of shaped values: none, since each is lower by Φ(s), whose range nobody has stated.

    Raises InvalidInput for a factored agent with γ > 0: there the bounds are what keeps a bootstrap from diverging.
    """
    if len(spec.actions.dimensions) > 1 and learning.gamma > 0.0:
        raise InvalidInput(f"{spec.name}: a potential needs one dimension of actions, or learning.gamma = 0.")
    return -math.inf, math.inf


class Carry(msgspec.Struct, kw_only=True):
    """The part of a fold that is neither table nor episode record: its definition, counts, the exploration schedule.

    `ends` holds the number of steps of open episodes whose last step is known while earlier ones are not. `zeros` names
    the open episodes that were rewarded and stand at a total of 0, which the total does not tell. `quarantined` counts
    outcomes that taught nothing because their source had said enough.
    """

    schedule: ScheduleState
    definition: str = ""
    ends: dict[str, int] = {}
    zeros: dict[str, bool] = {}
    transitions: int = 0
    updates: int = 0
    states_refused: int = 0
    states_pruned: int = 0
    nonzero_rewards: int = 0
    quarantined: int = 0
    last_at: float = 0.0
    window: OpenWindow = msgspec.field(default_factory=OpenWindow)


@dataclass(kw_only=True, slots=True)
class OpenEpisode:
    """An episode under way: its record so far, the steps that a multi-step rule waits for, and whether any was rewarded."""

    record: EpisodeRecord
    trajectory: Trajectory
    rewarded: bool = False


class Fold:
    """Everything that one agent has learned from its log.

    `apply` takes transitions in log order; `changes` gives what has changed since it was last called, for the
    transaction that stores the outcomes behind it. `coin` gives a uniform number for a count of transitions, so that
    rules with randomness are folds too.
    """

    def __init__(self, spec: AgentSpec, settings: Settings, coin: Callable[[int], float]) -> None:
        self._spec = spec
        self._settings = settings
        self._coin = coin
        learning = settings.learning
        low, high = spec.reward.low, spec.reward.high
        self.bounds = value_bounds(low, high, learning.gamma)
        if spec.potential is not None:
            self.bounds = _without_bounds(spec, learning)
        self._explorer = Explorer(settings.exploration, high - low)
        self._method = method(learning, self._explorer)
        self._needs_coin = self._method.estimators > 1
        self._schedule = Schedule(settings.exploration, low, high)
        self._slots: list[list[list[int]]] = []
        self.table = QTable(
            spec.actions,
            initial_value=learning.initial_value,
            estimators=self._method.estimators,
            bounds=self.bounds,
        )
        base = spec.actions.slots
        self._slots = [(base + each * self.table.width).tolist() for each in range(self._method.estimators)]
        self._alpha_scale = learning.alpha_scale if learning.alpha_schedule == "visits" else 0.0
        self._practices = practices(spec, settings, self.table, self._explorer)
        self._shares = shares(spec, learning)
        self.windows = Windows(spec, settings, self.table)
        self.carry = Carry(schedule=self._schedule.start(), definition=definition(spec, settings))
        self.episodes: dict[str, OpenEpisode] = {}
        self._dirty: set[tuple[str, int, int]] = set()
        self._new: dict[str, dict[str, int]] = {}
        self._removed: set[str] = set()
        self._records: dict[str, EpisodeRecord] = {}

    @property
    def epsilon(self) -> float:
        """The exploration rate of an episode that starts now."""
        return self.carry.schedule.epsilon

    @property
    def keeps_trajectories(self) -> bool:
        """Whether open episodes hold steps that only a refold can bring back."""
        return self._method.needs_trajectory

    @property
    def keeps_memory(self) -> bool:
        """Whether it remembers transitions, a model or shares made of them, that only a refold can bring back."""
        return bool(self._practices) or self._shares is not None

    @property
    def replayed(self) -> Replayed | None:
        """What its replay holds; None where it replays nothing."""
        return next((each.made_up() for each in self._practices if isinstance(each, Replay)), None)

    def apply(self, transition: Transition) -> None:
        """Learn from one transition, or from the steps of its episode that it completes."""
        episode = self._episode(transition)
        self.carry.transitions += 1
        self.carry.last_at = transition.at
        if self.windows.overdue(self.carry.window, transition.decided_at):
            self._close_window()
        self.windows.outcome(self.carry.window, transition)
        seen = self._without_guesses(transition)
        quarantined = self.carry.quarantined
        if seen.reward is not None or self._method.needs_trajectory:
            coin = self._coin(self.carry.transitions) if self._needs_coin else 0.0
            for update in self._method.updates(self.table, seen, episode.trajectory, coin):
                self._learn(update.transition, update.target, update.estimator)
        if seen.reward is not None and quarantined == self.carry.quarantined:
            for each in self._practices:
                each.after(seen, self.carry.transitions, self._practise)
        self._advance(episode, transition)
        if self.windows.full(self.carry.window):
            self._close_window()

    def _close_window(self) -> None:
        self.carry.window = self.windows.close(self.carry.window, self.epsilon)

    def _without_guesses(self, transition: Transition) -> Transition:
        """Return the transition, without its reward where it went on to a state that nobody reported.

        To learn it as if the episode had terminated there would teach that waiting too long is the end of the world.
        """
        unknown = transition.next_key is None and not transition.terminated and self._settings.learning.gamma > 0.0
        return dataclasses.replace(transition, reward=None) if unknown else transition

    def apply_all(self, transitions: Iterable[Transition]) -> None:
        """Learn from transitions in their order."""
        for each in transitions:
            self.apply(each)

    def _learn(self, transition: Transition, target: float, estimator: int) -> None:
        reward = transition.reward or 0.0
        row = self._row(transition)
        if row is None:
            self.carry.states_refused += 1
            return
        table, learning = self.table, self._settings.learning
        slots = self._slots[estimator][transition.action]
        if not self._has_a_say(transition, row, slots):
            self.carry.quarantined += 1
            return
        before = table.value[row].tolist()
        error = td_step(
            table.value,
            table.visits,
            table.td_variance,
            table.reward_mean,
            table.reward_m2,
            row,
            slots,
            target,
            reward,
            learning.alpha,
            self._alpha_scale,
            learning.alpha_floor,
        )
        for slot in slots:
            table.updated_at[row, slot] = transition.at
            self._dirty.add((transition.key, row, slot))
        self.windows.update(self.carry.window, transition, error, row=row, slots=slots, before=before)
        self.carry.updates += 1
        self.carry.nonzero_rewards += reward != 0.0

    def _has_a_say(self, transition: Transition, row: int, slots: list[int], part: float = 1.0) -> bool:
        """Count an update, with a part of the step size, to its source; return false where that has too large a share."""
        if self._shares is None:
            return True
        steps = [part * self._step(row, slot) for slot in slots]
        return self._shares.take(transition.key, slots, transition.source, steps)

    def _step(self, row: int, slot: int) -> float:
        """Return the step size of the next update of an entry, as the kernel takes it."""
        learning = self._settings.learning
        if not self._alpha_scale:
            return learning.alpha
        return max(learning.alpha_floor, learning.alpha / (1.0 + self.table.visits.item(row, slot) / self._alpha_scale))

    def _practise(self, update: Update, share: float) -> float | None:
        """Move an entry that has evidence of its own; None where there is none, or no longer."""
        key, table, learning = update.transition.key, self.table, self._settings.learning
        row = table.rows.get(key)
        if row is None:
            return None
        slots = self._slots[update.estimator][update.transition.action]
        if self._shares is not None and not self._has_a_say(update.transition, row, slots, 0.5 * share):
            return None
        error = half_step(
            table.value,
            table.visits,
            row,
            slots,
            update.target,
            share,
            learning.alpha,
            self._alpha_scale,
            learning.alpha_floor,
        )
        self._dirty.update((key, row, slot) for slot in slots if error is not None)
        return error

    def _row(self, transition: Transition) -> int | None:
        row = self.table.rows.get(transition.key)
        if row is not None:
            return row
        if len(self.table) >= self._settings.table.max_states and not self._prune(transition.at):
            return None
        self._new[transition.key] = transition.bins
        return self.table.intern(transition.key, transition.bins)

    def _prune(self, now: float) -> bool:
        limits = self._settings.table
        keys = self.table.prunable(visits=limits.prune_visits, before=now - limits.prune_age_s)
        for key in keys:
            self.table.forget(key)
            self._new.pop(key, None)
            self._removed.add(key)
            for each in self._practices:
                each.forget(key)
            if self._shares is not None:
                self._shares.forget(key)
        if keys:
            gone = set(keys)
            self._dirty = {each for each in self._dirty if each[0] not in gone}
        self.carry.states_pruned += len(keys)
        return bool(keys)

    def _episode(self, transition: Transition) -> OpenEpisode:
        episode = self.episodes.get(transition.episode)
        if episode is None:
            record = EpisodeRecord(
                agent=self._spec.name,
                episode=transition.episode,
                started_at=transition.decided_at,
                ended_at=None,
                steps=0,
                total_reward=0.0,
                total_return=0.0,
                complete=False,
            )
            episode = self.episodes[transition.episode] = OpenEpisode(record=record, trajectory=Trajectory())
            if len(self.episodes) > _OPEN_EPISODES:
                self._abandon(next(iter(self.episodes)), transition.at)
        return episode

    def _abandon(self, name: str, at: float) -> None:
        """Close the oldest open episode, incomplete: memory is bounded, whoever forgets to end theirs."""
        record = self.episodes.pop(name).record
        self.carry.ends.pop(name, None)
        self.carry.zeros.pop(name, None)
        self._records[name] = structs.replace(record, ended_at=at)

    def _advance(self, episode: OpenEpisode, transition: Transition) -> None:
        """Count the step; the episode ends when all steps up to a terminated or truncated one are in."""
        reward = transition.reward or 0.0
        last = episode.record
        if transition.terminated or transition.truncated:
            self.carry.ends[transition.episode] = transition.step + 1
        steps = last.steps + 1
        ended = steps >= self.carry.ends.get(transition.episode, steps + 1)
        episode.rewarded |= transition.reward is not None
        episode.record = EpisodeRecord(
            agent=last.agent,
            episode=last.episode,
            started_at=min(last.started_at, transition.decided_at),
            ended_at=transition.at if ended else None,
            steps=steps,
            total_reward=last.total_reward + reward,
            total_return=last.total_return + self._settings.learning.gamma**transition.step * reward,
            complete=ended and transition.reward is not None,
        )
        if transition.episode != transition.decision_id:  # a decision that stands alone is its own record
            self._records[transition.episode] = episode.record
        self.carry.zeros.pop(transition.episode, None)
        if episode.rewarded and not ended and episode.record.total_reward == 0.0:
            self.carry.zeros[transition.episode] = True
        if ended:
            del self.episodes[transition.episode], self.carry.ends[transition.episode]
            if episode.rewarded:
                self._schedule.episode_ended(self.carry.schedule, episode.record.total_reward, steps)

    def changes(self, *, replace: bool = False) -> Learned:
        """Return what changed since the last call; with `replace`, everything, to stand in for what is stored."""
        if replace:
            rows = self.table.rows.items()
            dirty = {(key, row, slot) for key, row in rows for slot in self.table.visits[row].nonzero()[0].tolist()}
            self._dirty, self._new = dirty, dict(self.table.bins)
        learned = Learned(
            agent=self._spec.name,
            entries={(key, slot): self.table.column(row, slot) for key, row, slot in self._dirty},
            states=self._new,
            removed=self._removed,
            episodes=self._records,
            carry=msgspec.json.encode(self.carry),
            replace=replace,
            windows=self.windows.take(),
        )
        self._dirty, self._new, self._removed, self._records = set(), {}, set(), {}
        return learned

    def fits(self, learned: Learned) -> bool:
        """Return whether what is stored was learned under this definition and these settings."""
        return bool(learned.carry) and msgspec.json.decode(learned.carry, type=Carry).definition == self.carry.definition

    def restore(self, learned: Learned, open_episodes: Iterable[EpisodeRecord]) -> None:
        """Take up a stored fold that fits, where it was left."""
        self.table.restore(learned.states, ((key, slot, entry) for (key, slot), entry in learned.entries.items()))
        self.carry = msgspec.json.decode(learned.carry, type=Carry)
        self.episodes = {
            each.episode: OpenEpisode(
                record=each,
                trajectory=Trajectory(),
                rewarded=each.total_reward != 0.0 or each.episode in self.carry.zeros,
            )
            for each in open_episodes
        }
