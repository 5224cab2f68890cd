"""What importing and installing costs: `import steersman` beside `import numpy`, and the size of the core install.

    python benchmarks/imports.py [--runs 9] [--size]

`--size` installs the core into an empty folder (pip --no-compile), which takes a minute.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DECIDE = (
    "import tempfile; from steersman import Steersman; from steersman.testing.specs import small_agent\n"
    "with tempfile.TemporaryDirectory() as folder, Steersman.open({store}, settings={{}}) as steersman:\n"
    "    steersman.agent(small_agent()).decide({{'load': 1, 'backlog': 1, 'weekend': False}})\n"
)
STATEMENTS = {
    "pass": "pass",
    "import numpy": "import numpy",
    "import steersman": "import steersman",
    "from steersman import Steersman": "from steersman import Steersman",
    "decide once, in memory": DECIDE.format(store="'memory:'"),
    "decide once, in a new file": DECIDE.format(store="f'{folder}/log.db'"),
}
HEAVY = (
    "jax",
    "optax",
    "gymnasium",
    "torch",
    "sqlalchemy",
    "alembic",
    "fastapi",
    "redis",
    "confluent_kafka",
    "ray",
    "mlflow",
    "pyarrow",
    "numba",
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--size", action="store_true")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(options.runs):  # in turn, so that a slow moment meets all alike
        for name, statement in STATEMENTS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True)
            seconds[name].append(time.perf_counter() - began)
    empty = statistics.median(seconds["pass"])
    numpy = statistics.median(seconds["import numpy"]) - empty
    for name, each in seconds.items():
        above = statistics.median(each) - empty
        print(f"{name:<36} {above * 1000:>7.0f} ms above an empty interpreter, {above / numpy:>5.2f} × numpy")
    print(f"heavy libraries loaded by deciding once: {loaded() or 'none'}")
    if options.size:
        print(f"core install: {core_size_mb():.0f} MB")


def loaded() -> list[str]:
    """Return the heavy libraries that deciding in a new file loads."""
    code = STATEMENTS["decide once, in a new file"]
    code += f"import sys; print(*[each for each in {HEAVY} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.split()


def core_size_mb() -> float:
    """Return the size of the core with all that it needs, installed into an empty folder."""
    root = Path(__file__).parents[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", folder, str(root)]
        subprocess.run(command, check=True)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
