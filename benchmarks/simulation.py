"""P26: clock, ids, network, disk and process simulated in one loop under one seed, around the real loops.

    python benchmarks/simulation.py [--seeds 10000] [--first 0] [--twice 4] [--processes 2]

Each seed decides what five clients do and what goes wrong meanwhile: messages lost, late, doubled and out of order, clients
cut off, a slow or full disk, a full queue, crashes that forget what was not durable, restarts under other settings, clocks
that drift and are set forward and back, guards that raise or are late, kill switches flipped here and elsewhere or not to be
read, silence, forged and foreign ids, NaN, contradictions, corrections, withdrawals. After each start of a process and at
the end, the log is compared with the clients' ledger, and the tables with a replay of the log, to the bit. One seed in
`--twice` runs twice and must leave the same trace. Planted bugs must each be caught, or the harness proves nothing.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from steersman.testing.simulation import BUGS, Run, first_caught, simulate

MOST = 50


def trial(seed: int, twice: int) -> tuple[Run, bool]:
    """Run a seed; return what came of it, and whether a second run, where there is one, left another trace."""
    run = simulate(seed)
    again = bool(twice) and seed % twice == 0
    return run, again and simulate(seed).trace != run.trace


def plant_all() -> bool:
    """Plant each bug, print when it was caught, and return whether all were."""
    found = {name: first_caught(parts, MOST) for name, parts in BUGS.items()}
    for name, seeds in found.items():
        print(f"planted: {name:40} {f'caught after {seeds} seeds' if seeds else f'NOT caught in {MOST} seeds'}")
    return all(found.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--twice", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    caught = plant_all()
    began = time.monotonic()
    runs: list[Run] = []
    differing = broken = 0
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.processes) as pool:
        for run, differs in pool.map(partial(trial, twice=options.twice), seeds, chunksize=20):
            runs.append(run)
            differing += differs
            broken += bool(run.violations)
            if len(runs) % 1_000 == 0:
                print(f"{len(runs):,} seeds after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            if run.violations:
                print(f"seed {run.seed}: {len(run.violations)} violations, the first {run.violations[0]}", flush=True)
    elapsed_s = time.monotonic() - began
    totals = {name: sum(getattr(run, name) for run in runs) for name in ("events", "decisions", "outcomes", "crashes")}
    print(f"P26: {', '.join(f'{total:,} {name}' for name, total in totals.items())}, {len(runs) / elapsed_s:.0f} seeds/s")
    again = sum(bool(options.twice) and run.seed % options.twice == 0 for run in runs)
    print(f"P26: {again:,} seeds run twice: {differing} traces differ")
    print(f"P26: {len(runs):,} seeds: {broken} with a broken invariant (rate ≤ {3 / len(runs):.1e} at 95 % if 0)")
    if broken or differing or not caught:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
