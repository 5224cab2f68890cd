"""drift: does the agent still see, do and earn what it did?"""

import typer

from steersman.cli.opening import AgentArgument, agent_beside, moment
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    SettingsOption,
    StoreOption,
    plain,
    say,
    say_point,
    show_json,
    show_table,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drift)


def drift(
    agent: AgentArgument, store: StoreOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """Tell how states, actions and rewards differ from what was normal. Exits with 2 when something stands out."""
    with agent_beside(agent, store, settings) as found:
        signals, drifts = found.signals(), found.drift()
    if json:
        show_json({"signals": signals, "drift": drifts})
    else:
        for each in signals:
            say_point({"warn": "•", "act": "✗"}[each.level], f"{each.sentence} {each.what_to_do}")
        if not signals:
            say("Nothing stands out.")
        _show(plain(drifts))
    if signals:
        raise typer.Exit(EXIT_WARNING)


def _show(drifts: list[dict[str, object]]) -> None:
    if not drifts:
        say("There are too few decisions yet to compare later ones with earlier ones.")
        return
    rows = [
        (each["subject"], each["of"], each["psi"], each["kl"], each["chance"], each["level"] or "", _since(each["since"]))
        for each in drifts
    ]
    show_table("", ("of what", "kind", "PSI", "KL (nats)", "by chance", "level", "since (UTC)"), rows)


def _since(at: object) -> str:
    return moment(at) if isinstance(at, float) else ""
