"""P4 in its long form: reports in any order, against the small model of the property test.

    python benchmarks/sequences.py [--sequences 10000] [--steps 12]

Each sequence decides, reports, repeats, contradicts, corrects, withdraws, forgets and looks up, in an order that Hypothesis
draws; after each step the table must follow from the last word about each decision, and each refusal be audited.
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sequences", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    long_form = settings(
        max_examples=options.sequences,
        stateful_step_count=options.steps,
        phases=(Phase.generate, Phase.shrink),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    began = time.monotonic()
    run_state_machine_as_test(_machine(), settings=long_form)
    elapsed_s = time.monotonic() - began
    print(f"P4: 0 differences in {options.sequences:,} sequences of up to {options.steps} steps, {elapsed_s:.0f} s")


def _machine() -> Any:
    path = Path(__file__).parents[1] / "tests" / "unit" / "loops" / "test_stateful.py"
    spec = importlib.util.spec_from_file_location("reports_in_any_order", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.Reports


if __name__ == "__main__":
    main()
