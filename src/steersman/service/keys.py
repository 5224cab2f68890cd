"""Keys over HTTP: an admin makes, revokes and rotates those of the own tenant."""

from msgspec.structs import replace

from steersman.core.access import DEFAULT_TENANT, issue, valid
from steersman.core.errors import Conflict, InvalidInput, NotFound
from steersman.core.values import ApiKey
from steersman.service.messages import KeyLine, KeyList, KeyRequest, NewKey, RotationRequest
from steersman.service.operations import Call, Operation


def rotated(key: ApiKey, *, at: float, grace_s: float = 0.0) -> tuple[ApiKey, ApiKey, str]:
    """Return a key as it ends, one in its place for as long as it would have held, and that one's secret.

    The old one is revoked, or holds for `grace_s` still. Raises Conflict for a key that does not hold any more.
    """
    if not valid(key, at):
        raise Conflict(f"the key {key.id} was revoked or has expired. Make another one.")
    new, secret = issue(name=key.name, roles=key.roles, at=at, tenant=key.tenant, expires_at=key.expires_at)
    if not grace_s:
        return replace(key, revoked_at=at), new, secret
    ends = at + grace_s if key.expires_at is None else min(key.expires_at, at + grace_s)
    return replace(key, expires_at=ends), new, secret


async def _list(call: Call) -> KeyList:
    await call.host.load_keys()
    return KeyList(keys=[KeyLine.of(each) for each in call.host.keys(call.caller.tenant)])


async def _make(call: Call) -> NewKey:
    asked: KeyRequest = call.body
    if call.host.access.local and "admin" not in asked.roles:
        raise InvalidInput("from the first key on nobody is let in without one, so it has to hold the role 'admin'.")
    now = call.host.access.now()
    expires_at = None if asked.expires_in_s is None else now + asked.expires_in_s
    key, secret = issue(name=asked.name, roles=asked.roles, at=now, tenant=call.caller.tenant, expires_at=expires_at)
    await _keep(call, key, "key created")
    return NewKey(key=KeyLine.of(key), secret=secret)


async def _revoke(call: Call) -> KeyLine:
    key = await _find(call)
    if key.revoked_at is None:
        key = replace(key, revoked_at=call.host.access.now())
        await _keep(call, key, "key revoked")
    return KeyLine.of(key)


async def _rotate(call: Call) -> NewKey:
    asked: RotationRequest = call.body
    old, new, secret = rotated(await _find(call), at=call.host.access.now(), grace_s=asked.grace_s)
    await _keep(call, new, f"key created in the place of {old.id}")
    await _keep(call, old, "key ends after its rotation")
    return NewKey(key=KeyLine.of(new), secret=secret)


async def _find(call: Call) -> ApiKey:
    await call.host.load_keys()
    found = next((each for each in call.host.keys(call.caller.tenant) if each.id == call.path["id"]), None)
    if found is None:
        raise NotFound(f"no key {call.path['id'][:50]!r} here. GET /v1/keys lists them.")
    key: ApiKey = found
    return key


async def _keep(call: Call, key: ApiKey, event: str) -> None:
    """Store a key, durably and audited, and let it hold at once. Keys of all tenants lie in the main store."""
    main = call.host.tenants[DEFAULT_TENANT]
    await call.host.durable(main.add_key(key, actor=call.caller.actor, event=event), call.host.settings.report_wait_s)
    if call.steersman is not main:
        call.host.note(call, event, key.id, key.name)
    await call.host.load_keys()


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/keys",
        role="admin",
        summary="List the tenant's keys, without their secrets.",
        handler=_list,
        answer=KeyList,
        tag="keys",
    ),
    Operation(
        method="POST",
        path="/v1/keys",
        role="admin",
        summary="Make a key; its secret is shown this once.",
        handler=_make,
        body=KeyRequest,
        answer=NewKey,
        status=201,
        tag="keys",
        audited=True,
    ),
    Operation(
        method="DELETE",
        path="/v1/keys/{id}",
        role="admin",
        summary="Revoke a key; within a second it opens nothing any more.",
        handler=_revoke,
        answer=KeyLine,
        tag="keys",
        audited=True,
    ),
    Operation(
        method="POST",
        path="/v1/keys/{id}/rotation",
        role="admin",
        summary="Put a new key in the place of one, which ends at once or after a while.",
        handler=_rotate,
        body=RotationRequest,
        answer=NewKey,
        status=201,
        tag="keys",
        audited=True,
    ),
)
