"""pipeline status: where the training of networks stands, of one agent or of all."""

from typing import Annotated, Any

import typer

from steersman.cli.opening import beside, moment
from steersman.cli.output import JsonOption, SettingsOption, StoreOption, plain, say, show_facts, show_json, show_table
from steersman.core.versions import Judgement, short
from steersman.loops.pipeline import Standing


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The training of networks.", no_args_is_help=True)
    group.command()(status)
    app.add_typer(group, name="pipeline")


def status(
    agent: Annotated[str | None, typer.Argument(help="One agent (default: all that have decided here).")] = None,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Tell of each agent whether training is due, what came of the last one, what was left out, and what failed."""
    with beside(store, settings) as steersman:
        known = set(steersman.catalog.names())
        names = [agent] if agent else [each for each in steersman.log.agents() if each in known]
        found = [steersman.agent(each).pipeline.standing() for each in names]
    if json:
        show_json([_plain(each) for each in found])
    elif agent:
        _show_one(found[0])
    elif not found:
        say("No agent has decided here yet.")
    else:
        show_table(
            "",
            ("agent", "by itself", "new outcomes", "due", "last training (UTC)", "version", "what came of it"),
            map(_row, found),
        )


def _plain(standing: Standing) -> dict[str, Any]:
    return {**plain(standing), "left_out": dict(standing.left_out)}


def _row(standing: Standing) -> tuple[object, ...]:
    last = standing.last
    when, version = ("", "") if last is None else (moment(last.at), short(last.version))
    return standing.agent, _yes(standing.enabled), standing.outcomes, _yes(standing.due), when, version, _came(standing)


def _came(standing: Standing) -> str:
    """Return what came of the last training, a failed one first."""
    if standing.failed is not None:
        return f"failed: {standing.failed.reason}"
    if standing.interrupted:
        return "broken off, or under way: --resume goes on with it"
    return "" if standing.last is None else str(standing.last.body["verdict"])


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _show_one(standing: Standing) -> None:
    facts: dict[str, object] = {
        "trains by itself": _yes(standing.enabled),
        "new outcomes": standing.outcomes,
        "due": _yes(standing.due),
        "what came of it": _came(standing) or "nothing was trained yet",
    }
    show_facts({**facts, **({} if standing.last is None else _last(standing.last))})
    if standing.left_out:
        show_table("Left out of the last training", ("outcomes", "why"), [(n, why) for why, n in standing.left_out.items()])


def _last(last: Judgement) -> dict[str, object]:
    said = last.body
    early = f"; {said['stopped']}" if said.get("stopped") else ", stopped early" if said["stopped_early"] else ""
    cpu = f" ({said['cpu_s']:.3g} s of CPU time)" if "cpu_s" in said else ""  # older ones do not know
    return {
        "last training": f"{moment(last.at)} UTC by {last.actor}, {said['took_s']:.3g} s{cpu}",
        "version": short(last.version),
        "outcomes": f"{said['outcomes']:,}",
        "updates": f"{said['updates']:,}{early}",
        "loss": f"{said['loss']:.4g}, held out {said['held_out_loss']:.4g}",
        "judged": f"{said['verdict']}: {said['judged']}",
        "released": said["released"] or "no",
    }
