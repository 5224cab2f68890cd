"""Do the learning rules find what planning knows? Three Markov decision processes and three bandits, over 20 seeds.

    python benchmarks/known_answers.py [--seeds 20] [--processes 2]

Off-policy rules are judged by the greedy policy against the optimal value (value iteration), on-policy ones by their
ε-soft policy against the best ε-soft policy. One setting serves all: ε = 0.2, α = max(0.001, 0.2/(1 + n/20)), 4 steps for
n-step SARSA. Each must come within 1 % in its budget of steps, for every seed.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor

from steersman.testing import worlds
from steersman.testing.training import train

METHODS = ("q_learning", "double_q", "sarsa", "expected_sarsa", "n_step_sarsa", "monte_carlo")
BUDGETS = {"cliff": 150_000, "lake": 200_000, "warehouse": 100_000}
BANDITS = {"bandit": 10_000, "crowded-bandit": 10_000, "additive-bandit": 20_000}
TOLERANCE = 0.01
WORLDS = {world.name: world for world in worlds.all_worlds()}


def regret(world: str, method: str, seed: int, *, share: float = 1.0) -> float:
    """Train once, on a share of the budget of steps; return how far the value lies below the best, as a share of it."""
    target = WORLDS[world]
    settings = {
        "learning": {
            "method": method,
            "alpha": 0.2,
            "alpha_schedule": "visits",
            "alpha_scale": 20.0,
            "alpha_floor": 0.001,
            "n_steps": 4,
        },
        "exploration": {"policy": "epsilon_greedy", "schedule": "constant", "epsilon": 0.2},
    }
    steps = int(share * {**BUDGETS, **BANDITS}[world])
    return train(target, settings, steps=steps, seed=seed).regret


def cases() -> list[tuple[str, str]]:
    """Return (world, method): every rule on the sequential worlds, and the rules that make sense for a bandit there."""
    sequential = [(world, method) for world in BUDGETS for method in METHODS]
    return sequential + [(world, method) for world in BANDITS for method in ("q_learning", "monte_carlo")]


def _regret(arguments: tuple[str, str, int]) -> float:
    return regret(*arguments)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    print(f"{'world':<16} {'method':<16} {'steps':>8}   seeds within 1 %   largest gap")
    failed = 0
    with ProcessPoolExecutor(options.processes) as pool:
        for world, method in cases():
            gaps = list(pool.map(_regret, [(world, method, seed) for seed in range(options.seeds)]))
            within = sum(gap <= TOLERANCE for gap in gaps)
            failed += within < options.seeds
            steps = {**BUDGETS, **BANDITS}[world]
            print(f"{world:<16} {method:<16} {steps:>8}   {within:>3} of {options.seeds:<9}   {max(gaps):.4f}", flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
