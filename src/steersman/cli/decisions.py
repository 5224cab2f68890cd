"""decide, report, explain, replay: one decision at a time."""

from typing import Annotated, Any

import msgspec
import typer

from steersman.app import Steersman
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    SettingsOption,
    StoreOption,
    say,
    show_facts,
    show_json,
    show_table,
)
from steersman.core.errors import InvalidInput
from steersman.core.values import Decision
from steersman.loops.explain import Explanation

DecisionArgument = Annotated[str, typer.Argument(metavar="DECISION", help="The decision's id.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(decide)
    app.command()(report)
    app.command()(explain)
    app.command()(replay)


def decide(
    agent: Annotated[str, typer.Argument(help="The agent's name, as `steersman agents` lists it.")],
    state: Annotated[str, typer.Argument(help='The state as JSON: {"tests": 120, …}. "-" reads it from standard input.')],
    episode: Annotated[str | None, typer.Option(help="The episode that the decision belongs to.")] = None,
    subject: Annotated[str | None, typer.Option(help="Whom the decision is about.")] = None,
    observed_at: Annotated[
        float | None, typer.Option(help="When the state was observed (unix seconds), if not now.")
    ] = None,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Decide for a state and print the action and the decision's id."""
    with Steersman.open(store, settings=settings) as steersman:
        asked = _object(state, "state")
        decision = steersman.agent(agent).decide(asked, episode=episode, subject=subject, observed_at=observed_at)
        steersman.log.flush()
    if json:
        show_json(decision)
        return
    show_facts({"decision": decision.id, **decision.action, "why": decision.reason, **_asked(decision)})


def _asked(decision: Decision) -> dict[str, Any]:
    """Return what the learned policy would have done where it was only asked."""
    words = {"shadow": "it would have done", "advisory": "advice"}
    return {words[decision.mode]: decision.shadow} if decision.mode in words and decision.shadow else {}


def report(
    decision: DecisionArgument,
    measurements: Annotated[str, typer.Argument(help='What was measured, as JSON: {"wall_s": 3.2}; "-" reads it.')] = "{}",
    next_state: Annotated[str | None, typer.Option(help="Where it led, as JSON, when the episode goes on.")] = None,
    terminated: Annotated[bool, typer.Option("--terminated", help="The episode is over.")] = False,
    truncated: Annotated[bool, typer.Option("--truncated", help="Watching stopped, the episode is not over.")] = False,
    correct: Annotated[bool, typer.Option("--correct", help="Replace what was reported before.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take back what was reported before.")] = False,
    source: Annotated[str, typer.Option(help="Who reports.")] = "cli",
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Report what came of a decision; returns once that is durable."""
    with Steersman.open(store, settings=settings) as steersman:
        agent, known = steersman.decision(decision)
        if withdraw:
            receipt = agent.withdraw(known, source=source)
        else:
            receipt = agent.report(
                known,
                _object(measurements, "measurements"),
                next_state=None if next_state is None else _object(next_state, "next state"),
                terminated=terminated or None,
                truncated=truncated,
                correct=correct,
                source=source,
            )
        receipt.wait()
        outcome = steersman.outcomes(decision)[-1]
    if json:
        show_json(outcome)
        return
    show_facts({"decision": decision, "reward": outcome.reward, **outcome.components, "revision": outcome.revision})


def explain(
    decision: DecisionArgument, store: StoreOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """Tell what was known when a decision was made: what was allowed, what was refused and why, values, propensity."""
    with Steersman.open(store, settings=settings, read_only=True) as steersman:
        agent, _ = steersman.decision(decision)
        found = agent.explain(decision)
    if json:
        show_json(found)
        return
    made = found.decision
    drawn = "not drawn"
    if made.propensity is not None:
        drawn = f"{made.propensity:.3f} within the arm, {made.action_probability or 0.0:.3f} by either arm"
    show_facts(
        {
            "agent": f"{made.agent}  (policy {made.policy}, settings {made.settings_hash})",
            "action": made.executed,
            "why": made.reason,
            **_asked(made),
            "arm": f"{made.arm}, chosen with probability {made.arm_probability:.3f}",
            "propensity": drawn,
            "confidence": made.confidence,
            "exploration": f"epsilon {made.epsilon:.3f}",
            "learned from": f"the log up to position {made.table_position}",
            "best by value": found.best or "none: all are equal",
            "latency": f"{made.latency_us:.0f} µs",
        }
    )
    show_table("Situation", ("field", "value", "bin"), [(k, v, found.situation.get(k, "")) for k, v in made.state.items()])
    show_table(
        "Values",
        ("dimension", "choice", "value", "chosen"),
        [(d, c, v, "◀" if str(made.executed[d]) == c else "") for d, each in found.values.items() for c, v in each.items()],
    )
    if found.shares:
        _show_shares(found)
    if made.refusals:
        show_table(
            "Refused", ("guard", "what", "reason"), [(r.guard, r.where or "everything", r.reason) for r in made.refusals]
        )
    if found.outcomes:
        show_table(
            "Outcome",
            ("revision", "kind", "reward", "components", "source"),
            [(o.revision, o.kind, o.reward, o.components, o.source) for o in found.outcomes],
        )
    else:
        say("No outcome yet.")


def _show_shares(found: Explanation) -> None:
    """Show how much of each choice's value comes from whom."""
    sources = [each.source for each in found.decision.priors]
    show_table(
        "Whose evidence",
        ("dimension", "choice", *sources),
        [
            (dimension, choice, *(f"{parts[source]:.0%}" if source in parts else "" for source in sources))
            for dimension, each in found.shares.items()
            for choice, parts in each.items()
        ],
    )


def replay(
    decision: DecisionArgument, store: StoreOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """Make a decision again from the log and say whether it is identical, to the bit. Exits with 2 if it is not."""
    with Steersman.open(store, settings=settings, read_only=True) as steersman:
        agent, _ = steersman.decision(decision)
        found = agent.replay(decision)
    if json:
        show_json(found)
    elif found.identical:
        learned = f"learned again up to position {found.learned_from}" if found.learned_from else "nothing was learned yet"
        say(f"Identical: action, propensity, values and refusals; {learned}.")
    else:
        say("Not identical:")
        for each in found.differences:
            say(f"  {each}")
    if not found.identical:
        raise typer.Exit(EXIT_WARNING)


def _object(text: str, what: str) -> dict[str, Any]:
    """Return the JSON object in `text`, or on standard input for "-". Raises InvalidInput, also for NaN and 1e999."""
    source = typer.get_text_stream("stdin").read() if text == "-" else text
    try:
        return msgspec.json.decode(source, type=dict[str, bool | int | float | str])
    except msgspec.MsgspecError as error:
        raise InvalidInput(f'{what}: {error}. Give a JSON object such as {{"name": 1}}.') from error
