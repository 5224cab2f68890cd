"""up: the service and its pages, until it is told to stop."""

import os
import sys
from typing import Annotated

import msgspec
import typer

from steersman.app import Steersman
from steersman.cli.output import JsonOption, SettingsOption, StoreOption, say
from steersman.core.errors import InvalidInput, nearest

_ROLES = ("decide", "learn", "all")
_FORMATS = ("text", "json")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(up)


def up(
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine only with keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0 takes any that is free.")] = 8321,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes; more than one needs PostgreSQL.")] = 1,
    role: Annotated[str, typer.Option(help="What this one does: decide, learn or all; parts need PostgreSQL.")] = "all",
    log_format: Annotated[str, typer.Option(help="How to log, to standard error: text or json.")] = "text",
    agents: Annotated[
        list[str] | None, typer.Option("--agents", metavar="FILE", help="A Python file with agents of your own; repeatable.")
    ] = None,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Run the service: API, pages, learning and metrics in one process, until Ctrl-C or SIGTERM. Exits with 0 then."""
    if role not in _ROLES:
        raise InvalidInput(f"role {role!r} is unknown.{nearest(role, _ROLES)}")
    if log_format not in _FORMATS:
        raise InvalidInput(f"log format {log_format!r} is unknown.{nearest(log_format, _FORMATS)}")
    try:
        from steersman.service import serve
        from steersman.service.workers import Supervisor
    except ImportError as error:
        raise InvalidInput(f"the service needs its extra: pip install 'steersman[service]' ({error}).") from error

    options = serve.Options(
        store=store or os.environ.get("STEERSMAN_STORE") or serve.DEFAULT_STORE,
        settings=settings,
        agents=tuple(agents or ()),
        host=host,
        port=port,
        part=role,  # type: ignore[arg-type]  # checked above
        workers=workers,
        log_format=log_format,  # type: ignore[arg-type]  # checked above
    )
    options.check()
    listener = serve.bind(host, port)
    where = serve.address(listener)

    def ready(*, local: bool) -> None:
        _say_ready(where, local=local, store=options.shown, json=json)

    if workers == 1:
        serve.serve(options, listener, lambda service: ready(local=service.access.local))
        return
    code = Supervisor(options, listener).run(lambda: ready(local=not Steersman.keys_in(options.store)))
    if code:
        raise typer.Exit(code)


def _say_ready(where: str, *, local: bool, store: str, json: bool) -> None:
    if json:
        line = {"address": where, "pid": os.getpid(), "keys_needed": not local}
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    else:
        say(f"Steersman is up: {where}")
        say(f"  store  {store}")
        if local:
            say("  access local mode: everybody on this machine may do all. `steersman keys create` makes a first key.")
        else:
            say("  access by key: send 'Authorization: Bearer steer_…', or log in on the page.")
        say("  stop   Ctrl-C")
    sys.stdout.flush()
