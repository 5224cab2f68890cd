"""A backtest as one HTML page that needs nothing else: it can be mailed, or kept with a build."""

from importlib import import_module
from pathlib import Path
from typing import Any

from steersman.core.errors import NotFound, NotPermitted
from steersman.packs.trading.agents import meta_strategy, position_sizing
from steersman.packs.trading.backtest import plots
from steersman.packs.trading.backtest.report import HOLD, LEARNED, NOTHING, RULE, BacktestReport

WORDS = {
    "better": "What was learned is better than the fixed rule, and than no trade.",
    "worse": "What was learned is worse than the fixed rule, or than no trade.",
    "cannot tell": "Nobody can tell whether what was learned is better than the fixed rule, or than no trade.",
}
TRADES_SHOWN = 400
_SHOWN = ("strategy", "model", "weight", "size", "leverage")


def ready(file: Path) -> None:
    """See that a page can be made and written, before minutes are spent on what it shows. Raises what `write` does."""
    _template()
    before = file.exists()
    _put(file, "a", "")
    if not before:
        file.unlink()


def write(report: BacktestReport, file: Path) -> None:
    """Write the page. Raises NotPermitted where the file cannot be written, NotFound where jinja2 is missing."""
    _put(file, "w", page(report))


def _put(file: Path, how: str, text: str) -> None:
    try:
        with file.open(how, encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise NotPermitted(f"cannot write the page to {file}: {error.strerror}. Name another file with --html.") from error


def page(report: BacktestReport) -> str:
    """Return the page. What a file says is shown as text, never as markup. Raises NotFound where jinja2 is missing."""
    return str(_template().render(report=report, **_pictures(report), words=WORDS, shown=TRADES_SHOWN, plots=plots))


def _pictures(report: BacktestReport) -> dict[str, Any]:
    curves = {each.name: each.equity for each in report.arms}
    folds = [each.first for each in report.folds]
    fallen = {name: _fallen(curves[name]) for name in (HOLD, RULE, LEARNED)}
    near = {name: curves[name] for name in (NOTHING, RULE, LEARNED)}
    dimensions = {**meta_strategy.ACTIONS.dimensions, **position_sizing.ACTIONS.dimensions}
    return {
        "legend": plots.legend(report.regimes, {name: dimensions[name] for name in _SHOWN}),
        "near": plots.chart(report.days, near, folds, height=320.0),
        "all": plots.chart(
            report.days, {name: curves[name] for name in (HOLD, NOTHING, RULE, LEARNED)}, folds, height=260.0
        ),
        "fallen": plots.chart(report.days, fallen, folds, height=200.0, log=False),
        "forest": plots.forest(report.comparisons),
        "policy": plots.policy(report.regimes, {name: dimensions[name] for name in _SHOWN}),
    }


def _fallen(equity: tuple[float, ...]) -> list[float]:
    """Return how far a curve lies below its peak so far, at or below 0."""
    found, peak = [], 0.0
    for value in equity:
        peak = max(peak, value)
        found.append(value / peak - 1.0)
    return found


def _template() -> Any:
    try:
        jinja2 = import_module("jinja2")
    except ImportError as error:
        raise NotFound("the page needs an extra: `pip install 'steersman[trading]'`.") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("steersman.packs.trading.backtest", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
