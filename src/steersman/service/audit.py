"""The audit trail over HTTP: who did what, and whether the trail is whole."""

from steersman.service.decisions import number
from steersman.service.messages import AuditList, Verification
from steersman.service.operations import Call, Operation

_MOST_EVENTS = 10_000


async def _list(call: Call) -> AuditList:
    limit = number(call.query, "limit", 100, high=_MOST_EVENTS)
    return AuditList(events=await call.host.in_thread(call.host.trail, call, limit))


async def _verify(call: Call) -> Verification:
    found: Verification = await call.host.in_thread(_verified, call)
    call.host.note(call, "audit trail verified", "", "intact" if found.intact else f"{len(found.faults)} faults")
    return found


def _verified(call: Call) -> Verification:
    faults = call.steersman.verify_audit()
    return Verification(intact=not faults, events=call.steersman.anchor().number, faults=faults)


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/audit",
        role="view",
        summary="List the newest events of the audit trail, newest first.",
        handler=_list,
        answer=AuditList,
        tag="audit",
        query={"limit": "How many, 1 to 10000 (default 100)."},
    ),
    Operation(
        method="GET",
        path="/v1/audit/verification",
        role="admin",
        summary="Check the audit trail's chain from its first event to its last.",
        handler=_verify,
        answer=Verification,
        tag="audit",
        audited=True,
    ),
)
