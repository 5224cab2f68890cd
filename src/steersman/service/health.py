"""Health: whether the process answers, whether it is ready, and its metrics."""

from steersman.core.errors import NotFound
from steersman.service.messages import Health
from steersman.service.operations import Call, Operation, Reply
from steersman.service.tenants import Tenant


async def _alive(call: Call) -> Health:
    return Health(status="ok")


async def _ready(call: Call) -> Health | Reply:
    reason = call.host.unready()
    if not reason:
        return Health(status="ok")
    answer: Reply = call.host.json(Health(status="not ready", reason=reason), status=503, headers={"retry-after": "1"})
    return answer


async def _metrics(call: Call) -> Reply:
    tenant: Tenant = call.host.tenant(call)
    if tenant.metrics is None:
        raise NotFound("this process keeps no metrics: pip install 'steersman[service]' brings what they need.")
    await call.host.in_thread(tenant.metrics.observe, tenant.steersman)
    body, media_type = tenant.metrics.exposition(call.headers.get("accept", ""))
    return Reply(body=body, media_type=media_type)


OPERATIONS = (
    Operation(
        method="GET",
        path="/healthz",
        role=None,
        summary="Whether the process answers.",
        handler=_alive,
        answer=Health,
        tag="health",
    ),
    Operation(
        method="GET",
        path="/readyz",
        role=None,
        summary="Whether it can record decisions and outcomes; 503 where it cannot.",
        handler=_ready,
        answer=Health,
        tag="health",
    ),
    Operation(
        method="GET",
        path="/metrics",
        role="view",
        summary="Metrics, as Prometheus reads them.",
        handler=_metrics,
        tag="health",
    ),
)
