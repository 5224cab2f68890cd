"""Serving: what is in production for an agent, looked at as often as the kill switch, and ready to choose.

One row names everything (who decides, who is tried, on which share), so that no decision is made by a mixture of two.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput, StoreError
from steersman.core.ports import Registry, Releases
from steersman.core.settings import Settings
from steersman.core.values import Arm
from steersman.core.versions import BASELINE, LEARNING, Deployment, short
from steersman.loops.hands import POLL_S, UNKNOWN_AFTER_S
from steersman.policies import content
from steersman.policies.deep.artefact import FrozenNetwork
from steersman.policies.exploration import Explorer
from steersman.policies.tabular import QTable
from steersman.policies.values import Values
from steersman.stages.decide.choose import Chooser
from steersman.stages.release.assignment import to_challenger

LOOK_S = POLL_S
_KEPT = 16


class Production:
    """The store's word on what is in production, for all agents of one process, and where versions are kept."""

    def __init__(
        self,
        releases: Releases,
        registry: Registry,
        timer: Callable[[], float],
        *,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.releases = releases
        self.registry = registry
        self.close = close
        self.timer = timer
        self._found: dict[str, Deployment] = {}
        self._looked_at = float("-inf")

    def of(self, agent: str) -> Deployment | None:
        """Return the last move of an agent, as of a quarter of a second ago.

        While the store cannot be read, what was known goes on for as long as the kill switch is taken for known. Raises
        StoreError after that.
        """
        return self._look().get(agent)

    def under_way(self) -> list[Deployment]:
        """Return the trials that are under way. Raises StoreError."""
        return [each for each in self._look().values() if each.under_way]

    def _look(self) -> dict[str, Deployment]:
        now = self.timer()
        if now - self._looked_at >= LOOK_S:
            try:
                self._found = {each.agent: each for each in self.releases.current()}
                self._looked_at = now
            except StoreError:
                if now - self._looked_at > UNKNOWN_AFTER_S:
                    raise
        return self._found

    def look_again(self) -> None:
        """Ask the store at the next look."""
        self._looked_at = float("-inf")


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """One policy, ready to choose. epsilon: with which it explores; None leaves that to the episode.

    unfit: it cannot be served, and nothing may be chosen by it.
    """

    version: str
    label: str
    chooser: Chooser
    table: Values
    epsilon: float | None
    unfit: bool = False

    @classmethod
    def missing(cls, version: str, other: "Served") -> "Served":
        """Return what stands for a version that cannot be served, so that the decision says whose it would have been."""
        return replace(other, version=version, label=short(version), unfit=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """What a subject was given: the policy, as which arm, how probably, in which trial, and who is asked beside it."""

    served: Served
    arm: Arm = "champion"
    assigned: float = 1.0
    trial: Deployment | None = None
    shadow: Served | None = None


class Serving:
    """What serves one agent. `learning` is asked for the working table, which others replace as a whole.

    failed: is told what went wrong where production can go on.
    """

    def __init__(
        self,
        spec: AgentSpec,
        settings: Settings,
        production: Production | None,
        learning: Callable[[], Served],
        failed: Callable[[BaseException], str],
    ) -> None:
        self._spec = spec
        self._settings = settings
        self.production = production
        self._learning = learning
        self._failed = failed
        self._loaded: OrderedDict[str, Served] = OrderedDict()
        self._lock = threading.Lock()
        self._again_at: dict[str, float] = {}

    def deployment(self) -> Deployment | None:
        """Return what is in production now; None where nothing was ever released. Raises StoreError."""
        return None if self.production is None else self.production.of(self._spec.name)

    def give(self, subject: str, arm: Arm | None) -> Given:
        """Return what decides for a subject; an arm asked for by design takes no part in a trial.

        Where the champion cannot be served, the rule decides; where a challenger cannot, its subjects are given what is
        `unfit`, so that they get the safe action and that is counted. Raises StoreError.
        """
        now = self.deployment()
        if now is None:
            return Given(served=self._learning())
        if not now.under_way or arm is not None:
            return Given(served=self._champion(now))
        if now.stage == "shadow":
            return Given(served=self._champion(now), trial=now, shadow=self._beside(now.challenger))
        if to_challenger(now.release, subject, now.share):
            challenger = self._beside(now.challenger) or Served.missing(now.challenger, self._learning())
            return Given(served=challenger, arm="challenger", assigned=now.share, trial=now)
        return Given(served=self._champion(now), assigned=1.0 - now.share, trial=now)

    def contenders(self, given: Given) -> tuple[Served, ...]:
        """Return all who might have been drawn to decide for a subject: both sides of a trial, else the one that was given.

        Whatever may not depend on who was drawn asks all of them. Raises as `policy`.
        """
        trial = given.trial
        if trial is None or given.shadow is not None:
            return (given.served,)
        return self.policy(trial.champion), self.policy(trial.challenger)

    def _champion(self, now: Deployment) -> Served:
        return self._beside(now.champion) or self.policy(BASELINE)

    def policy(self, version: str) -> Served:
        """Return a policy by the name of its version. Raises NotFound, StoreError or InvalidInput if it cannot be served."""
        if version == LEARNING:
            return self._learning()
        with self._lock:
            found = self._loaded.get(version)
            if found is not None:
                self._loaded.move_to_end(version)
                return found
        found = self.load(version)
        with self._lock:
            self._loaded[version] = found
            while len(self._loaded) > _KEPT:
                self._loaded.popitem(last=False)  # what decides is asked for all the time, and stays
        return found

    def load(self, version: str) -> Served:
        """Return a version made ready from what is kept of it: its name is the hash of that. Raises as `policy`."""
        if version == BASELINE:
            return self._rule()
        if self.production is None:
            raise InvalidInput(f"{self._spec.name}: there is no registry here to take version {short(version)} from.")
        frozen = content.unpack(self.production.registry.artefact(self._spec.name, version), version)
        return self.ready(frozen, version)

    def ready(self, frozen: content.Content, version: str) -> Served:
        """Return a version's content ready to serve, exploring and learning rules as they were when it was cut.

        The share that the baseline keeps is the one in force: it must be the same for all arms of a trial.
        """
        content.check_fits(frozen, self._spec)
        then = Settings().with_values(frozen.settings, f"version {short(version)}")
        settings = replace(then, serving=replace(then.serving, baseline_share=self._settings.serving.baseline_share))
        if isinstance(frozen, FrozenNetwork) and frozen.kind == "policy":  # its values are logits
            low, high = self._spec.reward_range
            drawn = replace(settings.exploration, policy="softmax", temperature=1.0 / (high - low))
            settings = replace(settings, exploration=drawn)
        return Served(
            version=version,
            label=short(version),
            chooser=self._chooser(settings),
            table=content.values(frozen, self._spec),
            epsilon=frozen.epsilon,
        )

    def _rule(self) -> Served:
        serving = replace(self._settings.serving, cold_visits=max(self._settings.serving.cold_visits, 1))
        table = QTable(self._spec.actions, initial_value=self._settings.learning.initial_value)
        chooser = self._chooser(replace(self._settings, serving=serving))
        return Served(version=BASELINE, label=BASELINE, chooser=chooser, table=table, epsilon=0.0)

    def _chooser(self, settings: Settings) -> Chooser:
        low, high = self._spec.reward_range
        reach = high - low
        return Chooser(Explorer(settings.exploration, reach), settings, reach)

    def _beside(self, version: str) -> Served | None:
        """Return a policy, or None where it cannot be served; then it is tried again a quarter of a second later."""
        timer = self.production.timer if self.production is not None else time.monotonic
        if timer() < self._again_at.get(version, 0.0):
            return None
        try:
            return self.policy(version)
        except Exception as error:  # noqa: BLE001 - what cannot be served must never break what decides
            self._failed(error)
            self._again_at[version] = timer() + LOOK_S
            return None
