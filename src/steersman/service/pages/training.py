"""Training: each run with its state and curves, and what became of it: judged, tried, released, rolled back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from steersman.app.curves import curves_png
from steersman.core.curves import figures, panels
from steersman.core.errors import NotFound
from steersman.core.tracking import Run
from steersman.core.versions import short
from steersman.service.operations import Call, Reply
from steersman.service.pages.shell import html, page

_RUNS = 50
_EVENTS = 40
SILENT_S = 600.0
"""A run that said nothing for so long may have been killed, and is shown so."""

Kind = Literal["trained", "failed", "cut", "judged", "moved", "back"]
_BACK = ("aborted", "rolled back", "quarantined")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to an agent's networks. where: the page that tells more, "" for none."""

    at: float
    kind: Kind
    word: str
    text: str
    where: str = ""


def state_of(run: Run, now: float) -> str:
    """Return the state of a run in a word: one that says nothing any more is "silent"."""
    return "silent" if run.state == "running" and now - run.heard_at > SILENT_S else run.state


def timeline(call: Call, agent: str, runs: Sequence[Run]) -> list[Event]:
    """Return what happened to an agent's networks, newest first, as far as it is stored."""
    found = [_of_run(each) for each in runs if each.begun.agent == agent and each.state != "running"]
    try:
        release = call.steersman.agent(agent).release
    except NotFound:
        return sorted(found, key=lambda each: -each.at)  # a world of Gymnasium's, or an agent that is not defined here
    where = f"/releases/{agent}"
    found += [
        Event(at=each.cut_at, kind="cut", word="cut", text=f"{short(each.id)}, from {each.outcomes:,} outcomes", where=where)
        for each in release.versions(_EVENTS)
    ]
    found += [
        Event(
            at=each.at,
            kind="judged",
            word="judged",
            text=f"{short(each.version)} against {short(each.against)}: {each.verdict}; {each.reason}",
            where=where,
        )
        for each in release.judgements(_EVENTS)
    ]
    found += [
        Event(
            at=each.at,
            kind="back" if each.move in _BACK else "moved",
            word=each.move,
            text=f"{short(each.challenger) + ' is tried, ' if each.challenger else ''}{short(each.champion)} decides"
            + (f"; {each.reason}" if each.reason else ""),
            where=where,
        )
        for each in release.moves(_EVENTS)
    ]
    return sorted(found, key=lambda each: -each.at)[:_EVENTS]


def _of_run(run: Run) -> Event:
    failed = run.state == "failed"
    text = f"{run.begun.name}: {run.reason}" if failed else f"{run.begun.name}, {run.step:,} {run.begun.unit}"
    return Event(
        at=run.heard_at,
        kind="failed" if failed else "trained",
        word="failed" if failed else "trained",
        text=text,
        where=f"/training?run={run.begun.id}",
    )


def _view(call: Call) -> Reply:
    runs = call.steersman.runs.runs(_RUNS)
    name = call.query.get("run") or (runs[0].begun.id if runs else "")
    run = call.steersman.runs.run(name) if name else None
    return html(
        call,
        "training.html",
        active="training",
        runs=runs,
        run=run,
        state_of=state_of,
        panels=[] if run is None else panels(run),
        figures={} if run is None else figures(run),
        events=[] if run is None else timeline(call, run.begun.agent, runs),
        most=_RUNS,
    )


def _picture(call: Call) -> Reply:
    run = call.steersman.runs.run(call.path["run"])
    name = f"{run.begun.agent.replace('/', '-')}-{run.begun.id}.png"
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return Reply(body=curves_png(run), media_type="image/png", headers=headers)


PAGE = page("/training", "Training runs, and what became of them.", _view, query={"run": "The id of a run."})
PICTURE = page("/training/{run}.png", "The curves of a training run as a picture.", _picture)
