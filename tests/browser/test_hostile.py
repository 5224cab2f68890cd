"""Two hundred strings that would do harm as markup are text, wherever they turn up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from tests.browser.conftest import Server, Visitor

PLACES = ("/", "/agents/lab/hostile", "/releases", "/releases/lab/hostile", "/on-call", "/debug?agent=lab/hostile", "/audit")
INJECTED = (
    "main script, main img, main iframe, main input[autofocus], main math, main template, main meta, main link, main base, "
    "main form[action*=evil], main b[onclick], [onload], [onerror], [onfocus], [ontoggle], [href^=javascript]"
)


def test_hostile_strings_stay_text(visit: Callable[..., Visitor], server: Server, hostile: tuple[str, ...]) -> None:
    assert len(set(hostile)) == 200
    asked = [{"agent": "lab/hostile", "state": {"text": each}} for each in hostile]
    made = [each["id"] for each in server.ask("POST", "/v1/decisions/batch", {"decisions": asked})["results"]]
    told = [{"decision_id": each, "measurements": {"score": 0.5}, "source": "<i>ci</i>"} for each in made]
    server.ask("POST", "/v1/outcomes/batch", {"outcomes": told})
    server.ask("POST", "/v1/controls", {"kind": "pause", "scope": "lab/hostile", "active": True, "reason": hostile[0]})
    server.ask("POST", "/v1/versions/lab/hostile", {"reason": hostile[1]})
    server.ask("POST", "/v1/releases/lab/hostile", {"move": "rollback", "to": "baseline", "reason": hostile[2]})
    server.ask("POST", "/v1/releases/lab/hostile", {"move": "start", "plan": "50% 30d", "despite": hostile[3]})
    server.ask("POST", "/v1/releases/lab/hostile", {"move": "hold", "reason": hostile[4]})
    visitor = visit()
    for path in PLACES:
        unharmed(visitor, path)
    for name in made[:: len(hostile) // 4]:  # all two hundred are looked at below, without the policy's protection
        unharmed(visitor, f"/decisions/{name}")
    unprotected(visit(check=False), server, hostile, made)
    server.ask("POST", "/v1/controls", {"kind": "pause", "scope": "lab/hostile", "active": False})


def unharmed(visitor: Visitor, path: str) -> None:
    page = visitor.go(path)
    assert page.evaluate("window.broken") is None
    assert page.locator(INJECTED).count() == 0
    assert page.url == visitor.server.address + path


def unprotected(visitor: Visitor, server: Server, hostile: tuple[str, ...], made: list[str]) -> None:
    """All decision pages at once, in a document without any policy, where a string that was markup would do its harm."""
    with httpx.Client(base_url=server.address, headers={"accept": "text/html"}) as client:
        pages = [client.get(f"/decisions/{name}").text for name in made]
    visitor.page.set_content("".join(each[each.index("<main") : each.index("</main>") + 7] for each in pages))
    visitor.page.wait_for_timeout(300)
    assert visitor.page.evaluate("window.broken") is None
    assert visitor.page.locator(INJECTED).count() == 0
    assert visitor.complaints == []
    shown = visitor.page.evaluate(
        "[...document.querySelectorAll('.state dd')].map(each => each.firstChild.nodeValue.trim())"
    )
    assert shown == [each.replace("\x00", "").strip() for each in hostile]
