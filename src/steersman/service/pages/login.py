"""Login: a key becomes a session. The service takes the form; this is the page with it."""

from steersman.service.operations import Call, Operation, Reply
from steersman.service.pages.shell import html


async def _view(call: Call) -> Reply:
    failed = "failed" in call.query
    return html(call, "login.html", status=200, active="", failed=failed)


PAGE = Operation(
    method="GET",
    path="/login",
    role=None,
    summary="The page to log in with a key.",
    handler=_view,
    tag="pages",
    query={"failed": "Whether a key was refused."},
    documented=False,
)
