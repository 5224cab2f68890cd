"""What the loops of one agent share: its definition, its settings, its fold, its open decisions and the log."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from steersman.core.agent import AgentSpec
from steersman.core.errors import Conflict
from steersman.core.guards import Guard
from steersman.core.ids import IdSource
from steersman.core.influence import Mode
from steersman.core.ports import Clock, Log, Meter, SharedLog
from steersman.core.settings import Settings
from steersman.core.tracking import Quiet
from steersman.core.training import Checkpoints
from steersman.core.values import Decision, Outcome
from steersman.core.versions import LEARNING
from steersman.loops.budget import Budget
from steersman.loops.cooldown import Cooldown
from steersman.loops.hands import Hands
from steersman.loops.kin import Kin
from steersman.loops.serving import Production, Served, Serving
from steersman.maths.randomness import Draws, Key, key_for, uniforms
from steersman.policies.encoding import Encoder
from steersman.policies.exploration import Explorer
from steersman.stages.decide.choose import Chooser
from steersman.stages.decide.guards import Guards
from steersman.stages.learn.fold import Fold
from steersman.stages.record.transition import Recorder

Event = Literal["decided", "recorded", "learned"]
WITHOUT = " without "
_OPEN_DECISIONS = 100_000
_OPEN_EPISODES = 100_000


@dataclass(frozen=True, kw_only=True)
class World:
    """What is injected: time, ids, randomness. A test or a simulation brings its own.

    sandbox: makes a world of its own, in memory, in which nothing that happens reaches this one.
    checkpoints: where trainings of networks can be gone on from. tracker: makes what they are told to, by kind and address.
    """

    log: Log
    clock: Clock
    ids: IdSource
    seed: int
    timer: Callable[[], float] = time.perf_counter
    meters: tuple[Meter, ...] = ()
    production: Production | None = None
    sandbox: "Callable[[Clock], World] | None" = None
    checkpoints: Checkpoints | None = None
    tracker: Callable[[str, str], Quiet] | None = None


@dataclass(kw_only=True, slots=True)
class EpisodeState:
    """An episode as decisions see it: the step to come, the ε that belongs to it, and whether it is over."""

    step: int
    epsilon: float
    over: bool = False


def tell(world: World, failed: Callable[[BaseException], str], event: Event, *rows: Decision | Outcome) -> None:
    """Tell all meters what happened. One that fails is noted by `failed`, no more."""
    for meter in world.meters:
        try:
            getattr(meter, event)(*rows)
        except Exception as error:  # noqa: BLE001 - what watches must never break what it watches
            failed(error)


def draw_key(seed: int, agent: str, stream: int) -> Key:
    """Return the key of an agent's random numbers; processes at work at the same time have streams of their own."""
    return key_for(seed, f"{agent}#{stream}" if stream else agent)


class Runtime:
    """One agent at work. All changes to what it decides by happen under `lock`.

    Reports hold `reporting`: the same where they learn at once, nothing where the log is shared, so that no decision waits
    for the store.
    learns: whether this process may learn for it. On a log that many share (`shared`), it does while it holds the lease
    (`fence`); else it follows the stored table, which it has up to `version`.
    quarantined: versions whose experience is not learned from. It changes under `following` alone.
    """

    def __init__(
        self,
        spec: AgentSpec,
        settings: Settings,
        world: World,
        guards: tuple[Guard, ...] | None = None,
        *,
        learns: bool = True,
    ) -> None:
        self.spec = spec
        self.settings = settings
        self.world = world
        self.log = world.log
        self.lock = threading.RLock()
        self.encoder = Encoder(spec.state)
        self.guard_list = spec.guards if guards is None else guards
        self.guards = Guards(self.guard_list, spec.actions, world.timer)
        self.recorder = Recorder(
            spec.state, spec.actions, self.encoder, potential=spec.potential, gamma=settings.learning.gamma
        )
        reward_range = spec.reward.high - spec.reward.low
        self.chooser = Chooser(Explorer(settings.exploration, reward_range), settings, reward_range)
        self.safe_action = spec.actions.action(spec.safe_action)
        self.mode = cast(Mode, settings.influence.mode)
        self.settings_hash = settings.hash
        self.policy = f"{settings.learning.method}/{settings.exploration.policy}"
        self.quarantined: frozenset[str] = frozenset()
        self.fold = self.new_fold()
        self._working = self._as_served()
        self.kin = None if spec.kinship is None else Kin(spec.kinship, spec, settings)
        self.shared = cast(SharedLog, world.log) if world.log.shared else None
        self.reporting: AbstractContextManager[object] = nullcontext() if self.shared else self.lock
        self.following = threading.Lock()  # one thread at a time follows
        self.learns = learns
        self.budget = self._budget()
        self.fence: int | None = None
        self.version = 0
        self.position = 0
        self.replace_stored = False
        self.misfit = False
        self.skipped = 0
        self.stream = -1
        self.draws = self._stream_of_draws()
        self.open: OrderedDict[str, Decision] = OrderedDict()
        self.episodes: OrderedDict[str, EpisodeState] = OrderedDict()
        self.serving = Serving(spec, settings, world.production, self.learning, self.failed)
        self.hands = Hands(spec.name, world.log, world.clock, world.timer, self.failed)
        self.cooldown = Cooldown(spec.name, settings.influence.cooldown_s, world.log, world.clock, world.timer)
        self.clamped = 0
        self.failures = 0
        self.last_error = ""

    def new_fold(self, left_out: frozenset[str] | None = None) -> Fold:
        """Return a fold that has learned nothing; its definition names what is left out: by default, the quarantine."""
        away = self.quarantined if left_out is None else left_out
        key = key_for(0, f"{self.spec.name}/learn")  # no seed: what is learned depends on the log and the settings alone
        fold = Fold(self.spec, self.settings, lambda count: float(uniforms(key, count, 1)[0]))
        if away:
            fold.carry.definition += WITHOUT + " ".join(sorted(away))
        return fold

    def learning(self) -> Served:
        """Return what is being learned, as it stands."""
        if self._working.table is not self.fold.table:
            self._working = self._as_served()
        return self._working

    def _as_served(self) -> Served:
        return Served(version=LEARNING, label=self.policy, chooser=self.chooser, table=self.fold.table, epsilon=None)

    def remember(self, decision: Decision) -> None:
        """Keep a decision at hand for its outcome; the oldest go first, and are then read from the log."""
        self.open[decision.id] = decision
        if len(self.open) > _OPEN_DECISIONS:
            self.open.popitem(last=False)

    def episode(self, name: str) -> EpisodeState:
        """Return the state of a named episode, beginning it if it is new. Raises Conflict if it has run its length."""
        found = self.look_up(name)
        if found.over:
            raise Conflict(f"episode {name!r} of {self.spec.name} is over. Begin another one.")
        if found.step >= self.settings.episodes.max_steps:
            raise Conflict(
                f"episode {name!r} of {self.spec.name} has had its {found.step} steps. Begin another one, or raise "
                "episodes.max_steps."
            )
        return found

    def look_up(self, name: str) -> EpisodeState:
        """Return how far a named episode is; of one that this process does not know, by the log."""
        found = self.episodes.get(name)
        if found is None:
            found = self.episodes.setdefault(name, self._from_log(name))
            if len(self.episodes) > _OPEN_EPISODES:
                self.episodes.popitem(last=False)
        return found

    def _from_log(self, name: str) -> EpisodeState:
        """Return how far an episode is that this process does not know: new, under way, or over."""
        made = self.log.of_episode(self.spec.name, name)
        if not made:
            return EpisodeState(step=0, epsilon=self.fold.epsilon)
        said = (self.log.outcomes(each.id)[-1:] for each in made)
        over = any(last.terminated or last.truncated for each in said for last in each)
        return EpisodeState(step=made[-1].step + 1, epsilon=made[-1].epsilon, over=over)

    def _budget(self) -> Budget | None:
        limits = self.settings.exploration
        return None if limits.budget < 0 else Budget(self.log, self.spec.name, limits.budget, limits.budget_period_s)

    def next_draw(self) -> tuple[int, NDArray[np.float64]]:
        """Return the counter and the uniform numbers of the next decision, from this process' stream."""
        if self.stream != self.log.stream:
            self.draws = self._stream_of_draws()
        return self.draws.next()

    def _stream_of_draws(self) -> Draws:
        stream = self.log.stream
        count = self.log.decision_count(self.spec.name, stream)
        self.stream = stream
        return Draws(draw_key(self.world.seed, self.spec.name, stream), count)

    def rewind(self, draw: int) -> None:
        """Take back the draw of a decision that was not logged, so that counters follow the log."""
        if draw >= 0:
            self.draws = Draws(draw_key(self.world.seed, self.spec.name, self.stream), draw)

    def tell(self, event: Event, *rows: Decision | Outcome) -> None:
        """Tell all meters what happened."""
        tell(self.world, self.failed, event, *rows)

    def look_again(self) -> None:
        """Read the controls at the next decision, whenever they were last read."""
        with self.lock:
            self.hands.look_again()

    def failed(self, error: BaseException) -> str:
        """Note a failure and return it in words."""
        self.failures += 1
        self.last_error = f"{type(error).__name__}: {error}"
        return self.last_error
