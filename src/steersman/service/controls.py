"""Controls over HTTP: kill, pin, pause and mode, and their release."""

from functools import partial

from steersman.core.errors import NotFound, nearest
from steersman.core.values import Control
from steersman.service.messages import ControlList, ControlRequest
from steersman.service.operations import Call, Operation


async def _list(call: Call) -> ControlList:
    return ControlList(controls=await call.host.in_thread(call.steersman.log.controls))


async def _set(call: Call) -> Control:
    control: Control = await call.host.in_thread(_say, call, call.body)
    changes, scope = call.host.tenant(call).changes, control.scope
    for name in call.host.tenant(call).agents:
        if scope in ("*", name, name.partition("/")[0]):
            changes.touch(name)
    return control


def _say(call: Call, said: ControlRequest) -> Control:
    _check_scope(call, said)
    set_control = partial(call.steersman.control, said.kind, said.scope, actor=call.caller.actor, reason=said.reason)
    set_control(active=said.active, choices=said.choices, expires_in_s=said.expires_in_s)
    return next(each for each in call.steersman.log.controls() if (each.kind, each.scope) == (said.kind, said.scope))


def _check_scope(call: Call, said: ControlRequest) -> None:
    """Raise NotFound for a scope in which there is nothing: a switch that misses its agent is worse than none."""
    names = {*call.steersman.catalog.names(), *call.steersman.log.agents()}
    scopes = {"*", *names, *(name.partition("/")[0] for name in names)}
    said_before = {each.scope for each in call.steersman.log.controls()}
    if said.scope not in scopes | said_before:
        raise NotFound(f"no agent or pack {said.scope!r} is known here.{nearest(said.scope, scopes)}")


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/controls",
        role="view",
        summary="List kill switches, pins, pauses and modes.",
        handler=_list,
        answer=ControlList,
        tag="controls",
    ),
    Operation(
        method="POST",
        path="/v1/controls",
        role="operate",
        summary="Kill, pin, pause or set the mode, or release it; it holds from the next decision on.",
        handler=_set,
        body=ControlRequest,
        answer=Control,
        tag="controls",
        audited=True,
    ),
)
