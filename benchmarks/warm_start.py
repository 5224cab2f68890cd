"""What does a run of a short suite cost where pytest is loaded already, beside a process of its own and beside the floor?

    python benchmarks/warm_start.py [--runs 30]

A suite of eight tests is run again and again, each time by a process of its own, by a fork of a process that has loaded
pytest (`steersman.packs.qe.project.warm_start`, by which faults are tried), and, for the floor, by nobody: an interpreter
starts and imports pytest. The three take turns, so that a machine that gets busier meanwhile slows all of them. Medians of
CPU and wall-clock seconds. Exit code 1 if nothing was forked, or a fork does not say of each test what a process says.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.process import run_group
from steersman.packs.qe.project.sandbox import open_sandbox
from steersman.packs.qe.project.suite import Plan, RunResult, Suite

TESTS = """import pytest
from shop import price


@pytest.mark.parametrize("amount", range(7))
def test_price(amount):
    assert price(amount) == 2 * amount


def test_that_fails():
    assert price(1) == 3
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = max(parser.parse_args().runs, 2)
    with TemporaryDirectory() as folder:
        root = Path(folder) / "shop"
        root.mkdir()
        (root / "shop.py").write_text("def price(amount):\n    return 2 * amount\n", encoding="utf-8")
        (root / "test_shop.py").write_text(TESTS, encoding="utf-8")
        with open_sandbox(discover(root)) as sandbox:
            suite, log = Suite(sandbox), Path(folder) / "log"
            load = [sandbox.project.tools.interpreter, "-c", "import pytest"]
            floor, started, forked = [], [], []
            for _ in range(runs):
                floor.append(run_group(load, cwd=root, env=sandbox.environment(), timeout_s=60.0, log=log))
                started.append(suite.run(Plan(), timeout_s=60.0, timed=True))
                forked.append(suite.run(Plan(), timeout_s=60.0))
            unusable = sandbox.warm.unusable
    table = {
        "imports pytest and ends (floor)": [(each.cpu_s, each.wall_s) for each in floor],
        "a process of its own": [(each.cpu_s, each.wall_s) for each in started],
        "a fork where pytest is loaded": [(each.cpu_s, each.wall_s) for each in forked[1:]],  # the first one loads it
    }
    version = subprocess.run([sys.executable, "-m", "pytest", "--version"], capture_output=True, text=True, check=False)
    print(f"{version.stdout.strip()}; {runs} runs each, {time.strftime('%Y-%m-%d')}\n{'':34}{'CPU s':>8}{'wall s':>8}")
    for name, times in table.items():
        cpu_s, wall_s = (median(each[place] for each in times) for place in (0, 1))
        print(f"{name:34}{cpu_s:8.3f}{wall_s:8.3f}")
    alike = {said(each) for each in [*started, *forked]} == {said(started[0])}
    sys.exit(unusable or int(not alike))


def said(run: RunResult) -> tuple[tuple[str, str], ...]:
    """Return how each test ended."""
    return tuple((name, each.outcome) for name, each in run.tests.items())


if __name__ == "__main__":
    main()
