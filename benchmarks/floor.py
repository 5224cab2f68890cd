"""How soon the floor sees that what is in production earns less than the rule, and how often it errs.

    python benchmarks/floor.py [--runs 200] [--share 0.05] [--run-length 100000]

Rewards are 0 or 1; the rule keeps its share of the decisions, each by a coin. Printed are, over many runs:

- decisions from a change until the alarm (median and 90 %), after 10,000 decisions in which the version was better;
- the share of runs with an alarm within 10,000 decisions, of a version as good as the rule, and of one right at the margin
  below it, beside what the run length allows at most: 10,000 of its decisions;
- the same of a z-test of the two means at 5 %, looked at after each hundred decisions, to see what a look costs without it.

Exits with 1 where false alarms are more than the run length allows, by more than chance (three standard errors).
"""

import argparse
import math
import sys

import numpy as np

from steersman.maths import betting
from steersman.maths.betting import Flags, Floats

MARGIN, BEFORE, HORIZON = 0.05, 10_000, 10_000
_Z = 1.645
"""Quantile of a one-sided test at 5 %."""


def drawn(rng: np.random.Generator, learned: Floats, rule: float, runs: int, share: float) -> betting.Units:
    """Return units (n, runs): learned is how often the version succeeds at each of n moments, (n,)."""
    arms: Flags = rng.random((len(learned), runs)) < 1.0 - share
    rates = np.where(arms, learned[:, None], rule)
    scores = (rng.random(rates.shape) < rates).astype(float)
    return betting.Units(scores=scores, challenger=arms, share=np.full((len(learned), 1), 1.0 - share))


def alarms(seen: betting.Units, run_length: int) -> Flags:
    """Return whether there is an alarm after each unit, (n, runs)."""
    runs = (seen.scores.shape[1],)
    detector = betting.Detector.blank(side=betting.WORSE, margin=MARGIN, shape=runs)
    found: Flags = betting.detect(detector, betting.payoffs(betting.Scale.blank(runs), seen)) > math.log(run_length)
    return found


def looks(seen: betting.Units) -> Flags:
    """Return whether a z-test says "worse than the margin" at each hundredth unit, (n/100, runs)."""
    each = slice(99, None, 100)
    counts, totals = (
        [np.cumsum(np.where(arm, what, 0.0), axis=0)[each] for arm in (seen.challenger, ~seen.challenger)]
        for what in (np.ones_like(seen.scores), seen.scores)
    )
    means = [total / np.maximum(count, 1.0) for total, count in zip(totals, counts, strict=True)]
    variance = sum(mean * (1.0 - mean) / np.maximum(count, 1.0) for mean, count in zip(means, counts, strict=True))
    worse = means[0] - means[1] + MARGIN < -_Z * np.sqrt(np.maximum(variance, 1e-12))
    found: Flags = worse & (np.minimum(*counts) >= 30.0)
    return found


def main() -> int:
    """Print both tables; return 1 where false alarms are too many."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--run-length", type=int, default=100_000)
    options = parser.parse_args()
    rng, runs, share = np.random.default_rng(0), options.runs, options.share
    print(f"the rule keeps {share:.0%}; run length {options.run_length:,}; {runs} runs; margin {MARGIN}")
    print("version before, after | the rule | decisions to the alarm: median, 90 %")
    for before, after, rule in ((0.9, 0.2, 0.8), (0.9, 0.5, 0.8), (0.7, 0.4, 0.6), (0.7, 0.5, 0.65), (0.65, 0.5, 0.6)):
        rates = np.concatenate([np.full(BEFORE, before), np.full(3 * HORIZON, after)])
        after_change = alarms(drawn(rng, rates, rule, runs, share), options.run_length)[BEFORE:]
        delays = np.where(after_change.any(axis=0), after_change.argmax(axis=0), 3 * HORIZON)
        print(f"{before:5.2f} {after:5.2f} | {rule:5.2f} | {np.median(delays):8,.0f} {np.quantile(delays, 0.9):8,.0f}")
    allowed, too_many = HORIZON / options.run_length, False
    print(f"alarms within {HORIZON:,} decisions: of at most {allowed:.1%}; of a z-test that is looked at")
    for name, learned in (("as good as the rule", 0.6), ("right at the margin", 0.6 - MARGIN)):
        seen = drawn(rng, np.full(HORIZON, learned), 0.6, runs, share)
        rate = float(alarms(seen, options.run_length).any(axis=0).mean())
        print(f"{name:20} {rate:6.1%} {float(looks(seen).any(axis=0).mean()):6.1%}")
        too_many |= rate > allowed + 3.0 * math.sqrt(allowed * (1.0 - allowed) / runs)
    return int(too_many)


if __name__ == "__main__":
    sys.exit(main())
