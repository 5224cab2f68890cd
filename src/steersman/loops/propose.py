"""Propose: cut a version where it is time, judge it by what came in since, and begin to release it if the gate is open."""

import threading

from steersman.core.versions import Deployment, Judgement, PolicyVersion
from steersman.loops import judge, promote
from steersman.loops.cut import CUTTING, DUE, blank, cut, due, last_cut
from steersman.loops.promote import AUTOMATIC
from steersman.loops.runtime import Runtime

_PATIENCE = 8


class Proposals:
    """Brings up versions of one agent in this process. Safe to use from several threads."""

    def __init__(self, agent: Runtime) -> None:
        self._agent = agent
        self._lock = threading.RLock()
        self._waiting: PolicyVersion | None = None
        self._look_at = 0
        self._settled = False

    def propose(self) -> Deployment | None:
        """Cut or judge what is due; return the move with which a release began, if one did.

        Does nothing while a trial is under way, where another process learns for the agent, or in another mode. Judging
        takes seconds. Raises StoreError, and Conflict where somebody else moved meanwhile.
        """
        agent = self._agent
        place = agent.world.production
        if place is None or agent.settings.release.mode not in CUTTING or (agent.shared is not None and agent.fence is None):
            return None
        with self._lock:
            now = place.of(agent.spec.name)
            if now is not None and now.under_way:
                return None
            return _first(agent) if now is None and agent.settings.release.mode != "shadow" else self._next(now)

    def _next(self, now: Deployment | None) -> Deployment | None:
        agent = self._agent
        if self._waiting is None or (due(agent, self._waiting) and self._is_settled(self._waiting)):
            self._waiting, self._settled = self._cut(), False
            self._look_at = agent.settings.evaluation.min_outcomes
        waiting = self._waiting
        if waiting is None or self._settled or self._since(waiting) < self._look_at:
            return None
        if now is not None and (waiting.id in (now.champion, *now.quarantined) or waiting.cut_at < now.at):
            self._settled = True
            return None
        return self._judge(waiting)

    def _cut(self) -> PolicyVersion | None:
        """Return the version to be judged next: the last one that was cut for it, or, where it is time, a new one."""
        agent = self._agent
        last = last_cut(agent)
        return cut(agent, actor=AUTOMATIC, reason=DUE) if due(agent, last) else last

    def _since(self, version: PolicyVersion) -> int:
        """Return how many outcomes came in since a version was cut."""
        return self._agent.fold.carry.transitions - version.outcomes

    def _is_settled(self, version: PolicyVersion) -> bool:
        """Return whether a newer version may take the place of one that waits to be judged: it was, or waited for long."""
        return self._settled or self._since(version) > _PATIENCE * self._agent.settings.release.cut_outcomes

    def _judge(self, version: PolicyVersion) -> Deployment | None:
        """Judge the version that waits, by what came since it was cut; begin to release it where the gate lets it pass."""
        agent = self._agent
        judged = judge.evaluate(agent, version.id, "champion", actor=AUTOMATIC)
        self._note(judged, self._since(version))
        if agent.settings.release.mode == "shadow" or not worth_trying(judged):
            return None
        self._settled = True
        return begin_release(agent, judged, actor=AUTOMATIC)

    def _note(self, judged: Judgement, seen: int) -> None:
        """Look again once as many outcomes have come in as it takes to tell, but for no longer than so far."""
        more, passed = judged.body["evaluation"]["more"], judged.body["gate"]["passed"]
        self._settled = (judged.verdict != "cannot tell" and passed is not None) or more is None
        self._look_at = seen + min(max(more or 0, self._agent.settings.evaluation.min_outcomes), seen)


def worth_trying(judged: Judgement) -> bool:
    """Return whether a version is to be released: the gate lets it pass, and it changes something, not for the worse."""
    difference = judged.body["evaluation"]["differences"].get("incumbent")
    changes = difference is not None and (difference["low"], difference["high"]) != (0.0, 0.0)
    return changes and judged.verdict != "worse" and judged.body["gate"]["passed"] is True


def begin_release(agent: Runtime, judged: Judgement, *, actor: str) -> Deployment:
    """Begin to release a version that was judged, on that evidence. Raises as `promote.start`."""
    said = {"evaluation": judged.id, "verdict": judged.verdict}
    return promote.start(agent, judged.version, actor=actor, reason=judged.reason, evidence=said)


def _first(agent: Runtime) -> Deployment:
    """Begin with what decided so far, as it is now; where next to nothing was learned, with the rule, exploring."""
    if agent.fold.carry.transitions < agent.settings.evaluation.min_outcomes:
        reason = "releases begin with the baseline rule, exploring"
        return promote.begin(agent, blank(agent, actor=AUTOMATIC), actor=AUTOMATIC, reason=reason)
    version = cut(agent, actor=AUTOMATIC, reason="what decided before releases").id
    return promote.begin(agent, version, actor=AUTOMATIC, reason="releases begin with what was learned so far")
