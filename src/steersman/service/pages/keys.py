"""Keys: who may reach the service and do what. A secret is shown once, when it is made."""

import time

from steersman.core.access import ROLES, valid
from steersman.service.operations import Call, Reply
from steersman.service.pages.shell import html, page


def _view(call: Call) -> Reply:
    now = time.time()
    keys = sorted(call.host.keys(call.caller.tenant), key=lambda each: (not valid(each, now), -each.created_at))
    return html(call, "keys.html", active="keys", keys=[(each, valid(each, now)) for each in keys], roles=ROLES)


PAGE = page("/keys", "Keys to the service.", _view, role="admin")
