"""Sessions: a person signs in on the page with a key, and out again."""

import msgspec

from steersman.core.errors import Unauthenticated
from steersman.service.operations import Call, Operation, Reply


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """The form of the login page."""

    key: str


async def _login(call: Call) -> Reply:
    access = call.host.access
    try:
        session = access.session(call.body.key.strip())
    except Unauthenticated:
        return _to("/login?failed=1")
    return _to("/", access.set_cookie(session))


async def _logout(call: Call) -> Reply:
    return _to("/login", call.host.access.set_cookie(""))


def _to(where: str, cookie: str = "") -> Reply:
    """Return an answer that leads a browser elsewhere."""
    headers = {"location": where, **({"set-cookie": cookie} if cookie else {})}
    return Reply(status=303, media_type="text/plain", headers=headers)


OPERATIONS = (
    Operation(method="POST", path="/login", role=None, summary="Sign in.", handler=_login, body=Login, documented=False),
    Operation(method="POST", path="/logout", role=None, summary="Sign out.", handler=_logout, documented=False),
)
