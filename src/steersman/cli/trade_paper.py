"""trade paper: a series of the past as live events over a bus, the agents behind it, and perhaps the pages beside it."""

import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import msgspec
import typer

from steersman.app import Steersman, consumers
from steersman.app.buses import open_bus
from steersman.cli.output import JsonOption, SettingsOption, StoreOption, plain, say, show_json, show_warning
from steersman.cli.stopping import told_to_stop
from steersman.cli.trade_board import Board, show_report
from steersman.cli.trade_earlier import begin, known
from steersman.cli.trade_options import (
    AccountOption,
    BorrowOption,
    CommissionOption,
    DataArgument,
    HoldOption,
    QuietOption,
    SlippageOption,
    SpreadOption,
)
from steersman.core.access import DEFAULT_TENANT
from steersman.core.catalog import Catalog, load
from steersman.core.errors import Conflict, InvalidInput, NotPermitted, StoreError, nearest
from steersman.core.influence import MODES
from steersman.core.sections import Bus as BusSettings
from steersman.core.settings import SettingsFile
from steersman.loops.hands import Hands

_AGENTS = ("trading/meta-strategy", "trading/position-sizing")
_REFUSED = "no action is allowed"
_DRAIN_S, _LOOK_S = 10.0, 0.05
_JOIN_S = 30.0
_HELD = "What a consumer that was killed held comes free after bus.idle_s, {:g} s."
_REBALANCED_S = 10.0
"""Within which a bus has given others what a dead consumer held."""


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the command line asked for. options: of the pack's command. group: of whoever decides."""

    store: str | None
    settings: str | None
    bus: BusSettings
    announced: str
    mode: str
    options: Mapping[str, Any]
    quiet: bool


def paper(
    data: DataArgument,
    url: Annotated[str, typer.Option(help="The bus: memory:, redis://host:port/database or kafka://host:port.")] = "",
    stream: Annotated[str, typer.Option(help="Stream for what happens; answers come back on STREAM.answers.")] = "paper",
    run: Annotated[
        str, typer.Option(help="Name of the run, and of its account; that of an earlier run goes on with it.")
    ] = "",
    symbols: Annotated[str, typer.Option(help="Only these, separated by commas.")] = "",
    speed: Annotated[float, typer.Option(help="Bars a second; 0: as fast as they are answered.")] = 100.0,
    mode: Annotated[str, typer.Option(help="Influence of what was learned: off, shadow, advisory or live.")] = "",
    patience: Annotated[
        float, typer.Option(help="Seconds that an answer is waited for; without one there is no trade.")
    ] = 5.0,
    consumer: Annotated[
        bool,
        typer.Option(
            help="Decide in this process, too; with --no-consumer, `steersman bus run --pack trading` does elsewhere."
        ),
    ] = True,
    serve: Annotated[
        int | None, typer.Option(min=0, max=65_535, metavar="PORT", help="Serve the pages there, until Ctrl-C; 0: any port.")
    ] = None,
    train: Annotated[int, typer.Option(help="Bars that models learn from before the first one that is traded.")] = 504,
    embargo: Annotated[int, typer.Option(help="Bars left out between what models learn from and what they forecast.")] = 10,
    test: Annotated[int, typer.Option(help="Bars after which models are trained anew.")] = 126,
    commission: CommissionOption = 1.0,
    spread: SpreadOption = 2.0,
    slippage: SlippageOption = 2.0,
    borrow: BorrowOption = 5.0,
    account: AccountOption = "normal",
    hold: HoldOption = 10,
    resume: Annotated[
        int, typer.Option(help="Bars after which a new account follows one that its drawdown shut; 0: never.")
    ] = 20,
    accept: Annotated[list[str] | None, typer.Option(help="Take what looks wrong as it is: gaps, or jumps.")] = None,
    store: StoreOption = None,
    settings: SettingsOption = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Replay prices as live events over a bus: signals, orders, trades and closed positions, and follow what is answered.

    Fills, costs and signals are those of the backtest. What is decided, and what came of it, is in the store.
    """
    if mode and mode not in MODES:
        raise InvalidInput(f"mode {mode!r} is none.{nearest(mode, MODES)}")
    if not consumer and (mode or serve is not None):
        raise InvalidInput("--mode and --serve belong to whoever decides, and --no-consumer leaves that to another process.")
    file = SettingsFile.read(settings).settings("", {}).bus
    bus = replace(file, url=url or file.url or "memory:", streams=stream, out=f"{stream}.answers")
    if not consumer and bus.url == "memory:":
        raise InvalidInput("memory: is a bus for one process; with --no-consumer, say where the bus is: --url redis://….")
    name = run or f"paper-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    asked = _Asked(
        store=store,
        settings=settings,
        bus=bus,
        announced=file.announce,
        mode=mode,
        quiet=quiet or json,
        options={
            "data": [str(each) for each in data],
            "stream": stream,
            "account": name,
            "symbols": [each.strip() for each in symbols.split(",") if each.strip()],
            "accept": accept or [],
            "train": train,
            "embargo": embargo,
            "test": test,
            "commission_bps": commission,
            "spread_bps": spread,
            "slippage_bps": slippage,
            "borrow_pct": borrow,
            "mode": account,
            "hold_bars": hold,
            "resume_bars": resume,
            "speed": speed,
            "patience_s": patience,
        },
    )

    def show(report: Any) -> None:
        if json:
            show_json(report)
        else:
            resume = shlex.join(["steersman", *sys.argv[1:], *(() if run else ("--run", name))])
            show_report(plain(report), resume=resume, mode=mode)
        sys.stdout.flush()

    if serve is not None:
        _served(asked, serve, show, json=json)
    elif consumer:
        show(_here(asked))
    else:
        with told_to_stop() as stop:
            show(_play(asked, stop.is_set, {"silence": _nobody(bus)}))


def _here(asked: _Asked) -> Any:
    """Decide in a thread beside, on a store of its own."""
    agents = load("steersman.packs.trading.paper.replayed:agents")(asked.mode)
    with told_to_stop() as stop, Steersman.open(asked.store, agents=agents, settings=asked.settings) as steersman:
        return _with_consumer(asked, steersman, stop.is_set)


def _nobody(bus: BusSettings) -> str:
    words = ("--pack", "trading", "--streams", bus.streams, "--out", bus.out, "--url", bus.url)
    return (
        f"nobody answers on {bus.out}. Is `{shlex.join(('steersman', 'bus', 'run', *words))}` running? "
        f"{_HELD.format(bus.idle_s)}"
    )


def _served(asked: _Asked, port: int, show: Callable[[Any], None], *, json: bool) -> None:
    """Play on the store of a service that shows its pages until Ctrl-C; the series goes on beside it."""
    try:
        from steersman.service import serve
        from steersman.service.app import Service
    except ImportError as error:
        raise InvalidInput(f"the pages need their extra: pip install 'steersman[service]' ({error}).") from error
    options = serve.Options(
        store=asked.store or os.environ.get("STEERSMAN_STORE") or serve.DEFAULT_STORE,
        settings=asked.settings,
    )
    specs = load("steersman.packs.trading.paper.replayed:agents")(asked.mode)
    try:
        listener = serve.bind(options.host, port)
    except (Conflict, NotPermitted) as error:
        raise type(error)(str(error).replace("--port", "--serve")) from error
    where = serve.address(listener)
    errors: list[BaseException] = []

    def play(service: Service) -> None:
        try:
            report = _with_consumer(asked, service.tenants[DEFAULT_TENANT], lambda: service.closing)
            show(report)
            if report.whole and not asked.quiet and not service.closing:
                say(f"The series is over. The pages stay until Ctrl-C: {where}/positions")
        except BaseException as error:  # noqa: BLE001 - raised in the main thread, once the service has ended
            errors.append(error)
            os.kill(os.getpid(), signal.SIGTERM)

    players: list[threading.Thread] = []

    def ready(service: Service) -> None:
        _say_where(where, json=json)
        players.append(threading.Thread(target=play, args=(service,), name="steersman-paper"))
        players[0].start()

    serve.serve(options, listener, ready, specs=specs)
    for each in players:
        each.join(_JOIN_S)
    if errors:
        raise errors[0]


def _say_where(where: str, *, json: bool) -> None:
    if json:
        line = {"address": where, "pid": os.getpid(), "page": f"{where}/positions"}
        sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    else:
        say(f"The pages are up: {where}/positions")
    sys.stdout.flush()


def _with_consumer(asked: _Asked, steersman: Steersman, stop: Callable[[], bool]) -> Any:
    """Play with a consumer at work in a thread, and let it work off what was told."""
    _say_mode(asked, steersman)
    hands = Hands(_AGENTS[1], steersman.log, time.time, time.monotonic, str)

    def why(decision_id: str, reason: str) -> str:
        decision = steersman.log.decision(decision_id) if reason == _REFUSED else None
        refusals = () if decision is None else decision.refusals
        found = [each for each in refusals if not each.where] or refusals
        return f"guard {', '.join(sorted({each.guard for each in found}))}" if found else reason

    more = {
        "stopped": lambda: hands.look().killed,
        "why": why,
        "known": known(steersman, asked.bus.streams),
        "begins": partial(begin, steersman),
        "silence": f"waiting for answers on {asked.bus.out}. {_HELD.format(asked.bus.idle_s)}",
    }
    with _at_work(steersman, asked.bus):
        report = _play(asked, stop, more)
        with closing(open_bus(asked.bus.url, [asked.bus.streams], group=asked.bus.group)) as told:
            until = time.monotonic() + _DRAIN_S
            while not stop() and told.waiting() and time.monotonic() < until:
                time.sleep(_LOOK_S)
    return report


def _say_mode(asked: _Asked, steersman: Steersman) -> None:
    """Warn where settings or a person say another mode than the command line."""
    for name in _AGENTS if asked.mode else ():
        hands = Hands(name, steersman.log, time.time, time.monotonic, str)
        mode = hands.look().mode or steersman.agent(name).settings.influence.mode
        if mode != asked.mode:
            show_warning(f"{name} is in mode {mode}, not {asked.mode}: settings or `steersman mode` say so.")


@contextmanager
def _at_work(steersman: Steersman, bus: BusSettings) -> Iterator[None]:
    """Have a consumer decide and learn by the routes of the pack, in a thread."""
    end = threading.Event()
    consumer, opened = consumers.open_consumer(steersman, bus, ["trading"], say=show_warning)

    def work() -> None:
        with suppress(StoreError):  # the store was closed while it worked: what it did not take comes again
            consumer.run(end)

    worker = threading.Thread(target=work, name="steersman-consumer")
    worker.start()
    try:
        yield
    finally:
        end.set()
        worker.join(_JOIN_S)
        opened.close()


def _play(asked: _Asked, stop: Callable[[], bool], more: Mapping[str, Any]) -> Any:
    """Run the pack's command, which knows the agents by their answers alone."""
    command = Catalog().command("trading", "paper")
    streams = [asked.bus.out, *([asked.announced] if asked.announced else [])]
    opened = open_bus(asked.bus.url, streams, group="paper", idle_s=asked.bus.idle_s)
    settle_s = 0.0 if asked.bus.url == "memory:" else asked.bus.idle_s + _REBALANCED_S
    with closing(opened) as bus, Board(quiet=asked.quiet) as board:
        kind = load("steersman.packs.trading.paper.command:PaperOptions")
        options = kind(**asked.options, **more, bus=bus, stop=stop, settle_s=settle_s, say=board.say, watch=board.watch)
        return command(_no_agent, options, board)


def _no_agent(name: str) -> Any:
    raise InvalidInput(f"{name} is asked on the bus.")
