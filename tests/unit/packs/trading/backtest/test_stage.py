"""What is learned on the way is worth something where there is something to learn, and nothing where there is not."""

from typing import Any

import numpy as np
import pytest

from steersman.packs.trading.backtest.arms import Rule
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.played import Played
from steersman.packs.trading.backtest.report import LEARNED, RULE, compare, overall
from steersman.packs.trading.backtest.simulation import Terms
from steersman.packs.trading.backtest.stage import Practice, Stage, staged, walked
from steersman.packs.trading.backtest.synthetic import best_rule, random_walk, switching
from steersman.packs.trading.backtest.walk import Walk

WALK = Walk(train=300, embargo=10, test=150)


def arms(market: Market, agents: object, silent: object, epochs: int) -> tuple[Stage, dict[str, Played]]:
    """Play a market with all arms."""
    stage = staged(market, WALK, Terms(), silent)  # type: ignore[arg-type] # a Progress by its methods
    folds = WALK.folds(len(market))
    learned = walked(stage, folds, agents, Practice(epochs=epochs), silent)  # type: ignore[arg-type] # as above
    return stage, {LEARNED: learned, **stage.others(folds[0].first)}


def verdict(market: Market, runs: dict[str, Played]) -> str:
    others = {name: run.returns for name, run in runs.items() if name != LEARNED}
    rng, trades = np.random.default_rng(0), len(runs[LEARNED].trades)
    return overall(compare(runs[LEARNED].returns, others, trades, market.bars_per_year, rng))


def test_where_the_best_is_known_it_is_found_and_beats_the_fixed_rule(fresh_agents: object, silent: object) -> None:
    market = switching(3, 1_000)
    stage, runs = arms(market, fresh_agents(), silent, epochs=3)  # type: ignore[operator] # a function
    assert verdict(market, runs) == "better"
    best = stage.simulation(Rule(follow=best_rule)).run(300, len(market)).played
    learned, rule = (float(np.log(runs[name].equity[-1]) / np.log(best.equity[-1])) for name in (LEARNED, RULE))
    assert learned > 0.6
    assert rule < 0.4
    shares = {name: followed(run, "mean-reversion") for name, run in runs.items() if name in (LEARNED, RULE)}
    assert shares[LEARNED] > 1.3 * shares[RULE]


def followed(run: Played, strategy: str) -> float:
    """Return the share of positions that a strategy opened where it is wild."""
    wild = [trade for trade in run.trades if float(trade.decided.meta_state["volatility"]) > 0.02]
    return sum(trade.decided.meta["strategy"] in (strategy, "range") for trade in wild) / len(wild)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_where_there_is_nothing_to_find_nothing_is_called_better(seed: int, fresh_agents: object, silent: object) -> None:
    market = random_walk(2, 650, seed=seed)
    _, runs = arms(market, fresh_agents(), silent, epochs=2)  # type: ignore[operator] # a function
    assert verdict(market, runs) in ("cannot tell", "worse")


def test_the_same_seed_gives_the_same_run_and_another_one_another(fresh_agents: object, silent: object) -> None:
    market = switching(1, 520)
    stage, folds = staged(market, WALK, Terms(), silent), WALK.folds(520)  # type: ignore[arg-type] # as above
    runs = [
        walked(stage, folds, fresh_agents(), Practice(epochs=1, seed=seed), silent)  # type: ignore[arg-type, operator] # as above
        for seed in (0, 0, 1)
    ]
    assert runs[0].decided == runs[1].decided
    assert runs[0].fills == runs[1].fills
    assert runs[0].decided != runs[2].decided


def test_all_choices_are_played_and_take_one_line_of_progress(silent: Any) -> None:
    stage = staged(switching(1, 460), WALK, Terms(), silent)
    tried = stage.tried(300, silent)
    title, total = silent.phases[-1]
    assert (len(tried), total, silent.steps[title]) == (24, 24, [24])
