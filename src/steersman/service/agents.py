"""Agents over HTTP: who decides here, where their learning stands, and what they have learned."""

from typing import Any

from steersman.core.errors import NotFound, nearest
from steersman.core.state import Category, Flag, Number
from steersman.loops.agent import Agent
from steersman.loops.policy import Policy
from steersman.service.decisions import number
from steersman.service.ledger import KEPT_HOURS, ledger_of
from steersman.service.messages import AgentLine, AgentList, FigureList, WindowList
from steersman.service.operations import Call, Operation

_MOST_WINDOWS = 1_000
_MOST_SITUATIONS = 10_000
_HOUR_S = 3_600.0


async def _list(call: Call) -> AgentList:
    found: AgentList = await call.host.in_thread(_lines, call)
    return found


def _lines(call: Call) -> AgentList:
    steersman = call.steersman
    defined = set(steersman.catalog.names())
    names = sorted({*defined, *steersman.log.agents()})
    return AgentList(agents=[_line(call, name, defined=name in defined) for name in names])


def _line(call: Call, name: str, *, defined: bool) -> AgentLine:
    return AgentLine(
        agent=name,
        description=call.steersman.catalog.agent(name).description if defined else "",
        decisions=call.steersman.log.decision_count(name),
        defined=defined,
    )


async def _show(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = await call.host.in_thread(_about, call)
    return found


def _about(call: Call) -> dict[str, Any]:
    agent: Agent = call.host.tenant(call).open_agent(call.path["agent"])
    spec = agent.spec
    return {
        "agent": spec.name,
        "description": spec.description,
        "state": {"schema": spec.state.id, "fields": [_field(each) for each in spec.state.fields]},
        "actions": spec.actions.dimensions,
        "safe_action": spec.actions.action(spec.safe_action),
        "reward": {
            "low": spec.reward.low,
            "high": spec.reward.high,
            "success_from": spec.success_from,
            "measurements": [{"name": m.name, "unit": m.unit, "optional": m.optional} for m in spec.reward.measurements],
            "components": [
                {"name": c.name, "low": c.low, "high": c.high, "weight": c.weight} for c in spec.reward.components
            ],
        },
        "guards": [each.name for each in spec.guards],
        "settings": {"hash": agent.settings.hash, **agent.settings.plain()},
        "diagnosis": agent.diagnose(),
    }


def _field(field: Number | Flag | Category) -> dict[str, Any]:
    if isinstance(field, Number):
        known = {"low": field.low, "high": field.high, "edges": field.edges, "unit": field.unit, "outside": field.outside}
        return {"name": field.name, "type": "number", **known}
    if isinstance(field, Category):
        return {"name": field.name, "type": "category", "options": field.options}
    return {"name": field.name, "type": "flag"}


async def _policy(call: Call) -> Policy:
    limit = number(call.query, "limit", 50, high=_MOST_SITUATIONS)
    agent: Agent = await call.host.in_thread(call.host.tenant(call).open_agent, call.path["agent"])
    found: Policy = await call.host.in_thread(agent.policy, limit)
    return found


async def _windows(call: Call) -> WindowList:
    name, limit = call.path["agent"], number(call.query, "limit", 50, high=_MOST_WINDOWS)
    await call.host.in_thread(check_known, call, name)
    return WindowList(windows=await call.host.in_thread(call.steersman.log.windows, name, limit))


def check_known(call: Call, name: str) -> None:
    """Raise NotFound for an agent that is neither defined here nor in the log."""
    names = {*call.steersman.catalog.names(), *call.steersman.log.agents()}
    if name not in names:
        raise NotFound(f"no agent {name[:200]!r}.{nearest(name[:200], names)}")


async def _figures(call: Call) -> FigureList:
    hours = number(call.query, "hours", 24, high=KEPT_HOURS)
    return FigureList(figures=await call.host.in_thread(_sums, call, call.query.get("agent"), hours))


def _sums(call: Call, name: str | None, hours: int) -> list[Any]:
    if name is not None:
        check_known(call, name)
    ledger = ledger_of(call.steersman)
    ledger.refresh()
    since = int(call.host.access.now() // _HOUR_S) - hours + 1
    names = ledger.agents() if name is None else [name]
    found = [each for agent in names for each in ledger.figures(agent, since_hour=since)]
    return sorted(found, key=lambda each: (each.agent, each.hour, each.arm, each.drawn))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/agents",
        role="view",
        summary="List the agents.",
        handler=_list,
        answer=AgentList,
        tag="agents",
    ),
    Operation(
        method="GET",
        path="/v1/agents/{agent:agent}",
        role="view",
        summary="Show an agent: what it decides, its settings, and where its learning stands.",
        handler=_show,
        answer=dict[str, Any],
        tag="agents",
    ),
    Operation(
        method="GET",
        path="/v1/policies/{agent:agent}",
        role="view",
        summary="Show what an agent does in which situation and why, the situations seen most often first.",
        handler=_policy,
        answer=Policy,
        tag="agents",
        query={"limit": "How many situations, 1 to 10000 (default 50)."},
    ),
    Operation(
        method="GET",
        path="/v1/windows/{agent:agent}",
        role="view",
        summary="List an agent's windows of learning, newest first.",
        handler=_windows,
        answer=WindowList,
        tag="agents",
        query={"limit": "How many, 1 to 1000 (default 50)."},
    ),
    Operation(
        method="GET",
        path="/v1/figures",
        role="view",
        summary="Sums of what was decided and of what came of it, by agent, hour and arm.",
        handler=_figures,
        answer=FigureList,
        tag="agents",
        query={
            "agent": "One agent (default: all).",
            "hours": f"How many hours back, 1 to {KEPT_HOURS} (default 24); hours that are older are not kept apart.",
        },
    ),
)
