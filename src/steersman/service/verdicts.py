"""Verdicts over HTTP: versions judged on the log, drills, how right forecasts were, and what monitoring tells."""

from collections.abc import Iterable
from typing import Any

from steersman.core.errors import InvalidInput, nearest
from steersman.core.versions import Judgement
from steersman.loops.agent import Agent
from steersman.loops.drill import Drill
from steersman.loops.judge import plain
from steersman.service.decisions import number
from steersman.service.heavy import alone
from steersman.service.moves import DrillAnswer, DrillRequest, EvaluationRequest, JudgementList, SignalList
from steersman.service.operations import Call, Operation
from steersman.service.releases import MOST_LISTED, opened

_KINDS = ("evaluation", "outcome", "drill", "training")


async def _evaluate(call: Call) -> Judgement:
    async with alone(call):
        found: Judgement = await call.host.in_line(_judged, call)
    call.host.tenant(call).changes.touch(found.agent)
    return found


def _judged(call: Call) -> Judgement:
    asked: EvaluationRequest = call.body
    candidate = None if asked.candidate == "learning" else asked.candidate
    return opened(call).release.evaluate(candidate, against=asked.against, actor=call.caller.actor)


async def _list(call: Call) -> JudgementList:
    limit = number(call.query, "limit", 100, high=MOST_LISTED)
    kind = call.query.get("kind")
    if kind is not None and kind not in _KINDS:
        raise InvalidInput(f"kind: {kind[:50]!r} is none of {', '.join(_KINDS)}.{nearest(kind[:50], _KINDS)}")
    found: list[Judgement] = await call.host.in_thread(lambda: opened(call).release.judgements(MOST_LISTED))
    return JudgementList(judgements=[each for each in found if kind in (None, each.kind)][:limit])


async def _ledger(call: Call) -> dict[str, Any]:
    found: dict[str, Any] = await call.host.in_thread(_calibration, call)
    return found


def _calibration(call: Call) -> dict[str, Any]:
    ledger = opened(call).release.ledger()
    return {"sentence": ledger.sentence, **plain(ledger)}


async def _drill(call: Call) -> DrillAnswer:
    async with alone(call):
        found: Drill = await call.host.in_line(_drilled, call)
    call.host.tenant(call).changes.touch(found.agent)
    return DrillAnswer(passed=found.passed, sentence=found.sentence, drill=found)


def _drilled(call: Call) -> Drill:
    asked: DrillRequest = call.body
    return opened(call).release.drill(actor=call.caller.actor, share=asked.share, decisions=asked.decisions)


async def _signals(call: Call) -> SignalList:
    found: list[dict[str, Any]] = await call.host.in_thread(_told, call)
    return SignalList(signals=found)


def _told(call: Call) -> list[dict[str, Any]]:
    name, tenant = call.query.get("agent"), call.host.tenant(call)
    agents = [tenant.open_agent(name)] if name else call.steersman.opened()
    return [plain(each) for each in urgent(agents)]


def urgent(agents: Iterable[Agent]) -> list[Any]:
    """Return the signals of agents: what should not wait first, then by agent."""
    found = [each for agent in agents for each in agent.signals()]
    return sorted(found, key=lambda each: (each.level != "act", each.agent, each.kind, each.subject))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/evaluations/{agent:agent}",
        role="view",
        summary="List the verdicts on an agent's versions with their evidence, newest first.",
        handler=_list,
        answer=JudgementList,
        tag="evidence",
        query={
            "kind": f"One kind: {', '.join(_KINDS)} (default: all).",
            "limit": f"How many, 1 to {MOST_LISTED} (default 100).",
        },
    ),
    Operation(
        method="POST",
        path="/v1/evaluations/{agent:agent}",
        role="operate",
        summary="Judge a version on the log against another: better, worse, or cannot tell. It takes seconds.",
        handler=_evaluate,
        body=EvaluationRequest,
        answer=Judgement,
        tag="evidence",
        audited=True,
    ),
    Operation(
        method="GET",
        path="/v1/ledger/{agent:agent}",
        role="view",
        summary="Compare what evaluations foretold with what happened live.",
        handler=_ledger,
        answer=dict[str, Any],
        tag="evidence",
    ),
    Operation(
        method="POST",
        path="/v1/drills/{agent:agent}",
        role="operate",
        summary="Plant a bad version in a sandbox, and see whether it is caught and rolled back. It takes seconds.",
        handler=_drill,
        body=DrillRequest,
        answer=DrillAnswer,
        tag="evidence",
        audited=True,
    ),
    Operation(
        method="GET",
        path="/v1/signals",
        role="view",
        summary="List what monitoring tells of agents at work: drift, anomalies of rewards, error budgets.",
        handler=_signals,
        answer=SignalList,
        tag="evidence",
        query={"agent": "One agent (default: all that are at work)."},
    ),
)
