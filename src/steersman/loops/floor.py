"""Floor: while a version decides, the rule keeps its small share; where that is sure to earn more, the rule takes over.

What is known is a fold over the newest part of the log. Whoever learns for the agent makes the move by itself.
"""

import threading

from steersman.core.errors import Conflict
from steersman.core.values import Decision, Outcome
from steersman.core.versions import BASELINE, LEARNING, Deployment, short
from steersman.loops import judge, promote
from steersman.loops.promote import AUTOMATIC
from steersman.loops.runtime import Runtime
from steersman.stages.release.comparison import Metric
from steersman.stages.release.floor import Floor, FloorReport

_CHUNK = 5_000
_BACK = 200_000
"""Positions of the log that a process looks back when it begins."""
_LAG_S = 1.0  # what was reported by then is durable, and was read


class FloorWatch:
    """Compares what is in production for one agent with the rule's own share. Safe to use from several threads."""

    def __init__(self, agent: Runtime) -> None:
        self._agent = agent
        self._lock = threading.RLock()
        self._floor: Floor | None = None
        self._version = ""
        self._position = 0

    def follow(self) -> Deployment | None:
        """Look at what is new, and let the rule decide if it is sure to earn more; return the last move, if one was made.

        A trial under way is ended first: it was of something new beside a version that is gone. Does nothing where another
        process learns for the agent. Raises StoreError, and Conflict where somebody else moved meanwhile.
        """
        agent = self._agent
        if agent.world.production is None or (agent.shared is not None and agent.fence is None):
            return None
        with self._lock:
            now = agent.world.production.of(agent.spec.name)
            found = None if now is None else self._read(now)
            if now is None or found is None or not found.below:
                return None
            self._floor = None
            return self._let_rule_decide(now, found)

    def report(self) -> FloorReport | None:
        """Return how production compares with the rule; None where nothing is compared."""
        with self._lock:
            return self._read(promote.standing(self._agent))

    def _read(self, now: Deployment) -> FloorReport | None:
        """Take in what is new in the log; None where what decides is no version, or single decisions tell nothing."""
        agent, settings = self._agent, self._agent.settings
        if now.champion in (LEARNING, BASELINE) or settings.learning.gamma > 0.0 or not settings.release.floor_run_length:
            self._floor = None
            return None
        end = agent.log.durable_position
        if self._floor is None or self._version != now.champion:
            self._floor, self._version = self._begin(now.champion), now.champion
            self._position = max(now.position, end - _BACK)
        while found := agent.log.since(agent.spec.name, self._position, _CHUNK):
            for position, row in found:
                self._take(self._floor, row)
                self._position = position
            self._floor.score(_time(found[-1][1]) - _LAG_S)
            if len(found) < _CHUNK:
                break
        self._position = max(self._position, end)
        self._floor.score(agent.world.clock() - _LAG_S)
        return self._floor.report()

    def _begin(self, version: str) -> Floor:
        settings, (low, high) = self._agent.settings.release, self._agent.spec.reward_range
        return Floor(
            version,
            Metric(name="reward", low=low, high=high, margin=settings.margin * (high - low)),
            run_length=settings.floor_run_length,
            wait_s=settings.cohort_wait_s,
            allowed=self._allowed,
        )

    def _allowed(self, decision: Decision) -> int:
        """Return how many actions ε-greedy could draw from; 0 where another rule explores."""
        if self._agent.settings.exploration.policy != "epsilon_greedy":
            return 0
        return int(self._agent.guards.allowed([each.where for each in decision.refusals]).sum())

    @staticmethod
    def _take(floor: Floor, row: Decision | Outcome) -> None:
        if isinstance(row, Outcome):
            floor.reported(row)
        else:
            floor.decided(row)

    def _let_rule_decide(self, now: Deployment, found: FloorReport) -> Deployment | None:
        agent = self._agent
        to = promote.fallback(agent)
        if to == now.champion:
            return None
        earned = " against ".join("?" if each is None else f"{each:.3g}" for each in found.means)
        reason = f"below the floor: of late {short(now.champion)} earned {earned} by the rule's own share"
        if now.under_way:
            said = f"{short(now.champion)}, beside which it was tried, is below the floor"
            promote.abort(agent, actor=AUTOMATIC, reason=said)
            now = promote.standing(agent)
            if now.champion != found.version:
                raise Conflict(f"{agent.spec.name}: {short(now.champion)} came to decide meanwhile. Look again.")
        return promote.roll_back(agent, now, actor=AUTOMATIC, reason=reason, to=to, evidence=judge.plain(found))


def _time(row: Decision | Outcome) -> float:
    return row.decided_at if isinstance(row, Decision) else row.reported_at
