"""Does test-executor learn to run real suites better than the usual rule? On five libraries, at equal CPU.

    python benchmarks/qe_executor.py [--cycles 80] [--seeds 3] [--libraries cachetools,…] [--json]

For each library and seed, `steersman bench test-executor` works on a copy of the library with its own tests. In duels
both policies run on the same change; the last 16 cycles are all duels, with learning nearly over. The table pools the
duels of the last block over seeds: paired differences (learned − baseline) with 95 % intervals by bootstrap over duels,
and faults found for each CPU minute, which is what an equal CPU budget buys. What the baseline wins is printed just the
same.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from libraries import LIBRARIES, fetched

RULE = "failed first, all tests, no retries, one worker for each core"
MEASURES = (
    ("reward", ""),
    ("answer_s", "s"),
    ("wall_s", "s"),
    ("cpu_s", "s"),
    ("missed", "share"),
    ("false_alarms", "tests"),
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cycles", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for library in options.libraries.split(","):
            project = fetched(library, Path(folder) / library)
            duels = [
                pair
                for seed in range(options.seeds)
                for pair in play(project, options.cycles, seed, Path(folder) / f"{library}-{seed}.db")
            ]
            results[library] = summary(duels)
            if not options.json:
                show(library, results[library], options)
    if options.json:
        print(json.dumps(results, indent=2))


def play(project: Path, cycles: int, seed: int, store: Path) -> list[dict[str, dict[str, float]]]:
    """Run the product on a project and return the duels of the last block."""
    command = [
        sys.executable,
        "-m",
        "steersman",
        "bench",
        "test-executor",
        str(project),
        "--cycles",
        str(cycles),
        "--seed",
        str(seed),
    ]
    command += ["--python", sys.executable, "--store", str(store), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "CI": "1"})
    duels: dict[int, dict[str, dict[str, float]]] = {}
    for row in json.loads(done.stdout)["log"]:
        if row["pair"] >= 0 and row["final"]:
            measured = {**row["measurements"], "reward": row["reward"]}
            measured["missed"] = float(measured["faults_active"] > 0 and measured["faults_found"] == 0)
            duels.setdefault(row["pair"], {})[row["arm"]] = measured
    return [each for each in duels.values() if len(each) == 2]


def summary(duels: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Return means, paired differences with intervals, and faults found for each CPU minute."""
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(duels), (4_000, len(duels)))
    found: dict[str, Any] = {"duels": len(duels)}
    for name, _ in MEASURES:
        learned, baseline = (np.array([each[arm][name] for each in duels]) for arm in ("learned", "baseline"))
        low, high = np.percentile((learned - baseline)[picks].mean(axis=1), [2.5, 97.5])
        found[name] = {"learned": learned.mean(), "baseline": baseline.mean(), "low": low, "high": high}
    rates = {}
    for arm in ("learned", "baseline"):
        faults, cpu = (np.array([each[arm][name] for each in duels]) for name in ("faults_found", "cpu_s"))
        rates[arm] = 60.0 * faults[picks].sum(axis=1) / cpu[picks].sum(axis=1)
        found[f"faults_per_cpu_minute_{arm}"] = 60.0 * faults.sum() / cpu.sum()
    low, high = np.percentile(rates["learned"] / np.maximum(rates["baseline"], 1e-9), [2.5, 97.5])
    found["ratio"] = {"low": low, "high": high}
    return found


def show(library: str, found: dict[str, Any], options: argparse.Namespace) -> None:
    """Print one library's table."""
    print(f"\n{library}: {found['duels']} duels, {options.seeds} seeds of {options.cycles} cycles; baseline: {RULE}")
    print(f"  {'measure':<24} {'learned':>9} {'baseline':>9}   95 % interval of the difference")
    for name, unit in MEASURES:
        each = found[name]
        label = f"{name} ({unit})" if unit else name
        print(f"  {label:<24} {each['learned']:>9.2f} {each['baseline']:>9.2f}   {each['low']:+.2f} to {each['high']:+.2f}")
    learned, baseline = found["faults_per_cpu_minute_learned"], found["faults_per_cpu_minute_baseline"]
    span = f"{found['ratio']['low']:.2f} to {found['ratio']['high']:.2f}"
    ratio = learned / max(baseline, 1e-9)
    print(
        f"  {'faults per CPU minute':<24} {learned:>9.1f} {baseline:>9.1f}   ratio {ratio:.2f}, 95 % interval {span}",
        flush=True,
    )


if __name__ == "__main__":
    main()
