"""trade: what the agents of the trading pack would have done in the past, and whether anything there looked ahead."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from steersman.app import Steersman
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    TerminalProgress,
    plain,
    say,
    say_point,
    show_json,
    show_table,
    show_warning,
)
from steersman.cli.trade_board import interval, show_trades
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
from steersman.cli.trade_paper import paper
from steersman.core.catalog import load

SETTINGS: Mapping[str, Mapping[str, object]] = {
    "influence": {"mode": "live", "confidence": 0.0, "stale_s": 0.0, "cooldown_s": 0.0},
    "exploration": {"policy": "greedy"},
}
"""What was learned decides, and takes what is best: a backtest is where it is tried, so no gate keeps it out."""
TAMPERS = ("shift", "permute", "noise", "cut")

AcceptOption = Annotated[
    list[str] | None, typer.Option(help="Take what looks wrong as it is: gaps, or jumps that look like splits.")
]
TrainOption = Annotated[int, typer.Option(help="Bars to learn from before the first test.")]
EmbargoOption = Annotated[int, typer.Option(help="Bars left out between what is learned from and a test.")]
TestOption = Annotated[int, typer.Option(help="Bars of a test; what was tested is learned from afterwards.")]
SeedOption = Annotated[int, typer.Option(help="Of what is tried at practice, and of the intervals.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(name="trade", help="The trading pack on prices of the past.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command()(backtest)
    group.command()(leak)
    group.command()(paper)
    app.add_typer(group)


def backtest(
    data: DataArgument,
    train: TrainOption = 504,
    embargo: EmbargoOption = 10,
    test: TestOption = 126,
    epochs: Annotated[int, typer.Option(help="How often the agents practise on bars that are past.")] = 4,
    commission: CommissionOption = 1.0,
    spread: SpreadOption = 2.0,
    slippage: SlippageOption = 2.0,
    borrow: BorrowOption = 5.0,
    account: AccountOption = "normal",
    hold: HoldOption = 10,
    resume: Annotated[
        int, typer.Option(help="Bars after which an account is opened again that its drawdown shut; 0: never.")
    ] = 20,
    accept: AcceptOption = None,
    seed: SeedOption = 0,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as a page, too.")] = None,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Play prices of the past bar by bar: is what the agents learn on the way better than a fixed rule, or than nothing?

    Orders are filled at the next bar's open, and cost. What decides in a test was learned from bars before it alone.
    """
    options = {
        "data": [str(each) for each in data],
        "accept": accept or [],
        "train": train,
        "embargo": embargo,
        "test": test,
        "epochs": epochs,
        "commission_bps": commission,
        "spread_bps": spread,
        "slippage_bps": slippage,
        "borrow_pct": borrow,
        "account": account,
        "hold_bars": hold,
        "resume_bars": resume,
        "seed": seed,
    }
    if html is not None:
        load("steersman.packs.trading.backtest.page:ready")(html)
    report = _asked("backtest", options, quiet=quiet or json)
    if json:
        show_json(report)
    else:
        _show_backtest(plain(report))
    if html is not None:
        load("steersman.packs.trading.backtest.page:write")(report, html)
        if not json:
            say(f"Page: {html}")


def leak(
    data: DataArgument,
    train: TrainOption = 504,
    embargo: EmbargoOption = 10,
    test: TestOption = 126,
    since: Annotated[float, typer.Option(help="Share of the bars after which the prices are changed.")] = 0.7,
    plant: Annotated[str, typer.Option(help="Plant a leak, to see it caught: signal, model, state or fill.")] = "",
    accept: AcceptOption = None,
    seed: SeedOption = 0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Change prices from one bar on, and see whether anything before it changes: then it has looked ahead. Exits with 2.

    They are shifted by a bar, put into another order, given noise, and cut off. Signals, states, decisions and fills before
    must be the same, to the bit.
    """
    options = {
        "data": [str(each) for each in data],
        "accept": accept or [],
        "train": train,
        "embargo": embargo,
        "test": test,
        "seed": seed,
        "from_share": since,
        "plant": plant,
    }
    first = _asked("leak", options, quiet=quiet or json)
    runs = [_asked("leak", {**options, "tamper": tamper, "against": first.trace}, quiet=quiet or json) for tamper in TAMPERS]
    report = {
        "since": first.since,
        "plant": plant,
        "notes": list(first.notes),
        "compared": runs[0].compared,
        "runs": [{"tamper": run.tamper, "leaks": plain(run.leaks)} for run in runs],
        "clean": not any(run.leaks for run in runs),
    }
    if json:
        show_json(report)
    else:
        _show_leaks(report)
    if not report["clean"]:
        raise typer.Exit(EXIT_WARNING)


def _asked(name: str, options: Mapping[str, Any], *, quiet: bool) -> Any:
    """Return a command's report; each begins with agents that have learned nothing."""
    with Steersman.open("memory:", settings=SETTINGS) as steersman, TerminalProgress(quiet=quiet) as progress:
        return steersman.command("trading", name, options, progress)


def _show_backtest(report: Mapping[str, Any]) -> None:
    for warning in (*report["notes"], *report["warnings"]):
        show_warning(warning)
    symbols = report["symbols"]
    named = ", ".join(symbols[:5]) + (f" and {len(symbols) - 5} more" if len(symbols) > 5 else "")
    say(f"{named}: {report['bars']} bars of tests, {report['first']} to {report['last']}, {len(report['folds'])} folds.")
    show_table("Each arm, after costs, in all tests strung together", _ARM_COLUMNS, map(_arm_row, report["arms"]))
    show_table("What they did for it", _WORK_COLUMNS, map(_work_row, report["arms"]))
    columns = ("learned −", "return a year", "verdict", "Sharpe ratio", "verdict")
    show_table("Paired by bar; the intervals hold together with 95 %", columns, map(_pair_row, report["comparisons"]))
    say(f"Verdict: {_in_words(report['verdict'])}.")
    best, ratio = report["best_tried"]
    say_point(
        "•",
        f"Of {report['tried']} ways tried, always {best} did best, with a Sharpe ratio of {ratio:.2f}, as one knows "
        f"afterwards. That the learned arm's true ratio beats what the best of so many owes to luck has a probability of "
        f"{100 * report['deflated_sharpe']:.0f} % (deflated Sharpe ratio).",
    )
    say_point(
        "•",
        f"Whoever picks the best of them in one half of the time has it below the median in the other with a probability of "
        f"{100 * report['overfitting']:.0f} % (probability of backtest overfitting).",
    )
    show_table("What was learned does, by regime", _REGIME_COLUMNS, map(_regime_row, report["regimes"]))
    show_trades(report["trades"], "positions")


_ARM_COLUMNS = ("arm", "1 became", "a year", "σ a year", "Sharpe ratio, 95 %", "drawdown")
_WORK_COLUMNS = ("arm", "positions", "won", "in the market", "turnover a year", "costs a year", "shut")
_REGIME_COLUMNS = ("regime", "signals", "held", "strategy", "model", "weight", "size × lev.", "earned")


def _in_words(verdict: str) -> str:
    return {
        "better": "what was learned is better than the fixed rule, and than no trade",
        "worse": "what was learned is worse than the fixed rule, or than no trade",
    }.get(verdict, "cannot tell whether what was learned is better than the fixed rule, or than no trade")


def _arm_row(row: Mapping[str, Any]) -> Sequence[object]:
    return (
        row["name"],
        f"{row['final']:.3f}",
        _percent(row["growth"], 1),
        f"{100 * row['volatility']:.1f} %",
        interval(row["sharpe"]),
        f"{100 * row['drawdown']:.1f} %",
    )


def _work_row(row: Mapping[str, Any]) -> Sequence[object]:
    return (
        row["name"],
        row["trades"],
        "–" if row["won"] is None else f"{100 * row['won']:.0f} %",
        f"{100 * row['exposure']:.0f} %",
        f"{row['turnover']:.1f}",
        f"{100 * row['costs']:.2f} %",
        row["stops"],
    )


def _pair_row(row: Mapping[str, Any]) -> Sequence[object]:
    gain = {name: 100 * value for name, value in row["gain"].items()}
    return row["other"], f"{interval(gain, 1)} %", row["gain_verdict"], interval(row["sharpe"]), row["sharpe_verdict"]


def _regime_row(row: Mapping[str, Any]) -> Sequence[object]:
    often = {name: _often(choices) for name, choices in row["choices"].items()}
    sized = "–" if row["size"] is None else f"{row['size']:.2f} × {row['leverage']:.2f}"
    earned = "–" if row["return_pct"] is None else f"{row['return_pct']:+.2f} %"
    held = f"{100 * row['positions']:.0f} %"
    return row["regime"], row["signals"], held, often["strategy"], often["model"], often["weight"], sized, earned


def _often(choices: Sequence[tuple[object, float]]) -> str:
    return "–" if not choices else f"{choices[0][0]} {100 * choices[0][1]:.0f} %"


def _percent(share: float, digits: int) -> str:
    return f"{100 * share:+.{digits}f} %"


def _show_leaks(report: Mapping[str, Any]) -> None:
    compared = ", ".join(f"{count} {kind}" for kind, count in report["compared"].items() if kind != "points")
    points = report["compared"]["points"]
    for note in report["notes"]:
        show_warning(note)
    say(f"Prices are changed from {report['since']} on, and at {points} more bars. Compared before: {compared}.")
    rows = [
        (run["tamper"], "nothing changed before" if not run["leaks"] else _first(run["leaks"])) for run in report["runs"]
    ]
    show_table("", ("what comes later", "what was before"), rows)
    if report["clean"]:
        say("No leak: what comes later changes nothing before it.")
    else:
        leak = next(run["leaks"][0] for run in report["runs"] if run["leaks"])
        say_point(
            "Leak:", f"{leak['kind']} of {leak['symbol']} on {leak['day']} were {leak['before']}, then {leak['after']}"
        )


def _first(leaks: Sequence[Mapping[str, Any]]) -> str:
    return "changed: " + ", ".join(f"{each['kind']} from {each['day']} on" for each in leaks)
