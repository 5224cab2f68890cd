"""Debug: inside one agent. Errors and ε by window, the value of every choice in every situation, what replay holds."""

from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.errors import NotFound
from steersman.loops.policy import Policy
from steersman.service.operations import Call, Reply
from steersman.service.pages import marks
from steersman.service.pages.changes import windows_of
from steersman.service.pages.shell import html, page, read_up

_SITUATIONS = 40


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One choice in one situation: its value and visits, and the shade of each."""

    value: float
    visits: int
    value_shade: int
    visits_shade: int
    best: bool


def heat(policy: Policy) -> list[list[Cell]]:
    """Return the cells of each situation, in the order of the policy's rows and of the agent's slots."""
    options = [each for row in policy.rows for ruling in row.rulings for each in ruling.options]
    tried = [each.value for each in options if each.visits]
    low, high = min(tried, default=0.0), max(tried, default=0.0)
    most = max((each.visits for each in options), default=0)
    return [
        [
            Cell(
                value=each.value,
                visits=each.visits,
                value_shade=marks.level(max(each.value, low), low, high),
                visits_shade=marks.level(each.visits**0.5, 0.0, most**0.5),
                best=each is ruling.best,
            )
            for ruling in row.rulings
            for each in sorted(ruling.options, key=lambda option: _place(policy, ruling.dimension, option.choice))
        ]
        for row in policy.rows
    ]


def _place(policy: Policy, dimension: str, choice: Choice) -> int:
    return policy.dimensions[dimension].index(choice)


def _view(call: Call) -> Reply:
    ledger, reading = read_up(call)
    names = [name for name in ledger.agents() if name in call.steersman.catalog.names()]
    name = call.query.get("agent") or (names[0] if names else "")
    if not name:
        return html(call, "debug.html", active="debug", reading=reading, names=names, name="", agent=None)
    if name not in names:
        raise NotFound(f"{name!r} has decided nothing here that could be looked into. Choose one on the page.")
    agent = call.steersman.agent(name)
    policy = agent.policy(_SITUATIONS)
    return html(
        call,
        "debug.html",
        active="debug",
        reading=reading,
        names=names,
        name=name,
        agent=agent,
        policy=policy,
        heat=heat(policy),
        diagnosis=agent.diagnose(),
        replay=policy.replayed,
        windows=windows_of(call, ledger, name)[::-1],
        settings=agent.settings,
    )


PAGE = page("/debug", "Inside one agent.", _view, query={"agent": "The agent's name."})
