"""Arms choose inside the guards; what was learned is played and never taught by a test."""

from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.errors import InvalidInput
from steersman.packs.trading.agents import meta_strategy, position_sizing
from steersman.packs.trading.backtest import arms
from steersman.packs.trading.backtest.arms import META, SIZING, Chosen, Exploring, Learned, Rule, agents_of, fixed

SEEN = {**meta_strategy.PROBE, "regime": "trend", "confidence": 0.6, "volatility": 0.012}
ORDER: dict[str, Any] = {**position_sizing.PROBE, "atr": 0.012}
PAID = {"pnl_pct": 5.0, "max_drawdown_pct": 0.0, "sharpe": 0.0, "alignment": 0.5}


def test_the_rule_is_the_baseline_and_opens_nothing_that_a_guard_refuses() -> None:
    rule = Rule()
    chosen = rule.choose(META, SEEN)
    assert chosen is not None
    assert chosen.action == meta_strategy.baseline(SEEN)
    assert rule.choose(META, {**SEEN, "regime": "unknown"}) is None
    assert rule.choose(SIZING, ORDER) is not None
    assert rule.choose(SIZING, {**ORDER, "drawdown": 0.06}) is None


def test_a_fixed_choice_is_that_choice_and_one_that_cannot_run_is_refused() -> None:
    chosen = fixed("range", "lgbm", "up").choose(META, SEEN)
    assert chosen is not None
    assert chosen.action == {"strategy": "range", "model": "lgbm", "weight": "up"}
    assert fixed("range", "nhits", "up").choose(META, SEEN) is None
    assert len(arms.trials(["xgb", "lgbm"])) == 24


def test_what_was_learned_begins_as_the_baseline_and_follows_what_paid(fresh_agents: Any) -> None:
    agents = fresh_agents()
    learned = Learned(agents)
    cold = learned.choose(META, SEEN)
    assert cold is not None
    assert cold.action == meta_strategy.baseline(SEEN)
    teacher = Exploring(agents, np.random.default_rng(0), share=0.0)
    good = {"strategy": "range", "model": "lgbm", "weight": "up"}
    for _ in range(8):
        asked = teacher.choose(META, SEEN)
        assert asked is not None
        teacher.settle(Chosen(agent=META, action=good, decision=asked.decision), PAID)
    warm = learned.choose(META, SEEN)
    assert warm is not None
    assert warm.action == good


def test_a_test_teaches_nothing(fresh_agents: Any) -> None:
    agents = fresh_agents()
    learned = Learned(agents)
    for _ in range(8):
        chosen = learned.choose(META, SEEN)
        assert chosen is not None
        learned.settle(chosen, PAID)
    assert agents[META].values(SEEN) == {}


def test_what_is_explored_is_allowed_and_varied(fresh_agents: Any) -> None:
    agents = fresh_agents()
    exploring = Exploring(agents, np.random.default_rng(1), share=1.0)
    models, sizes = set(), set()
    for _ in range(60):
        meta, sizing = exploring.choose(META, SEEN), exploring.choose(SIZING, ORDER)
        assert meta is not None
        assert sizing is not None
        assert not arms.refused(position_sizing.agent, ORDER, sizing.action)
        models.add(meta.action["model"])
        sizes.add(sizing.action["size"])
    assert models == {"xgb", "lgbm"}
    assert len(sizes) > 4


def test_where_nothing_is_allowed_nothing_is_opened(fresh_agents: Any) -> None:
    exploring = Exploring(fresh_agents(), np.random.default_rng(1), share=1.0)
    assert exploring.choose(SIZING, {**ORDER, "drawdown": 0.09}) is None
    assert exploring.choose(META, {**SEEN, "regime": "unknown"}) is None


def test_no_clock_has_a_say_in_what_guards_allow(fresh_agents: Any) -> None:
    for agent in fresh_agents().values():
        assert {guard.deadline_ms for guard in agent.spec.guards} == {3_600_000.0}
    assert max(guard.deadline_ms for guard in position_sizing.agent.guards) < 1_000.0


def test_agents_that_may_not_decide_cannot_be_tested() -> None:
    with (
        Steersman.open("memory:", settings={}) as steersman,
        pytest.raises(InvalidInput, match="a backtest plays what"),
    ):
        agents_of(steersman.agent)
