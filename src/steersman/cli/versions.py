"""cut, versions, quarantine, export-policy: what was learned, kept so that it never changes again."""

from pathlib import Path
from typing import Annotated

import typer

from steersman.cli.opening import AgentArgument, LimitOption, ReasonOption, actor, agent_beside, in_words, moment
from steersman.cli.output import JsonOption, SettingsOption, StoreOption, plain, say, show_json, show_table
from steersman.core.errors import InvalidInput, NotPermitted
from steersman.core.versions import Deployment, PolicyVersion, short

_NONE = "No version was cut yet. `steersman cut AGENT` makes one of what was learned so far."


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(cut)
    app.command()(versions)
    app.command()(quarantine)
    app.command()(export_policy)


def cut(
    agent: AgentArgument,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Make a version of what was learned so far. What did not change since the last one is the same version."""
    with agent_beside(agent, store, settings) as found:
        version = found.release.cut(actor=actor(), reason=reason)
    if json:
        show_json(version)
    else:
        say(f"Version {short(version.id)}: {version.holds}, learned from {version.outcomes:,} outcomes.")


def versions(
    agent: AgentArgument,
    limit: LimitOption = 20,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """List the versions of an agent, newest first: when each was cut, what it had learned from, and what it is now."""
    with agent_beside(agent, store, settings) as found:
        kept, now = found.release.versions(limit), found.release.now
    if json:
        show_json([{**plain(each), "is": _role(each, now)} for each in kept])
    elif not kept:
        say(_NONE)
    else:
        show_table(
            "",
            ("version", "cut at (UTC)", "by", "holds", "outcomes", "in production then", "is"),
            [_row(each, now) for each in kept],
        )


def _row(version: PolicyVersion, now: Deployment) -> tuple[object, ...]:
    made = (short(version.id), moment(version.cut_at), version.actor, version.holds, version.outcomes)
    return *made, short(version.parent), _role(version, now)


def _role(version: PolicyVersion, now: Deployment) -> str:
    if version.id in now.quarantined:
        return "in quarantine"
    roles = {now.champion: "champion", **({now.challenger: "challenger"} if now.under_way else {})}
    return roles.get(version.id, "")


def quarantine(
    agent: AgentArgument,
    version: Annotated[str, typer.Argument(help="The version, or how its name begins.")],
    off: Annotated[bool, typer.Option("--off", help="Learn from it again.")] = False,
    reason: ReasonOption = "",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Leave what a version did out of learning: what is learned is learned again without it."""
    with agent_beside(agent, store, settings) as found:
        now = found.release.quarantine(version, actor=actor(), reason=reason, release=off)
    if json:
        show_json(now)
        return
    left_out = ", ".join(map(short, now.quarantined)) or "nothing"
    say(f"In quarantine now: {left_out}. {in_words(now)}")


def export_policy(
    agent: AgentArgument,
    version: Annotated[str, typer.Argument(help='The version, or how its name begins, or "champion" or "previous".')],
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Write a version that is a network as an ONNX model, which runtimes of other languages and devices serve."""
    with agent_beside(agent, store, settings) as found:
        made = found.release.onnx(version)
    _write(file, made.model, force)
    if json:
        facts = {"version": made.version, "file": str(file), "bytes": len(made.model), "features": made.features}
        show_json({**facts, "output": made.output, "actions": made.actions})
        return
    say(f"Version {short(made.version)} is in {file}, {len(made.model):,} bytes.")
    say(f"It takes states (n, {len(made.features)}) and gives {made.output} (n, {len(made.actions)}); the file says how.")


def _write(file: Path, content: bytes, force: bool) -> None:
    try:
        with file.open("wb" if force else "xb") as written:
            written.write(content)
    except FileExistsError as error:
        raise InvalidInput(f"{file} is there already. Name another file, or write over it by --force.") from error
    except OSError as error:
        raise NotPermitted(f"cannot write the model to {file}: {error.strerror}. Name another file.") from error
