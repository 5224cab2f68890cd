"""drill: does it really roll back? A bad version is planted in a sandbox, and seen to go."""

from typing import Annotated

import typer

from steersman.cli.opening import AgentArgument, actor, agent_beside
from steersman.cli.output import JsonOption, SettingsOption, StoreOption, plain, say, show_facts, show_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(drill)


def drill(
    agent: AgentArgument,
    share: Annotated[float, typer.Option(help="Share of the subjects that the bad version gets.")] = 0.1,
    decisions: Annotated[int, typer.Option(help="Decisions after which it counts as not caught.")] = 20_000,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Plant a bad version in a sandbox made of the agent's own log, and see it rolled back. Exits with 1 if it is not."""
    with agent_beside(agent, store, settings) as found:
        shown = found.release.drill(actor=actor(), share=share, decisions=decisions)
    if json:
        show_json({**plain(shown), "passed": shown.passed, "sentence": shown.sentence})
    else:
        say(f"{'✓' if shown.passed else '✗'} {shown.sentence}")
        if shown.detected:
            show_facts({"what was seen": shown.reason, "decides again": shown.rolled_back_to})
    if not shown.passed:
        raise typer.Exit(1)
