"""What people do on the pages: steer, watch, sign in, with the mouse or with the keyboard alone."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, Route, expect

if TYPE_CHECKING:
    from tests.browser.conftest import Server, Visitor

Visit = Callable[..., "Visitor"]
SMALL = "/agents/lab/small"


def active(server: Server) -> list[tuple[str, str]]:
    return [(each["kind"], each["scope"]) for each in server.ask("GET", "/v1/controls")["controls"] if each["active"]]


def steer(page: Page, kind: str, reason: str) -> None:
    page.locator(f"[data-open={kind}]").click()
    dialog = page.locator(f"dialog#{kind}")
    dialog.locator("[name=reason]").fill(reason)
    dialog.locator("[type=submit]").click()
    dialog.wait_for(state="hidden")


@pytest.fixture
def released(server: Server) -> None:
    for kind, scope in active(server):
        server.ask("POST", "/v1/controls", {"kind": kind, "scope": scope, "active": False})


def test_learned_actions_are_stopped_and_released(visit: Visit, server: Server, released: None) -> None:
    page = visit().go(SMALL)
    steer(page, "kill", "rewards look wrong")
    expect(page.locator(".notice.kill")).to_contain_text("rewards look wrong")
    asked = {"agent": "lab/small", "state": {"load": 20.0, "weekend": False}}
    assert server.ask("POST", "/v1/decisions", asked)["arm"] == "safe"
    page.locator(".notice.kill [data-release]").click()
    expect(page.locator(".notice.kill")).to_have_count(0)
    assert active(server) == []


def test_the_whole_fleet_is_stopped_from_the_overview(visit: Visit, server: Server, released: None) -> None:
    page = visit().go("/")
    steer(page, "kill", "drill")
    expect(page.locator(".notice.kill")).to_contain_text("the whole fleet")
    assert active(server) == [("kill", "*")]
    page.locator("[data-release]").click()
    expect(page.locator(".notice.kill")).to_have_count(0)


def test_exploration_is_paused_until_a_time(visit: Visit, server: Server, released: None) -> None:
    page = visit().go(SMALL)
    page.locator("[data-open=pause]").click()
    page.locator("#pause [name=expires_in_s]").select_option("3600")
    page.locator("#pause [name=reason]").fill("release today")
    page.locator("#pause [type=submit]").click()
    expect(page.locator(".notice.pause")).to_contain_text(re.compile(r"for (59|60) min more|for 1 h more"))
    page.locator(".notice.pause [data-release]").click()
    expect(page.locator(".notice.pause")).to_have_count(0)


def test_the_rule_decides_while_what_was_learned_is_watched(visit: Visit, server: Server, released: None) -> None:
    page = visit().go(SMALL)
    page.locator("[data-open=mode]").click()
    page.locator("#mode [name=mode]").select_option("shadow")
    page.locator("#mode [name=reason]").fill("two weeks with eyes on it")
    page.locator("#mode [type=submit]").click()
    expect(page.locator(".notice.mode")).to_contain_text("The rule decides, learned policies only watch")
    made = server.ask("POST", "/v1/decisions", {"agent": "lab/small", "state": {"load": 20.0, "weekend": False}})
    assert (made["mode"], made["arm"]) == ("shadow", "baseline")
    page.locator(".notice.mode [data-release]").click()
    expect(page.locator(".notice.mode")).to_have_count(0)
    assert active(server) == []


def test_an_action_is_pinned_and_served(visit: Visit, server: Server, released: None) -> None:
    page = visit().go("/agents/lab/factored")
    page.locator("[data-open=pin]").click()
    page.locator("#pin [data-dimension=workers]").select_option(label="16")
    page.locator("#pin [name=reason]").fill("experiment")
    page.locator("#pin [type=submit]").click()
    expect(page.locator(".notice.pin")).to_contain_text("workers 16")
    asked = {"agent": "lab/factored", "state": {"language": "go"}}
    assert {server.ask("POST", "/v1/decisions", asked)["action"]["workers"] for _ in range(5)} == {16}
    page.locator(".notice.pin [data-release]").click()
    expect(page.locator(".notice.pin")).to_have_count(0)


def test_what_the_service_refuses_is_told_in_the_dialog(visit: Visit, released: None) -> None:
    visitor = visit(check=False)
    page = visitor.go("/agents/lab/factored")
    page.locator("[data-open=pin]").click()
    page.locator("#pin [name=reason]").fill("nothing chosen")
    page.locator("#pin [type=submit]").click()
    expect(page.locator("#pin .error")).to_have_text("Choose at least one action to hold.")
    page.route("**/v1/controls", lambda route: route.fulfill(status=503, json={"detail": "the disk is full <b>now</b>"}))
    page.locator("#pin [data-dimension=workers]").select_option(label="1")
    page.locator("#pin [type=submit]").click()
    expect(page.locator("#pin .error")).to_have_text("the disk is full <b>now</b>")


@pytest.mark.parametrize("path", ["/", SMALL], ids=["overview", "agent"])
def test_a_decision_and_its_report_show_within_a_second(visit: Visit, server: Server, path: str) -> None:
    page = visit(phone=True).go(path)
    before = server.decide_and_report()
    count = page.locator("#agent-lab\\/small small" if path == "/" else f"#decision-{before}")
    if path != "/":
        count.wait_for()
    page.wait_for_timeout(600)
    page.evaluate("document.querySelector('[data-open=kill]').focus({preventScroll: true}); scrollTo(0, 300)")
    shown = page.locator("#main").inner_text()
    new = server.decide_and_report()
    started = time.monotonic()
    if path == "/":
        page.wait_for_function("before => document.getElementById('main').innerText !== before", arg=shown, timeout=1_000)
    else:
        page.locator(f"#decision-{new}").wait_for(timeout=1_000)
    assert time.monotonic() - started < 1.0
    assert page.evaluate("[scrollY, document.activeElement.dataset.open]") == [300, "kill"]


def test_what_changes_before_a_page_hears_of_changes_shows_all_the_same(visit: Visit, server: Server) -> None:
    page = visit().page
    held: list[Route] = []
    page.route("**/v1/events", lambda route: held.append(route))  # noqa: PLW0108 - it must be a function
    page.goto(f"{server.address}/agents/lab/factored")
    while not held:
        page.wait_for_timeout(10)
    new = server.ask("POST", "/v1/decisions", {"agent": "lab/factored", "state": {"language": "go"}})["id"]
    held[0].continue_()
    expect(page.locator(f"#decision-{new}")).to_be_visible()


def test_charts_follow_without_being_drawn_anew(visit: Visit, server: Server) -> None:
    page = visit().go(SMALL)
    page.evaluate("document.querySelector('figure canvas').dataset.mine = 'yes'")
    rows = page.locator("figure").first.locator(".data tbody tr")
    before = rows.count()
    server.decide_and_report_many(30)
    expect(rows).to_have_count(before + 1)
    assert page.locator("figure canvas").first.get_attribute("data-mine") == "yes"


def test_a_decision_is_replayed_and_the_trail_verified(visit: Visit, server: Server) -> None:
    decision = server.decide_and_report()
    visitor = visit()
    page = visitor.go(f"/decisions/{decision}")
    page.locator("[data-replay]").click()
    expect(page.locator("#replay")).to_contain_text("Identical")
    visitor.go("/audit")
    page.locator("[data-verify]").click()
    expect(page.locator("#verification")).to_contain_text("Intact")


def test_everything_is_reached_by_keyboard_alone(visit: Visit, released: None) -> None:
    page = visit().go("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "a[href='/agents/lab/factored']")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/agents/lab/factored")
    tab_to(page, "[data-open=pause]")
    page.keyboard.press("Enter")
    assert page.locator("dialog#pause").is_visible()
    assert page.evaluate("document.activeElement.closest('dialog').id") == "pause"
    page.keyboard.press("Escape")
    assert not page.locator("dialog#pause").is_visible()
    assert page.evaluate("document.activeElement.dataset.open") == "pause"


def tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{selector} is not reached by Tab")


def test_an_empty_store_says_what_to_type_next_and_a_stream_that_breaks_is_told(
    visit: Visit, serve: Callable[..., Server]
) -> None:
    server = serve()
    visitor = visit(server, check=False)
    assert "steersman demo" in visitor.go("/").locator("main").inner_text()
    for path in ("/on-call", "/debug", "/audit", "/keys"):
        assert visitor.go(path).locator(".blank").is_visible(), path
    assert "the baseline rule decides everywhere" in visitor.go(SMALL).locator("main").inner_text()
    server.decide_and_report()
    visitor.go("/")
    expect(visitor.page.locator("#agent-lab\\/small")).to_be_visible()
    visitor.check()
    server.stop()
    expect(visitor.page.locator("#live")).to_have_text("not live, retrying")


def test_keys_are_made_shown_once_used_and_revoked(visit: Visit, serve: Callable[..., Server]) -> None:
    server = serve()
    server.decide_and_report()
    page = visit(server).go("/keys")
    admin = make_key(page, "ada", "admin")
    page.goto(server.address + "/keys")
    page.wait_for_url("**/login")
    sign_in(page, "steer_000000000000_wrong")
    expect(page.locator("[role=alert]")).to_contain_text("not known here")
    sign_in(page, admin)
    page.goto(server.address + "/keys")
    assert page.locator("#secret").input_value() == ""
    assert admin.rpartition("_")[2] not in page.content()
    viewer = make_key(page, "grafana", "view")
    looks = visit(server).page
    looks.goto(server.address + "/login")
    sign_in(looks, viewer)
    looks.goto(server.address + SMALL)
    assert looks.locator("[data-open=kill]").is_disabled()
    expect(looks.locator(".why")).to_contain_text("needs the role operate")
    revoke(page, "grafana")
    expect(page.locator("tr", has_text="grafana")).to_contain_text("revoked")
    until_signed_out(looks, server.address + "/")
    page.locator("text=Sign out").click()
    page.wait_for_url("**/login")


def make_key(page: Page, name: str, role: str) -> str:
    page.locator("[data-open=create]").click()
    page.locator("#create [name=name]").fill(name)
    page.locator(f"#create [value={role}]").check()
    page.locator("#create [type=submit]").click()
    page.locator("#made").wait_for()
    secret = page.locator("#secret").input_value()
    assert re.fullmatch(r"steer_[0-9a-f]{12}_[\w-]{43}", secret)
    page.locator("#made [type=submit]").click()
    return secret


def sign_in(page: Page, key: str) -> None:
    page.locator("[name=key]").fill(key)
    page.locator("[type=submit]").click()
    page.wait_for_load_state()


def until_signed_out(page: Page, address: str) -> None:
    """Ask for a page until the service, which reads keys twice a second, no longer knows the key."""
    for _ in range(40):
        page.goto(address)
        if page.url.endswith("/login"):
            return
        page.wait_for_timeout(250)
    raise AssertionError("a revoked key still opens pages")


def revoke(page: Page, name: str) -> None:
    page.locator(f"[data-revoke][data-name={name}]").click()
    page.locator("#revoke [type=submit]").click()
    page.locator("#revoke").wait_for(state="hidden")
