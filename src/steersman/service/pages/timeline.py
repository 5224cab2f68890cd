"""The timeline of an agent's networks: trained, judged, tried, released or rolled back, and what drifted meanwhile."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from steersman.core.errors import NotFound
from steersman.core.tracking import Run
from steersman.core.versions import Deployment, Judgement, short
from steersman.loops.agent import Agent
from steersman.service.operations import Call
from steersman.stages.monitor.signals import Signal

_READ, _MOST = 200, 60
_CLOCKS_S = 1.0
"""By how much two readings of the time may differ that were taken at once."""
_BACK = ("rolled back", "quarantined")

Kind = Literal["up", "down", "odd", "plain"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened. what: a version or a run, "" for none; where: the page that tells more of it."""

    at: float
    kind: Kind
    word: str
    what: str
    text: str
    where: str


def timeline(call: Call, name: str, runs: Sequence[Run]) -> list[Event]:
    """Return what happened to an agent's networks, newest first, as far as it is stored."""
    ended = [each for each in runs if each.begun.agent == name and each.state != "running"]
    try:
        found = list(_of_agent(call.steersman.agent(name), ended))
    except NotFound:
        found = [_of_run(each) for each in ended]  # an environment, or an agent that is not defined here
    return sorted(found, key=lambda each: -each.at)[:_MOST]


def _of_agent(agent: Agent, ended: Sequence[Run]) -> Iterator[Event]:
    release = agent.release
    judged = release.judgements(_READ)
    trainings = [each for each in judged if each.kind == "training"]
    yield from _of_signals(agent.signals())
    yield from map(_of_move, release.moves(_READ))
    told = {(each.version, each.body.get("judged")) for each in trainings}
    yield from (
        _of_verdict(each) for each in judged if each.kind == "evaluation" and (each.version, each.reason) not in told
    )
    for each in trainings:
        yield _of_training(each, next((run for run in ended if _is_of(run, each)), None))
    yield from (_of_run(run) for run in ended if not any(_is_of(run, each) for each in trainings))


def _is_of(run: Run, training: Judgement) -> bool:
    """Return whether a training was that run: a verdict on it is kept right after it."""
    began = training.at - float(training.body.get("took_s", 0.0))
    return began - _CLOCKS_S <= run.begun.at and run.heard_at <= training.at + _CLOCKS_S


def _of_run(run: Run) -> Event:
    failed = run.state == "failed"
    return Event(
        at=run.heard_at,
        kind="down" if failed else "plain",
        word="failed" if failed else "trained",
        what=run.begun.name,
        text=run.reason if failed else f"{run.step:,} {run.begun.unit}",
        where=f"/training?run={run.begun.id}",
    )


def _of_training(training: Judgement, run: Run | None) -> Event:
    failed = training.verdict == "failed"
    return Event(
        at=training.at if run is None else run.heard_at,  # before it was judged and tried
        kind="down" if failed else "up" if training.body["verdict"] == "better" else "plain",
        word=training.verdict,
        what=short(training.version) if training.version else "",
        text=". ".join(filter(None, (training.reason, training.body.get("judged")))),
        where=f"/training?run={run.begun.id}" if run is not None else _releases(training.agent),
    )


def _of_verdict(judged: Judgement) -> Event:
    return Event(
        at=judged.at,
        kind="plain",
        word="judged",
        what=short(judged.version),
        text=f"against {short(judged.against)}: {judged.verdict}. {judged.reason}",
        where=_releases(judged.agent),
    )


def _of_move(move: Deployment) -> Event:
    decides = f"{short(move.champion)} decides"
    return Event(
        at=move.at,
        kind="down" if move.move in _BACK else "up" if move.move == "promoted" else "plain",
        word=move.move,
        what=short(move.challenger) if move.challenger else short(move.champion),
        text=(f"is tried, {decides}" if move.challenger else "decides") + (f"; {move.reason}" if move.reason else ""),
        where=_releases(move.agent),
    )


def _of_signals(signals: Iterable[Signal]) -> Iterator[Event]:
    for each in signals:
        if each.since is not None:
            yield Event(
                at=each.since,
                kind="odd",
                word=each.kind,
                what=each.subject,
                text=f"since then: {each.sentence}",
                where=f"/agents/{each.agent}",
            )


def _releases(agent: str) -> str:
    return f"/releases/{agent}"
