"""check: is a pack, or an agent of your own, well made?"""

from pathlib import Path
from typing import Annotated

import typer

from steersman.app import Steersman
from steersman.cli.output import JsonOption, say, show_json
from steersman.core.catalog import load_file
from steersman.core.errors import NotFound, nearest
from steersman.testing.pack_checker import check_agent


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="check", help="Check what others wrote.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command()(pack)
    app.add_typer(group)


def pack(
    name: Annotated[str, typer.Argument(help="An installed pack (qe), or a Python file with agents of your own.")],
    json: JsonOption = False,
) -> None:
    """Check every agent of a pack: definitions, guards, baseline, reward, seeds, memory. Exits with 1 if one fails."""
    with Steersman.open("memory:", settings={}) as steersman:
        if name.endswith(".py"):
            specs = load_file(Path(name))
        elif name in steersman.catalog.packs:
            specs = [steersman.catalog.agent(each) for each in steersman.catalog.packs[name].agents]
        else:
            raise NotFound(f"no pack {name!r}.{nearest(name, steersman.catalog.packs)}")
    results = {spec.name: check_agent(spec) for spec in specs}
    failed = any(result.problem for each in results.values() for result in each)
    if json:
        show_json({agent: {each.name: each.problem or "ok" for each in checks} for agent, checks in results.items()})
    else:
        for agent, checks in results.items():
            say(agent)
            for each in checks:
                say(f"  {'✗' if each.problem else '✓'} {each.name}{f': {each.problem}' if each.problem else ''}")
    if failed:
        raise typer.Exit(1)
