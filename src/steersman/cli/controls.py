"""kill, pin, pause, mode, audit: a person's hand on the policies, and the trail that it leaves."""

import getpass
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from steersman.app import Steersman
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    SettingsOption,
    StoreOption,
    say,
    show_json,
    show_table,
    show_warning,
)
from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.chain import read_anchors
from steersman.core.errors import InvalidInput, NotFound, NotPermitted, SteersmanError, nearest
from steersman.core.influence import MODES
from steersman.core.values import Control, ControlKind

ScopeArgument = Annotated[str, typer.Argument(help='An agent, a pack, or "*" for all.')]
OffOption = Annotated[bool, typer.Option("--off", help="Release it again.")]
ReasonOption = Annotated[str, typer.Option(help="Why; kept in the audit trail.")]
_MOST_HOURS = 87_600.0
HoursOption = Annotated[float | None, typer.Option("--hours", help="Let go by itself after so many hours.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(kill)
    app.command()(pin)
    app.command()(pause)
    app.command()(mode)
    app.command()(audit)


def kill(
    scope: ScopeArgument = "*",
    off: OffOption = False,
    reason: ReasonOption = "",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Stop learned actions: from the next decision on (within 0.25 s in other processes) the safe action is served."""
    _set("kill", scope, store, json, active=not off, reason=reason)


def pin(
    scope: ScopeArgument,
    choices: Annotated[
        list[str] | None, typer.Argument(metavar="DIMENSION=CHOICE…", help="What is held; other dimensions stay free.")
    ] = None,
    off: OffOption = False,
    hours: HoursOption = None,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Hold choices, inside what guards allow: `steersman pin qe/test-executor workers=2 --hours 24`."""
    held = dict(map(_choice, choices or ()))
    span = _seconds(hours)
    _set("pin", scope, store, json, settings=settings, active=not off, reason=reason, choices=held, expires_in_s=span)


def pause(
    scope: ScopeArgument = "*",
    off: OffOption = False,
    hours: HoursOption = None,
    reason: ReasonOption = "",
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Pause exploring: what is known to be best is done, and learning goes on from that."""
    _set("pause", scope, store, json, active=not off, reason=reason, expires_in_s=_seconds(hours))


def mode(
    scope: ScopeArgument,
    mode: Annotated[str, typer.Argument(help=f"{', '.join(MODES)}; without it, show what holds.", show_default=False)] = "",
    off: Annotated[bool, typer.Option("--off", help="Release it: the settings say again (influence.mode).")] = False,
    hours: HoursOption = None,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Say what influence the learned policy has: none (off), watched (shadow), as advice (advisory), or it decides (live).

    Guards, budgets and the kill switch hold in each mode. It holds from the next decision on, within 0.25 s in others.
    """
    if not (mode or off):
        _show_modes(scope, store, settings, json)
        return
    if mode and mode not in MODES:
        raise InvalidInput(f"{mode!r} is no mode: say {', '.join(MODES[:-1])} or {MODES[-1]}.")
    choices = {"mode": mode} if mode else {}
    _set("mode", scope, store, json, active=not off, reason=reason, choices=choices, expires_in_s=_seconds(hours))


def _show_modes(scope: str, store: str | None, settings: str | None, json: bool) -> None:
    """Show the mode of each agent in a scope, and who says so. Raises NotFound where there is none."""
    with Steersman.open("memory:", settings=settings) as defined:
        specs, known = defined.in_scope(scope), defined.catalog.names()
        modes = {each.name: defined.settings_file.settings(each.name, each.settings, {}).influence.mode for each in specs}
    if not modes:
        raise NotFound(f"no agent or pack {scope!r} is defined here.{nearest(scope, [*known, *map(_pack, known)])}")
    said = _said_modes(store)
    found = [_mode_of(name, mode, said) for name, mode in modes.items()]
    if json:
        show_json(found)
    else:
        show_table("", ("agent", "mode", "by"), [tuple(each.values()) for each in found])


def _said_modes(store: str | None) -> list[Control]:
    """Return what people have said of modes; nothing where there is no store yet."""
    try:
        with Steersman.open(store, settings={}, read_only=True) as steersman:
            return [each for each in steersman.log.controls() if each.kind == "mode"]
    except NotFound as error:
        show_warning(f"{error} These are the modes of the settings.")
        return []


def _mode_of(name: str, mode: str, said: list[Control]) -> dict[str, str]:
    """Return the mode of an agent: that of the narrowest word that holds, else of its settings."""
    words = [each for each in said if each.holds(name, time.time())]
    if not words:
        return {"agent": name, "mode": mode, "by": "the settings (influence.mode)"}
    word = max(words, key=lambda each: (each.scope != "*", "/" in each.scope))
    until = "" if word.expires_at is None else f" until {_time(word.expires_at)} UTC"
    by = f"{word.actor}, of {word.scope!r}{until}: {word.reason}"
    return {"agent": name, "mode": str(word.choices["mode"]), "by": by}


def _pack(name: str) -> str:
    return name.partition("/")[0]


def _set(kind: ControlKind, scope: str, store: str | None, json: bool, *, settings: str | None = None, **said: Any) -> None:
    known = _defined(scope, settings) if kind == "pin" else []  # a kill switch needs nothing but the store
    control = Steersman.control_in(store, kind, scope, actor=getpass.getuser(), known=known, **said)
    if json:
        show_json(control)
    else:
        say(_told(control))
    _warn_of_unknown(scope, store)


def _defined(scope: str, settings: str | None) -> list[AgentSpec]:
    with Steersman.open("memory:", settings=settings) as steersman:
        return steersman.in_scope(scope)


def _told(control: Control) -> str:
    off = "" if control.active else "off again"
    held = ", ".join(f"{name} {choice}" for name, choice in control.choices.items())
    until = "" if control.expires_at is None else f" until {_time(control.expires_at)} UTC"
    return {
        "kill": f"Kill switch of {control.scope!r} is {off or 'ON: safe actions only'}.",
        "pin": f"Pin of {control.scope!r} is {off or f'ON: {held}'}{until}.",
        "mode": f"Mode of {control.scope!r} is {control.choices.get('mode', 'released: the settings say again')}{until}.",
        "pause": f"Exploring of {control.scope!r} is {'allowed again' if off else f'paused{until}'}.",
    }[control.kind]


def _warn_of_unknown(scope: str, store: str | None) -> None:
    with Steersman.open(store, settings={}, read_only=True) as steersman:
        names = {*steersman.catalog.names(), *steersman.log.agents()}
    scopes = {"*", *names, *map(_pack, names)}
    if scope not in scopes:
        show_warning(f"no agent or pack {scope!r} is known here; the word waits for one.{nearest(scope, scopes)}")
        raise typer.Exit(EXIT_WARNING)


def _choice(text: str) -> tuple[str, Choice]:
    name, found, value = text.partition("=")
    if not (name and found and value):
        raise InvalidInput(f"{text!r}: expected DIMENSION=CHOICE, such as workers=2.")
    try:
        return name, msgspec.json.decode(value, type=int | float)
    except msgspec.MsgspecError:
        return name, value


def _seconds(hours: float | None) -> float | None:
    """Return hours in seconds. Raises InvalidInput for a time that is not to come, or is over ten years."""
    if hours is not None and not 0.0 < hours <= _MOST_HOURS:
        raise InvalidInput(f"--hours {hours:g}: say how long it is to hold, above 0 and at most {_MOST_HOURS:,.0f}.")
    return None if hours is None else hours * 3600.0


def audit(
    limit: Annotated[int, typer.Option(help="How many of the newest events.")] = 50,
    verify: Annotated[bool, typer.Option("--verify", help="Check the whole chain, and the anchors in FILE.")] = False,
    anchor: Annotated[
        str | None, typer.Option("--anchor", metavar="FILE", help="Add the chain's head to FILE; with --verify, check it.")
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Show who did what, and what was refused; newest first. Exits with 1 where --verify finds the trail changed."""
    with Steersman.open(store, read_only=True) as steersman:
        if verify:
            _verify(steersman, anchor, json)
            return
        if anchor is not None:
            _anchor(steersman, Path(anchor), json)
            return
        events = steersman.log.audit(limit)
    if json:
        show_json(events)
        return
    show_table(
        "",
        ("at (UTC)", "actor", "event", "subject", "detail"),
        [(_time(e.at), e.actor, e.event, e.subject, _short(e.detail)) for e in events],
    )


def _verify(steersman: Steersman, anchor: str | None, json: bool) -> None:
    anchors = [] if anchor is None else read_anchors(_read(Path(anchor)))
    found = steersman.verify_audit(anchors)
    if json:
        show_json({"intact": not found, "faults": found, "anchors": len(anchors)})
    elif not found:
        say(f"The audit trail is as it was written{f', and holds all anchors ({len(anchors)})' if anchors else ''}.")
    else:
        for each in found:
            say(each)
    if found:
        raise typer.Exit(SteersmanError.exit_code)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NotFound(f"cannot read the anchors in {file}: {error}.") from error


def _anchor(steersman: Steersman, file: Path, json: bool) -> None:
    head = steersman.anchor()
    try:
        with file.open("ab") as written:
            written.write(msgspec.json.encode(head) + b"\n")
    except OSError as error:
        raise NotPermitted(f"cannot write the anchor to {file}: {error.strerror}. Name another file.") from error
    if json:
        show_json(head)
    else:
        say(f"Event {head.number} is anchored in {file}. Keep it where whoever can write the store cannot.")


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
