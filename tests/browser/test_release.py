"""What people do on the pages of releases: begin a trial, hold it, go on, roll back, judge, drill, and ask what was when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from tests.browser.conftest import Server, Visitor

Visit = Callable[..., "Visitor"]
SMALL, FACTORED = "/releases/lab/small", "/releases/lab/factored"


def now(server: Server, agent: str = "lab/small") -> dict[str, Any]:
    found: dict[str, Any] = server.ask("GET", f"/v1/releases/{agent}")["now"]
    return found


def press(page: Page, name: str, reason: str = "", **fields: str) -> None:
    """Open a dialog, fill it in and send it."""
    page.locator(f"[data-open={name}]").click()
    dialog = page.locator(f"dialog#{name}")
    for field, text in fields.items():
        place = dialog.locator(f"[name={field}]")
        place.select_option(text) if place.evaluate("each => each.tagName") == "SELECT" else place.fill(text)
    if reason:
        dialog.locator("[name=reason]").fill(reason)
    dialog.locator("[type=submit]").click()
    dialog.wait_for(state="hidden")


@pytest.fixture
def quiet(server: Server) -> None:
    """No trial of the small agent is under way."""
    if server.ask("GET", "/v1/releases/lab/small")["trial"] is not None:
        server.ask("POST", "/v1/releases/lab/small", {"move": "abort"})


def test_a_trial_is_begun_held_resumed_and_rolled_back_by_buttons(visit: Visit, server: Server, quiet: None) -> None:
    page = visit().go(SMALL)
    if now(server)["champion"] != "baseline":
        press(page, "rollback", "releases begin here", to="baseline")
        expect(page.locator(".head .lede")).to_contain_text("the baseline rule")
    press(page, "start", "it has learned enough", plan="50% 30d", despite="a test")
    expect(page.locator("#line-title")).to_have_text("The trial under way")
    expect(page.locator(".steps .now")).to_contain_text("50 %")
    expect(page.locator(".compare tbody tr")).to_have_count(4)
    press(page, "hold", "let me <b>look</b>")
    expect(page.locator(".notice.finding").first).to_contain_text("Let me <b>look</b>")
    press(page, "resume", "fine")
    expect(page.locator("[data-open=hold]")).to_be_visible()
    press(page, "rollback", "enough")
    expect(page.locator("#line-title")).to_have_text("The last trial")
    assert (now(server)["move"], now(server)["champion"]) == ("rolled back", "baseline")


def test_a_version_is_cut_judged_and_quarantined_by_buttons(visit: Visit, server: Server, quiet: None) -> None:
    server.decide_and_report()  # so that there is something new to cut
    visitor = visit()
    page = visitor.go(SMALL)
    press(page, "cut", "before the holidays")
    newest = server.ask("GET", "/v1/versions/lab/small?limit=1")["versions"][0]["id"]
    expect(page.locator(f"#version-{newest}")).to_contain_text("before the holidays")
    press(page, "evaluate", candidate=newest, against="baseline")
    expect(page.locator(".checks tbody tr")).to_have_count(6)
    expect(page.locator(".evidence tbody tr")).not_to_have_count(0)
    press(page, "quarantine", "measured wrong", version=newest)
    expect(page.locator(f"#version-{newest} .tag.warn")).to_have_text("in quarantine")
    page.locator(f"#version-{newest} [data-open=let-out]").click()
    page.locator("#let-out [name=reason]").fill("it was not")
    page.locator("#let-out [type=submit]").click()
    expect(page.locator(f"#version-{newest} .tag.warn")).to_have_count(0)


def test_what_is_refused_is_told_in_the_dialog(visit: Visit, server: Server, quiet: None) -> None:
    page = visit(check=False).go(SMALL)
    page.locator("[data-open=start]").click()
    page.locator("#start [name=plan]").fill("all at once")
    page.locator("#start [name=reason]").fill("a test")
    page.locator("#start [name=despite]").fill("a test")
    page.locator("#start [type=submit]").click()
    expect(page.locator("#start .error")).to_contain_text("is no step")
    assert page.locator("#start [type=submit]").inner_text() == "Start"


def test_a_drill_is_run_and_kept(visit: Visit, server: Server) -> None:
    page = visit().go(FACTORED)
    drills = "/v1/evaluations/lab/factored?kind=drill"
    before = len(server.ask("GET", drills)["judgements"])
    press(page, "drill", share="0.5", decisions="5000")
    expect(page.locator("#toast")).to_contain_text("rolled back after")
    assert len(server.ask("GET", drills)["judgements"]) == before + 1


def test_what_was_in_production_at_a_time_is_told(visit: Visit, server: Server) -> None:
    page = visit().go(FACTORED)
    moves = server.ask("GET", "/v1/releases/lab/factored")["moves"]
    promoted = next(each for each in moves if each["move"] == "promoted")
    at = datetime.fromtimestamp(promoted["at"] + 60.0, UTC)
    page.locator("[name=at]").fill(f"{at:%Y-%m-%dT%H:%M}")
    page.locator(".ask-time button").click()
    expect(page.locator("#then")).to_contain_text(f"{promoted['champion'][:12]} decided")
    expect(page.locator("#then")).to_contain_text(f"move {promoted['number']}")
    page.goto(f"{server.address}{FACTORED}?at=2001-01-01T00:00")
    expect(page.locator("#then")).to_contain_text("before the first move")


def test_a_move_by_another_hand_shows_by_itself(visit: Visit, server: Server, quiet: None) -> None:
    page = visit().go("/releases")
    row = page.locator("#release-lab\\/small")
    if now(server)["champion"] != "baseline":
        server.ask("POST", "/v1/releases/lab/small", {"move": "rollback", "to": "baseline"})
    server.ask("POST", "/v1/releases/lab/small", {"move": "start", "plan": "25% 60d", "despite": "a test"})
    expect(row.locator(".tag.on")).to_have_text("25 %")
    server.ask("POST", "/v1/releases/lab/small", {"move": "abort"})
    expect(row.locator(".tag.on")).to_have_count(0)


def test_a_trial_shows_on_the_overview_and_on_the_agents_page(visit: Visit, server: Server) -> None:
    visitor = visit()
    page = visitor.go("/")
    page.locator("#agent-lab\\/factored .tag.on").click()
    page.wait_for_url(f"**{FACTORED}")
    page = visitor.go("/agents/lab/factored")
    expect(page.locator(".head")).to_contain_text("In production:")
    expect(page.locator(".head .tag.on")).to_contain_text("on trial: 50 %")


def test_buttons_are_barred_to_who_may_only_look(visit: Visit, serve: Callable[..., Server]) -> None:
    server = serve()
    server.decide_and_report()
    admin = server.ask("POST", "/v1/keys", {"name": "ada", "roles": ["admin"]})["secret"]
    server.key = admin
    viewer = server.ask("POST", "/v1/keys", {"name": "grafana", "roles": ["view"]})["secret"]
    page = visit(server).page
    page.goto(server.address + "/login")
    page.locator("[name=key]").fill(viewer)
    page.locator("[type=submit]").click()
    page.wait_for_load_state()
    page.goto(server.address + SMALL)
    assert page.locator("[data-open]").count() >= 5
    assert page.locator("[data-open]:not([disabled])").count() == 0
    expect(page.locator(".why")).to_contain_text("needs the role operate")
