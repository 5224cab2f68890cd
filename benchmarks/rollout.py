"""Is a good policy left alone, a bad one caught, and only one that is not worse promoted, with a look at each unit?

    python benchmarks/rollout.py [--runs 10000] [--units 5000] [--quick]

The tests are those of a live trial (`steersman.maths.betting`, held against `stages.release.report.limits`), with many
runs side by side. Both arms are the same, or differ as the line says; margins are 0 where the arms are the same, which is
the hardest case. Beside them, on the same numbers: a one-sided z-test at 5 % on the means from 30 units of each arm on, and
a fixed threshold, "roll back when the mean is 5 % of the range lower", from 100 units of each arm on.

P17 is checked for one metric whose spread is at least 0.2 of its range. A test that trusts in nothing but the range
has to reckon with a rare score at its end, so that large effects on a narrow reward take longer at a small share: the lines
of spread 0.1 show it. With four metrics, each is held against four times the evidence.

The same 600 subjects that come back for days are units of a round a day, whose tests begin anew (`stages.release.rounds`).

Lines that are marked (planted) make a known mistake: they must break the 5 %, or the script proves nothing and fails.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from steersman.maths.betting import NOT_WORSE, WORSE, Flags, Floats, Scale, Units, Wager, observe, payoffs
from steersman.stages.release.report import handicap, limits

ALPHA = 0.05
SIDE_BY_SIDE, STEPS = 250, 20
Draw = Callable[[np.random.Generator, Flags, Floats], Floats]
"""(generator, whose (n, runs), how far the trial has come, in [0, 1) (n, 1)) → scores (n, runs, metrics), 1 is best."""


@dataclass(frozen=True, kw_only=True)
class World:
    """What happens: the scores of a unit, and the shares of the challenger as the trial goes on, each equally long."""

    name: str
    draw: Draw
    shares: tuple[float, ...] = (0.1,)
    metrics: int = 1
    planted: Callable[[Units], Units] | None = None


def gaussian(spread: float, *, worse: float = 0.0) -> Draw:
    def draw(rng: np.random.Generator, challenger: Flags, _: Floats) -> Floats:
        return np.clip(rng.normal(0.5, spread, challenger.shape) - worse * challenger, 0.0, 1.0)[..., None]

    return draw


def bernoulli(rate: float, *, worse: float = 0.0) -> Draw:
    def draw(rng: np.random.Generator, challenger: Flags, _: Floats) -> Floats:
        return (rng.random(challenger.shape) < rate - worse * challenger).astype(float)[..., None]

    return draw


def drifting(rng: np.random.Generator, challenger: Flags, come: Floats) -> Floats:
    """Both arms succeed in 90 % of cases at first and in 50 % at the end."""
    return (rng.random(challenger.shape) < 0.9 - 0.4 * come).astype(float)[..., None]


def clustered(rng: np.random.Generator, challenger: Flags, _: Floats) -> Floats:
    """One to ten decisions of a subject, who is as he is; his score is their mean."""
    of_subject = rng.normal(0.5, 0.2, challenger.shape)
    noise = rng.normal(0.0, 0.2, challenger.shape) / np.sqrt(rng.integers(1, 11, challenger.shape))
    return np.clip(of_subject + noise, 0.0, 1.0)[..., None]


def in_tens(rng: np.random.Generator, challenger: Flags, _: Floats) -> Floats:
    """Ten decisions of a subject in a row, each with a score of its own."""
    of_subject = rng.normal(0.5, 0.2, (len(challenger) // 10, challenger.shape[1]))
    noise = rng.normal(0.0, 0.2, challenger.shape)
    return np.clip(np.repeat(of_subject, 10, axis=0) + noise, 0.0, 1.0)[..., None]


def delayed(rng: np.random.Generator, challenger: Flags, _: Floats) -> Floats:
    """Failures take six times as long to be known as successes; what is late is missing, and arrival is scored as well."""
    success = rng.random(challenger.shape) < 0.8
    late = rng.exponential(np.where(success, 0.3, 1.8)) > 1.0
    return np.stack([np.where(late, np.nan, success), ~late], axis=-1)


def dropping(rng: np.random.Generator, challenger: Flags, _: Floats) -> Floats:
    """One in five fails in both arms, and the challenger never tells of it."""
    success = rng.random(challenger.shape) < 0.8
    told = success | ~challenger
    return np.stack([np.where(told, success, np.nan), told], axis=-1)


def guarded(rng: np.random.Generator, challenger: Flags, _: Floats) -> Floats:
    """Three guardrails that fall together: a reward, a success and a rare failure."""
    mood = rng.normal(0.0, 1.0, challenger.shape)
    reward = np.clip(0.5 + 0.15 * mood + rng.normal(0.0, 0.1, challenger.shape), 0.0, 1.0)
    return np.stack([reward, mood + rng.normal(0.0, 1.0, mood.shape) > -0.8, mood > -2.33], axis=-1).astype(float)


def one_share(units: Units) -> Units:
    """The mistake of dividing by the share of the whole trial."""
    return units._replace(share=np.full_like(units.share, 0.2))


def decisions(units: Units) -> Units:
    """The mistake of taking ten decisions of a subject, who has one arm, for ten units."""
    return units._replace(challenger=np.repeat(units.challenger[::10], 10, axis=0))


SAME = (
    World(name="reward, Gaussian within its range", draw=gaussian(0.2)),
    World(name="success in 50 %", draw=bernoulli(0.5)),
    World(name="failure in 1 %", draw=bernoulli(0.99)),
    World(name="failure in 0.1 %", draw=bernoulli(0.999)),
    World(name="ramp 1, 10, 50 %, both arms drift", draw=drifting, shares=(0.01, 0.1, 0.5)),
    World(name="several decisions of a subject", draw=clustered),
    World(name="failures come late, arrival scored", draw=delayed, metrics=2),
    World(name="three guardrails", draw=guarded, metrics=3),
)
PLANTED = (
    World(name="decisions for subjects (planted)", draw=in_tens, planted=decisions),
    World(name="one share for a ramp (planted)", draw=drifting, shares=(0.01, 0.1, 0.5), planted=one_share),
)


@dataclass(frozen=True, kw_only=True)
class Population:
    """The same subjects day after day. scores: of subjects as they are (subjects, runs), on a day.

    shares: of the challenger on each day, the last for good. worse: by so much is the challenger, from day `since` on.
    """

    name: str
    scores: Callable[[np.random.Generator, Floats], Floats]
    shares: tuple[float, ...] = (0.5,)
    worse: float = 0.0
    since: int = 0


def moody(rng: np.random.Generator, subjects: Floats) -> Floats:
    """Who is high stays high: subjects spread by 0.2, their days by 0.1."""
    return 0.5 + 0.2 * subjects + rng.normal(0.0, 0.1, subjects.shape)


def stubborn(_: np.random.Generator, subjects: Floats) -> Floats:
    """Half of them always succeed and half never, so that each day says the same."""
    return (subjects > 0.0).astype(float)


POPULATIONS = (
    Population(name="600 subjects for 14 days", scores=moody),
    Population(name="600 subjects, always the same", scores=stubborn),
    Population(name="600 subjects, ramp 10, 50 %", scores=moody, shares=(0.1, 0.1, 0.5)),
)
SUBJECTS = 600


def days(population: Population, rng: np.random.Generator, runs: int, count: int) -> Iterator[Units]:
    """Yield the units of one day after the other, (subjects, runs, 1): each subject's arm is by its place, as in a trial."""
    subjects, place = rng.normal(0.0, 1.0, (SUBJECTS, runs)), rng.random((SUBJECTS, runs))
    for day in range(count):
        share = population.shares[min(day, len(population.shares) - 1)]
        order = rng.permuted(np.tile(np.arange(SUBJECTS)[:, None], runs), axis=0)
        challenger = np.take_along_axis(place, order, 0) < share
        scores = population.scores(rng, np.take_along_axis(subjects, order, 0))
        worse = population.worse * (challenger if day >= population.since else 0.0)
        yield Units(np.clip(scores - worse, 0.0, 1.0)[..., None], challenger[..., None], np.full((1, 1, 1), share))


def day_found(population: Population, runs: int, count: int, *, margin: float = 0.0, apart: bool = True) -> Floats:
    """Return the day, from 0 on, on which harm is found in each run; infinite for never.

    apart: each day has tests of its own; where not, they go on, as if who comes back were somebody else (a mistake).
    """
    found = np.full(runs, np.inf)
    for seed in range(0, runs, SIDE_BY_SIDE):
        batch = min(SIDE_BY_SIDE, runs - seed)
        wager = scale = None
        for day, units in enumerate(days(population, np.random.default_rng([seed, count]), batch, count)):
            if wager is None or scale is None or apart:
                wager, scale = Wager.blank(side=WORSE, margin=margin, shape=(batch, 1)), Scale.blank((batch, 1))
            limit = limits(1, ALPHA).worse + (handicap(day) if day and apart else 0.0)
            over = observe(wager, payoffs(scale, units)).max(axis=0)[:, 0] >= limit
            rows = found[seed : seed + batch]
            rows[:] = np.minimum(rows, np.where(over, day, np.inf))
    return found


def same_subjects(runs: int, count: int = 14) -> tuple[bool, bool]:
    """Print P16 of a fixed population; return whether it holds, and whether the planted mistake breaks it."""
    rates = []
    for population in POPULATIONS:
        rates.append(float(np.mean(np.isfinite(day_found(population, runs, count)))))
        print(f"{population.name:<36} {100 * rates[-1]:>7.2f}%   {count} days", flush=True)
    wrong = float(np.mean(np.isfinite(day_found(POPULATIONS[0], min(runs, 1_000), count, apart=False))))
    print(f"{'each day as if they were new (planted)':<36} {100 * wrong:>7.2f}%   {count} days")
    return max(rates) <= ALPHA, wrong > ALPHA


def from_the_second_day(runs: int) -> bool:
    """Print when harm is found that begins on the second day, after all subjects were units once; return whether it is."""
    print(f"\nHarm to 600 subjects that were all seen before, from the second day on, margin 0.05, {runs} runs")
    sound = True
    for share in (0.1, 0.5):
        for worse in (0.15, 0.25, 0.4):
            name = f"worse by {worse:g} of the range"
            harmed = Population(name=name, scores=moody, shares=(share,), worse=worse, since=1)
            found = day_found(harmed, runs, 8, margin=0.05)
            by_day = " ".join(f"{100 * float(np.mean(found <= day)):>5.1f}%" for day in (0, 1, 2, 4, 7))
            print(f"{harmed.name:<32} {share:>4}   found by the end of day 1, 2, 3, 5, 8: {by_day}", flush=True)
            sound &= worse < 0.4 or float(np.mean(found <= 2)) >= 0.5
    return sound


def steps(world: World, rng: np.random.Generator, runs: int, units: int) -> Iterator[Units]:
    """Yield units of many runs, some at a time: scores (20, runs, metrics), arms and shares to go with them."""
    for start in range(0, units, STEPS):
        come = (start + np.arange(STEPS))[:, None] / units
        share = np.array(world.shares)[(come * len(world.shares)).astype(int)]
        challenger = rng.random((STEPS, runs)) < share
        found = Units(world.draw(rng, challenger, come), challenger[..., None], share[..., None])
        yield world.planted(found) if world.planted else found


@dataclass(kw_only=True)
class Betting:
    """The tests of a live trial, many runs side by side. `at`: unit at which each run concluded; 0 is never.

    fewest: units that each arm must have.
    """

    side: float
    margin: float
    limit: float
    runs: int
    metrics: int
    fewest: int = 0
    seen: int = 0

    def __post_init__(self) -> None:
        shape = (self.runs, self.metrics)
        self._wager, self._scale = Wager.blank(side=self.side, margin=self.margin, shape=shape), Scale.blank(shape)
        self.at, self._arms = np.zeros(self.runs, int), np.zeros((2, self.runs))

    def take(self, units: Units) -> None:
        """Let units in, with a look after each: one metric is enough to roll back, all are needed to promote."""
        evidence = observe(self._wager, payoffs(self._scale, units))
        strongest = evidence.max(axis=-1) if self.side == WORSE else evidence.min(axis=-1)
        challenger = units.challenger[..., 0]
        arms = self._arms[:, None] + np.cumsum(np.stack([~challenger, challenger]), axis=1)
        self._arms = arms[:, -1]
        over = (strongest >= self.limit) & (arms.min(axis=0) >= self.fewest)
        first = np.where(over.any(axis=0), over.argmax(axis=0) + 1 + self.seen, 0)
        self.at = np.where(self.at > 0, self.at, first)
        self.seen += len(over)


class Means:
    """What is done elsewhere: a z-test, and a fixed threshold, on the means of the first metric, with the same looks."""

    def __init__(self, runs: int) -> None:
        self._sums = np.zeros((2, 3, runs))
        self.z, self.threshold = np.zeros(runs, bool), np.zeros(runs, bool)

    def take(self, units: Units) -> None:
        """Let units in, with a look after each."""
        score, known = np.nan_to_num(units.scores[..., 0]), ~np.isnan(units.scores[..., 0])
        arms = []
        for place, mine in enumerate((~units.challenger[..., 0], units.challenger[..., 0])):
            added = np.stack([mine & known, mine * score, mine * score * score]).astype(float)
            path = self._sums[place][:, None] + np.cumsum(added, axis=1)
            self._sums[place] = path[:, -1]
            count = np.maximum(path[0], 1.0)
            arms.append((path[0], path[1] / count, np.maximum(path[2] / count - (path[1] / count) ** 2, 0.0) / count))
        (n0, mean0, error0), (n1, mean1, error1) = arms
        fewest, lower = np.minimum(n0, n1), mean1 - mean0
        self.z |= ((fewest >= 30) & (lower < -1.645 * np.sqrt(error0 + error1))).any(axis=0)
        self.threshold |= ((fewest >= 100) & (lower < -0.05)).any(axis=0)


def rolled_back(world: World, runs: int, units: int, margin: float = 0.0) -> tuple[float, float, float]:
    """Return in what share of runs a challenger was rolled back: by ours, and of the first 1,000 by z-test and threshold."""
    counts, compared = np.zeros(3), min(runs, SIDE_BY_SIDE * 4)
    for seed in range(0, runs, SIDE_BY_SIDE):
        batch, rng = min(SIDE_BY_SIDE, runs - seed), np.random.default_rng([seed, world.metrics])
        limit = limits(world.metrics, ALPHA).worse
        ours = Betting(side=WORSE, margin=margin, limit=limit, runs=batch, metrics=world.metrics)
        means = Means(batch)
        for found in steps(world, rng, batch, units):
            ours.take(found)
            if seed < compared:
                means.take(found)
        counts += [np.sum(ours.at > 0), means.z.sum(), means.threshold.sum()]
    ours_rate, z_rate, threshold_rate = counts / [runs, compared, compared]
    return float(ours_rate), float(z_rate), float(threshold_rate)


def broken(runs: int, units: int) -> float:
    """Return in what share of runs the circuit breaker trips for two equal arms with margin 0, as outcomes arrive."""
    limit, tripped = limits(2, ALPHA).breaker, 0
    for seed in range(0, runs, SIDE_BY_SIDE):
        batch, rng = min(SIDE_BY_SIDE, runs - seed), np.random.default_rng([seed, 1])
        success = rng.random((units, batch)) < 0.8
        arrival = np.arange(units)[:, None] + 100.0 * rng.exponential(np.where(success, 0.3, 1.8))
        order = np.argsort(arrival, axis=0)
        success, challenger = np.take_along_axis(success, order, 0), rng.random((units, batch)) < 0.1
        ours = Betting(side=WORSE, margin=0.0, limit=limit, runs=batch, metrics=1)
        for at in range(0, units, STEPS):
            rows = slice(at, at + STEPS)
            ours.take(Units(success[rows, :, None].astype(float), challenger[rows, :, None], np.full((1, 1, 1), 0.1)))
        tripped += int(np.sum(ours.at > 0))
    return tripped / runs


def concluded(world: World, test: Betting, units: int, *, seed: int = 0, enough: float = 1.0) -> Floats:
    """Run until a share of the runs has concluded, or the units are over; return when each did, infinite for never."""
    rng = np.random.default_rng([test.runs, units, seed])
    for found in steps(world, rng, test.runs, units):
        test.take(found)
        if np.mean(test.at > 0) > enough:
            break
    return np.where(test.at > 0, test.at, np.inf)


def delay(world: World, limit: float, margin: float, bound: float, runs: int) -> float:
    """Return the median number of units after which harm is found, infinite if half of the runs never did by 3 bounds."""
    test = Betting(side=WORSE, margin=margin, limit=limit, runs=runs, metrics=world.metrics)
    return float(np.median(concluded(world, test, round(3 * bound / STEPS) * STEPS, enough=0.5)))


def harms(d: float) -> list[tuple[str, Draw]]:
    """Return challengers that are worse than the margin of 0.05 by d standard deviations (pooled, where they differ)."""
    found = [("reward, spread 0.1 of its range", gaussian(0.1, worse=0.05 + 0.1 * d))]
    found.append(("reward, spread 0.2 of its range", gaussian(0.2, worse=0.05 + 0.2 * d)))
    for rate in (0.5, 0.9):
        worse = 0.05
        for _ in range(50):
            spread = math.sqrt((rate * (1 - rate) + (rate - worse) * (1 - rate + worse)) / 2)
            worse = min(0.05 + d * spread, rate - 1e-6)
        found.append((f"success in {100 * rate:.0f} %", bernoulli(rate, worse=worse)))
    return found


def left_alone(runs: int, units: int) -> bool:
    """Print P16; return whether it holds, and whether the planted mistakes break it."""
    print(f"\nP16: rolled back although equal, {runs} runs, {units} units, a look at each; margin 0 (0.05)")
    print(f"{'':<36} {'ours':>8} {'(0.05)':>8} {'z-test':>8} {'threshold':>10}")
    sound, fooled = True, False
    for world in SAME + PLANTED:
        started, fewer = time.perf_counter(), units if world.metrics == 1 else units // 2
        rates = rolled_back(world, runs if world.planted is None else min(runs, 1_000), fewer)
        inside = rolled_back(world, min(runs, 1_000), fewer, margin=0.05)[0]
        sound &= (rates[0] <= ALPHA) == (world.planted is None) and inside <= ALPHA + (world.planted is not None)
        shown = " ".join(f"{100 * rate:>7.2f}%" for rate in (rates[0], inside, *rates[1:]))
        print(f"{world.name:<36} {shown}   {fewer} units, {time.perf_counter() - started:.0f} s", flush=True)
        fooled |= rates[1] > ALPHA
    held, seen = same_subjects(runs)
    sound, fooled = sound and held, fooled and seen
    rate = broken(runs, min(units, 5_000))
    print(f"{'circuit breaker, as outcomes arrive':<36} {100 * rate:>7.2f}%   of at most {100 * ALPHA / 10:.2f}%")
    return sound and fooled and rate <= ALPHA / 10 + 3 * math.sqrt(ALPHA / 10 / runs)


def caught(runs: int, effects: tuple[float, ...]) -> bool:
    """Print P17; return whether a single metric is within the bound wherever its spread is at least 0.2 of its range."""
    alone, four = limits(1, ALPHA), limits(4, ALPHA)
    print(
        f"\nP17: median units until harm is found, d beyond the margin of 0.05, {runs} runs; bound max(300, 10/(w(1−w)d²))"
    )
    print(f"{'':<32} {'w':>4} {'d':>5} {'bound':>7} {'1 metric':>9} {'ratio':>6} {'4 metrics':>10} {'ratio':>6}")
    sound = True
    for share in (0.1, 0.5):
        for d in effects:
            bound = max(300.0, 10.0 / (share * (1.0 - share) * d * d))
            for name, draw in harms(d):
                world = World(name=name, draw=draw, shares=(share,))
                one, many = (delay(world, each.worse, 0.05, bound, runs) for each in (alone, four))
                sound &= one <= bound or "0.1 of" in name
                row = f"{one:>9.0f} {one / bound:>6.2f} {many:>10.0f} {many / bound:>6.2f}"
                print(f"{name:<32} {share:>4} {d:>5} {bound:>7.0f} {row}", flush=True)
    world = World(name="", draw=dropping, shares=(0.1,), metrics=2)
    found = delay(world, limits(2, ALPHA).worse, 0.05, 5_000.0, runs)
    print(f"one in five outcomes never told of, 10 % share, margin 0.05: found after {found:.0f} units (median)")
    return sound


def promotions(world: World, margin: float, runs: int, units: int) -> Floats:
    """Return after how many units each run was promoted, infinite for never."""
    found, limit = [], limits(world.metrics, ALPHA).not_worse
    for seed in range(0, runs, SIDE_BY_SIDE):
        batch = min(SIDE_BY_SIDE, runs - seed)
        test = Betting(side=NOT_WORSE, margin=margin, limit=limit, runs=batch, metrics=world.metrics, fewest=100)
        found.append(concluded(world, test, units, seed=seed))
    return np.concatenate(found)


def promoted(runs: int, units: int) -> bool:
    """Print P18; return whether at most 5 % of those that are worse by the margin are promoted."""
    print(f"\nP18: promoted, {runs} runs, {units} units, a look at each from 100 units of each arm on")
    print(f"{'':<34} {'w':>4} {'worse by the margin':>20} {'equal':>8} {'median units':>13}")
    cases = (("reward, spread 0.2, margin 0.05", gaussian, 0.2, 0.05), ("success in 80 %, margin 0.10", bernoulli, 0.8, 0.1))
    sound = True
    for name, make, level, margin in cases:
        for share in (0.1, 0.5):
            worse, equal = (World(name=name, draw=make(level, worse=by), shares=(share,)) for by in (margin, 0.0))
            bad = float(np.mean(np.isfinite(promotions(worse, margin, runs, units))))
            good = promotions(equal, margin, min(runs, 1_000), units)
            sound &= bad <= ALPHA
            rate = float(np.mean(np.isfinite(good)))
            print(f"{name:<34} {share:>4} {100 * bad:>19.2f}% {100 * rate:>7.1f}% {np.median(good):>13.0f}", flush=True)
    return sound


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--units", type=int, default=5_000)
    parser.add_argument("--quick", action="store_true", help="a thousand short runs, in seconds")
    options = parser.parse_args()
    runs, units = (1_000, 2_000) if options.quick else (options.runs, options.units)
    started = time.perf_counter()
    held = [
        left_alone(runs, units),
        caught(200 if options.quick else 400, (0.5,) if options.quick else (0.05, 0.1, 0.25, 0.5, 1.0)),
        promoted(runs, units),
        from_the_second_day(200 if options.quick else 1_000),
    ]
    print(
        f"\n{time.perf_counter() - started:.0f} s; "
        + ("all hold" if all(held) else f"P16, P17, P18 and harm on the second day hold: {held}")
    )
    raise SystemExit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
