"""The page of positions, on a store in which the trading agents held some: usable by all, and what it shows adds up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.packs.trading.agents import position_sizing

if TYPE_CHECKING:
    from playwright.sync_api import ViewportSize

    from tests.browser.conftest import Server, Visitor

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
SYMBOLS = ("ACME", "BOLT", "CASK", "DUNE")
CLOSED, OPEN = 60, 3
Visit = Callable[..., "Visitor"]


def hold(store: Path) -> None:
    """Hold positions in two accounts; the last ones stay open, and one is refused."""
    rng = np.random.default_rng(3)
    live = {"influence": {"mode": "live", "confidence": 0.0}}
    with Steersman.open(store, settings=live, learn=False) as steersman:
        for number in range(CLOSED + OPEN):
            name = f"{'momentum' if number % 3 else 'main'}/{SYMBOLS[number % 4]}/{number}"
            _hold(steersman, name, None if number >= CLOSED else float(rng.normal(0.2, 1.0)))
        _hold(steersman, "main/ACME/refused", None, drawdown=0.1)


def _hold(steersman: Steersman, name: str, pnl_pct: float | None, **more: float) -> None:
    meta, sizing = steersman.agent("trading/meta-strategy"), steersman.agent("trading/position-sizing")
    seen: dict[str, Any] = {
        "regime": "trend",
        "volatility": 0.012,
        "pressure": 0.2,
        "confidence": 0.7,
        "win_rate": 0.5,
        "account_health": 1.0,
    }
    symbol = name.split("/")[1]
    followed = meta.decide(seen, episode=name, subject=symbol)
    state: dict[str, Any] = {**position_sizing.PROBE, **more}
    sized = sizing.decide(state, episode=name, subject=symbol)
    if pnl_pct is not None:
        told = {"pnl_pct": pnl_pct, "leverage": 1.0, "exposure": 0.1, "volatility": 0.012}
        sizing.report(sized, told)
        meta.report(followed, {"pnl_pct": 2.0 * pnl_pct, "max_drawdown_pct": 0.5, "sharpe": 0.1, "alignment": 0.3}).wait()


@pytest.fixture(scope="module")
def held(serve: Callable[..., Server]) -> Server:
    return serve(hold)


def test_the_page_is_usable_by_everybody_in_both_themes_and_on_a_phone(
    visit: Visit, held: Server, phone: ViewportSize
) -> None:
    visitor = visit(held)
    page = visitor.go("/positions")
    assert page.locator("h1").inner_text() == "Positions"
    assert page.locator('nav a[aria-current="page"]').inner_text() == "Positions"
    page.evaluate(AXE)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        visitor.keep(f"positions-{theme}")
        found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
        assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == [], theme
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(phone)
    page.wait_for_function("innerWidth === 390")
    visitor.keep("positions-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_shows_what_is_open_what_was_closed_and_a_curve_for_each_account(visit: Visit, held: Server) -> None:
    page = visit(held).go("/positions")
    assert page.locator('[id^="open-"]').count() == OPEN
    assert page.locator('[id^="closed-"]').count() == 12
    assert page.locator("figure canvas").count() == 2
    assert page.locator("dl.figures").inner_text().count("1 of the last 64 orders refused") == 1
    page.locator("figure summary").first.click()
    assert page.locator("figure table.data").first.is_visible()
    page.locator('[id^="closed-"] a').first.click()
    page.wait_for_url("**/decisions/*")


def test_it_moves_on_by_itself_when_a_position_is_closed(visit: Visit, held: Server) -> None:
    page = visit(held).go("/positions")
    open_now = page.locator('[id^="open-"]')
    name = str(open_now.first.get_attribute("id")).removeprefix("open-")
    told = {"pnl_pct": 7.5, "leverage": 1.0, "exposure": 0.1, "volatility": 0.012}
    held.ask("POST", "/v1/outcomes", {"decision_id": name, "measurements": told})
    page.locator(f'[id="closed-{name}"]').wait_for()
    assert "+7.50 %" in page.locator(f'[id="closed-{name}"]').inner_text()
