"""What an enemy among those who report can do to the values, beside the bound on it: f·(hi − lo)/(1 − γ).

    python benchmarks/poisoning.py [--outcomes 4000] [--seeds 3]

The enemy owns a share of the legal outcomes and lies as badly as it can, about the reward or about everything. f is its
step-size-weighted share in an entry; each entry is held against the bound from its own shares. Then the enemy floods, with
and without a limit on the share of one source (learning.source_share). Ends with 1 if a shift lies beyond its bound.
"""

import argparse
import itertools
import sys

import numpy as np

from steersman.testing.poisoning import ENEMY, HIGH, HONEST, LOW, Attack, Lies, attack, settings, told

LIES: tuple[Lies, ...] = ("reward", "everything")
SHARES = (0.01, 0.05, 0.1, 0.2)
GAMMAS = (0.0, 0.9)
LIMIT = 0.5
FLOOD = 0.8
ROUNDING = 1e-9


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--outcomes", type=int, default=4_000)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    beyond = 0
    print(f"{options.seeds} × {options.outcomes} outcomes, rewards in [{LOW:g}, {HIGH:g}], shifts in ranges of values")
    print("enemy's outcomes     γ  lies         largest f  largest shift  of its bound  entries beyond")
    for share, gamma, lies, focus in itertools.product(SHARES, GAMMAS, LIES, (False, True)):
        runs = [_run(seed, options.outcomes, share, gamma, lies, focus=focus) for seed in range(options.seeds)]
        beyond += _tell(f"{share:.0%} {'in one state' if focus else 'anywhere'}", gamma, lies, runs)
    for limit, gamma, lies in itertools.product((1.0, LIMIT), GAMMAS, LIES):
        runs = [_run(seed, options.outcomes, FLOOD, gamma, lies, limit=limit) for seed in range(options.seeds)]
        beyond += _tell(f"{FLOOD:.0%}, limit {limit:.0%}", gamma, lies, runs)
        if limit < 1.0:
            beyond += sum(run.largest_share > limit + ROUNDING for run in runs)
            print(f"  taught nothing: {_quarantined(runs, options.outcomes)}")
    for limit in (0.3, 0.4, LIMIT):
        honest = [_run(seed, options.outcomes, 0.0, 0.0, "reward", limit=limit) for seed in range(options.seeds)]
        print(f"no enemy and {len(HONEST)} sources, limit {limit:.0%}: {_quarantined(honest, options.outcomes)}")
    sys.exit(1 if beyond else 0)


def _run(
    seed: int, count: int, share: float, gamma: float, lies: Lies, *, focus: bool = False, limit: float = 1.0
) -> Attack:
    log = told(np.random.default_rng(seed), count, share, lies=lies, focus=focus)
    return attack(log, settings(gamma, source_share=limit), lies=lies)


def _tell(who: str, gamma: float, lies: Lies, runs: list[Attack]) -> int:
    """Print a line and return how many entries lie beyond their bound."""
    values = (HIGH - LOW) / (1.0 - gamma)
    beyond = sum(each.shift > each.bound + ROUNDING for run in runs for each in run.entries)
    largest, shift = max(run.largest_share for run in runs), max(run.shift for run in runs) / values
    print(
        f"{who:<18} {gamma:>4.1f}  {lies:<11} {largest:>10.2f} {shift:>14.2f} "
        f"{max(run.tightness for run in runs):>13.0%} {beyond:>8} of {sum(len(run.entries) for run in runs)}"
    )
    return beyond


def _quarantined(runs: list[Attack], count: int) -> str:
    enemy = sum(run.quarantined.get(ENEMY, 0) for run in runs)
    honest = sum(sum(run.quarantined.values()) for run in runs) - enemy
    total = count * len(runs)
    return f"{enemy / total:.1%} of all outcomes from the enemy, {honest / total:.1%} from the others"


if __name__ == "__main__":
    main()
