"""Outcomes over HTTP: reported once, late, corrected or withdrawn, one or many."""

import asyncio
from functools import partial
from typing import NamedTuple

from steersman.core.errors import Conflict, InvalidInput, SteersmanError
from steersman.core.ports import Receipt
from steersman.core.values import Decision, Outcome
from steersman.loops.agent import Agent
from steersman.service.decisions import unknown
from steersman.service.messages import Failed, OutcomeAnswer, OutcomeBatch, OutcomeRequest, OutcomeResults
from steersman.service.operations import Call, Operation
from steersman.service.problems import problem
from steersman.service.tenants import Tenant

_AT_ONCE = 5
_EARLY_S = 1.0


class _Taken(NamedTuple):
    """What came of a report: its receipt, the outcome where it is known, and whether that was in the log before."""

    receipt: Receipt
    outcome: Outcome | None
    logged: bool = False


async def report(call: Call, said: OutcomeRequest) -> Outcome:
    """Record an outcome for a caller and return it once it is on the disk.

    A first report of a decision made here lately is taken in the event loop; what needs the log, or learns anew, in a
    thread. Raises NotFound for a decision that is not in the caller's store, Conflict, and as `Agent.report`.
    """
    tenant: Tenant = call.host.tenant(call)
    return await _acknowledged(call, tenant, said.decision_id, await _take(call, tenant, said))


async def _take(call: Call, tenant: Tenant, said: OutcomeRequest) -> _Taken:
    source = call.caller.source(said.source)
    decision = tenant.recent.get(said.decision_id)
    if decision is None or said.correct or said.revision or _may_wait(call, tenant, decision):
        async with tenant.revising(said.decision_id):
            known: _Taken = await call.host.in_line(_report_known, tenant, said, source)
            return known
    agent = tenant.agents[decision.agent]
    taken = _Taken(*tenant.said.by(decision.id, partial(_report, agent, decision, said, source=source)))
    tenant.forget(decision.id)
    return taken


def _may_wait(call: Call, tenant: Tenant, decision: Decision) -> bool:
    """Return whether a first report may have to wait, or to learn anew: behind others, or because silence was first."""
    age_s = call.host.access.now() - decision.decided_at
    expires_s = tenant.agents[decision.agent].settings.episodes.reward_wait_s
    return tenant.busy[decision.agent] > 0 or age_s > expires_s - _EARLY_S


def _report(agent: Agent, decision: Decision, said: OutcomeRequest, *, source: str, correct: bool = False) -> Receipt:
    return agent.report(
        decision,
        said.measurements,
        next_state=said.next_state,
        terminated=said.terminated,
        truncated=said.truncated,
        executed=said.executed,
        source=source,
        correct=correct,
    )


def _report_known(tenant: Tenant, said: OutcomeRequest, source: str) -> _Taken:
    """Report of a decision that has to be looked for in the log, or may have an outcome already."""
    decision = tenant.steersman.log.decision(said.decision_id)
    if decision is None:
        raise unknown(said.decision_id)
    agent = tenant.open_agent(decision.agent)
    correct = said.correct
    if said.revision is not None:
        logged = tenant.steersman.outcomes(decision.id)
        if said.revision < len(logged) - 1 or (said.revision < len(logged) and logged[said.revision].kind == "withdrawn"):
            return _Taken(tenant.steersman.log.append(()), _again(agent, decision, said, logged), logged=True)
        correct = _corrects(said, logged)
    report_it = partial(_report, agent, decision, said, source=source, correct=correct)
    with tenant.held(decision.agent):
        taken = _Taken(*tenant.said.by(decision.id, report_it))
    tenant.forget(decision.id)
    return taken


def _corrects(said: OutcomeRequest, logged: list[Outcome]) -> bool:
    """Return whether a report is meant to replace the last revision. Raises Conflict for one that leaves a gap."""
    assert said.revision is not None  # noqa: S101 - asked by the only caller
    if said.revision > len(logged):
        raise Conflict(
            f"decision {said.decision_id} has {len(logged)} revisions, so the next one is {len(logged)} and not "
            f"{said.revision}. Report what is missing first."
        )
    return said.revision == len(logged) > 0


def _again(agent: Agent, decision: Decision, said: OutcomeRequest, logged: list[Outcome]) -> Outcome:
    """Return an earlier revision that says the same, however often it is sent. Raises Conflict where it says otherwise."""
    assert said.revision is not None  # noqa: S101 - asked by the only caller
    earlier = logged[said.revision]
    if earlier.kind == "expired":
        earlier = logged[said.revision + 1]  # silence was taken for the first word, and is no word of the caller's
    if not _same(agent, decision, said, earlier):
        raise Conflict(
            f"decision {decision.id} has another outcome as revision {said.revision} ({earlier.kind}). The last one is "
            f"{logged[-1].revision}; to replace it, report revision {logged[-1].revision + 1}."
        )
    return earlier


def _same(agent: Agent, decision: Decision, said: OutcomeRequest, logged: Outcome) -> bool:
    spec = agent.spec
    executed = None if said.executed is None else spec.actions.action(said.executed)
    following = None if said.next_state is None or logged.terminated else spec.state.check(said.next_state)[0]
    return (
        logged.kind == "reported"
        and spec.reward.check(said.measurements) == logged.measurements
        and following == logged.next_state
        and said.terminated in (None, logged.terminated)
        and (not said.truncated or logged.truncated)
        and (None if executed == decision.executed else executed) == logged.executed
    )


async def _acknowledged(call: Call, tenant: Tenant, decision_id: str, taken: _Taken) -> Outcome:
    """Return what the log took, once it is on the disk."""
    if taken.outcome is not None and not tenant.shared:
        await call.host.stored(call, call.host.settings.report_wait_s)
        return taken.outcome
    await call.host.durable(taken.receipt, call.host.settings.report_wait_s)
    if taken.outcome is not None and taken.logged:
        return taken.outcome  # a retry of an earlier revision is told that one, whatever came after it
    found: Outcome = await call.host.in_thread(tenant.outcome, decision_id)  # it was there already, or by whom else
    return found


def _answer(found: Outcome) -> OutcomeAnswer:
    return OutcomeAnswer(
        decision_id=found.decision_id,
        revision=found.revision,
        kind=found.kind,
        reward=found.reward,
        components=found.components,
    )


async def _one(call: Call) -> OutcomeAnswer:
    return _answer(await report(call, call.body))


async def _batch(call: Call) -> OutcomeResults:
    asked: list[OutcomeRequest] = call.body.outcomes
    call.host.rates.take(call.caller.key_id, len(asked) - 1)
    tenant: Tenant = call.host.tenant(call)
    taken: list[_Taken | SteersmanError] = []
    for each in asked:
        try:
            taken.append(await _take(call, tenant, each))
        except SteersmanError as error:
            taken.append(error)
        if len(taken) % _AT_ONCE == 0:
            await asyncio.sleep(0)  # others on the loop have their turn
    return OutcomeResults(
        results=[await _result(call, tenant, said.decision_id, each) for said, each in zip(asked, taken, strict=True)]
    )


async def _result(call: Call, tenant: Tenant, decision_id: str, taken: _Taken | SteersmanError) -> OutcomeAnswer | Failed:
    try:
        if isinstance(taken, SteersmanError):
            raise taken
        return _answer(await _acknowledged(call, tenant, decision_id, taken))
    except SteersmanError as error:
        return Failed(problem=problem(error))


async def _withdraw(call: Call) -> OutcomeAnswer:
    name = call.path["id"]
    source = call.caller.source(call.query.get("source"))
    if len(call.query.get("source", "")) > 200:
        raise InvalidInput("source: at most 200 characters.")
    tenant: Tenant = call.host.tenant(call)
    async with tenant.revising(name):
        taken = await call.host.in_line(partial(_withdraw_known, tenant, name, source))
    call.host.note(call, "outcome withdrawn", name)
    return _answer(await _acknowledged(call, tenant, name, taken))


def _withdraw_known(tenant: Tenant, name: str, source: str) -> _Taken:
    decision = tenant.steersman.log.decision(name)
    if decision is None:
        raise unknown(name)
    agent = tenant.open_agent(decision.agent)
    with tenant.held(decision.agent):
        return _Taken(*tenant.said.by(name, partial(agent.withdraw, decision, source=source)))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/outcomes",
        role="report",
        summary="Report what came of a decision; answered once it is on the disk.",
        handler=_one,
        body=OutcomeRequest,
        answer=OutcomeAnswer,
        tag="outcomes",
    ),
    Operation(
        method="POST",
        path="/v1/outcomes/batch",
        role="report",
        summary="Report up to 1,000 outcomes; each is acknowledged, or refused, by itself.",
        handler=_batch,
        body=OutcomeBatch,
        answer=OutcomeResults,
        tag="outcomes",
    ),
    Operation(
        method="DELETE",
        path="/v1/decisions/{id}/outcome",
        role="report",
        summary="Take back what was reported of a decision; learning is done again without it.",
        handler=_withdraw,
        answer=OutcomeAnswer,
        tag="outcomes",
        audited=True,
        query={"source": "Who takes it back (default: the key's name)."},
    ),
)
