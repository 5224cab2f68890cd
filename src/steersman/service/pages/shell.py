"""What all pages have in common: the frame, who looks, words for numbers, and errors in the same dress."""

import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from steersman.core.catalog import load
from steersman.core.errors import Conflict, InvalidInput, NotFound, NotPermitted, SteersmanError
from steersman.core.positions import Positions
from steersman.core.values import Role
from steersman.core.versions import short
from steersman.service.ledger import Ledger, ledger_of
from steersman.service.operations import Call, Caller, Operation, Reply
from steersman.service.pages import words
from steersman.service.pages.assets import address

View = Callable[[Call], Reply]
SPANS = {"1": "24 hours", "7": "7 days", "30": "30 days"}
_SPAN = "7"
_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
"""Without a referrer, a browser would send its forms as from nowhere, and the service would refuse them."""
_MENU = (
    ("overview", "/", "Overview"),
    ("releases", "/releases", "Releases"),
    ("training", "/training", "Training"),
    ("on-call", "/on-call", "On call"),
    ("debug", "/debug", "Debug"),
)
_POSITIONS = (("positions", "/positions", "Positions"),)
_MORE = (("audit", "/audit", "Audit"),)
_NUMBERS = ("number", "exact", "signed", "percent", "signed_percent", "whole", "milliseconds")
_FILTERS = (*_NUMBERS, "span", "moment", "iso", "cut")


@cache
def _templates() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols"],
    )
    made.filters.update(
        {name: getattr(words, name) for name in _FILTERS}, act=words.action, sentence=words.sentence, version=short
    )
    made.globals.update(
        asset=address, apart=words.apart, NONE=words.NONE, ARMS=words.ARMS, ends=words.ends, within=words.within
    )
    return made


def html(call: Call, template: str, *, status: int = 200, **values: Any) -> Reply:
    """Return a page made from a template."""
    now = time.time()
    body = (
        _templates()
        .get_template(template)
        .render(
            caller=call.caller,
            may=lambda role: may(call.caller, role),
            menu=(
                *_MENU,
                *(_POSITIONS if may(call.caller, "view") and holding(call) else ()),
                *_MORE,
                *((("keys", "/keys", "Keys"),) if may(call.caller, "admin") else ()),
            ),
            theme=_theme(call.headers.get("cookie", "")),
            now=now,
            ago=lambda at: words.ago(at, now),
            **values,
        )
    )
    return Reply(body=body.encode(), media_type="text/html; charset=utf-8", status=status, headers=_HEADERS)


def holding(call: Call) -> list[Positions]:
    """Return what packs say of their positions, of those whose agents have decided here."""
    at_work = ledger_of(call.steersman).agents()
    packs = call.steersman.catalog.packs.values() if at_work else ()
    found: list[Positions] = [load(each.positions) for each in packs if each.positions]
    return [each for each in found if each.opens in at_work]


def may(caller: Caller | None, role: Role) -> bool:
    """Return whether a caller has a role. Nobody has none."""
    return caller is not None and role in caller.roles


def page(
    path: str, summary: str, view: View, *, role: Role | None = "view", query: Mapping[str, str] | None = None
) -> Operation:
    """Return the operation of a page. Its view runs in a thread; what it refuses becomes a page as well."""

    async def handler(call: Call) -> Reply:
        try:
            return await call.host.in_thread(view, call)  # type: ignore[no-any-return]  # the host is the service's own
        except SteersmanError as error:
            return problem_page(call, _status(error), str(error))

    return Operation(
        method="GET",
        path=path,
        role=role,
        summary=summary,
        handler=handler,
        query=query or {},
        tag="pages",
        documented=False,
    )


def _status(error: SteersmanError) -> int:
    known = ((NotFound, 404), (InvalidInput, 400), (NotPermitted, 403), (Conflict, 409))
    return next((status for kind, status in known if isinstance(error, kind)), 503)


def problem_page(call: Call, status: int, detail: str) -> Reply:
    """Return a page that says what went wrong and what to do."""
    title = {401: "Sign in first", 403: "Not for this key", 404: "Not here"}.get(status, "That did not work")
    return html(call, "problem.html", status=status, active="", title=title, detail=detail)


def read_up(call: Call) -> tuple[Ledger, float | None]:
    """Return the store's ledger with what is new, unless there is so much of it that a page must not wait for it.

    Beside it, how much of the log was read (in [0, 1]) while it is first read; None once it was.
    """
    ledger = ledger_of(call.steersman)
    if ledger.behind():
        ledger.refresh_later()
    else:
        ledger.refresh()
    return ledger, None if ledger.caught_up else ledger.share_read


def chosen_span(call: Call, ledger: Ledger) -> tuple[str, int]:
    """Return the span of days that was asked for, and the hour with which it begins."""
    days = call.query.get("days", _SPAN)
    days = days if days in SPANS else _SPAN
    return days, ledger.hour() - 24 * int(days)


def _theme(cookie: str) -> str:
    """Return the theme that the reader chose: light, dark or "" for what the system says."""
    for each in cookie.split(";"):
        name, _, value = each.strip().partition("=")
        if name == "theme" and value in ("light", "dark"):
            return value
    return ""
