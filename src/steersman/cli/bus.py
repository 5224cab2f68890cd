"""bus: work on the events of a bus, see how it stands, and look at what nobody could use."""

import os
import sys
from collections import Counter
from contextlib import closing, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from steersman.app import Steersman, consumers
from steersman.app.telemetry import open_meter
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    SettingsOption,
    StoreOption,
    say,
    show_facts,
    show_json,
    show_table,
    show_warning,
)
from steersman.cli.stopping import told_to_stop
from steersman.core.catalog import load_file
from steersman.core.errors import InvalidInput, NotFound
from steersman.core.sections import Bus
from steersman.core.settings import SettingsFile
from steersman.loops.consume import Tally

UrlOption = Annotated[str, typer.Option(help="The bus: redis://host:port/database or kafka://host:port.")]
StreamsOption = Annotated[str, typer.Option(help="Streams to take from, separated by commas.")]
GroupOption = Annotated[str, typer.Option(help="Group of consumers; each entry goes to one of a group.")]
PackOption = Annotated[
    list[str] | None, typer.Option("--pack", help="A pack whose routes say what events mean; repeatable.")
]
LimitOption = Annotated[int, typer.Option(min=1, help="How many at most.")]
_CUT = 60


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="bus", help="Decide and learn by the events of a bus.", no_args_is_help=True)
    group.command()(run)
    group.command()(status)
    group.command()(dead)
    app.add_typer(group)


def run(
    url: UrlOption = "",
    streams: StreamsOption = "",
    out: Annotated[str, typer.Option(help="Stream for the events that routes emit.")] = "",
    group: GroupOption = "",
    pack: PackOption = None,
    agents: Annotated[
        list[str] | None, typer.Option("--agents", metavar="FILE", help="A Python file with agents of your own; repeatable.")
    ] = None,
    metrics: Annotated[str, typer.Option(metavar="[HOST:]PORT", help="Answer GET /metrics there, for Prometheus.")] = "",
    drain: Annotated[bool, typer.Option("--drain", help="Stop when nothing is waiting any more.")] = False,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Take events, decide and learn by them, and answer, until Ctrl-C or SIGTERM. Exits with 0 then."""
    from steersman.app.exposition import address, exposed  # an HTTP server, for which no other command should wait

    said = SettingsFile.read(settings).said("bus", url=url)  # news go there, too
    bus = _bus(said, streams=streams, out=out, group=group)
    meter = open_meter() if metrics else None
    if metrics and meter is None:
        raise InvalidInput("--metrics needs prometheus-client: pip install 'steersman[service]'.")
    own = [spec for file in agents or () for spec in load_file(file)]
    with (
        told_to_stop() as stop,
        Steersman.open(store, agents=own, settings=said, meters=() if meter is None else (meter,)) as steersman,
    ):
        consumer, opened = consumers.open_consumer(steersman, bus, pack or (), say=show_warning)
        door = exposed(meter, steersman, address(metrics)) if meter is not None else nullcontext(0)
        with closing(opened), door as port:
            _say_ready(bus, port, json=json)
            consumer.run(stop, drain=drain)
    _show_tally(consumer.tally, json=json)


def status(
    url: UrlOption = "",
    streams: StreamsOption = "",
    group: GroupOption = "",
    limit: LimitOption = 1_000,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Show how many entries wait, what the last ones led to, and what is wrong with the dead letters: exit 2 if any."""
    found = consumers.status(_bus(SettingsFile.read(settings), url=url, streams=streams, group=group), limit)
    last = _last_events(store, settings)
    if json:
        show_json({**msgspec.to_builtins(found), "last": last[:5]})
    else:
        show_facts({"bus": found.url, "group": found.group})
        show_table(
            "",
            ("stream", "waiting", "dead letters"),
            [(name, waiting, found.dead[name]) for name, waiting in found.waiting.items()],
        )
        for name in found.missing:
            say(f"There is no stream {name!r} there: nothing was ever put into it, and nobody takes from it.")
        if last:
            show_table("Last decision of each", ("agent", "when", "subject", "action", "reason"), _lines(last))
        if found.faults:
            show_table("Dead letters by fault", ("fault", "letters"), found.faults.items())
            say("`steersman bus dead` shows them, and with --retry puts them back.")
    if any(found.dead.values()):
        raise typer.Exit(EXIT_WARNING)


def dead(
    url: UrlOption = "",
    streams: StreamsOption = "",
    group: GroupOption = "",
    limit: LimitOption = 100,
    retry: Annotated[bool, typer.Option("--retry", help="Put them back into their streams.")] = False,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Show the entries that nobody could work off, by the time of their events; they stay there, unless put back."""
    bus = _bus(SettingsFile.read(settings), url=url, streams=streams, group=group)
    if retry:
        count = consumers.retry(bus, limit)
        show_json({"retried": count}) if json else say(f"{count} put back.")
        return
    letters = consumers.dead(bus, limit)
    if json:
        show_json(letters)
    elif not letters:
        say("There are no dead letters.")
    for each in letters if not json else ():
        show_facts(
            {
                "stream": each.stream,
                "event": f"{each.type} {each.id}".strip() or "–",
                "at": "–" if each.at is None else _time(each.at),
                "fault": each.fault,
                "reason": each.reason,
                "body": each.body if len(each.body) <= 2 * _CUT else f"{each.body[: 2 * _CUT]}…",
            }
        )
        say("")


def _bus(settings: SettingsFile, **given: str) -> Bus:
    """Return the settings of a bus that others can be on. Raises InvalidInput for one of this process alone."""
    bus = consumers.bus_settings(settings, given)
    if bus.url.startswith("memory:"):
        raise InvalidInput("memory: is a bus of one process, and nobody else can be on it: --url redis://localhost:6379/0.")
    return bus


def _say_ready(bus: Bus, port: int, *, json: bool) -> None:
    if json:
        line = {"streams": consumers.streams_of(bus), "out": bus.out, "metrics": port, "pid": os.getpid()}
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    else:
        answers = f"; answers go to {bus.out}" if bus.out else ""
        say(f"Taking from {', '.join(consumers.streams_of(bus))}{answers}.{f' Metrics: port {port}.' if port else ''}")
    sys.stdout.flush()


def _show_tally(tally: Tally, *, json: bool) -> None:
    if json:
        events = [{"type": kind, "result": result, "count": count} for (kind, result), count in sorted(tally.events.items())]
        line = {"events": events, "dead": dict(tally.dead), "redelivered": tally.redelivered, "answers": tally.answers}
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
        return
    found: Counter[str] = Counter()
    for (_, result), count in tally.events.items():
        found[result] += count
    say(f"Worked off: {', '.join(f'{count} {result}' for result, count in sorted(found.items())) or 'nothing'}.")


def _last_events(store: str | None, settings: str | None) -> list[dict[str, Any]]:
    """Return the last five decisions of each agent, newest first; none where there is no store here."""
    try:
        with Steersman.open(store, settings=settings, read_only=True) as steersman:
            recent = [each for name in steersman.log.agents() for each in steersman.log.recent(name, 5)]
    except NotFound:
        return []
    return [
        {"at": each.decided_at, "agent": each.agent, "subject": each.subject, "action": each.executed, "reason": each.reason}
        for each in sorted(recent, key=lambda each: -each.decided_at)
    ]


def _lines(last: list[dict[str, Any]]) -> list[tuple[object, ...]]:
    """Return a row for each agent: its newest decision. last: newest first."""
    newest = {each["agent"]: each for each in reversed(last)}
    return [(name, _time(each["at"]), each["subject"], each["action"], each["reason"]) for name, each in newest.items()]


def _time(at: float) -> str:
    """Return a time in UTC; as it stands where it is none, such as one in milliseconds."""
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return f"{at:.17g}"
