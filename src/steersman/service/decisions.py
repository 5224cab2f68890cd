"""Decisions over HTTP: asked for, one or many, listed, explained and replayed."""

import asyncio
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from steersman.core.errors import DeadlineExceeded, InvalidInput, NotFound, SteersmanError
from steersman.core.state import StateValues
from steersman.core.values import Arm, Decision
from steersman.loops.agent import Agent
from steersman.loops.explain import Explanation, Replay
from steersman.service.messages import (
    DecisionAnswer,
    DecisionBatch,
    DecisionList,
    DecisionRecord,
    DecisionRequest,
    DecisionResults,
    Failed,
)
from steersman.service.operations import Call, Operation
from steersman.service.problems import problem
from steersman.service.tenants import Tenant, Tracing

_AT_ONCE = 10
_TRACE = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_MOST_LISTED = 1_000


async def decide(
    call: Call,
    name: str,
    state: StateValues,
    *,
    episode: str | None = None,
    subject: str | None = None,
    arm: Arm | None = None,
    observed_at: float | None = None,
) -> Decision:
    """Decide for a caller; in the event loop where that takes microseconds, in a thread where it may wait.

    Raises NotFound, and as `Agent.decide`.
    """
    tenant: Tenant = call.host.tenant(call)
    agent = tenant.agents.get(name) or await call.host.in_thread(tenant.open_agent, name)
    known = episode is None or not tenant.shared or (name, episode) in tenant.episodes
    with _span(call, name) as trace_id:
        ask = partial(agent.decide, state, episode=episode, subject=subject, arm=arm)
        ask = partial(ask, trace_id=trace_id, observed_at=observed_at)
        if tenant.busy[name]:
            made: Decision = await call.host.in_line(ask)
        else:
            made = ask() if known and not _may_wait(agent) else await call.host.in_thread(ask)
    if recorded(made):
        tenant.remember(made, episode)
    return made


def _span(call: Call, name: str) -> AbstractContextManager[str]:
    """Return what gives the decision's traceparent: that of a span of our own, the caller's, or none."""
    if call.host.tracing is None:
        return nullcontext(_trace(call))
    tracing: Tracing = call.host.tracing
    return tracing.deciding(name, _trace(call), call.headers.get("tracestate", ""))


def _trace(call: Call) -> str:
    """Return the caller's W3C traceparent; "" where there is none, or it is none."""
    said = call.headers.get("traceparent", "")
    return said if _TRACE.fullmatch(said) else ""


def _may_wait(agent: Agent) -> bool:
    """Return whether deciding may take longer than the others on the event loop can wait."""
    return any(guard.blocking for guard in agent.spec.guards)


def recorded(decision: Decision) -> bool:
    """Return whether a decision is in the log."""
    return not decision.reason.startswith("not recorded")


async def stored(call: Call) -> bool:
    """Return whether all that was appended until now is on the disk, after waiting a little for it."""
    try:
        await call.host.stored(call, call.host.settings.decide_wait_s)
    except DeadlineExceeded:
        return False
    return True


def answer(made: Decision, *, durable: bool) -> DecisionAnswer:
    """Return what a caller needs of a decision."""
    known = recorded(made)
    return DecisionAnswer(
        id=made.id,
        agent=made.agent,
        action=made.executed,
        arm=made.arm,
        propensity=made.action_probability,
        confidence=made.confidence,
        reason=made.reason,
        policy=made.policy,
        episode=made.episode,
        step=made.step,
        recorded=known,
        durable=known and durable,
        mode=made.mode,
        shadow=made.shadow,
    )


async def _asked(call: Call, asked: DecisionRequest) -> Decision:
    return await decide(
        call,
        asked.agent,
        asked.state,
        episode=asked.episode,
        subject=asked.subject,
        arm=asked.arm,
        observed_at=asked.observed_at,
    )


async def _one(call: Call) -> DecisionAnswer:
    made = await _asked(call, call.body)
    return answer(made, durable=await stored(call))


async def _batch(call: Call) -> DecisionResults:
    asked: list[DecisionRequest] = call.body.decisions
    call.host.rates.take(call.caller.key_id, len(asked) - 1)
    made: list[Decision | Failed] = []
    for each in asked:
        try:
            made.append(await _asked(call, each))
        except SteersmanError as error:
            made.append(Failed(problem=problem(error)))
        if len(made) % _AT_ONCE == 0:
            await asyncio.sleep(0)  # others on the loop have their turn
    durable = await stored(call)
    return DecisionResults(results=[each if isinstance(each, Failed) else answer(each, durable=durable) for each in made])


async def _list(call: Call) -> DecisionList:
    agent = call.query.get("agent")
    if not agent:
        raise InvalidInput("say whose decisions: ?agent=NAME. GET /v1/agents lists the names.")
    limit = number(call.query, "limit", 50, high=_MOST_LISTED)
    return DecisionList(decisions=await call.host.in_thread(call.steersman.log.recent, agent, limit))


def number(query: Mapping[str, str], name: str, default: int, *, high: int, low: int = 1) -> int:
    """Return a whole number of a query. Raises InvalidInput for anything else, or one out of range."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and low <= int(text) <= high):
        raise InvalidInput(f"{name}: expected a whole number from {low} to {high}, got {text[:50]!r}.")
    return int(text)


async def _show(call: Call) -> DecisionRecord:
    found: DecisionRecord = await call.host.in_thread(_record, call, call.path["id"])
    return found


def _record(call: Call, name: str) -> DecisionRecord:
    found = call.steersman.log.decision(name)
    if found is None:
        raise unknown(name)
    return DecisionRecord(decision=found, outcomes=call.steersman.outcomes(name))


def unknown(name: str) -> NotFound:
    """Return the error for a decision that is not here."""
    return NotFound(f"no decision {name[:200]!r} in this store. GET /v1/decisions?agent=NAME lists the newest.")


async def _explain(call: Call) -> Explanation:
    found: Explanation = await call.host.in_thread(lambda: _agent_of(call).explain(call.path["id"]))
    return found


async def _replay(call: Call) -> Replay:
    found: Replay = await call.host.in_thread(lambda: _agent_of(call).replay(call.path["id"]))
    return found


def _agent_of(call: Call) -> Agent:
    name = call.path["id"]
    found = call.steersman.log.decision(name)
    if found is None:
        raise unknown(name)
    agent: Agent = call.host.tenant(call).open_agent(found.agent)
    return agent


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/decisions",
        role="decide",
        summary="Ask for a decision.",
        handler=_one,
        body=DecisionRequest,
        answer=DecisionAnswer,
        tag="decisions",
    ),
    Operation(
        method="POST",
        path="/v1/decisions/batch",
        role="decide",
        summary="Ask for up to 1,000 decisions; each is answered, or refused, by itself.",
        handler=_batch,
        body=DecisionBatch,
        answer=DecisionResults,
        tag="decisions",
    ),
    Operation(
        method="GET",
        path="/v1/decisions",
        role="view",
        summary="List an agent's last decisions, newest first.",
        handler=_list,
        answer=DecisionList,
        tag="decisions",
        query={"agent": "The agent's name.", "limit": "How many, 1 to 1000 (default 50)."},
    ),
    Operation(
        method="GET",
        path="/v1/decisions/{id}",
        role="view",
        summary="Show a decision and what came of it.",
        handler=_show,
        answer=DecisionRecord,
        tag="decisions",
    ),
    Operation(
        method="GET",
        path="/v1/decisions/{id}/explanation",
        role="view",
        summary="Tell what was known when a decision was made.",
        handler=_explain,
        answer=Explanation,
        tag="decisions",
    ),
    Operation(
        method="GET",
        path="/v1/decisions/{id}/replay",
        role="view",
        summary="Make a decision again from the log, and say whether it is identical.",
        handler=_replay,
        answer=Replay,
        tag="decisions",
    ),
)
