"""The audit trail: who did what, when and why."""

from steersman.service.operations import Call, Reply
from steersman.service.pages.shell import html, page

_EVENTS = 200
_SETTINGS = "settings in force"


def _view(call: Call) -> Reply:
    events = call.host.trail(call, _EVENTS)
    return html(call, "audit.html", active="audit", events=events, most=_EVENTS, settings_event=_SETTINGS)


PAGE = page("/audit", "The audit trail.", _view)
