"""The release of one agent: what decides and since when, what is tried and on what evidence, and every move and verdict."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from steersman.core.errors import InvalidInput
from steersman.core.versions import BASELINE, LEARNING, Deployment, Judgement, PolicyVersion
from steersman.loops.agent import Agent
from steersman.service.operations import Call, Reply
from steersman.service.pages.evidence import Evaluated, evaluated, foretold, shifted
from steersman.service.pages.shell import html, page
from steersman.service.pages.trials import below_floor, comparison, timeline

_SHOWN = 100
_LINES = 5
_NO_TIME = "at: expected a time such as 2026-11-28T14:00, got {text!r}."
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")


def parts(version: str, now: Deployment) -> tuple[str, ...]:
    """Return what a version is now: in production, on trial, before, in quarantine."""
    said = {
        "in production": version == now.champion,
        "on trial": now.under_way and version == now.challenger,
        "before": version == now.previous and version != now.champion,
        "in quarantine": version in now.quarantined,
    }
    return tuple(name for name, holds in said.items() if holds)


def at_of(text: str) -> float:
    """Return a time that was picked on the page, in UTC. Raises InvalidInput for what is none."""
    if not _MOMENT.fullmatch(text):
        raise InvalidInput(_NO_TIME.format(text=text[:50]))
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise InvalidInput(_NO_TIME.format(text=text)) from error


def since(now: Deployment, moves: Sequence[Deployment]) -> float:
    """Return when the champion began to decide, as far as moves (newest first) go back."""
    at = now.at
    for each in moves:
        if each.champion != now.champion:
            break
        at = each.at
    return at


def choices(versions: Sequence[PolicyVersion], now: Deployment) -> list[str]:
    """Return versions that can be named in a dialog, newest first; those in quarantine are left out."""
    return [each.id for each in versions if each.id not in now.quarantined]


def last_of(judgements: Sequence[Judgement], kind: str) -> Judgement | None:
    """Return the newest verdict of a kind."""
    return next((each for each in judgements if each.kind == kind), None)


def _evaluation(judgements: Sequence[Judgement]) -> Evaluated | None:
    found = last_of(judgements, "evaluation")
    return None if found is None else evaluated(found)


def _view(call: Call) -> Reply:
    agent: Agent = call.steersman.agent(call.path["agent"])
    release, settings = agent.release, agent.settings
    now, moves, versions, judgements = (
        release.now,
        release.moves(_SHOWN),
        release.versions(_SHOWN),
        release.judgements(_SHOWN),
    )
    report, floor = release.report() if now.under_way else None, release.floor()
    at = call.query.get("at", "")
    asked = at_of(at) if at else None
    ledger = release.ledger()
    return html(
        call,
        "release.html",
        active="releases",
        name=agent.spec.name,
        spec=agent.spec,
        settings=settings.release,
        deployed=now,
        since=since(now, moves),
        moves=moves,
        versions=[(each, parts(each.id, now)) for each in versions],
        choices=choices(versions, now),
        judgements=judgements,
        line=timeline(now, moves),
        floor=floor,
        below_floor=None if floor is None else below_floor(floor),
        comparison=None if report is None else comparison(report, settings.release.alpha),
        evaluation=_evaluation(judgements),
        ledger=ledger,
        foretold=foretold(ledger.lines[-_LINES:]),
        drill=last_of(judgements, "drill"),
        at=at,
        asked=asked,
        then=None if asked is None else release.at(asked),
        drifts=shifted(agent.drift()),
        signals=agent.signals(),
        shown=_LINES,
        plain=(LEARNING, BASELINE),
    )


PAGE = page(
    "/releases/{agent:agent}",
    "The release of one agent.",
    _view,
    query={"at": "A time in UTC, such as 2026-11-28T14:00: what was in production then."},
)
