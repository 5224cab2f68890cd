"""Trial: follow what a challenger and the champion come to, and make the move that is due.

What is known is a fold over the log from where the trial began, so any process comes to the same, also after a restart.
Whoever learns for the agent moves it by itself; a person may move it from anywhere.
"""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from steersman.core.errors import Conflict, InvalidInput, NotFound, SteersmanError
from steersman.core.values import Decision, Outcome
from steersman.core.versions import Deployment, Judgement, short
from steersman.loops import judge, promote
from steersman.loops.learn import observe_quarantine
from steersman.loops.promote import AUTOMATIC
from steersman.loops.runtime import Runtime
from steersman.stages.release.assignment import to_challenger
from steersman.stages.release.cohorts import OVERRIDE, Cohorts
from steersman.stages.release.comparison import Comparison, Metric, Report, Unit
from steersman.stages.release.plan import Decided, Next, Standing, following, steps

_CHUNK = 5_000
_SHADOW_FAILURES = 0.01
LAG_S = 1.0  # what was reported by then is durable, and was read
_FAILURES = 10
_ROUND_S = 21_600.0
"""Time in which each subject that comes back is looked at once more; a quarter of the shortest step, if that is less."""


@dataclass(kw_only=True)
class Shadow:
    """What a challenger in its shadow stage would have done: how often it could be asked, and how often it agreed."""

    decisions: int = 0
    asked: int = 0
    agreed: int = 0

    def add(self, decision: Decision) -> None:
        """Take a decision in; where nothing was allowed, nobody was asked."""
        if decision.action_probability is None:
            return
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
    failed: Counter[bool] = field(default_factory=Counter)
    asked: Counter[bool] = field(default_factory=Counter)

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
            self._count(row)

    def compare(self, until: float) -> None:
        """Compare the subjects that had waited long enough by a time up to which all rows were taken in."""
        early, self.early = self.early, []
        self.comparison.early(*early)
        self.comparison.score(*self.cohorts.due(until - LAG_S))

    def _count(self, row: Decision) -> None:
        """Count how often each arm was asked, and failed, so that the safe action was served instead."""
        if row.release == self.release and row.stage == "canary" and row.arm != "baseline":
            challenger = to_challenger(row.release, row.subject, row.challenger_share)
            self.asked[challenger] += 1
            self.failed[challenger] += row.arm == "safe"


class Trials:
    """Follows the trials of one agent in this process. Safe to use from several threads."""

    def __init__(self, agent: Runtime) -> None:
        self._agent = agent
        self._lock = threading.RLock()
        self._trial: Trial | None = None

    def follow(self) -> Deployment | None:
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
            if now is None:
                return None
            return self._unfit(now) or (self._go_on(now) if now.under_way else None)

    def report(self) -> Report | None:
        """Return how the trial under way compares so far; None where none is."""
        now = promote.standing(self._agent)
        if not now.under_way:
            return None
        with self._lock:
            return self._read(now).comparison.report()

    def resume(self, *, actor: str, reason: str, number: int | None = None) -> Deployment:
        """Go on with a trial that was held, or confirm its next step, if what was shown for it still holds.

        number: of the move that the person saw. Raises Conflict where something else is there by now.
        """
        agent, now = self._agent, promote.standing(self._agent)
        if number is not None and number != now.number:
            raise Conflict(f"{agent.spec.name}: move {now.number} was made since {number}, which you saw. Look again.")
        if now.waits_for_person:
            with self._lock:
                trial = self._read(now)
                asked = replace(now, waits_for_person=False)
                seen = standing(now, trial, trial.comparison.report())
                found = following(asked, seen, agent.settings.release, agent.world.clock())
            if found.next not in ("confirm", "advance", "promote"):
                raise Conflict(f"{agent.spec.name}: the next step is not due any more: {found.reason}. Look again.")
        return promote.resume(agent, now, actor=actor, reason=reason)

    def abort(self, *, actor: str, reason: str) -> Deployment:
        """End a trial before its time, at once, and then keep what it came to, as far as that can be told."""
        now = promote.standing(self._agent)
        moved = promote.abort(self._agent, actor=actor, reason=reason)
        try:
            with self._lock:
                _keep(self._agent, now, self._read(now).comparison.report(), moved)
        except SteersmanError as error:
            self._agent.failed(error)
        return moved

    def clock_jumped(self, seconds: float) -> None:
        """Have the trial under way held: by a clock that jumped, nobody can say who waited how long."""
        now = promote.standing(self._agent)
        if now.under_way and not now.held:
            promote.hold(
                self._agent, now, actor=AUTOMATIC, reason=f"the clock jumped by {seconds:.0f} s; see to it, then resume"
            )

    def _unfit(self, now: Deployment) -> Deployment | None:
        """Take out of production what cannot be served any more, as after the definition was changed."""
        agent = self._agent
        for version in (now.challenger, now.champion) if now.under_way else (now.champion,):
            try:
                agent.serving.policy(version)
            except (InvalidInput, NotFound) as error:
                reason = f"{short(version)} cannot be served: {error}"
                to = None if version == now.challenger else promote.fallback(agent)
                return promote.roll_back(agent, now, actor=AUTOMATIC, reason=reason, to=to)
        return None

    def _read(self, now: Deployment) -> Trial:
        """Take in what is new in the log, and the subjects that have waited long enough, in the order of their time."""
        agent = self._agent
        if self._trial is None or self._trial.release != now.release:
            self._trial = _trial(agent, now)
        trial, end = self._trial, agent.log.durable_position
        while found := agent.log.since(agent.spec.name, trial.position, _CHUNK):
            for position, row in found:
                trial.take(row)
                trial.position = position
            trial.compare(row_time(found[-1][1]))
            if len(found) < _CHUNK:
                break
        trial.position = max(trial.position, end)
        trial.compare(agent.world.clock())
        return trial

    def _go_on(self, now: Deployment) -> Deployment | None:
        agent, trial = self._agent, self._read(now)
        found = trial.comparison.report()
        decided = following(now, standing(now, trial, found), agent.settings.release, agent.world.clock())
        moved = _moved(agent, now, decided, {**judge.plain(found), "shadow": judge.plain(trial.shadow)})
        if moved is not None and not moved.under_way:
            _keep(agent, now, found, moved)
            self._trial = None
        return moved


def standing(now: Deployment, trial: Trial, found: Report) -> Standing:
    """Return how a trial stands, as far as its next step depends on it."""
    worse = tuple(each.metric for each in found.metrics if each.verdict == "worse")
    first = found.metrics[0]
    return Standing(
        units=(first.challenger_units, first.champion_units),
        broken=(*found.broken, *(("serving",) if _cannot_serve(trial) else ())),
        worse=worse,
        open=() if found.promotable else tuple(each.metric for each in found.metrics if each.verdict != "not worse"),
        mismatch=found.mismatch,
        failing=_failing(trial.shadow) if now.stage == "shadow" else "",
    )


def _cannot_serve(trial: Trial) -> bool:
    """Return whether the challenger fails to decide, a tenth of the time and ten times as often as the champion."""
    failed, asked = trial.failed, trial.asked
    mine, other = (failed[arm] / asked[arm] if asked[arm] else 0.0 for arm in (True, False))
    return failed[True] >= _FAILURES and mine > 0.1 and mine > 10.0 * other


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
        cohorts=Cohorts(
            now.release,
            metrics=[each.name for each in compared],
            wait_s=settings.cohort_wait_s,
            lag_s=LAG_S,
            round_s=min(_ROUND_S, 0.25 * min(each.lasts_s for each in steps(now.stages) if each.stage == "canary")),
        ),
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
        "roll back": lambda: promote.roll_back(agent, now, **said),
        "hold": lambda: promote.hold(agent, now, **said),
        "confirm": lambda: promote.hold(agent, now, ask_person=True, **said),
        "advance": lambda: promote.advance(agent, now, **said),
        "promote": lambda: promote.promote(agent, now, **said),
        "conclude": lambda: promote.conclude(agent, now, **said),
    }
    return moves[decided.next]()


def row_time(row: Decision | Outcome) -> float:
    """Return when a row was made (unix seconds)."""
    return row.decided_at if isinstance(row, Decision) else row.reported_at


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
