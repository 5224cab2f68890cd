"""Promote: the moves of the one pointer that says what is in production. Each is a new row, made from the last one.

Before each move what was learned is cut, so that whatever comes of it, there is a version of before. A move that finds
another one in its way is refused, and production stays as it is.
"""

import contextlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.structs import replace

from steersman.core.errors import Conflict, InvalidInput, NotFound, SteersmanError, StoreError
from steersman.core.state import check_text
from steersman.core.values import AuditEvent
from steersman.core.versions import BASELINE, LEARNING, Deployment, Move, Purpose, never_moved, short
from steersman.loops.cut import CUTTING, blank, cut, production
from steersman.loops.learn import observe_quarantine
from steersman.loops.runtime import Runtime
from steersman.stages.release.plan import Step, check_reach, in_words, steps

AUTOMATIC = "steersman"
_DAY_S = 86_400.0
_RECENT = 1_000


def standing(agent: Runtime) -> Deployment:
    """Return what is in production as the store has it now; the working table before the first move (number 0)."""
    place = production(agent)
    place.look_again()
    return place.of(agent.spec.name) or never_moved(agent.spec.name)


def resolve(agent: Runtime, name: str) -> str:
    """Return the version that a name means: "learning", "baseline", "champion", "previous", or how a version's name begins.

    Raises NotFound for an unknown one, InvalidInput for one that does not fit the agent: nothing was changed then.
    """
    now = standing(agent)
    words = {"learning": LEARNING, BASELINE: BASELINE, "champion": now.champion, "previous": now.previous}
    if name in words:
        return words[name]
    version = production(agent).registry.version(agent.spec.name, name).id
    agent.serving.policy(version)  # that it can be served is known before anything moves
    return version


def begin(agent: Runtime, version: str, *, actor: str, reason: str) -> Deployment:
    """Let a version decide as the first that was ever released."""
    return _end(agent, standing(agent), "begun", version, actor=actor, reason=reason)


def start(
    agent: Runtime,
    challenger: str,
    *,
    actor: str,
    reason: str = "",
    purpose: Purpose = "release",
    champion: str | None = None,
    plan: tuple[Step, ...] | None = None,
    evidence: dict[str, Any] | None = None,
) -> Deployment:
    """Begin to try a version beside what is in production, or in an experiment beside `champion`.

    What is being learned changes all the time, so what is tried, and what it is compared with, is what it is now: a cut.
    Raises Conflict where another trial is under way, NotFound or InvalidInput for versions that cannot be served, and
    for a plan that cannot reach its evidence.
    """
    now = check_start(agent, challenger, plan, champion)
    plan = plan or steps(agent.settings.release.stages)
    frozen = _frozen(agent, now.champion if champion is None else champion, actor)
    tried = _frozen(agent, challenger, actor)
    if tried == frozen:
        raise InvalidInput(
            f"{agent.spec.name}: {short(tried)} decides now and cannot be compared with itself. Name another one, or "
            f"let the rule decide first: steersman rollback {agent.spec.name} --to baseline."
        )
    at = agent.world.clock()
    first = plan[0]
    return _move(
        agent,
        now,
        "started",
        actor=actor,
        reason=reason,
        champion=frozen,
        challenger=tried,
        previous=now.champion,
        purpose=purpose,
        release=agent.world.ids(),
        stages=in_words(plan),
        step=0,
        stage=first.stage,
        share=first.share,
        entered_at=at,
        started_at=at,
        position=_position(agent),
        evidence=evidence or {},
    )


def check_start(agent: Runtime, challenger: str, plan: tuple[Step, ...] | None, champion: str | None = None) -> Deployment:
    """Return what is in production, where a trial of a version may begin; raises as `start`, and moves nothing."""
    now = standing(agent)
    if now.under_way:
        raise Conflict(
            f"{agent.spec.name}: {short(now.challenger)} is being tried already ({now.release}). Abort that trial, or wait."
        )
    settings = agent.settings.release
    check_reach(plan or steps(settings.stages), settings, subjects_per_day(agent))
    if challenger == (now.champion if champion is None else champion) != LEARNING:
        raise InvalidInput(
            f"{agent.spec.name}: {short(challenger)} decides now and cannot be compared with itself. Name another one."
        )
    away = next((each for each in (challenger, champion) if each in now.quarantined), None)
    if away is not None:
        raise Conflict(f"{agent.spec.name}: {short(away)} is in quarantine. Release it from there first.")
    return now


def advance(agent: Runtime, now: Deployment, *, actor: str, reason: str, evidence: dict[str, Any]) -> Deployment:
    """Go to the next step of the plan."""
    step = steps(now.stages)[now.step + 1]
    return _move(
        agent,
        now,
        "advanced",
        actor=actor,
        reason=reason,
        step=now.step + 1,
        stage=step.stage,
        share=step.share,
        entered_at=agent.world.clock(),
        held="",
        waits_for_person=False,
        evidence=evidence,
    )


def promote(agent: Runtime, now: Deployment, *, actor: str, reason: str, evidence: dict[str, Any]) -> Deployment:
    """Let the challenger decide for everybody."""
    return _end(agent, now, "promoted", now.challenger, actor=actor, reason=reason, evidence=evidence)


def hold(
    agent: Runtime,
    now: Deployment | None = None,
    *,
    actor: str,
    reason: str,
    ask_person: bool = False,
    evidence: dict[str, Any] | None = None,
) -> Deployment:
    """Stop a trial where it is: shares stay, no further step is taken, and harm still rolls it back.

    now: what was judged; Conflict if something else is there by then.
    """
    now = now or _under_way(agent)
    return _move(
        agent,
        now,
        "held",
        actor=actor,
        reason=reason,
        held="" if ask_person else reason or "held by a person",
        waits_for_person=ask_person,
        evidence=now.evidence if evidence is None else evidence,
    )


def resume(agent: Runtime, now: Deployment, *, actor: str, reason: str = "") -> Deployment:
    """Go on with a trial that was held; where a person has to confirm the next step, this confirms it."""
    if not now.under_way:
        raise _no_trial(agent)
    if now.waits_for_person:
        last = now.step + 1 == len(steps(now.stages))
        onward = promote if last else advance
        return onward(agent, now, actor=actor, reason=reason or "confirmed by a person", evidence=now.evidence)
    if not now.held:
        raise Conflict(f"{agent.spec.name}: the trial of {short(now.challenger)} is not held.")
    return _move(agent, now, "resumed", actor=actor, reason=reason, held="")


def abort(agent: Runtime, *, actor: str, reason: str = "", evidence: dict[str, Any] | None = None) -> Deployment:
    """End a trial: what was in production before decides again."""
    now = _under_way(agent)
    return _end(agent, now, "aborted", _back(agent, now), actor=actor, reason=reason, evidence=evidence or now.evidence)


def conclude(agent: Runtime, now: Deployment, *, actor: str, reason: str, evidence: dict[str, Any]) -> Deployment:
    """End an experiment whose time is over; what was in production before decides again."""
    return _end(agent, now, "concluded", _back(agent, now), actor=actor, reason=reason, evidence=evidence)


def roll_back(
    agent: Runtime,
    now: Deployment | None = None,
    *,
    actor: str,
    reason: str,
    to: str | None = None,
    evidence: dict[str, Any] | None = None,
    quarantine: bool | None = None,
) -> Deployment:
    """Let the version of before, or a named one, decide for everybody from the next look on.

    A challenger on trial goes. now: what was judged; Conflict if something else is there by then. quarantine: whether what
    it did is left out of learning, None as settings say. Raises NotFound or
    InvalidInput for a named version that is unknown or cannot be served, and Conflict where there is nothing to go back to:
    nothing was changed then.
    """
    now = now or standing(agent)
    if to is None and not now.number:
        raise Conflict(f"{agent.spec.name}: nothing was ever released, so there is nothing to roll back. Name a version.")
    target = _back(agent, now) if to is None else _checked(agent, to, now)
    if target == now.champion and not now.under_way:
        raise Conflict(f"{agent.spec.name}: {short(target)} is in production already.")
    bad = now.challenger if now.under_way else now.champion
    wanted = agent.settings.release.quarantine if quarantine is None else quarantine
    away = wanted and bad not in (LEARNING, BASELINE)
    return _end(
        agent,
        now,
        "rolled back",
        target,
        actor=actor,
        reason=reason,
        evidence=evidence or {},
        quarantined=tuple(sorted({*now.quarantined, bad})) if away else now.quarantined,
    )


def _checked(agent: Runtime, version: str, now: Deployment) -> str:
    """Return a named version that can be served. Raises Conflict for one in quarantine, NotFound or InvalidInput."""
    if version in now.quarantined:
        raise Conflict(f"{agent.spec.name}: {short(version)} is in quarantine. Release it from there, or name another.")
    agent.serving.policy(version)
    return version


def _back(agent: Runtime, now: Deployment) -> str:
    """Return where a way back leads, or the rule where that is in quarantine or cannot be served: it never fails."""
    target = before(agent, now)
    try:
        return _checked(agent, target, now)
    except SteersmanError as error:
        agent.failed(error)
        return fallback(agent)


def fallback(agent: Runtime) -> str:
    """Return who decides where no version can: the rule, exploring where versions are cut by themselves."""
    if agent.settings.release.mode not in CUTTING:
        return BASELINE
    try:
        return blank(agent, actor=AUTOMATIC)
    except SteersmanError as error:
        agent.failed(error)
        return BASELINE


def before(agent: Runtime, now: Deployment) -> str:
    """Return where a rollback leads: what decided before the trial, or the last champion that was not rolled back itself.

    Where there is none, the baseline rule.
    """
    if now.under_way:
        return now.previous
    moves = production(agent).releases.moves(agent.spec.name, _RECENT)
    bad = {now.champion, *now.quarantined}
    for later, earlier in pairwise(moves):
        if later.move == "rolled back":
            bad.add(earlier.challenger if earlier.under_way else earlier.champion)
    released = (each.champion for each in moves if each.purpose == "release")  # an experiment's arms were never judged
    return next((each for each in released if each not in bad), BASELINE)


def quarantine(agent: Runtime, version: str, *, actor: str, reason: str = "", release: bool = False) -> Deployment:
    """Leave what a version did out of learning, or (`release`) learn from it again. Raises Conflict if it is so already."""
    now = standing(agent)
    if (version in now.quarantined) is not release or version in (LEARNING, BASELINE):
        said = "not in quarantine" if release else "in quarantine already, or no version"
        raise Conflict(f"{agent.spec.name}: {short(version)} is {said}.")
    if not release and version in (now.champion, now.challenger, now.previous if now.under_way else ""):
        raise Conflict(
            f"{agent.spec.name}: {short(version)} is in production, or comes back after the trial. End that first."
        )
    kept = {*now.quarantined} - {version} if release else {*now.quarantined, version}
    move: Move = "released from quarantine" if release else "quarantined"
    return _move(agent, now, move, actor=actor, reason=reason, quarantined=tuple(sorted(kept)))


def subjects_per_day(agent: Runtime) -> float | None:
    """Return how many subjects a day the newest decisions amount to; None where there are too few to say."""
    recent = agent.log.recent(agent.spec.name, _RECENT)
    if len(recent) < _RECENT // 10:
        return None
    span_s = max(agent.world.clock() - recent[-1].decided_at, 1.0)
    return len({each.subject for each in recent}) / span_s * _DAY_S


def _under_way(agent: Runtime) -> Deployment:
    now = standing(agent)
    if not now.under_way:
        raise _no_trial(agent)
    return now


def _no_trial(agent: Runtime) -> Conflict:
    return Conflict(f"{agent.spec.name}: no trial is under way. Begin one with `steersman release start`.")


def _frozen(agent: Runtime, version: str, actor: str) -> str:
    """Return a version that does not change: what is being learned is cut."""
    if version == LEARNING:
        return cut(agent, actor=actor, reason="compared as it was").id
    agent.serving.policy(version)
    return version


def _position(agent: Runtime) -> int:
    return agent.shared.head() if agent.shared is not None else agent.log.position


def _end(agent: Runtime, now: Deployment, move: Move, champion: str, **said: Any) -> Deployment:
    """Make a move after which nobody is on trial."""
    over: dict[str, Any] = {
        "champion": champion,
        "challenger": "",
        "purpose": "release",
        "release": "",
        "stages": "",
        "step": 0,
        "stage": "full",
        "share": 0.0,
        "entered_at": agent.world.clock(),
        "previous": now.champion,
        "held": "",
        "waits_for_person": False,
    }
    return _move(agent, now, move, **over, **said)


def _move(agent: Runtime, now: Deployment, move: Move, *, actor: str, reason: str, **changed: Any) -> Deployment:
    """Keep a snapshot, then make the move, durably, with its event in the audit trail."""
    for name, value in (("actor", actor), ("reason", reason)):
        check_text(name, value)
    place = production(agent)
    with contextlib.suppress(StoreError, InvalidInput):  # a table that cannot be kept must not keep production from moving
        cut(agent, actor=actor, reason=f"before {agent.spec.name} was {move}")
    following = replace(now, number=now.number + 1, at=agent.world.clock(), actor=actor, move=move, reason=reason, **changed)
    place.releases.move(following, _event(following))
    place.look_again()
    after: tuple[Callable[[], object], ...] = (lambda: _tell_registry(agent, following), lambda: observe_quarantine(agent))
    for duty in after:
        try:
            duty()
        except SteersmanError as error:  # the move is made; this is caught up with at the next look
            agent.failed(error)
    return following


def _tell_registry(agent: Runtime, now: Deployment) -> None:
    names = {"champion": now.champion, "challenger": now.challenger}
    kept = {alias: version for alias, version in names.items() if version not in (LEARNING, BASELINE)}
    with contextlib.suppress(NotFound):
        production(agent).registry.name(agent.spec.name, {**dict.fromkeys(names, ""), **kept})


def _event(now: Deployment) -> AuditEvent:
    detail = {
        "number": now.number,
        "champion": short(now.champion),
        "challenger": short(now.challenger) if now.under_way else "",
        "stage": now.stage,
        "share": now.share,
        "reason": now.reason,
    }
    return AuditEvent(
        at=now.at,
        actor=now.actor,
        event=f"{now.purpose} {now.move}",
        subject=now.agent,
        detail=msgspec.json.encode(detail).decode(),
    )
