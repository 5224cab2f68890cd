"""Trial: follow what a challenger and the champion come to, and make the move that is due.

What is known is a fold over the log from where the trial began, so any process comes to the same, also after a restart.
Whoever learns for the agent moves it by itself; a person may move it from anywhere.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from steersman.core.values import Decision, Outcome
from steersman.core.versions import Deployment, Judgement, PolicyVersion
from steersman.loops import judge, promote
from steersman.loops.cut import NOTHING, blank, cut, due, production
from steersman.loops.learn import observe_quarantine
from steersman.loops.promote import AUTOMATIC
from steersman.loops.runtime import Runtime
from steersman.stages.release.cohorts import OVERRIDE, Cohorts
from steersman.stages.release.comparison import Comparison, Metric, Report, Unit
from steersman.stages.release.plan import Decided, Next, Standing, following

_CHUNK = 5_000
_SHADOW_FAILURES = 0.01
_LAG_S = 1.0  # what was reported by then is durable, and was read
_CUTS = 1_000
_PATIENCE = 8
DUE = "it was time"
_CUTTING = ("staged", "advisory", "shadow")


@dataclass(kw_only=True)
class Shadow:
    """What a challenger in its shadow stage would have done: how often it could be asked, and how often it agreed."""

    decisions: int = 0
    asked: int = 0
    agreed: int = 0

    def add(self, decision: Decision) -> None:
        """Take a decision in."""
        self.decisions += 1
        self.asked += decision.shadow is not None
        self.agreed += decision.shadow == decision.executed


@dataclass(kw_only=True)
class Trial:
    """The fold of one trial. `position`: up to where the log was read."""

    release: str
    position: int
    cohorts: Cohorts
    comparison: Comparison
    shadow: Shadow = field(default_factory=Shadow)
    early: list[Unit] = field(default_factory=list)

    def take(self, row: Decision | Outcome) -> None:
        """Take a row of the log in."""
        if isinstance(row, Outcome):
            unit = self.cohorts.reported(row)
            if unit is not None:
                self.early.append(unit)
        elif row.release == self.release and row.stage == "shadow":
            self.shadow.add(row)
        else:
            self.cohorts.decided(row)


class Trials:
    """Follows the trials of one agent in this process. Safe to use from several threads."""

    def __init__(self, agent: Runtime) -> None:
        self._agent = agent
        self._lock = threading.RLock()
        self._trial: Trial | None = None
        self._waiting: PolicyVersion | None = None
        self._look_at = 0
        self._settled = False

    def tick(self) -> Deployment | None:
        """Look at what is new and make the move that is due, if one is; return it.

        Does nothing where another process learns for the agent. Raises StoreError, and Conflict where somebody else moved
        meanwhile.
        """
        agent = self._agent
        if agent.world.production is None:
            return None
        observe_quarantine(agent)
        if agent.shared is not None and agent.fence is None:
            return None
        with self._lock:
            now = agent.world.production.of(agent.spec.name)
            if now is not None and now.under_way:
                return self._go_on(now)
            return self._begin(now)

    def report(self) -> Report | None:
        """Return how the trial under way compares so far; None where none is."""
        now = promote.standing(self._agent)
        if not now.under_way:
            return None
        with self._lock:
            return self._read(now).comparison.report()

    def abort(self, *, actor: str, reason: str) -> Deployment:
        """End a trial before its time, and keep what it came to."""
        now = promote.standing(self._agent)
        found = self.report()
        evidence = None if found is None else judge.plain(found)
        moved = promote.abort(self._agent, actor=actor, reason=reason, evidence=evidence)
        if found is not None:
            _keep(self._agent, now, found, moved)
        return moved

    def clock_jumped(self, seconds: float) -> None:
        """Hold the trial under way: by a clock that jumped, nobody can say who waited how long."""
        now = promote.standing(self._agent)
        if now.under_way and not now.held:
            promote.hold(self._agent, actor=AUTOMATIC, reason=f"the clock jumped by {seconds:.0f} s; see to it, then resume")

    def _read(self, now: Deployment) -> Trial:
        """Take in what is new in the log, and the subjects that have waited long enough."""
        agent = self._agent
        if self._trial is None or self._trial.release != now.release:
            self._trial = _trial(agent, now)
        trial, end = self._trial, agent.log.durable_position
        while found := agent.log.since(agent.spec.name, trial.position, _CHUNK):
            for position, row in found:
                trial.take(row)
                trial.position = position
            if len(found) < _CHUNK:
                break
        trial.position = max(trial.position, end)
        trial.comparison.early(*trial.early)
        trial.early.clear()
        trial.comparison.score(*trial.cohorts.due(agent.world.clock() - _LAG_S))
        return trial

    def _go_on(self, now: Deployment) -> Deployment | None:
        agent, trial = self._agent, self._read(now)
        found = trial.comparison.report()
        decided = following(now, standing(trial, found), agent.settings.release, agent.world.clock())
        moved = _moved(agent, now, decided, {**judge.plain(found), "shadow": judge.plain(trial.shadow)})
        if moved is not None and not moved.under_way:
            _keep(agent, now, found, moved)
            self._trial = None
        return moved

    def _begin(self, now: Deployment | None) -> Deployment | None:
        """Cut a version where it is time, and judge it once outcomes have come in that it did not learn from."""
        agent, mode = self._agent, self._agent.settings.release.mode
        if mode not in _CUTTING:
            return None
        if now is None and mode != "shadow":
            return _first(agent)
        if self._waiting is None or (due(agent, self._waiting) and self._is_settled(self._waiting)):
            self._waiting, self._settled = self._cut(), False
            self._look_at = agent.settings.evaluation.min_outcomes
        return self._judge() if self._waiting is not None and self._since(self._waiting) >= self._look_at else None

    def _cut(self) -> PolicyVersion | None:
        """Return the version to be judged next: the last one that was cut for it, or, where it is time, a new one."""
        agent = self._agent
        cuts = production(agent).registry.versions(agent.spec.name, _CUTS)
        last = next((each for each in cuts if each.reason in (DUE, NOTHING)), None)  # not those that moves keep
        return cut(agent, actor=AUTOMATIC, reason=DUE) if due(agent, last) else last

    def _since(self, version: PolicyVersion) -> int:
        """Return how many outcomes came in since a version was cut."""
        return self._agent.fold.carry.transitions - version.outcomes

    def _is_settled(self, version: PolicyVersion) -> bool:
        """Return whether a newer version may take the place of one that waits to be judged: it was, or waited for long."""
        return self._settled or self._since(version) > _PATIENCE * self._agent.settings.release.cut_outcomes

    def _judge(self) -> Deployment | None:
        """Judge the version that waits, by what came since it was cut; begin to release it where the gate lets it pass."""
        agent, version, now = self._agent, self._waiting, promote.standing(self._agent)
        if version is None or version.id in (now.champion, *now.quarantined) or version.cut_at < now.at:
            self._settled = True
            return None
        judged = judge.evaluate(agent, version.id, "champion", actor=AUTOMATIC)
        self._note(judged, self._since(version))
        if agent.settings.release.mode == "shadow" or not _worth_trying(judged):
            return None
        self._settled = True
        said = {"evaluation": judged.id, "verdict": judged.verdict}
        return promote.start(agent, version.id, actor=AUTOMATIC, reason=judged.reason, evidence=said)

    def _note(self, judged: Judgement, seen: int) -> None:
        """Look again once as many outcomes have come in as it takes to tell, but for no longer than so far."""
        more, passed = judged.body["evaluation"]["more"], judged.body["gate"]["passed"]
        self._settled = (judged.verdict != "cannot tell" and passed is not None) or more is None
        self._look_at = seen + min(max(more or 0, self._agent.settings.evaluation.min_outcomes), seen)


def _worth_trying(judged: Judgement) -> bool:
    """Return whether a version is to be released: the gate lets it pass, and it changes something, not for the worse."""
    difference = judged.body["evaluation"]["differences"].get("incumbent")
    changes = difference is not None and (difference["low"], difference["high"]) != (0.0, 0.0)
    return changes and judged.verdict != "worse" and judged.body["gate"]["passed"] is True


def _first(agent: Runtime) -> Deployment:
    """Begin with a version that has learned nothing: the baseline rule, with the exploring that learning needs."""
    return promote.begin(agent, blank(agent, actor=AUTOMATIC), actor=AUTOMATIC)


def standing(trial: Trial, found: Report) -> Standing:
    """Return how a trial stands, as far as its next step depends on it."""
    worse = tuple(each.metric for each in found.metrics if each.verdict == "worse")
    first = found.metrics[0]
    return Standing(
        units=(first.challenger_units, first.champion_units),
        broken=found.broken,
        worse=worse,
        open=() if found.promotable else tuple(each.metric for each in found.metrics if each.verdict != "not worse"),
        mismatch=found.mismatch,
        failing=_failing(trial.shadow),
    )


def _failing(shadow: Shadow) -> str:
    """Return why a challenger in the shadow stage is not fit to decide; "" if it is."""
    failed = shadow.decisions - shadow.asked
    if failed > max(1, _SHADOW_FAILURES * shadow.decisions):
        return f"asked {shadow.decisions} times, the challenger failed {failed} times"
    return ""


def metrics(agent: Runtime) -> tuple[Metric, ...]:
    """Return what a trial of the agent compares, the reward first; the arrival of outcomes comes beside them."""
    spec, settings = agent.spec, agent.settings.release
    low, high = spec.reward_range
    measured = {each.name: each for each in spec.reward.measurements}
    return (
        Metric(name="reward", low=low, high=high, margin=settings.margin * (high - low)),
        Metric(name="success", low=0.0, high=1.0, margin=settings.success_margin),
        Metric(name=OVERRIDE, low=0.0, high=1.0, margin=settings.override_margin, better="lower"),
        *(
            Metric(
                name=each.measurement,
                low=measured[each.measurement].low,
                high=measured[each.measurement].high,
                margin=each.margin,
                better=each.better,
            )
            for each in spec.guardrails
        ),
    )


def _trial(agent: Runtime, now: Deployment) -> Trial:
    """Return the fold of a trial, of which nothing was read yet."""
    settings, compared = agent.settings.release, metrics(agent)
    return Trial(
        release=now.release,
        position=now.position,
        cohorts=Cohorts(now.release, metrics=[each.name for each in compared], wait_s=settings.cohort_wait_s),
        comparison=Comparison(
            compared,
            alpha=settings.alpha,
            arrival_margin=settings.arrival_margin,
            breaker=settings.breaker,
            min_units=settings.min_units,
        ),
    )


def _moved(agent: Runtime, now: Deployment, decided: Decided, evidence: dict[str, Any]) -> Deployment | None:
    said: dict[str, Any] = {"actor": AUTOMATIC, "reason": decided.reason, "evidence": evidence}
    if decided.next == "wait" or (decided.next == "hold" and now.held):
        return None
    moves: dict[Next, Callable[[], Deployment]] = {
        "roll back": lambda: promote.roll_back(agent, **said),
        "hold": lambda: promote.hold(agent, **said),
        "confirm": lambda: promote.hold(agent, ask_person=True, **said),
        "advance": lambda: promote.advance(agent, now, **said),
        "promote": lambda: promote.promote(agent, now, **said),
        "conclude": lambda: promote.conclude(agent, now, **said),
    }
    return moves[decided.next]()


def _keep(agent: Runtime, now: Deployment, found: Report, moved: Deployment) -> None:
    """Keep what a trial came to."""
    judge.keep(
        agent,
        Judgement(
            id=agent.world.ids(),
            agent=agent.spec.name,
            version=now.challenger,
            against=now.champion,
            at=agent.world.clock(),
            actor=moved.actor,
            kind="outcome",
            verdict=moved.move,
            reason=found.recommendation if moved.move == "concluded" else moved.reason,
            release=now.release,
            body=judge.plain(found),
        ),
    )
