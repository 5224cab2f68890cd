"""Sessions: a person signs in on the page with a key, and out again."""

import contextlib

import msgspec

from steersman.core.errors import Unauthenticated
from steersman.service.access import session_of
from steersman.service.operations import Call, Caller, Operation, Reply


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The form of the login page."""

    key: str


async def _login(call: Call) -> Reply:
    host = call.host
    try:
        caller, session = host.access.sign_in(call.body.key.strip())
    except Unauthenticated as error:
        host.note_refused("POST /login", call.caller, "/login", error)
        return _to("/login?failed=1")
    host.rates.take(caller.key_id)
    await _note(call, caller, "signed in")
    return _to("/", host.access.set_cookie(session, secure=_by_tls(call)))


async def _logout(call: Call) -> Reply:
    access = call.host.access
    session = session_of({b"cookie": call.headers.get("cookie", "").encode("latin-1")})
    if session is not None:
        with contextlib.suppress(Unauthenticated):  # it was over before
            await _note(call, access.sign_out(session), "signed out")
    return _to("/login", access.set_cookie("", secure=_by_tls(call)))


async def _note(call: Call, caller: Caller, event: str) -> None:
    """Tell the trail of the key's tenant, but not more of it than anybody would read."""
    tenant = await call.host.in_thread(call.host.tenants.get, caller.tenant)
    call.host.note_some(tenant, f"sessions of {caller.key_id}", event, caller.key_id, actor=caller.actor)


def _by_tls(call: Call) -> bool:
    """Return whether a proxy says that the browser came by TLS. Who lies about that keeps a cookie from itself."""
    said: str = call.headers.get("x-forwarded-proto", "")
    return said.partition(",")[0].strip().lower() == "https"


def _to(where: str, cookie: str = "") -> Reply:
    """Return an answer that leads a browser elsewhere."""
    headers = {"location": where, **({"set-cookie": cookie} if cookie else {})}
    return Reply(status=303, media_type="text/plain", headers=headers)


OPERATIONS = (
    Operation(method="POST", path="/login", role=None, summary="Sign in.", handler=_login, body=Login, documented=False),
    Operation(method="POST", path="/logout", role=None, summary="Sign out.", handler=_logout, documented=False),
)
