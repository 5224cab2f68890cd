"""A market on a bus: it fills what the backtest fills, and without an answer in time it does nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from steersman.app.buses import _BROKER, open_bus
from steersman.app.news import of_kill
from steersman.backends.memory import MemoryBroker, MemoryBus
from steersman.core.errors import InvalidInput, StoreError
from steersman.core.events import Event, decode, encode
from steersman.core.state import StateValues
from steersman.core.values import AuditEvent, Outcome
from steersman.packs.trading.account import UNIT_SHARE
from steersman.packs.trading.backtest.arms import META, SIZING, Chosen
from steersman.packs.trading.backtest.broker import Costs
from steersman.packs.trading.backtest.played import Decided
from steersman.packs.trading.backtest.simulation import Terms
from steersman.packs.trading.backtest.stage import Stage
from steersman.packs.trading.desk import Desk
from steersman.packs.trading.paper.command import PaperOptions, chosen, replayed
from steersman.packs.trading.paper.exchange import Exchange
from steersman.packs.trading.paper.market import LATE, PaperMarket

if TYPE_CHECKING:
    from tests.unit.packs.trading.paper.conftest import AtWork, Lab


class Scripted:
    """Chooses in each state what was chosen there, and nothing where nothing was."""

    learns = False

    def __init__(self, decided: list[Decided]) -> None:
        self.known: dict[tuple[str, str], Any] = {}
        for each in decided:
            self.known[META, repr(each.meta_state)] = each.meta
            self.known[SIZING, repr(each.sizing_state)] = each.sizing
        self.missed = 0

    def choose(self, agent: str, state: StateValues) -> Chosen | None:
        """Return what was chosen."""
        action = self.known.get((agent, repr(state)))
        self.missed += action is None
        return None if action is None else Chosen(agent=agent, action=action)

    def settle(self, chosen: Chosen, measurements: Mapping[str, float]) -> None:
        """A script learns nothing."""


def market_of(lab: Lab, stage: Stage, *, account: str = "main", **more: Any) -> PaperMarket:
    return PaperMarket(stage, Exchange(lab.market, lab.stream, patience_s=20.0), account=account, **more)


def pass_all(market: PaperMarket, stage: Stage, first: int, *, watch: Callable[[int], object] = lambda _: None) -> None:
    for bar in range(first, len(stage.market)):
        market.pass_bar(bar)
        watch(bar)


def settled(lab: Lab) -> None:
    """Wait until the consumer has worked off all that was told."""
    bus = open_bus("memory:", [lab.stream])
    for _ in range(600):
        if not bus.waiting():
            return
        time.sleep(0.05)
    raise AssertionError(f"{bus.waiting()} events are still waiting")


def test_the_same_decisions_lead_to_the_same_fills_trades_and_equity_as_in_a_backtest(
    working: AtWork, stream: str, stage: Stage, first: int
) -> None:
    with working("memory:", "memory:", stream) as lab:
        market = market_of(lab, stage)
        pass_all(market, stage, first)
        paper = market.played
        script = Scripted(list(paper.decided))
        backtest = stage.simulation(script).run(first, len(stage.market)).played
        assert len(paper.trades) > 10
        assert paper.fills == backtest.fills
        assert list(paper.trades) == list(backtest.trades)
        np.testing.assert_array_equal(paper.equity, backtest.equity)
        assert paper.paid == backtest.paid > 0.0
        assert script.missed == market.withheld["no action is allowed"]


def test_what_the_agents_saw_is_what_the_market_saw(working: AtWork, stream: str, stage: Stage, first: int) -> None:
    """Through JSON, the desk and the log: features, exposure and win rates are those of the backtest's own book."""
    with working("memory:", "memory:", stream) as lab:
        market = market_of(lab, stage)
        pass_all(market, stage, first)
        lab.steersman.log.flush()
        for agent, name, kind in ((META, "meta_state", "meta"), (SIZING, "sizing_state", "sizing")):
            seen = {each.episode.partition("/")[2]: each.state for each in lab.steersman.log.recent(agent, 10_000)}
            known = [each for each in market.played.decided if getattr(each, kind) is not None]
            assert len(known) > 10
            for each in known:
                day = np.datetime64(int(stage.market.at[each.bar]), "s").item().isoformat()
                state = seen[f"{each.symbol}/{day}"]
                for field, value in (getattr(each, name) or {}).items():
                    if field not in ("account_health", "equity_slope", "drawdown"):  # of accounts a bus tells only closes
                        assert state[field] == value, (each, field)


def test_each_closed_position_is_learned_from_once_by_both_agents_with_what_was_executed(
    working: AtWork, stream: str, stage: Stage, first: int
) -> None:
    with working("memory:", "memory:", stream) as lab:
        market = market_of(lab, stage)
        pass_all(market, stage, first)
        settled(lab)
        assert sum(each.closed for each in market.lines) == len(market.played.trades)
        assert sum(each.pnl_pct for each in market.lines) == pytest.approx(
            sum(each.pnl_pct for each in market.played.trades)
        )
        trades = {f"{each.decided.symbol}@{each.decided.bar}": each for each in market.played.trades}
        for agent in (META, SIZING):
            rows = list(lab.steersman.log.rows(agent))
            outcomes = [each for each in rows if isinstance(each, Outcome)]
            assert len(outcomes) == len({each.decision_id for each in outcomes}) == len(trades)
            assert sorted(each.measurements["pnl_pct"] for each in outcomes) == sorted(
                each.exit.return_pct if agent == META else each.pnl_pct for each in trades.values()
            )


def test_without_an_answer_in_time_there_is_no_trade_and_a_late_one_changes_nothing(stage: Stage, first: int) -> None:
    broker = MemoryBroker()
    bus = MemoryBus(["out"], broker=broker, group="paper")
    exchange = Exchange(bus, "in", patience_s=0.01)
    market = PaperMarket(stage, exchange, account="main")
    pass_all(market, stage, first)
    asked = [decode(each.body) for each in MemoryBus(["in"], broker=broker).take(10_000, 0.0)]
    assert market.played.fills == []
    assert market.withheld == {LATE: len(asked)}
    assert exchange.asked == len(asked) > 10
    data = {"decision_id": "d", "position": "p", "signal": asked[0].id, "strategy": "trend", "model": "xgb"}
    answer = Event(
        id="late", type="strategy.chosen", at=0.0, data={**data, "weight": "up", "arm": "champion", "mode": "live"}
    )
    bus.publish("out", [("S0", encode(answer)), ("S0", b"no event"), ("S0", encode(answer))])
    assert exchange.ask([]) == {}
    assert exchange.too_late == 0
    exchange.listen()
    assert exchange.too_late == 1
    assert bus.waiting() == 0


def test_while_the_bus_is_away_nothing_is_opened_and_what_happened_is_told_afterwards(
    working: AtWork, stream: str, stage: Stage, first: int
) -> None:
    broker = _BROKER
    with working("memory:", "memory:", stream) as lab:
        market = PaperMarket(stage, Exchange(lab.market, lab.stream, patience_s=1.0), account="main")

        def outage(bar: int) -> None:
            if market.lines and any(each.side for each in market.lines) and not gone:
                gone.append(bar)
                broker.stall("somebody pulled a plug")
            elif gone and bar == gone[0] + 12:
                broker.resume()

        gone: list[int] = []
        pass_all(market, stage, first, watch=outage)
        broker.resume()
        settled(lab)
        during = [each for each in market.played.fills if gone[0] + 1 < each.bar <= gone[0] + 12]
        assert during
        assert all(each.why != "open" for each in during)
        assert market.withheld[LATE] > 0
        outcomes = [each for each in lab.steersman.log.rows(SIZING) if isinstance(each, Outcome)]
        assert len(outcomes) == len(market.played.trades)


def test_a_kill_switch_lets_what_is_held_end_and_nothing_begin_even_on_an_order_that_was_answered(
    working: AtWork, stream: str, stage: Stage, first: int
) -> None:
    with working("memory:", "memory:", stream) as lab:
        killed: list[int] = []
        market = market_of(lab, stage, stopped=lambda: "kill switch of 'trading' by ops" if killed else "")

        def kill(bar: int) -> None:
            if market._orders and any(each.side for each in market.lines) and not killed:
                lab.steersman.kill("trading", actor="ops", reason="a drill")
                killed.append(bar)

        pass_all(market, stage, first, watch=kill)
        after = [each for each in market.played.fills if each.bar > killed[0]]
        assert after
        assert all(each.why != "open" for each in after)
        assert market.withheld["kill switch"] > 1
        assert "kill" not in market.gates  # nothing was opened: no rule decided
        assert not any(each.side for each in market.lines)


def test_a_series_that_is_broken_off_and_replayed_is_answered_as_before_and_counts_nothing_twice(
    working: AtWork, stream: str, stage: Stage, first: int, tmp_path: Path
) -> None:
    with working("memory:", "memory:", stream, mode="off") as lab:
        whole = market_of(lab, stage)
        pass_all(whole, stage, first)
    broken = None
    for last in (first + 25, len(stage.market)):
        with working(tmp_path / "log.db", "memory:", f"{stream}-again", mode="off") as lab:
            broken = market_of(lab, stage)
            for bar in range(first, last):
                broken.pass_bar(bar)
            settled(lab)
            rows = list(lab.steersman.log.rows())
            desk = Desk()
            desk.restore(rows)
            ordered = sum(UNIT_SHARE * float(each.choices[1].action["size"]) for each in broken._orders.values())
            told = sum(desk._book.exposure(each) for each in desk._book.accounts)
            assert told == pytest.approx(broken._book.exposure() + ordered)
            again = lab.consumer.tally.events["position.closed", "again"]
    assert broken is not None
    assert again > 0
    assert broken.played.fills == whole.played.fills
    assert list(broken.played.trades) == list(whole.played.trades)
    outcomes = [each for each in rows if isinstance(each, Outcome)]
    assert len(outcomes) == 2 * len(whole.played.trades)
    assert {each.revision for each in outcomes} == {0}


def test_when_a_drawdown_shut_the_account_it_goes_on_under_a_new_name(
    working: AtWork, stream: str, stage: Stage, first: int
) -> None:
    """Who only hears of closes could not know that the peak is counted anew, and would refuse everything for good."""
    risky = replace(stage, terms=Terms(mode="defensive", resume_bars=2, costs=Costs(slippage_bps=150.0)))
    with working("memory:", "memory:", stream) as lab:
        market = market_of(lab, risky)
        pass_all(market, risky, first)
        settled(lab)
        episodes = [each.episode for each in lab.steersman.log.recent(META, 10_000)]
        names = dict.fromkeys(each.partition("/")[0] for each in reversed(episodes))
        assert market.accounts > 1
        assert list(names) == ["main", *(f"main.{number}" for number in range(2, len(names) + 1))]
        later = [each for each in lab.steersman.log.recent(SIZING, 10_000) if each.episode.startswith("main.2/")]
        assert any(each.arm != "safe" for each in later)


def test_a_replay_reports_what_came_of_it_beside_what_learns_nothing(
    working: AtWork, stream: str, stage: Stage, first: int
) -> None:
    with working("memory:", "memory:", stream) as lab:
        seen: list[int] = []
        options = PaperOptions(
            data=(),
            bus=lab.market,
            stream=lab.stream,
            account="main",
            speed=0.0,
            patience_s=20.0,
            stop=lambda: len(seen) == 20,
            watch=lambda market: seen.append(market.bar),
        )
        report = replayed(stage, first, options)
        assert seen == list(range(first, first + 20))
        assert (report.bars, report.whole, report.untold) == (20, False, 0)
        assert [each.name for each in report.arms] == ["paper", "fixed rule", "buy and hold", "no trade"]
        assert {len(each.equity) for each in report.arms} == {21}
        assert report.asked == report.answered > 0
        assert report.again == 0


def test_arms_of_the_same_trades_have_the_same_figures_and_intervals(
    working: AtWork, stream: str, stage: Stage, first: int
) -> None:
    with working("memory:", "memory:", stream, mode="off") as lab:
        options = PaperOptions(data=(), bus=lab.market, stream=lab.stream, account="main", speed=0.0, patience_s=20.0)
        paper, rule, *_ = replayed(stage, first, options).arms
        assert paper.equity == rule.equity
        assert paper.sharpe.low < paper.sharpe.high
        assert replace(paper, name=rule.name) == rule


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"mode": "rich"}, "account mode 'rich'"),
        ({"hold_bars": 0}, "--hold 0"),
        ({"resume_bars": -1}, "--resume -1"),
        ({"speed": -1.0}, "--speed -1"),
        ({"patience_s": 0.0}, "--patience 0"),
    ],
)
def test_an_option_that_does_not_fit_is_named_alone(wrong: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidInput) as told:
        PaperOptions(data=(), bus=MemoryBus(["out"], broker=MemoryBroker()), stream="in", account="main", **wrong)
    assert names in str(told.value)
    assert sum(word in str(told.value) for word in ("account", "hold", "resume", "speed", "patience")) == 1


def test_time_that_was_waited_for_is_not_made_up_for_in_a_rush(stage: Stage, first: int) -> None:
    passed: list[float] = []

    def watch(_: PaperMarket) -> None:
        if not passed:
            time.sleep(2.0)
        passed.append(time.monotonic())

    options = PaperOptions(
        data=(),
        bus=MemoryBus(["out"], broker=MemoryBroker(), group="paper"),
        stream="in",
        account="main",
        speed=20.0,
        patience_s=0.001,
        stop=lambda: len(passed) == 31,
        watch=watch,
    )
    replayed(stage, first, options)
    assert passed[-1] - passed[0] >= 29 / 20.0 - 0.1


def test_a_bus_that_is_away_from_the_start_is_told_at_once(stage: Stage, first: int) -> None:
    broker = MemoryBroker()
    broker.stall("nobody there")
    options = PaperOptions(data=(), bus=MemoryBus(["out"], broker=broker), stream="in", account="main")
    with pytest.raises(StoreError, match="nobody there"):
        replayed(stage, first, options)


def test_of_a_market_only_the_symbols_that_were_named_are_played(stage: Stage) -> None:
    market = chosen(stage.market, ["S2", "S0"])
    assert market.symbols == ("S0", "S2")
    np.testing.assert_array_equal(market.close, stage.market.close[:, [0, 2]])
    assert chosen(stage.market, []) is stage.market
    gone = stage.market.close.copy()
    gone[:5, 1] = np.nan
    assert len(chosen(replace(stage.market, close=gone), ["S1"])) == len(stage.market) - 5
    with pytest.raises(InvalidInput, match="no symbol 'S7'"):
        chosen(stage.market, ["S7"])


def test_bars_come_no_faster_than_they_are_asked_for(working: AtWork, stream: str, stage: Stage, first: int) -> None:
    with working("memory:", "memory:", stream, mode="off") as lab:
        passed: list[float] = []
        options = PaperOptions(
            data=(),
            bus=lab.market,
            stream=lab.stream,
            account="main",
            speed=20.0,
            stop=lambda: len(passed) == 5,
            watch=lambda _: passed.append(time.monotonic()),
        )
        began = time.monotonic()
        replayed(stage, first, options)
        assert all(at - began >= bar / 20.0 for bar, at in enumerate(passed))


def test_a_kill_switch_that_only_the_bus_tells_of_drops_what_was_ordered(
    working: AtWork, stream: str, stage: Stage, first: int
) -> None:
    with working("memory:", "memory:", stream, mode="off") as lab:
        row = AuditEvent(at=1.0, actor="ops", event="kill switch on", subject="trading", detail="elsewhere")
        open_bus("memory:").publish(f"{stream}.answers", [("", encode(of_kill(row)))])
        bars: list[int] = []
        options = PaperOptions(
            data=(),
            bus=lab.market,
            stream=lab.stream,
            account="main",
            speed=0.0,
            patience_s=20.0,
            stop=lambda: len(bars) == 8,
            watch=lambda market: bars.append(market.bar),
        )
        report = replayed(stage, first, options)
        assert report.withheld["kill switch"] > 0
        assert (report.open, report.trades) == ((), ())
