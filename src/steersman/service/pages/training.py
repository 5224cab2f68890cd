"""Training: each run with its state and curves, and what became of it: judged, tried, released, rolled back."""

from steersman.app.curves import curves_png
from steersman.core.curves import figures, panels
from steersman.core.tracking import Run
from steersman.service.operations import Call, Reply
from steersman.service.pages.shell import html, page
from steersman.service.pages.timeline import timeline

_RUNS = 50
_SHOWN = 12
"""Events that are shown before one asks for more."""
SILENT_S = 600.0
"""A run that said nothing for so long may have been killed, and is shown so."""


def state_of(run: Run, now: float) -> str:
    """Return the state of a run in a word: one that says nothing any more is "silent"."""
    return "silent" if run.state == "running" and now - run.heard_at > SILENT_S else run.state


def last(run: Run, metric: str) -> float | None:
    """Return the last value of a metric; None where it was not logged."""
    points = run.metrics.get(metric)
    return points[-1][1] if points else None


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
        last=last,
        panels=[] if run is None else panels(run),
        figures={} if run is None else figures(run),
        events=[] if run is None else timeline(call, run.begun.agent, runs),
        most=_RUNS,
        shown=_SHOWN,
    )


def _picture(call: Call) -> Reply:
    run = call.steersman.runs.run(call.path["run"])
    name = f"{run.begun.agent.replace('/', '-')}-{run.begun.id}.png"
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    return Reply(body=curves_png(run), media_type="image/png", headers=headers)


PAGE = page("/training", "Training runs, and what became of them.", _view, query={"run": "The id of a run."})
PICTURE = page("/training/{run}.png", "The curves of a training run as a picture.", _picture)
