"""The leak test finds nothing where nothing looks ahead, and each leak that is planted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.trading.backtest.leak import (
    CUT,
    NOISE,
    NONE,
    PERMUTE,
    SHIFT,
    LeakOptions,
    LeakRun,
    tampered,
    traced,
)
from steersman.packs.trading.backtest.synthetic import switching

MARKET = switching(2, 460)
Run = Callable[..., LeakRun]


@pytest.fixture
def run(fresh_agents: Any, silent: Any) -> Run:
    """Return a function that plays one run, with agents that have learned nothing."""

    def played(**wanted: Any) -> LeakRun:
        options = LeakOptions(data=(), train=200, test=100, **wanted)
        return traced(MARKET, fresh_agents(), options, silent)

    return played


def test_what_comes_later_changes_nothing_before(run: Run) -> None:
    first = run()
    assert first.since >= MARKET.day(322)
    assert max(bar for bar, _, _ in first.trace.rows["fills"]) == first.trace.bar - 1
    assert first.compared["signals"] == 2 * first.trace.bar
    for how in (SHIFT, PERMUTE, NOISE, CUT):
        other = run(tamper=how, against=first.trace)
        assert other.leaks == (), how
        assert all(count > 20 for count in other.compared.values())


@pytest.mark.parametrize(
    ("plant", "how", "kind"),
    [("signal", SHIFT, "signals"), ("model", PERMUTE, "signals"), ("state", NOISE, "states"), ("fill", CUT, "fills")],
)
def test_a_planted_leak_is_caught(run: Run, plant: str, how: str, kind: str) -> None:
    first = run(plant=plant)
    leaks = run(plant=plant, tamper=how, against=first.trace).leaks
    assert kind in [leak.kind for leak in leaks]
    assert all(leak.before != leak.after for leak in leaks)


@pytest.mark.parametrize("how", [SHIFT, PERMUTE, NOISE])
def test_only_what_comes_later_is_changed(how: str) -> None:
    other = tampered(MARKET, 300, how, np.random.default_rng(0))
    assert np.array_equal(other.close[:300], MARKET.close[:300])
    assert not np.allclose(other.close[300:], MARKET.close[300:])
    assert len(other) == len(MARKET)
    assert (other.high >= other.close).all()


def test_a_cut_ends_the_prices() -> None:
    assert len(tampered(MARKET, 300, CUT, np.random.default_rng(0))) == 300
    assert tampered(MARKET, 300, NONE, np.random.default_rng(0)).close.tolist() == MARKET.close.tolist()


def test_options_that_make_no_sense_are_refused(run: Run) -> None:
    for wrong, said in (
        ({"tamper": "shft"}, "Did you mean 'shift'"),
        ({"tamper": "shift"}, "needs the trace"),
        ({"plant": "seed"}, "--plant 'seed' is none"),
    ):
        with pytest.raises(InvalidInput, match=said):
            run(**wrong)
    with pytest.raises(InvalidInput, match=r"--since must lie between 0 and 1, got 1\.0"):
        run(from_share=1.0)


@pytest.mark.parametrize(
    ("bars", "ways"),
    [
        (460, "--since 0.66, at least 750 bars, or smaller --train and --test"),
        (300, "at least 750 bars, or smaller --train and --test"),
    ],
)
def test_too_little_before_the_change_is_told_before_anything_is_trained(
    bars: int, ways: str, fresh_agents: Any, silent: Any
) -> None:
    options = LeakOptions(data=(), train=200, test=100, from_share=0.4)
    with pytest.raises(
        InvalidInput, match=f"^--since 0.4 is bar {int(0.4 * bars)} of {bars}, before .* bar 300. Give {ways}"
    ):
        traced(switching(2, bars), fresh_agents(), options, silent)
    assert silent.phases == []


def test_the_share_that_is_named_will_do(run: Run) -> None:
    assert run(from_share=0.66).since > MARKET.day(300)


def test_what_was_mended_is_told(fresh_agents: Any, silent: Any) -> None:
    market = replace(MARKET, notes=("S0: rows were out of order and are sorted",))
    assert traced(market, fresh_agents(), LeakOptions(data=(), train=200, test=100), silent).notes == market.notes
