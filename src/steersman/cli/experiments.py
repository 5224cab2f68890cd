"""ab: a plain experiment between two policies, on one agent or on all."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from steersman.app import Steersman
from steersman.cli.comparison import improvement, show_comparison
from steersman.cli.opening import ReasonOption, actor, beside, in_words, moment
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    SettingsOption,
    StoreOption,
    plain,
    say,
    show_json,
    show_warning,
)
from steersman.core.errors import Conflict, SteersmanError
from steersman.core.versions import Judgement, short
from steersman.loops.agent import Agent

ScopeArgument = Annotated[str, typer.Argument(metavar="AGENT", help='An agent, or "*" for all that decide in this store.')]
_HOUR_S = 3_600.0
_RECENT = 1_000

Done = dict[str, Any]
"""What came of it for one agent: the values to print, or the error."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="ab", help="Compare two policies on live subjects.", no_args_is_help=True)
    for each in (start, status, stop):
        group.command()(each)
    app.add_typer(group)


def start(
    agent: ScopeArgument,
    first: Annotated[str, typer.Option(help="Who decides for the rest.")] = "champion",
    second: Annotated[str, typer.Option(help="Who decides for the share.")] = "baseline",
    share: Annotated[float, typer.Option(help="Share of the subjects for the second, between 0 and 1.")] = 0.5,
    hours: Annotated[float, typer.Option(help="How long.")] = 24.0,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Begin an experiment. When its time is over, who decided before decides again, and the result is kept."""

    def begin(found: Agent) -> Done:
        now = found.release.experiment(first, second, actor=actor(), share=share, lasts_s=hours * _HOUR_S, reason=reason)
        return {"now": now, "told": in_words(now)}

    _each(begin, agent, store, settings, json=json)


def status(
    agent: ScopeArgument, store: StoreOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """Tell how an experiment stands, or what the last one came to: winner, improvement, recommendation."""
    _each(_standing, agent, store, settings, json=json)


def stop(
    agent: ScopeArgument,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """End an experiment before its time. Who decided before decides again, and what is known by now is kept."""

    def end(found: Agent) -> Done:
        now = found.release.now
        if now.under_way and now.purpose != "experiment":
            raise Conflict(f"{found.spec.name}: a release is under way, no experiment. `steersman release abort` ends it.")
        moved = found.release.abort(actor=actor(), reason=reason)
        return {"now": moved, "told": in_words(moved)}

    _each(end, agent, store, settings, json=json)


def _standing(found: Agent) -> Done:
    now = found.release.now
    if now.under_way and now.purpose == "experiment":
        return {"now": now, "told": in_words(now), "report": found.release.report()}
    last = _last(found)
    if last is None:
        return {"now": now, "told": "no experiment was made yet."}
    told = f"{last.verdict} at {moment(last.at)} UTC: {short(last.against)} and {short(last.version)}. {in_words(now)}"
    return {"now": now, "told": told, "report": last.body}


def _last(found: Agent) -> Judgement | None:
    """Return what the last experiment came to; None before the first one."""
    made = {each.release for each in found.release.moves(_RECENT) if each.purpose == "experiment"}
    ended = (each for each in found.release.judgements(_RECENT) if each.kind == "outcome" and each.release in made)
    return next(ended, None)


def _each(ask: Callable[[Agent], Done], scope: str, store: str | None, settings: str | None, *, json: bool) -> None:
    """Do something for one agent, or for each; what fails for one of several is told, and keeps no other from it."""
    with beside(store, settings) as steersman:
        if scope != "*":
            done: dict[str, Done] = {scope: ask(steersman.agent(scope))}
        else:
            done = {name: _tried(ask, steersman, name) for name in _known(steersman)}
    if json:
        show_json({name: {key: each[key] for key in each if key != "told"} for name, each in done.items()})
    else:
        _show(done)
    if any("error" in each for each in done.values()):
        raise typer.Exit(EXIT_WARNING)


def _known(steersman: Steersman) -> list[str]:
    known = set(steersman.catalog.names())
    return [each for each in steersman.log.agents() if each in known]


def _tried(ask: Callable[[Agent], Done], steersman: Steersman, name: str) -> Done:
    try:
        return ask(steersman.agent(name))
    except SteersmanError as error:
        return {"error": str(error)}


def _show(done: dict[str, Done]) -> None:
    if not done:
        say("No agent whose definition is here has decided anything in this store yet.")
    for name, each in done.items():
        if "error" in each:
            show_warning(each["error"])
            continue
        say(f"{name}: {each['told']}")
        if each.get("report") is not None:
            report = plain(each["report"])
            say(improvement(report))
            show_comparison(report)
