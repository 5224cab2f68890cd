"""The board: how a paper market stands while it runs, and what came of it."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from steersman.cli.output import TerminalProgress, console, say, show_table, show_warning

_EVERY_S = 0.25
_EVERY_UNWATCHED_S = 10.0
_SHOWN = 20
_REASONS = 6
_ARMS = ("arm", "1 became", "Sharpe ratio, 95 %", "drawdown", "positions", "won", "costs a year")
_TRADES = ("position", "opened", "closed", "followed", "size", "earned", "of equity")
_TRADES_SHOWN = 8


class Board:
    """A `Progress` until the market opens, then a live table on a terminal, and a line now and then where nobody watches."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._progress = TerminalProgress(quiet=quiet)
        self._live: Live | None = None
        self._next = 0.0
        self.phase, self.step, self.note = self._progress.phase, self._progress.step, self._progress.note

    def __enter__(self) -> "Board":
        self._progress.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
        else:
            self._progress.__exit__(*error)

    def say(self, text: str) -> None:
        """Show what keeps the market waiting."""
        if self._live is not None:
            self._live.console.print(f"  {text}", markup=False, soft_wrap=True)
        else:
            show_warning(text)

    def watch(self, market: Any) -> None:
        """Show a market, unless that was done a moment ago."""
        now = time.monotonic()
        if self._quiet or now < self._next:
            return
        terminal = sys.stderr.isatty()
        self._next = now + (_EVERY_S if terminal else _EVERY_UNWATCHED_S)
        if not terminal:
            console(stderr=True).print(_line(market), soft_wrap=True)
            return
        if self._live is None:
            self._progress.__exit__()
            self._live = Live(console=console(stderr=True), transient=True, auto_refresh=False)
            self._live.start()
        self._live.update(_table(market), refresh=True)


def _line(market: Any) -> str:
    lines = market.lines
    held, closed = sum(1 for each in lines if each.side), sum(each.closed for each in lines)
    day = f"{market.day}: 1 is now {market.equity:.4f}"
    return f"  {day}, {100 * market.drawdown:.1f} % below its peak, {held} open, {closed} closed"


def _table(market: Any) -> Group:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", title=_line(market).strip(), title_justify="left")
    for name in ("symbol", "position", "size × leverage", "gain", "closed", "earned"):
        table.add_column(name, justify="left" if name in ("symbol", "position") else "right")
    lines = sorted(market.lines, key=lambda each: (not each.side, each.symbol))
    for each in lines[:_SHOWN]:
        side = {1: "long", -1: "short"}.get(each.side, "–")
        sized, gain = (f"{each.size:g} × {each.leverage:g}", f"{100 * each.gain:+.2f} %") if each.side else ("", "")
        table.add_row(each.symbol, side, sized, gain, str(each.closed), f"{each.pnl_pct:+.2f} %")
    if len(lines) > _SHOWN:
        table.add_row(f"and {len(lines) - _SHOWN} more", "", "", "", "", "")
    return Group(
        table,
        Text(f"nothing opened  {_counted(market.withheld)}", style="dim"),
        Text(f"rule decided    {_counted(market.gates)}", style="dim"),
    )


def _counted(found: Mapping[str, int]) -> str:
    most = sorted(found.items(), key=lambda each: -each[1])[:_REASONS]
    return ", ".join(f"{name} {count}" for name, count in most) or "–"


def show_report(report: Mapping[str, Any], *, resume: str, mode: str = "") -> None:
    """Print what came of a series. resume: the command line that goes on with one that was broken off. mode: asked for."""
    if report["bars"]:
        _show_played(report, mode)
    else:
        say(f"Run {report['account']}: ended before its first bar.")
    if not report["whole"]:
        say(f"Broken off. To go on with it: {resume}")


def _show_played(report: Mapping[str, Any], mode: str) -> None:
    symbols = report["symbols"]
    named = ", ".join(symbols[:5]) + (f" and {len(symbols) - 5} more" if len(symbols) > 5 else "")
    span = f"{report['bars']} bars, {report['first']} to {report['last']}, in {report['took_s']:.1f} s."
    say(f"Run {report['account']} of {named}: {span}")
    say(f"{report['asked']} questions on the bus, {report['answered']} answered in time, {report['too_late']} too late.")
    if report["again"]:
        how_many = "All" if report["again"] == report["asked"] else report["again"]
        unused = f" There, --mode {mode} changed nothing." if mode else ""
        say(f"{how_many} answers came from the log, as this run was played before: they are what was decided then.{unused}")
    if report["untold"]:
        show_warning(f"{report['untold']} events could not be told: the bus did not take them.")
    for title, counted, found in (
        ("nothing was opened because of", "signals", report["withheld"]),
        ("the rule decided because of", "decisions", report["gates"]),
    ):
        if found:
            show_table("", (title, counted), found.items())
    show_table("After costs, over the same bars", _ARMS, map(_arm, report["arms"]))
    show_trades(report["trades"], "closed positions")
    if report["open"]:
        say(f"Still open: {', '.join(report['open'])}.")


def show_trades(trades: Sequence[Mapping[str, Any]], called: str) -> None:
    """Show the last of some positions that were closed; nothing where there are none."""
    shown = trades[-_TRADES_SHOWN:]
    if shown:
        show_table(f"The last {len(shown)} of {len(trades)} {called}", _TRADES, map(_trade, shown))


def interval(found: Mapping[str, float], digits: int = 2) -> str:
    """Return a value with its interval, as a cell of a table."""
    return f"{found['value']:+.{digits}f} ({found['low']:+.{digits}f} to {found['high']:+.{digits}f})"


def _arm(row: Mapping[str, Any]) -> Sequence[object]:
    return (
        row["name"],
        f"{row['final']:.3f}",
        interval(row["sharpe"]),
        f"{100 * row['drawdown']:.1f} %",
        row["trades"],
        "–" if row["won"] is None else f"{100 * row['won']:.0f} %",
        f"{100 * row['costs']:.2f} %",
    )


def _trade(row: Mapping[str, Any]) -> Sequence[object]:
    return (
        f"{row['symbol']} {row['side']}",
        row["opened"],
        row["closed"],
        f"{row['strategy']}, {row['model']}",
        f"{row['size']:g} × {row['leverage']:g}",
        f"{row['return_pct']:+.2f} %",
        f"{row['pnl_pct']:+.2f} %",
    )
