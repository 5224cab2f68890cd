"""agents, doctor: who decides here, where their learning stands, and what stands out."""

import math
from typing import Annotated, Any

import typer

from steersman.app import Steersman
from steersman.cli.output import (
    EXIT_WARNING,
    JsonOption,
    SettingsOption,
    StoreOption,
    console,
    plain,
    say,
    say_point,
    show_facts,
    show_json,
    show_table,
    show_warning,
)
from steersman.core.errors import NotFound
from steersman.loops.doctor import Diagnosis

_COLUMNS = ("agent", "decisions", "reward", "learning", "decides")
_GAPS = 16
_SHORTEST = 16
_ELSEWHERE = (
    "its definition is not here (list its file under agent_files in steersman.toml), or it ranks actions that come with "
    "each request."
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(agents)
    app.command()(doctor)


def agents(store: StoreOption = None, settings: SettingsOption = None, json: JsonOption = False) -> None:
    """List the agents: what they decide, what they earned lately, and where their learning stands."""
    try:
        opened = Steersman.open(store, settings=settings, read_only=True)
    except NotFound as error:
        show_warning(f"{error} These are the agents that are known here.")
        opened = Steersman.open("memory:", settings=settings)
    with opened as steersman:
        used = set(steersman.log.agents())
        known = set(steersman.catalog.names())
        found = [_facts(steersman, name) for name in sorted(known | used)]
    for name in sorted(used - known):
        show_warning(f"{name}: {_ELSEWHERE}")
    if json:
        show_json(found)
        return
    rows = [(f["agent"], f["decisions"], _reward(f), _learning(f), f["description"]) for f in found]
    taken = [max(len(_COLUMNS[index]), *(len(str(row[index])) for row in rows)) for index in range(4)]
    room = max(console().width - sum(taken) - _GAPS, _SHORTEST)
    show_table("", _COLUMNS, [(*row[:4], _cut(row[4], room)) for row in rows])


def _facts(steersman: Steersman, name: str) -> dict[str, Any]:
    """Return what is known of an agent, also of one whose definition is elsewhere."""
    if name not in steersman.catalog.names():
        blank = dict.fromkeys(("outcomes", "states_seen", "epsilon", "convergence"))
        return {
            "agent": name,
            "description": "(defined elsewhere)",
            "decisions": steersman.log.decision_count(name),
            **blank,
        }
    agent = steersman.agent(name)
    return {"description": agent.spec.description, **plain(agent.diagnose())}


def _reward(facts: dict[str, Any]) -> str:
    """Return the mean reward of the last windows with half its interval."""
    found = facts["convergence"]
    if not found or found["reward_mean"] is None:
        return ""
    mean, interval = found["reward_mean"], found["reward_interval"]
    if interval is None or interval[0] == interval[1]:
        return f"{mean:.3g}"
    half = (interval[1] - interval[0]) / 2
    digits = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def _learning(facts: dict[str, Any]) -> str:
    found = facts["convergence"]
    if not found:
        return ""
    if not found["recommendation"]:
        return f"{found['verdict']} ({found['windows']} of {found['windows_needed']})"
    return str(found["recommendation"])


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def doctor(
    agent: Annotated[str | None, typer.Argument(help="One agent (default: all that have decided).")] = None,
    store: StoreOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Tell where learning stands and why values are not moving, in plain words. Exits with 2 when something stands out."""
    with Steersman.open(store, settings=settings, read_only=True) as steersman:
        known = set(steersman.catalog.names())
        names = [agent] if agent else [each for each in steersman.log.agents() if each in known]
        unknown = [] if agent else [each for each in steersman.log.agents() if each not in known]
        found = [steersman.agent(name).diagnose() for name in names]
    for name in unknown:
        show_warning(f"{name} is left out: {_ELSEWHERE}")
    if json:
        show_json(found)
    elif not found and not unknown:
        say("No agent has decided anything in this store yet.")
    else:
        for each in found:
            _show(each)
    if any(each.findings for each in found):
        raise typer.Exit(EXIT_WARNING)


def _show(found: Diagnosis) -> None:
    facts = plain(found)
    findings, convergence = facts.pop("findings"), facts.pop("convergence")
    facts |= {
        "reward": _reward({"convergence": convergence}),
        "reward_noise": convergence["reward_noise"] or "",
        "learning": convergence["verdict"],
        "recommendation": convergence["recommendation"],
    }
    show_facts({name.replace("_", " "): value for name, value in facts.items() if value != ""})
    if convergence["measures"]:
        show_table("", ("", "measure", "is", "should be", "what it is"), [_line(each) for each in convergence["measures"]])
    else:
        say("")
    say_point("→", convergence["advice"])
    for text in findings or ["Nothing stands out."]:
        say_point("•", text)
    say("")


def _line(measure: dict[str, Any]) -> tuple[str, str, str, str, str]:
    limit = f"{'below' if measure['below'] else 'above'} {measure['limit']:g}"
    return "✓" if measure["holds"] else "✗", measure["name"], f"{measure['value']:.3f}", limit, measure["meaning"]
