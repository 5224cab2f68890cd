"""release, rollback: how a version comes into production step by step, and what takes it out again."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import typer

from steersman.cli.comparison import show_comparison
from steersman.cli.opening import (
    AgentArgument,
    LimitOption,
    ReasonOption,
    actor,
    agent_beside,
    beside,
    in_words,
    moment,
    step,
)
from steersman.cli.output import JsonOption, SettingsOption, StoreOption, plain, say, show_json, show_table
from steersman.core.errors import InvalidInput
from steersman.core.versions import Deployment, short
from steersman.loops.agent import Agent

_NEVER = "Nothing was ever released in this store: what is being learned decides, agent by agent."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="release", help="Release a version, step by step.", no_args_is_help=True)
    for each in (start, status, hold, resume, abort):
        group.command()(each)
    app.add_typer(group)
    app.command()(rollback)


def start(
    agent: AgentArgument,
    version: Annotated[
        str | None,
        typer.Argument(help="The version, or how its name begins (default: one cut now, without the newest outcomes)."),
    ] = None,
    plan: Annotated[str, typer.Option(help='Steps for this once, such as "shadow 1h, 10% 24h" (default: by setting).')] = "",
    despite: Annotated[str, typer.Option(metavar="WHY", help="Try it although the gate cannot tell, and say why.")] = "",
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Judge a version, and begin to release it if the gate lets it pass (exit code 5 if not)."""

    def move(found: Agent) -> Deployment:
        return found.release.start(version, actor=actor(), reason=reason, plan=plan, despite=despite)

    _make(move, agent, store, settings, json=json)


def hold(
    agent: AgentArgument,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Stop a trial where it is: shares stay, no further step is taken, and harm still rolls it back."""
    _make(lambda found: found.release.hold(actor=actor(), reason=reason), agent, store, settings, json=json)


def resume(
    agent: AgentArgument,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Go on with a trial that was held, or confirm the step that waits for a person."""
    _make(lambda found: found.release.resume(actor=actor(), reason=reason), agent, store, settings, json=json)


def abort(
    agent: AgentArgument,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """End a trial: what was in production before decides again."""
    _make(lambda found: found.release.abort(actor=actor(), reason=reason), agent, store, settings, json=json)


def rollback(
    agent: AgentArgument,
    to: Annotated[
        str | None,
        typer.Option(help='A version, how its name begins, "learning" or "baseline" (default: who decided before).'),
    ] = None,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Let the version of before, or a named one, decide for everybody: in every process within a second."""
    _make(lambda found: found.release.rollback(to, actor=actor(), reason=reason), agent, store, settings, json=json)


def _make(move: Callable[[Agent], Deployment], agent: str, store: str | None, settings: str | None, *, json: bool) -> None:
    with agent_beside(agent, store, settings) as found:
        now = move(found)
    if json:
        show_json(now)
    else:
        say(f"Move {now.number}: {now.move}. {in_words(now)}")


def status(
    agent: Annotated[str | None, typer.Argument(help="One agent (default: all of which something was released).")] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="What was in production then: 2026-01-31T12:00 (UTC) or unix seconds.")
    ] = None,
    limit: LimitOption = 10,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Tell what is in production; of one agent also how it and its trial compare so far, and the last moves."""
    when = None if at is None else _time(at)
    if agent is not None and when is None:
        _show_one(agent, limit, store, settings, json=json)
        return
    with beside(store, settings) as steersman:
        releases = None if steersman.production is None else steersman.production.releases
        found = [] if releases is None else releases.current()
        if agent is not None:
            steersman.catalog.agent(agent)
            found = [each for each in found if each.agent == agent]
        if releases is not None and when is not None:
            found = [then for each in found if (then := releases.at(each.agent, when)) is not None]
    _show_all(found, when, json=json)


def _show_all(found: list[Deployment], when: float | None, *, json: bool) -> None:
    if json:
        show_json(found)
        return
    if not found:
        say(_NEVER if when is None else f"At {moment(when)} UTC nothing had been released: what was being learned decided.")
        return
    show_table(
        "" if when is None else f"In production at {moment(when)} UTC",
        ("agent", "in production", "on trial", "where it is", "since (UTC)", "by"),
        [_line(each) for each in found],
    )


def _line(now: Deployment) -> tuple[str, ...]:
    tried = short(now.challenger) if now.under_way else ""
    stands = "waits for a person" if now.waits_for_person else f"held: {now.held}" if now.held else step(now)
    return now.agent, short(now.champion), tried, stands, moment(now.at), now.actor


def _show_one(agent: str, limit: int, store: str | None, settings: str | None, *, json: bool) -> None:
    with agent_beside(agent, store, settings) as found:
        now, moves, report = found.release.now, found.release.moves(limit), found.release.report()
        floor = found.release.floor()
    if json:
        show_json({"agent": agent, "now": now, "moves": moves, "report": report, "floor": floor})
        return
    say(in_words(now))
    if floor is not None:
        say(floor.sentence)
    if report is not None:
        show_comparison(plain(report))
    if moves:
        show_table("", ("move", "at (UTC)", "by", "what", "why"), [_told(each) for each in moves])


def _told(move: Deployment) -> tuple[object, ...]:
    return move.number, moment(move.at), move.actor, _what(move), move.reason


def _what(move: Deployment) -> str:
    """Return what a move was, in few words."""
    if move.move == "advanced":
        return f"advanced to {100 * move.share:g} %"
    if move.under_way:
        return f"{move.move}: {short(move.challenger)}"
    return f"{move.move}{' to' if move.move == 'rolled back' else ':'} {short(move.champion)}"


def _time(text: str) -> float:
    """Return a time in unix seconds; one without an offset is taken in UTC."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no time: write 2026-01-31T12:00 (UTC) or unix seconds.") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
