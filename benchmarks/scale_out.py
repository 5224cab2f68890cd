"""How fast does one training go on several processes, of this machine and of a Ray cluster?

    python benchmarks/scale_out.py [--steps 12000] [--seed 0]

Double DQN on CartPole-v1 by the settings of `steersman train gym:CartPole-v1`: in one process, and with 1 and 2 actors and
one learner, local and on a Ray cluster of this machine. Once as it is (a step takes microseconds, so learning is the larger
part) and once with 1 ms of CPU more for each step, as of a simulator. Steps a second count from the first training to the
last, so that starting processes and compiling are left out; CPU seconds are those of all processes from their start, per
1,000 steps. Nothing is decided by a time: the script fails where a training does not complete, loses a worker, or its
steps are not as many as were asked for.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from steersman.app.compute import open_compute
from steersman.app.scale import vector
from steersman.core.compute import Budget
from steersman.loops import scale
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep.parallel import Task
from steersman.stages.learn.deep.rollout import Progress, RolloutSettings, train_q
from steersman.testing.scale import busy, cart_pole

PLACES = (("local", 1), ("local", 2), ("ray", 1), ("ray", 2))


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Steps a second, CPU seconds of all, and how many steps there were."""

    per_second: float
    cpu_s: float
    steps: int


def tasks() -> Iterator[tuple[str, Task]]:
    """Yield the trainings by name."""
    quick = replace(
        cart_pole(),
        world=partial(vector, "CartPole-v1"),
        net=Architecture(features=4, groups=(2,), hidden=(128, 128), stream=0, layer_norm=False),
        rollout=RolloutSettings(epsilon_last=0.04, epsilon_over=0.4),
    )
    yield "as it is", quick
    yield "1 ms more", replace(quick, world=partial(busy, 1e-3))


def timed(train: Callable[[Callable[[Progress], None]], float], steps: int) -> Speed:
    """Return the speed of a training, which is handed what to tell, and returns its CPU seconds."""
    told: list[tuple[float, int]] = []
    cpu_s = train(lambda now: told.append((time.monotonic(), now.steps)))
    (first, at_first), (last, at_last) = told[0], told[-1]
    if at_last < steps:
        raise SystemExit(f"{at_last} steps, and {steps} were asked for")
    return Speed(per_second=(at_last - at_first) / (last - first), cpu_s=cpu_s, steps=at_last)


def alone(task: Task, steps: int, seed: int) -> Speed:
    """Return the speed in this process."""

    def train(told: Callable[[Progress], None]) -> float:
        began = time.process_time()
        train_q(
            task.world(1),
            task.net,
            task.settings,
            task.rollout,
            seed=seed,
            budget_steps=steps,
            on_progress=lambda now, _: told(now),
        )
        return time.process_time() - began

    return timed(train, steps)


def spread(place: str, actors: int, task: Task, steps: int, seed: int) -> Speed:
    """Return the speed on so many actors and a learner."""

    def train(told: Callable[[Progress], None]) -> float:
        with open_compute(place) as compute:
            made = scale.train(compute, task, actors=actors, budget=Budget(steps=steps), seed=seed, told=told)
        if made.lost or not made.finite:
            raise SystemExit(f"{place}, {actors} actors: {made.lost} workers were lost; {made.reason}")
        return made.cost.cpu_seconds

    return timed(train, steps)


def row(name: str, place: str, speed: Speed, one: Speed) -> None:
    """Print a line."""
    cost = 1_000 * speed.cpu_s / speed.steps
    print(
        f"{name:<10} {place:<18} {speed.per_second:>10,.0f} {speed.per_second / one.per_second:>10.2f} {cost:>14.2f}",
        flush=True,
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{len(os.sched_getaffinity(0))} CPUs, load {load:.1f} before; {args.steps:,} steps, seed {args.seed}")
    print(f"{'a step is':<10} {'where':<18} {'steps/s':>10} {'ratio':>10} {'CPU s / 1,000':>14}")
    for name, task in tasks():
        one = alone(task, args.steps, args.seed)
        row(name, "one process", one, one)
        for place, actors in PLACES:
            made = spread(place, actors, task, args.steps, args.seed)
            row(name, f"{place}, {actors} actor{'s' * (actors > 1)}", made, one)


if __name__ == "__main__":
    main()
