"""Is what the trading agents learn better than a fixed rule, than holding, or than nothing? Backtests, after costs.

    python benchmarks/trading_backtest.py [PRICES ...] [--seeds 3] [--quick]

PRICES are files as `steersman trade backtest` takes them; each is played for itself. What decides in a test was learned from
bars before it alone, orders are filled at the next open, and costs are those of the command. Two made-up markets follow: one
that switches between calm trends and wild swings, whose best policy is known, and a random walk, in which nothing is worth
trading. For each: how the arms did, and the learned arm minus the others, with intervals that hold together with 95 %.

Then the leak test: prices are changed from one bar on, four ways, and nothing before may change; planted leaks must be seen.

The script fails where the learned arm is not better than the fixed rule in the market that has something to learn, where it
is called better on a random walk, where the leak test sees a leak, or does not see the planted one.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from steersman.app import Steersman
from steersman.cli.output import TerminalProgress
from steersman.cli.trade import SETTINGS, TAMPERS
from steersman.packs.trading.backtest.arms import Rule, agents_of
from steersman.packs.trading.backtest.command import BacktestOptions, played
from steersman.packs.trading.backtest.data import Market, read_market
from steersman.packs.trading.backtest.figures import Interval
from steersman.packs.trading.backtest.leak import LeakOptions, LeakRun, traced
from steersman.packs.trading.backtest.report import BacktestReport
from steersman.packs.trading.backtest.stage import staged
from steersman.packs.trading.backtest.synthetic import best_rule, random_walk, switching

SIZES: dict[str, Any] = {"train": 300, "test": 150}
SILENT = TerminalProgress(quiet=True)


def backtest(market: Market, seed: int, **sizes: Any) -> BacktestReport:
    """Play a market with agents that have learned nothing."""
    with Steersman.open("memory:", settings=SETTINGS) as steersman:
        return played(market, agents_of(steersman.agent), BacktestOptions(data=(), seed=seed, **sizes), SILENT)


def interval(found: Interval, digits: int) -> str:
    return f"{found.value:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def show(name: str, report: BacktestReport, seed: int) -> None:
    """Print the tables of a backtest."""
    print(f"\n{name}, seed {seed}: {report.bars} bars of tests, {report.first} to {report.last}, {len(report.folds)} folds")
    print(f"{'':<14}{'became':>8}{'a year':>9}{'Sharpe [95 %]':>24}{'drawdown':>10}{'trades':>8}{'costs a year':>14}")
    for arm in report.arms:
        print(
            f"{arm.name:<14}{arm.final:>8.3f}{100 * arm.growth:>+8.1f}%{interval(arm.sharpe, 2):>24}"
            f"{100 * arm.drawdown:>9.1f}%{arm.trades:>8}{100 * arm.costs:>13.2f}%"
        )
    for each in report.comparisons:
        print(
            f"learned − {each.other:<14} Sharpe {interval(each.sharpe, 2)}: {each.sharpe_verdict}; "
            f"return a year {interval(scaled(each.gain), 1)} %: {each.gain_verdict}"
        )
    print(
        f"verdict: {report.verdict}; deflated Sharpe {100 * report.deflated_sharpe:.0f} % of {report.tried} tried, "
        f"overfitting {100 * report.overfitting:.0f} %, best of all afterwards {report.best_tried[0]} "
        f"({report.best_tried[1]:+.2f})",
        flush=True,
    )


def scaled(found: Interval) -> Interval:
    return Interval(value=100 * found.value, low=100 * found.low, high=100 * found.high)


def best_known(market: Market) -> str:
    """Return what the best policy of the switching market comes to, inside the same limits."""
    options = BacktestOptions(data=(), **SIZES)
    stage = staged(market, options.walk, options.terms, SILENT)
    run = stage.simulation(Rule(follow=best_rule)).run(options.train, len(market)).played
    ratio = run.returns.mean() / run.returns.std(ddof=1) * np.sqrt(market.bars_per_year)
    return f"the policy that is known to be best there: {run.equity[-1]:.3f}, Sharpe {ratio:.2f}"


def leaks(market: Market, plant: str) -> list[str]:
    """Return which changes of what comes later changed something before, each by what it changed first."""
    first = _run(market, LeakOptions(data=(), plant=plant, **SIZES))
    runs = [_run(market, LeakOptions(data=(), plant=plant, tamper=how, against=first.trace, **SIZES)) for how in TAMPERS]
    return [f"{run.tamper} ({run.leaks[0].kind})" for run in runs if run.leaks]


def _run(market: Market, options: LeakOptions) -> LeakRun:
    with Steersman.open("memory:", settings=SETTINGS) as steersman:
        return traced(market, agents_of(steersman.agent), options, SILENT)


def main() -> None:
    """Play all markets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prices", nargs="*", metavar="PRICES")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a short form: one seed")
    given = parser.parse_args()
    seeds = range(1 if given.quick else given.seeds)
    for path in given.prices:
        for seed in seeds:
            show(Path(path).name, backtest(read_market([path]), seed), seed)
    found, chance = [], []
    for seed in seeds:
        market = switching(3, 1_200, seed=seed)
        found.append(backtest(market, seed, **SIZES))
        show("simulated: switching", found[-1], seed)
        print(best_known(market))
        chance.append(backtest(random_walk(3, 1_200, seed=seed), seed, **SIZES))
        show("simulated: random walk", chance[-1], seed)
    small = switching(2, 700)
    honest, planted = leaks(small, ""), {plant: leaks(small, plant) for plant in ("signal", "model", "state", "fill")}
    print(f"\nleak test: {', '.join(honest) or 'nothing changed before'}")
    for plant, seen in planted.items():
        print(f"leak planted in {plant}: seen by {', '.join(seen) or 'nothing'}")
    learned = all(each.comparisons[0].gain_verdict == "better" for each in found)
    sound = learned and all(each.verdict != "better" for each in chance) and not honest and all(planted.values())
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
