"""Rank, reward and activate as Personalizer's clients call them, answered by the ranker of the caller's store.

A Personalizer resource had an endpoint and a key of its own; here a key names its tenant, which has a store, and so a
ranker, of its own.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from steersman.app.steersman import DEFAULT_RANKER
from steersman.core.errors import Conflict, DeadlineExceeded, InvalidInput, NotFound
from steersman.core.ports import Receipt
from steersman.core.values import Role
from steersman.loops.rank import Answer, Offer, Ranker, Request, Slot, ranking
from steersman.service.operations import Call, Handler, Operation, Reply
from steersman.service.personalizer.errors import refusal
from steersman.service.personalizer.messages import (
    MultiSlotRankRequest,
    MultiSlotRankResponse,
    MultiSlotRewardRequest,
    RankableAction,
    RankedAction,
    RankRequest,
    RankResponse,
    RewardRequest,
    SlotResponse,
)
from steersman.service.tenants import Tenant

T = TypeVar("T")

VERSIONS = ("v1.0", "v1.1-preview.1", "v1.1-preview.2", "v1.1-preview.3")
DATED_VERSIONS = ("2022-09-01-preview",)
"""Versions that clients name in the query instead of the path."""

_TRIES = 3
_FEW_SLOTS = 3
_FEW_PAIRS = 10_000


async def _rank(call: Call) -> RankResponse:
    asked: RankRequest = call.body
    answer = await _answer(
        call,
        Request(
            offers=_offers(asked.actions),
            context=asked.context_features or (),
            excluded=asked.excluded_actions or (),
            event=asked.event_id or "",
            deferred=bool(asked.defer_activation),
        ),
    )
    decision = answer.decisions[0]
    return RankResponse(
        ranking=[RankedAction(id=name, probability=chance) for name, chance in ranking(decision)],
        event_id=answer.event,
        reward_action_id=str(decision.executed["action"]),
    )


async def _rank_slots(call: Call) -> MultiSlotRankResponse:
    asked: MultiSlotRankRequest = call.body
    slots = [
        Slot(id=each.id, baseline=each.baseline_action, excluded=each.excluded_actions or (), features=each.features or ())
        for each in asked.slots
    ]
    if not slots:
        raise InvalidInput("slots: at least one is needed. To rank without slots, use /rank.")
    answer = await _answer(
        call,
        Request(
            offers=_offers(asked.actions),
            context=asked.context_features or (),
            event=asked.event_id or "",
            deferred=bool(asked.defer_activation),
            slots=slots,
        ),
    )
    filled = [
        SlotResponse(id=slot.id, reward_action_id=str(each.executed["action"]))
        for slot, each in zip(slots, answer.decisions, strict=True)
    ]
    return MultiSlotRankResponse(slots=filled, event_id=answer.event)


def _offers(actions: list[RankableAction]) -> list[Offer]:
    return [Offer(id=each.id, features=each.features or ()) for each in actions]


async def _answer(call: Call, request: Request) -> Answer:
    """Rank and wait a little for the disk. What another process was first with is answered as it answered."""
    found = await _ranker(call)
    takes_long = len(request.slots) > _FEW_SLOTS or request.pairs > _FEW_PAIRS
    answer = await _work(call, found, lambda: found.rank(request), takes_long=takes_long)
    try:
        await call.host.durable(answer.receipt, call.host.settings.decide_wait_s)
    except DeadlineExceeded:
        return answer
    except Conflict:
        return await _work(call, found, lambda: found.again(request))
    return answer


async def _reward(call: Call) -> Reply:
    asked: RewardRequest = call.body
    found, event = await _ranker(call), call.path["event"]
    return await _report(call, found, lambda: found.reward(event, asked.value))


async def _reward_slots(call: Call) -> Reply:
    asked: MultiSlotRewardRequest = call.body
    if not asked.reward:
        raise InvalidInput("reward: at least one slot's reward is needed.")
    found, event = await _ranker(call), call.path["event"]
    for each in asked.reward:
        await _report(call, found, partial(found.reward, event, each.value, each.slot_id))
    return Reply(status=204)


async def _activate(call: Call) -> Reply:
    found, event = await _ranker(call), call.path["event"]
    return await _report(call, found, lambda: found.activate(event))


async def _report(call: Call, ranker: Ranker, say: Callable[[], Receipt]) -> Reply:
    """Say something of an event and answer once it is on the disk; again where another process said something first."""
    for tried in range(_TRIES):
        try:
            await call.host.durable(await _work(call, ranker, say), call.host.settings.report_wait_s)
            break
        except Conflict:
            if not call.steersman.log.shared or tried == _TRIES - 1:
                raise
    return Reply(status=204)


async def _work(call: Call, ranker: Ranker, work: Callable[[], T], *, takes_long: bool = False) -> T:
    """Do what takes microseconds at once; in a thread what takes long, what would wait behind that, or for a network."""
    tenant: Tenant = call.host.tenant(call)
    if takes_long:
        return await call.host.in_line(_holding, tenant, ranker, work)  # type: ignore[no-any-return]
    if tenant.busy[ranker.name]:
        return await call.host.in_line(work)  # type: ignore[no-any-return]
    if tenant.shared:
        return await call.host.in_thread(work)  # type: ignore[no-any-return]
    return work()


def _holding(tenant: Tenant, ranker: Ranker, work: Callable[[], T]) -> T:
    with tenant.held(ranker.name):
        return work()


async def _ranker(call: Call) -> Ranker:
    """Return the caller's ranker. Raises NotFound for a version that never was."""
    version = call.path.get("version") or call.query.get("api-version", "")
    if version not in (VERSIONS if "version" in call.path else DATED_VERSIONS):
        served = ", ".join((*VERSIONS, *(f"?api-version={each}" for each in DATED_VERSIONS)))
        raise NotFound(f"no version {version[:50]!r} of this API is served here. There are {served}.")
    known = call.steersman.rankers.get(DEFAULT_RANKER)
    return known or await call.host.in_thread(call.steersman.ranker)


def _post(prefix: str, path: str, role: Role, summary: str, handler: Handler, **more: Any) -> Operation:
    dated = {} if "{" in prefix else {"api-version": f"{DATED_VERSIONS[0]}."}
    return Operation(
        method="POST",
        path=f"{prefix}/{path}",
        role=role,
        summary=summary,
        handler=handler,
        refused=refusal,
        tag="personalizer",
        query=dated,
        **more,
    )


def _operations(prefix: str) -> tuple[Operation, ...]:
    post = partial(_post, prefix)
    single = {"body": RankRequest, "answer": RankResponse, "status": 201}
    slots = {"body": MultiSlotRankRequest, "answer": MultiSlotRankResponse, "status": 201}
    rewards, activated = {"body": MultiSlotRewardRequest, "status": 204}, "Let a deferred event count."
    return (
        post("rank", "decide", "Rank actions that come with the request.", _rank, **single),
        post("events/{event:path}/reward", "report", "Reward an event.", _reward, body=RewardRequest, status=204),
        post("events/{event:path}/activate", "report", activated, _activate, status=204),
        post("multislot/rank", "decide", "Choose an action for each slot.", _rank_slots, **slots),
        post("multislot/events/{event:path}/reward", "report", "Reward slots of an event.", _reward_slots, **rewards),
        post("multislot/events/{event:path}/activate", "report", activated, _activate, status=204),
    )


OPERATIONS = (*_operations("/personalizer"), *_operations("/personalizer/{version}"))  # "multislot" is no version
