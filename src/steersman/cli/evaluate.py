"""evaluate, ledger: what the log says of a version before it decides anything, and how right that was so far."""

from typing import Annotated, Any

import typer

from steersman.cli.opening import AgentArgument, actor, agent_beside
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
from steersman.core.versions import BASELINE, Judgement, short

_EXITS = {True: 0, False: 1, None: EXIT_WARNING}
_MARKS = {True: "✓", False: "✗", None: "?"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(evaluate)
    app.command()(ledger)


def evaluate(
    agent: AgentArgument,
    candidate: Annotated[
        str | None,
        typer.Option(
            help='A version, how its name begins, or "baseline" (default: one cut now, without the newest outcomes).'
        ),
    ] = None,
    against: Annotated[str, typer.Option(help='Likewise, or "champion", "previous".')] = "champion",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Judge a version by outcomes that it did not learn from.

    Exits with 0 if the gate lets it pass, with 1 if not, and with 2 where one cannot tell.
    """
    with agent_beside(agent, store, settings) as found:
        judged = found.release.evaluate(candidate, against=against, actor=actor())
    if json:
        show_json(judged)
    else:
        _show(judged)
    if code := _EXITS[judged.body["gate"]["passed"]]:
        raise typer.Exit(code)


def _show(judged: Judgement) -> None:
    found, gate = judged.body["evaluation"], judged.body["gate"]
    say(f"{short(judged.version)} against {short(judged.against)}: {judged.verdict}")
    say_point("→", judged.reason)
    if found["more"]:
        say_point("→", f"About {found['more']:,} more outcomes like these, of which it has learned nothing, would tell.")
    if found["standings"]:
        _show_estimates(judged, found)
    say(f"The gate {({True: 'lets it pass', False: 'does not let it pass', None: 'cannot tell yet'})[gate['passed']]}:")
    for check in gate["checks"]:
        say_point(f"  {_MARKS[check['passed']]}", f"{check['name']}: {check['sentence']}")
    if found["left_out"]:
        say(f"Left out: {', '.join(f'{count:,} {why}' for why, count in found['left_out'].items())}.")


def _show_estimates(judged: Judgement, found: dict[str, Any]) -> None:
    hidden = "baseline" if judged.against == BASELINE else ""  # it is the incumbent then, and stands there already
    rows = [_estimate(name, each, found["estimator"]) for name, each in found["standings"].items() if name != hidden]
    rows += [
        (f"over the {name}", f"{each['value']:+.4g}", _span(each), _size(each["effective"]), "")
        for name, each in found["differences"].items()
        if name != hidden
    ]
    unit = "an episode" if found["sequential"] else "a decision"
    title = f"Value of {unit}, from {found['outcomes']:,} outcomes ({found['estimator']})"
    show_table(title, ("policy", "value", "interval", "effective outcomes", "without support"), rows)


def _estimate(name: str, standing: dict[str, Any], estimator: str) -> tuple[str, ...]:
    value = standing["estimates"][estimator]
    unsupported = f"{100 * standing['support']['never']:.3g} %"
    return name, f"{value['value']:.4g}", _span(value), _size(standing["effective"]), unsupported


def _span(found: dict[str, Any]) -> str:
    return f"{found['low']:.4g} to {found['high']:.4g}"


def _size(effective: float) -> str:
    return f"{effective:,.0f}"


def ledger(
    agent: AgentArgument, store: StoreOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """Show each forecast beside what happened live, and how far forecasts may be trusted."""
    with agent_beside(agent, store, settings) as found:
        kept = found.release.ledger()
    if json:
        show_json({**plain(kept), "sentence": kept.sentence})
        return
    say(kept.sentence)
    if kept.lines:
        columns = ("of what", "foretold", "interval", "seen", "outcomes", "held")
        show_table("", columns, [_line(plain(each)) for each in kept.lines])


def _line(line: dict[str, Any]) -> tuple[object, ...]:
    said, seen = line["forecast"], line["live"]
    live = f"{seen['mean']:.4g} ± {seen['standard_error']:.2g}"
    return said["name"], said["value"], _span(said), live, seen["count"], "✓" if line["inside"] else "✗"
