"""No position beyond the strictest limit is ever allowed, and nothing is allowed where something was not measured."""

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from steersman import Steersman
from steersman.core.errors import InvalidInput
from steersman.packs.trading.agents.position_sizing import PROBE, agent
from steersman.packs.trading.limits import LEVERAGES, SIZES, band_leverage, loss_at_stop


def _benchmark() -> ModuleType:
    path = Path(__file__).parents[4] / "benchmarks" / "position_limits.py"
    spec = importlib.util.spec_from_file_location("benchmark_position_limits", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


CHECK = _benchmark()


def allowed(**changes: Any) -> set[tuple[Any, Any]]:
    """Return the pairs of size and leverage that guards allow in a state in which nothing else is wrong."""
    (mask,) = CHECK.narrowed(agent.guards, [{**PROBE, **changes}])
    return {(each["size"], each["leverage"]) for each, may in zip(agent.actions.actions, mask, strict=True) if may}


def test_random_states_are_narrowed_as_a_second_reading_says() -> None:
    rng = np.random.default_rng(1)
    many = CHECK.states(20_000, rng)
    assert CHECK.wrong(agent.guards, many) == (0, 0)
    assert CHECK.let_through(agent.guards, many[:5_000], rng) == 0


def test_the_second_reading_has_something_to_say() -> None:
    """Of its states some allow nothing, some all but leverages, and most a part."""
    too_much, inside = CHECK.beyond(CHECK.states(5_000, np.random.default_rng(2)))
    assert 0.3 < too_much.all(axis=1).mean() < 0.8
    assert inside.any(axis=0).all(), "each action is allowed somewhere"


@pytest.mark.parametrize("bug", CHECK.PLANTED)
def test_a_planted_bug_is_found(bug: str) -> None:
    assert CHECK.caught(CHECK.PLANTED[bug], np.random.default_rng(3))


def test_a_calm_market_leaves_what_the_mode_allows() -> None:
    """At a range of 0.4 % a stop is 0.8 % away: 1.8 · 0.1 · 5 of the equity lose 0.72 % there, of 1.5 %."""
    assert allowed() == {(size, leverage) for size in SIZES for leverage in LEVERAGES if leverage <= 5}
    assert max(leverage for _, leverage in allowed(account_mode="aggressive-small")) == 7
    assert max(leverage for _, leverage in allowed(account_mode="defensive")) == 3


def test_the_strictest_limit_wins() -> None:
    """At a range of 2 % the band allows 3, but the stop is 4 % away, and 0.1 · size · leverage may lose 1.5 % there."""
    assert loss_at_stop(1.0, 3.0, 0.02) == pytest.approx(0.012, abs=1e-12)
    found = allowed(atr=0.02)
    assert (1.0, 3) in found
    assert (1.3, 3) not in found, "it would lose 1.56 %"
    assert (1.8, 2) in found
    assert max(leverage for _, leverage in found) == 3
    defensive = allowed(atr=0.02, account_mode="defensive")
    assert (0.6, 3) in defensive
    assert (0.8, 3) not in defensive, "it would lose 0.96 %, of 0.75 %"


@pytest.mark.parametrize(
    ("atr", "leverage"), [(0.0049, 7), (0.005, 5), (0.0149, 5), (0.015, 3), (0.0299, 3), (0.03, 1), (math.nan, 1)]
)
def test_bands_end_where_the_next_one_begins(atr: float, leverage: int) -> None:
    assert band_leverage(atr) == leverage


@pytest.mark.parametrize(("mode", "limit"), [("aggressive-small", 0.06), ("normal", 0.05), ("defensive", 0.03)])
def test_from_the_drawdown_of_its_mode_on_an_account_opens_nothing(mode: str, limit: float) -> None:
    assert allowed(account_mode=mode, drawdown=limit - 0.001)
    assert allowed(account_mode=mode, drawdown=limit) == set()


def test_margin_that_is_in_use_is_not_given_twice() -> None:
    assert {size for size, _ in allowed(exposure=0.89)} == {0.2, 0.4, 0.6, 0.8, 1.0}
    assert allowed(exposure=1.0) == set()


@pytest.mark.parametrize("name", ["atr", "drawdown", "exposure", "account_mode", "confidence"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.01, None, "0.01"])
def test_what_cannot_be_measured_is_refused_at_the_door(name: str, bad: object) -> None:
    with Steersman.open("memory:", settings={}) as steersman, pytest.raises(InvalidInput):
        steersman.agent(agent).decide({**PROBE, name: bad})  # type: ignore[dict-item]  # wrong on purpose


@pytest.mark.parametrize("name", sorted(PROBE))
def test_what_is_missing_is_refused_at_the_door(name: str) -> None:
    with Steersman.open("memory:", settings={}) as steersman, pytest.raises(InvalidInput, match="is missing"):
        steersman.agent(agent).decide({key: value for key, value in PROBE.items() if key != name})


def test_where_nothing_is_allowed_the_arm_is_safe() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        decision = steersman.agent(agent).decide({**PROBE, "atr": 0.0})
    assert decision.arm == "safe"
    assert decision.action == {"size": 0.2, "leverage": 1}
    assert "not measured" in decision.refusals[0].reason
