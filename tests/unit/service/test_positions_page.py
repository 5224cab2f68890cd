"""The page of positions: it reads decisions and outcomes as a pack says; each figure was worked out by hand."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from steersman.core.access import DEFAULT_TENANT
from steersman.core.catalog import load
from steersman.core.positions import Positions, account_of
from steersman.packs.trading import pack
from steersman.packs.trading.agents import position_sizing
from steersman.service.pages import positions
from steersman.testing.serving import serving

META, SIZING = "trading/meta-strategy", "trading/position-sizing"
SEEN = {
    "regime": "trend",
    "volatility": 0.01,
    "pressure": 0.0,
    "confidence": 0.7,
    "win_rate": 0.5,
    "account_health": 1.0,
}
SIZED: dict[str, Any] = dict(position_sizing.PROBE)


@pytest.fixture
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        serving(str(tmp_path_factory.mktemp("store") / "log.db")) as running,
        httpx.Client(base_url=running.url, timeout=30.0, headers={"accept": "text/html"}) as found,
    ):
        found.steersman = running.service.tenants[DEFAULT_TENANT]  # type: ignore[attr-defined]  # for the tests to act on
        yield found


def hold(client: Any, name: str, pnl_pct: float | None = None, **state: float) -> str:
    """Decide on a position, and close it where it is said what it earned; return the decision on its size."""
    meta, sizing = client.steersman.agent(META), client.steersman.agent(SIZING)
    followed = meta.decide(SEEN, episode=name, subject=name.split("/")[1])
    sized = sizing.decide({**SIZED, **state}, episode=name, subject=name.split("/")[1])
    if pnl_pct is not None:
        told = {"pnl_pct": pnl_pct, "leverage": 1.0, "exposure": 0.1, "volatility": 0.02}
        sizing.report(sized, told).wait()
        meta.report(followed, {"pnl_pct": 3.5, "max_drawdown_pct": 1.2, "sharpe": 0.6, "alignment": 0.85}).wait()
    return str(sized.id)


def page_of(client: httpx.Client) -> str:
    answer = client.get("/positions")
    assert answer.status_code == 200
    return answer.text


def seen_by(client: Any) -> positions.Seen:
    """Return what the page shows, without its dress."""

    class Call:
        steersman = client.steersman

    said: Positions = load(pack.positions)
    return positions.seen(Call(), said)  # type: ignore[arg-type]  # nothing else of a call is looked at


def test_without_positions_there_is_a_word_on_how_to_get_some_and_no_entry_in_the_menu(client: httpx.Client) -> None:
    text = page_of(client)
    assert "No positions yet" in text
    assert ">Positions</a>" not in text


def test_open_closed_and_refused_positions_are_told_apart_with_what_they_earned(client: httpx.Client) -> None:
    hold(client, "main/AAA/1", 2.0)
    lost = hold(client, "main/BBB/1", -1.0)
    held = hold(client, "main/CCC/1")
    refused = hold(client, "main/DDD/1", drawdown=0.1)
    text = page_of(client)
    assert ">Positions</a>" in text
    assert f'id="open-{held}"' in text
    assert f'id="closed-{lost}"' in text
    assert "−1.00 %" in text
    assert refused not in text
    assert "+3.1, −0.9" in text  # 3.1475 by the worked case of the reward; −1 − 0.4·0 + 0.1·0.5 = −0.95
    assert "1 of the last 4 orders refused" in text
    assert "Across: closed positions, in order." in text
    seen = seen_by(client)
    (curve,) = seen.curves
    assert [worth for _, worth in curve.points] == pytest.approx([1.0, 1.02, 1.0098])
    assert curve.fall == pytest.approx(0.01)
    assert (seen.won, seen.earned) == (0.5, 0.5)


def test_what_refused_is_counted_by_guard_gate_and_kill_switch(client: Any) -> None:
    hold(client, "main/AAA/1")
    hold(client, "main/DDD/1", drawdown=0.1)
    client.steersman.kill("trading", actor="ops", reason="a drill")
    hold(client, "main/EEE/1")
    found = {(each.agent, each.name): (each.stopped, each.narrowed) for each in seen_by(client).refusing}
    assert found[SIZING, "guard drawdown"] == (1, 0)
    assert found[SIZING, "guard account-mode"] == (0, 2)
    assert found[SIZING, "kill switch"] == (1, 0)
    assert found[META, "kill switch"] == (1, 0)
    assert found[META, "the rule decided: mode off"] == (0, 2)
    assert found[META, "guard models"] == (0, 2)
    text = page_of(client)
    assert 'guard drawdown</td><td data-label="Nothing opened" class="num">1 of 3<' in text, "among its decisions"
    assert text.count(" of 3<") == sum(count > 0 for each in found.values() for count in each)


def test_each_account_has_a_curve_the_one_that_closed_last_first(client: httpx.Client) -> None:
    hold(client, "one/AAA/1", 1.0)
    hold(client, "two/AAA/1", 2.0)
    hold(client, "one/AAA/2", 3.0)
    assert [(each.account, round(each.worth, 4)) for each in seen_by(client).curves] == [("one", 1.0403), ("two", 1.02)]


def test_an_account_is_what_stands_before_the_first_stroke() -> None:
    assert account_of("main/BTC/USD/2026-01-05") == "main"
