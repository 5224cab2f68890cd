"""Pipeline: outcomes → quality filter → training → the gate → release, where it is due or when somebody asks.

What came of each run is kept with the verdicts of the store, so that any process can tell, also after a restart.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steersman.core.compute import Budget
from steersman.core.errors import Conflict, InvalidInput, NotFound
from steersman.core.ports import Progress
from steersman.core.progress import Silent
from steersman.core.versions import BASELINE, LEARNING, Deployment, Judgement, short
from steersman.loops import judge, promote, train
from steersman.loops.cut import CUTTING, production
from steersman.loops.promote import AUTOMATIC
from steersman.loops.propose import begin_release, worth_trying
from steersman.loops.runtime import Runtime
from steersman.loops.train import Attempt, Trained
from steersman.stages.release.plan import check_reach, steps

if TYPE_CHECKING:
    from steersman.core.settings import Settings

_RECENT = 1_000
_LOOKS = (1, 2, 4)
"""After how many trainings a network of which nobody could tell is judged again: each time by about twice the outcomes.

Each look is at the same level. Few of them keep the chance small that one of them errs; the trial after it is tested at
all times.
"""
_HOUR_S = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where an agent's pipeline stands.

    enabled: whether it trains by itself. outcomes: new ones since the last good training. hours: since then; None before
    the first. due: whether it is time. interrupted: whether there is a training that was broken off, or is under way.
    last: the last good training; failed: the last one that failed, if that was later. Both are rows of kind "training".
    """

    agent: str
    enabled: bool
    outcomes: int
    hours: float | None
    due: bool
    interrupted: bool
    last: Judgement | None
    failed: Judgement | None

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many outcomes the last training left out, by reason."""
        found: Mapping[str, int] = {} if self.last is None else self.last.body["left_out"]
        return found


class Pipeline:
    """The training of one agent's network. Safe to use from several threads: one training at a time."""

    def __init__(self, agent: Runtime) -> None:
        self._agent = agent
        self._lock = threading.RLock()
        self._look_at = 0.0

    def run(
        self,
        *,
        actor: str,
        progress: Progress | None = None,
        resume: bool = False,
        anew: bool = False,
        updates: int | None = None,
        budget: Budget | None = None,
        kin: Sequence["Pipeline"] = (),
    ) -> Judgement:
        """Train a network, judge it, begin to release it where the gate and the mode allow that, and return what came of it.

        kin: of other agents in the same store; what these have seen is a prior of a first training. Raises as `train.train`;
        what failed is kept, too.
        """
        agent, attempts = self._agent, list[Attempt]()
        with self._lock:
            took = self._stopwatch()
            transitions = agent.fold.carry.transitions
            try:
                trained = train.train(
                    agent,
                    actor=actor,
                    progress=progress or Silent(),
                    resume=resume,
                    anew=anew,
                    updates=updates,
                    budget=budget,
                    kin=[each._agent for each in kin],
                    attempted=attempts.append,
                )
                said = {**self._judged(trained, actor), "transitions": transitions}
            except Exception as error:
                made = attempts[0].last.updates if attempts else 0
                reason = f"{type(error).__name__}: {error}"
                self._keep("failed", "", actor, reason, {"updates": made, **took()})
                raise
            reason = f"learned from {trained.job.outcomes:,} outcomes in {trained.run.updates:,} updates: {said['verdict']}"
            reason += f"; not tried: {said['kept_back']}" if said["kept_back"] else ""
            return self._keep("trained", trained.version.id, actor, reason, {**said, **took()})

    def _stopwatch(self) -> Callable[[], dict[str, float]]:
        """Return what tells how long it is since now, and the CPU seconds of this process."""
        timer = self._agent.world.timer
        began, cpu_began = timer(), time.process_time()
        return lambda: {"took_s": timer() - began, "cpu_s": time.process_time() - cpu_began}

    def _judged(self, trained: Trained, actor: str) -> dict[str, Any]:
        """Judge what was trained, release it if that is to be, and return what is said of it."""
        agent, run = self._agent, trained.run
        verdict = judge.evaluate(agent, trained.version.id, "champion", actor=actor)
        train.finish(agent, trained, good=verdict.verdict != "worse")
        released, kept_back = self._release(verdict, actor)
        return {
            "verdict": verdict.verdict,
            "judged": verdict.reason,
            "gate": verdict.body["gate"]["passed"],
            "released": released,
            "kept_back": kept_back,
            "position": trained.job.position,
            "since": trained.job.since,
            "outcomes": trained.job.outcomes,
            "left_out": trained.left_out,
            "updates": run.updates,
            "stopped_early": run.updates < trained.job.updates,
            "stopped": trained.stopped,
            "loss": run.fitted,
            "held_out_loss": run.held,
        }

    def _release(self, judged: Judgement, actor: str) -> tuple[str, str]:
        """Begin to release a version as versions of the table are; return the trial's name, or "" and why none can begin."""
        agent = self._agent
        if not self._releases() or not worth_trying(judged):
            return "", ""
        try:
            now = promote.standing(agent)
            check_reach(steps(agent.settings.release.stages), agent.settings.release, promote.subjects_per_day(agent))
            if now.under_way and judged.verdict == "better" and self._gives_way(now):
                promote.abort(
                    agent, actor=actor, reason=f"{short(judged.version)} is judged better, and is tried in its place"
                )
            elif now.under_way:
                return "", ""
            return begin_release(agent, judged, actor=actor).release, ""
        except (InvalidInput, Conflict) as error:  # a plan that cannot come to its evidence, or another process was faster
            return "", str(error)

    def _releases(self) -> bool:
        mode = self._agent.settings.release.mode
        return mode in CUTTING and mode != "shadow"

    def _gives_way(self, now: Deployment) -> bool:
        """Return whether a trial that nobody asked for has had its time twice, and so may be ended for a better network."""
        moves = production(self._agent).releases.moves(now.agent, _RECENT)
        began = next((each for each in moves if each.release == now.release and each.move == "started"), None)
        if began is None or began.actor != AUTOMATIC or began.purpose != "release" or now.held or now.waits_for_person:
            return False
        planned_s = sum(each.lasts_s for each in steps(now.stages))
        return self._agent.world.clock() - now.started_at > 2.0 * planned_s

    def _keep(self, verdict: str, version: str, actor: str, reason: str, body: dict[str, Any]) -> Judgement:
        agent, world = self._agent, self._agent.world
        kept = Judgement(
            id=world.ids(),
            agent=agent.spec.name,
            version=version,
            against="",
            at=world.clock(),
            actor=actor,
            kind="training",
            verdict=verdict,
            reason=reason,
            body=body,
        )
        judge.keep(agent, kept)
        return kept

    def standing(self) -> Standing:
        """Return where it stands. Raises StoreError."""
        agent, name = self._agent, self._agent.spec.name
        made = [each for each in production(agent).releases.judgements(name, _RECENT) if each.kind == "training"]
        last = next((each for each in made if each.verdict == "trained"), None)
        new = agent.fold.carry.transitions - (0 if last is None else last.body["transitions"])
        hours = None if last is None else (agent.world.clock() - last.at) / _HOUR_S
        place = agent.world.checkpoints
        return Standing(
            agent=name,
            enabled=agent.settings.training.enabled,
            outcomes=new,
            hours=hours,
            due=_due(agent.settings, new, hours),
            interrupted=place is not None and place.last(name, "running") is not None,
            last=last,
            failed=made[0] if made and made[0].verdict == "failed" else None,
        )

    def run_if_due(self) -> Judgement | None:
        """Train where it is due, in the process that learns; looked at every `training.check_s`. An open store does this."""
        agent = self._agent
        settings, now = agent.settings.training, agent.world.timer()
        mine = agent.learns and (agent.shared is None or agent.fence is not None)
        if not settings.enabled or not mine or agent.world.production is None or now < self._look_at:
            return None
        self._look_at = now + settings.check_s
        if not self.standing().due:
            return None
        with self._lock:
            self._judge_again()
            return self.run(actor=AUTOMATIC)

    def _judge_again(self) -> None:
        """Judge networks of which nobody could tell by what came in since, newest first, until one is released."""
        agent = self._agent
        now = promote.standing(agent)
        if not self._releases() or (now.under_way and not self._gives_way(now)):
            return
        for version in self._open(now):
            with suppress(InvalidInput, NotFound):  # of another definition by now
                released, _ = self._release(judge.evaluate(agent, version, "champion", actor=AUTOMATIC), AUTOMATIC)
                if released:
                    return

    def _open(self, now: Deployment) -> list[str]:
        """Return the networks that are newer than the champion, were never tried and did not fail the gate, newest first."""
        place, name = production(self._agent), self._agent.spec.name
        rows = place.releases.judgements(name, _RECENT)
        last: dict[str, Judgement] = {}
        for each in rows:
            if each.kind == "evaluation":
                last.setdefault(each.version, each)
        since = 0.0 if now.champion in (LEARNING, BASELINE) else place.registry.version(name, now.champion).cut_at
        tried = {each.challenger for each in place.releases.moves(name, _RECENT)}
        made = [each.version for each in rows if (each.kind, each.verdict) == ("training", "trained") and each.at > since]
        return [
            each
            for trainings, each in enumerate(made, start=1)
            if trainings in _LOOKS and each in last and last[each].body["gate"]["passed"] is not False and each not in tried
        ]


def _due(settings: "Settings", new: int, hours: float | None) -> bool:
    """Return whether to train: enough is new, and the last time is long ago; the first time has no age."""
    limits = settings.training
    enough = new >= limits.min_outcomes
    if hours is None:
        return enough
    old = hours >= limits.min_hours
    return new > 0 and ((enough and old) if limits.when == "both" else (enough or old))
