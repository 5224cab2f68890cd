"""How a challenger compares with the champion, as a table and in words."""

from typing import Any

from steersman.cli.output import say_point, show_table

_SHOWN_UP_TO = 1e6
_TWO_DIGITS_BELOW = 99.5


def show_comparison(report: dict[str, Any]) -> None:
    """Print a report of a trial or an experiment, given as plain values."""
    columns = ("metric", "challenger", "champion", "difference", "interval", "worse?", "not worse?", "says")
    show_table(_title(report), columns, [_row(each) for each in report["metrics"]])
    say_point("→", report["recommendation"])
    if report["mismatch"]:
        say_point("→", f"Sample ratio: evidence {_evidence(report['e_ratio'])} that the arms' sizes are not as drawn.")


def improvement(report: dict[str, Any]) -> str:
    """Return who won and by how much, in a sentence; the interval holds however often one looks."""
    if report["improvement"] is None:
        return "No winner: no outcome is known yet."
    interval = f"{report['improvement_low']:.4g} to {report['improvement_high']:.4g}"
    who = {None: "No winner", "challenger": "The second wins", "champion": "The first wins"}[report["winner"]]
    return f"{who}: the second earns {report['improvement']:+.4g} ({interval}) in {report['metrics'][0]['metric']}."


def _title(report: dict[str, Any]) -> str:
    units, came = (f"{report[f'challenger_{each}']:,} and {report[f'champion_{each}']:,}" for each in ("units", "arrivals"))
    return f"Subjects after the wait, challenger and champion: {units}; with an outcome: {came}"


def _row(found: dict[str, Any]) -> tuple[str, ...]:
    means = (found["challenger_mean"], found["champion_mean"])
    known = found["difference"] is not None
    return (
        found["metric"],
        *("" if each is None else f"{each:.4g}" for each in means),
        f"{found['difference']:+.3g}" if known else "",
        f"{_end(found['low'])} to {_end(found['high'])}" if known else "",
        _evidence(found["e_worse"]),
        _evidence(found["e_not_worse"]),
        found["verdict"],
    )


def _evidence(size: float) -> str:
    return f"{size:.3g}" if size < _SHOWN_UP_TO else f"{size:.0e}".replace("e+0", "e").replace("e+", "e")


def _end(value: float) -> str:
    return f"{value:.2g}" if abs(value) < _TWO_DIGITS_BELOW else f"{value:.3g}"
