"""kill: a person's hand on the switch."""

import getpass
from datetime import UTC, datetime
from typing import Annotated

import typer

from steersman.app import Steersman
from steersman.cli.output import EXIT_WARNING, JsonOption, StoreOption, say, show_json, show_table, show_warning
from steersman.core.errors import nearest


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(kill)
    app.command()(audit)


def kill(
    scope: Annotated[str, typer.Argument(help='An agent, a pack, or "*" for all.')] = "*",
    off: Annotated[bool, typer.Option("--off", help="Release the switch again.")] = False,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit trail.")] = "",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Stop learned actions: from the next decision on (within 0.25 s in other processes) the safe action is served."""
    actor = getpass.getuser()
    switch = Steersman.kill_in(store, scope, actor=actor, reason=reason, active=not off)
    if json:
        show_json(switch)
    else:
        say(f"Kill switch of {scope!r} is {'off' if off else 'ON: safe actions only'}.")
    with Steersman.open(store, settings={}, read_only=True) as steersman:
        names = {*steersman.catalog.names(), *steersman.log.agents()}
    scopes = {"*", *names, *(name.partition("/")[0] for name in names)}
    if scope not in scopes:
        show_warning(f"no agent or pack {scope!r} is known here; the switch waits for one.{nearest(scope, scopes)}")
        raise typer.Exit(EXIT_WARNING)


def audit(
    limit: Annotated[int, typer.Option(help="How many of the newest events.")] = 50,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show who did what, and what was refused; newest first."""
    with Steersman.open(store, read_only=True) as steersman:
        events = steersman.log.audit(limit)
    if json:
        show_json(events)
        return
    show_table(
        "",
        ("at (UTC)", "actor", "event", "subject", "detail"),
        [(_time(e.at), e.actor, e.event, e.subject, _short(e.detail)) for e in events],
    )


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
