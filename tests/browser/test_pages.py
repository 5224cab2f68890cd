"""Each page, in both themes and at both sizes: it is there, everybody can use it, and nothing leaves the machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

    from tests.browser.conftest import Server, Visitor

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
PAGES = {
    "overview": ("/", "Fleet"),
    "agent": ("/agents/lab/small", "lab/small"),
    "factored": ("/agents/lab/factored", "lab/factored"),
    "decision": ("/decisions/{id}", ""),
    "ranker": ("/agents/personalizer/default", "personalizer/default"),
    "ranked": ("/decisions/event%201", "pasta"),
    "releases": ("/releases", "Releases"),
    "release": ("/releases/lab/factored", "Release of lab/factored"),
    "unreleased": ("/releases/lab/small", "Release of lab/small"),
    "on-call": ("/on-call", "On call"),
    "debug": ("/debug?agent=lab/small", "Debug"),
    "audit": ("/audit", "Audit trail"),
    "keys": ("/keys", "Keys"),
    "login": ("/login", "Sign in with a key"),
    "missing": ("/agents/no/such", "Not here"),
}
Visit = Callable[..., "Visitor"]


def path_of(name: str, server: Server) -> str:
    if name != "decision":
        return PAGES[name][0]
    newest = server.ask("GET", "/v1/decisions?agent=lab/small&limit=1")["decisions"][0]
    return f"/decisions/{newest['id']}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_there_and_usable_by_everybody_in_both_themes_and_on_a_phone(
    visit: Visit, server: Server, phone: ViewportSize, name: str
) -> None:
    visitor = visit(check=name != "missing")
    page = visitor.go(path_of(name, server))
    assert PAGES[name][1] in page.locator("h1").inner_text()
    page.evaluate(AXE)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        visitor.keep(f"{name}-{theme}")
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == [], theme
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(phone)
    page.wait_for_function("innerWidth === 390")
    visitor.keep(f"{name}-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_charts_are_drawn_and_their_tables_say_the_same(visit: Visit) -> None:
    page = visit().go("/agents/lab/small")
    assert page.locator("figure canvas").count() == 2
    assert page.locator("figure").first.locator("tbody tr").count() > 5
    page.locator("figure summary").first.click()
    assert page.locator("figure table.data").first.is_visible()


def test_without_script_a_page_can_still_be_read(visit: Visit) -> None:
    visitor = visit(java_script_enabled=False, check=False)
    visitor.page.goto(visitor.server.address + "/agents/lab/small")
    assert visitor.page.locator("table.policy").is_visible()


def test_the_theme_is_turned_and_kept(visit: Visit) -> None:
    page = visit().go("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.reload()
    assert page.locator("html").get_attribute("data-theme") == "dark"


def test_files_are_kept_for_good_under_an_address_that_changes_with_them(visit: Visit, server: Server) -> None:
    page = visit().go("/")
    address = page.locator("link[rel=stylesheet]").last.get_attribute("href")
    answer = page.request.get(f"{server.address}{address}")
    assert "immutable" in answer.headers["cache-control"]
    again = page.request.get(f"{server.address}{address}", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status, again.body()) == (304, b"")
