"""Floor: while a version decides, the rule keeps its small share; where that is sure to earn more, the rule takes over.

What is known is a fold over the newest part of the log. Whoever learns for the agent makes the move by itself.
"""

import threading
from itertools import takewhile

from steersman.core.errors import NotFound
from steersman.core.values import Decision, Outcome
from steersman.core.versions import BASELINE, LEARNING, Deployment, short
from steersman.loops import judge, promote
from steersman.loops.cut import production
from steersman.loops.promote import AUTOMATIC
from steersman.loops.runtime import Runtime
from steersman.loops.trial import LAG_S, Trials, row_time
from steersman.stages.release.comparison import Metric
from steersman.stages.release.floor import Floor, FloorReport

_CHUNK = 2_000
"""Rows that are read in one look: others wait for it."""
_BACK = 200_000
"""Positions of the log that a process looks back when it begins."""
_MOVES = 1_000


class FloorWatch:
    """Compares what is in production for one agent with the rule's own share. Safe to use from several threads."""

    def __init__(self, agent: Runtime, trials: Trials) -> None:
        self._agent, self._trials = agent, trials
        self._lock = threading.RLock()
        self._floor: Floor | None = None
        self._seen = -1  # number of the last move that was seen
        self._began = -1  # number of the move with which the champion began to decide
        self._since = 0.0  # time from which on its decisions count
        self._position = 0

    def follow(self) -> Deployment | None:
        """Look at what is new, and let the rule decide if it is sure to earn more; return the last move, if one was made.

        A trial under way is ended first: it was of something new beside a version that is gone. Does nothing where another
        process learns for the agent, and until all of the log was read. Raises StoreError, and Conflict where somebody else
        moved meanwhile.
        """
        agent = self._agent
        if agent.world.production is None or (agent.shared is not None and agent.fence is None):
            return None
        with self._lock:
            now = agent.world.production.of(agent.spec.name)
            floor = None if now is None else self._floor_of(now)
            if now is None or floor is None or not self._read(floor):
                return None
            found = floor.report()
            return self._let_rule_decide(now, found) if found.below else None

    def report(self) -> FloorReport | None:
        """Return how production compares with the rule; None where nothing is compared."""
        with self._lock:
            floor = self._floor_of(promote.standing(self._agent))
            while floor is not None and not self._read(floor):
                pass
            return None if floor is None else floor.report()

    def _floor_of(self, now: Deployment) -> Floor | None:
        """Return the comparison of what is in production; None where none says anything.

        That is so of what is being learned, which changes, of the rule itself, also where it is a version that has learned
        nothing, and where a decision pays off later.
        """
        settings = self._agent.settings
        if now.number != self._seen:
            self._seen, began = now.number, self._beginning(now)
            if began.number != self._began:
                self._begin(now.champion, began)
        return None if settings.learning.gamma > 0.0 or not settings.release.floor_run_length else self._floor

    def _beginning(self, now: Deployment) -> Deployment:
        """Return the move with which the champion began to decide, as far as they go back."""
        moves = production(self._agent).releases.moves(self._agent.spec.name, _MOVES)
        own = takewhile(lambda each: each.champion == now.champion, (each for each in moves if each.number <= now.number))
        return min(own, key=lambda each: each.number, default=now)

    def _begin(self, version: str, began: Deployment) -> None:
        """Begin anew. What a version did before it was put back is no evidence; what it did in its trial is."""
        self._began, self._floor = began.number, None
        self._since = 0.0 if began.move == "promoted" else began.at
        self._position = max(began.position, self._agent.log.durable_position - _BACK)
        if not self._has_learned(version):
            return
        settings, (low, high) = self._agent.settings.release, self._agent.spec.reward_range
        self._floor = Floor(
            version,
            Metric(name="reward", low=low, high=high, margin=settings.margin * (high - low)),
            run_length=max(settings.floor_run_length, 1),
            wait_s=settings.cohort_wait_s,
            arrival_margin=settings.arrival_margin,
            allowed=self._allowed,
            lag_s=LAG_S,
        )

    def _has_learned(self, version: str) -> bool:
        if version in (LEARNING, BASELINE):
            return False
        try:
            kept = production(self._agent).registry.version(self._agent.spec.name, version)
        except NotFound:  # what cannot be served is taken out of production by whoever follows trials
            return False
        return kept.kind != "table" or kept.states > 0

    def _read(self, floor: Floor) -> bool:
        """Take in what is new in the log, up to so much; return whether that was all."""
        agent, end = self._agent, self._agent.log.durable_position
        found = agent.log.since(agent.spec.name, self._position, _CHUNK) if end > self._position else []
        for position, row in found:
            if isinstance(row, Outcome):
                floor.reported(row)
            elif row.decided_at >= self._since:
                floor.decided(row)
            self._position = position
        if len(found) == _CHUNK:
            floor.score(row_time(found[-1][1]) - LAG_S)
            return False
        self._position = max(self._position, end)
        floor.score(agent.world.clock() - LAG_S)
        return True

    def _allowed(self, decision: Decision) -> int:
        """Return how many actions an even draw had to choose from; 0 where the version does not explore by ε."""
        if not self._agent.serving.policy(decision.version).chooser.by_epsilon:
            return 0
        return int(self._agent.guards.allowed([each.where for each in decision.refusals]).sum())

    def _let_rule_decide(self, now: Deployment, found: FloorReport) -> Deployment:
        """Let the rule decide; what the version did stays in what is learned from, for it is the world that changed."""
        agent = self._agent
        if now.under_way:
            said = f"{short(found.version)}, which decides beside it, is below the floor"
            now = self._trials.abort(actor=AUTOMATIC, reason=said)
            if now.champion != found.version:  # an experiment, of which it was one side
                return now
        earned = " against ".join("?" if each is None else f"{each:.3g}" for each in found.means)
        return promote.roll_back(
            agent,
            now,
            actor=AUTOMATIC,
            reason=f"below the floor: of late {short(found.version)} earned {earned} by the rule's own share",
            to=promote.fallback(agent),
            evidence=judge.plain(found),
            quarantine=False,
        )
