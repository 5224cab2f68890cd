"""The two agents count their actions as declared, mask what cannot run, and leave deciding to the rule until told."""

from dataclasses import replace
from typing import Any

import pytest

from steersman import Steersman
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.packs.trading import models
from steersman.packs.trading.agents import meta_strategy, position_sizing
from steersman.packs.trading.models import missing
from steersman.stages.decide.guards import Guards
from steersman.testing.pack_checker import check_agent

META, SIZING = meta_strategy.agent, position_sizing.agent
SEEN: dict[str, Any] = {**meta_strategy.PROBE, "regime": "trend", "confidence": 0.8}
CALM: dict[str, Any] = position_sizing.PROBE


@pytest.mark.parametrize("spec", [META, SIZING], ids=lambda spec: spec.name)
def test_it_passes_the_pack_checker(spec: AgentSpec) -> None:
    assert [each for each in check_agent(spec) if each.problem] == []


def test_the_strategy_has_48_actions_in_their_order() -> None:
    strategies, weights = ("trend", "range", "breakout", "mean-reversion"), ("up", "down", "hold")
    assert len(META.actions) == 48
    for s, strategy in enumerate(strategies):
        for m, model in enumerate(("xgb", "lgbm", "nhits", "patchtst")):
            for w, weight in enumerate(weights):
                action = {"strategy": strategy, "model": model, "weight": weight}
                assert META.actions.index(action) == 12 * s + 3 * m + w
                assert META.actions.actions[12 * s + 3 * m + w] == action


def test_the_size_has_56_actions_in_their_order() -> None:
    assert len(SIZING.actions) == 56
    for index, size in enumerate((0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6, 1.8)):
        for leverage in range(1, 8):
            action = {"size": size, "leverage": leverage}
            assert SIZING.actions.index(action) == 7 * index + (leverage - 1)
            assert SIZING.actions.actions[7 * index + leverage - 1] == action


def allowed(state: dict[str, Any]) -> list[dict[str, Any]]:
    mask = Guards(META.guards, META.actions, lambda: 0.0).narrow(state).allowed
    return [dict(each) for each, may in zip(META.actions.actions, mask, strict=True) if may]


def test_models_that_are_not_asked_for_are_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {each["model"] for each in allowed(SEEN)} == {"xgb", "lgbm"}
    monkeypatch.setenv("STEERSMAN_MODELS", "xgb, patchtst")
    missing.cache_clear()
    try:
        assert {each["model"] for each in allowed(SEEN)} == {"xgb", "patchtst"}
        monkeypatch.setenv("STEERSMAN_MODELS", "xgb,patchtxt")
        missing.cache_clear()
        with pytest.raises(InvalidInput, match="Did you mean 'patchtst'"):
            missing("xgb")
    finally:
        monkeypatch.undo()
        missing.cache_clear()
    assert missing("nhits") == "nhits is not among STEERSMAN_MODELS, which names xgb, lgbm"
    assert missing("xgb") == ""


def test_a_model_whose_library_is_not_there_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_LIBRARIES", {**models._LIBRARIES, "xgb": ("a_library_that_nobody_has", "trading")})
    missing.cache_clear()
    try:
        assert missing("xgb") == "xgb needs a_library_that_nobody_has: install steersman[trading]"
        assert {each["model"] for each in allowed(SEEN)} == {"lgbm"}
        assert META.baseline(SEEN) == {"strategy": "trend", "model": "lgbm", "weight": "hold"}
    finally:
        missing.cache_clear()


def test_without_a_regime_nothing_is_chosen() -> None:
    assert allowed({**SEEN, "regime": "unknown"}) == []


@pytest.mark.parametrize(("regime", "strategy"), [("trend", "trend"), ("breakout", "breakout"), ("range", "mean-reversion")])
def test_the_fixed_rule_follows_the_regime(regime: str, strategy: str) -> None:
    assert META.baseline({**SEEN, "regime": regime}) == {"strategy": strategy, "model": "xgb", "weight": "hold"}


@pytest.mark.parametrize(
    ("changes", "size"),
    [({}, 1.8), ({"atr": 0.04}, 0.8), ({"atr": 0.04, "account_mode": "defensive"}, 0.4), ({"exposure": 0.95}, 0.4)],
)
def test_the_fixed_rule_risks_half_of_what_is_allowed(changes: dict[str, Any], size: float) -> None:
    """At a range of 4 % the stop is 8 % away: size · 0.1 · 8 % of the equity may be 0.75 %, or 0.375 %."""
    assert SIZING.baseline({**CALM, **changes}) == {"size": size, "leverage": 1}


@pytest.mark.parametrize(("spec", "state"), [(META, SEEN), (SIZING, CALM)], ids=["meta", "sizing"])
def test_the_rule_decides_until_somebody_lets_the_learned_policy(spec: AgentSpec, state: dict[str, Any]) -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        decision = steersman.agent(spec).decide(state)
    assert (decision.mode, decision.arm, decision.propensity) == ("off", "baseline", 1.0)
    assert decision.action == spec.actions.action(spec.baseline(state))


def test_limits_of_influence_are_those_of_the_specification() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        for spec in (META, SIZING):
            found = steersman.agent(spec).settings.influence
            assert (found.mode, found.confidence, found.stale_s, found.cooldown_s) == ("off", 0.65, 600.0, 30.0)
            assert steersman.agent(spec).settings.learning.gamma == 0.0


def test_all_symbols_share_a_table_and_an_agent_of_ones_own_learns_from_it() -> None:
    """Forty positions of one symbol teach about another one, and about an agent of the same kind under another name."""
    own = replace(META, name="mine/crypto-strategy")
    earned = {"pnl_pct": 5.0, "max_drawdown_pct": 0.0, "sharpe": 0.0, "alignment": 0.5}
    live = {"influence": {"mode": "live", "confidence": 0.0, "cooldown_s": 0.0}}
    with Steersman.open("memory:", agents=[own], settings=live) as steersman:
        agent = steersman.agent(META)
        for _ in range(40):
            agent.report(agent.decide(SEEN, subject="AAA"), earned)
        learned = agent.values(SEEN)
        assert sum(entry.visits for entry in learned["strategy"].values()) == 40
        assert agent.decide(SEEN, subject="BBB").values == tuple(
            learned[name][choice].value for name, choice in META.actions.slot_names
        )
        agent.share()
        priors = steersman.agent(own).decide(SEEN).priors
    assert {each.source for each in priors} == {"own", "transfer/trading/meta-strategy"}


def test_no_trade_is_the_safe_arm() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        assert steersman.agent(SIZING).decide(CALM, arm="safe").arm == "safe"
