"""Does the fleet learn to find more for its time? On five libraries from the package index, learned against baseline.

    python benchmarks/qe_fleet.py [--train 24] [--rounds 12] [--agent-s 25] [--libraries cachetools,…] [--agents …] [--json]

Each agent works on a copy of each library: first it practises (`--train` rounds, or `--agent-s` CPU seconds), served as any
user is served. Then both policies, the learned one (its best known action, nothing explored) and the baseline rule, decide
for the same planted faults, which neither has seen, in turns; nothing is learned in these rounds. A policy is charged what
its actions took of the processor, and not what planting and the truth took, which nobody pays for in production.

- faults for each CPU minute: all found over all charged, with a 95 % interval by bootstrap over rounds (paired, by agent);
  it is what an equal budget buys.
- within an equal budget: faults found before a quarter of what the dearer policy took is used up, agents drawn in turn.
- time to first fault: charged CPU seconds until the first planted fault is found, agents drawn in turn.
- generated tests: what the tests that were kept (they pass on the original, five times, and add something) cover more of
  the branches, and how many seeded mutants they kill that the library's own suite lets through.

What the baseline wins is printed just the same.
"""

import argparse
import itertools
import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from libraries import LIBRARIES, fetched

from steersman import Steersman
from steersman.core.errors import SteersmanError
from steersman.core.ports import AgentHandle
from steersman.core.values import Arm
from steersman.packs.qe.fleet.member import Member, member, roster
from steersman.packs.qe.fleet.memory import Memory
from steersman.packs.qe.fleet.site import Evidence, Site, open_site
from steersman.packs.qe.fleet.tally import tally
from steersman.packs.qe.project.discovery import Project, discover

ARMS: dict[str, Arm] = {"learned": "champion", "baseline": "baseline"}
GREEDY: dict[str, dict[str, Any]] = {"exploration": {"policy": "greedy"}, "serving": {"cold_visits": 1}}
TRAIN_SEED, TEST_SEED = 1, 2
TIMEOUT_S = 60.0
DRAWS = 2_000
WALKED_DRAWS, WALKS, PLAIN_WALKS, MOST = 200, 20, 1_000, 1_000


@dataclass(frozen=True, kw_only=True)
class Played:
    """One round of one policy: what there was, what it found, what its action took of the processor, and its reward."""

    agent: str
    arm: str
    number: int
    planted: float
    found: float
    cpu_s: float
    reward: float
    action: str
    measured: dict[str, float]


class Quiet:
    """Progress that nobody watches."""

    def phase(self, title: str, total: int | None = None) -> None:
        """Begin something."""

    def step(self, text: str, amount: int = 1) -> None:
        """Do a part of it."""

    def note(self, text: str) -> None:
        """Say something."""


def main() -> None:
    options = parsed()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for library in options.libraries.split(","):
            root = fetched(library, Path(folder) / library)
            results[library] = on_library(library, root, Path(folder), options)
            if not options.json:
                show(library, results[library])
    if options.json:
        print(json.dumps(results, indent=2))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--agent-s", type=float, default=25.0)
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--agents", default=",".join(roster()))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def on_library(library: str, root: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Let each agent practise and then be compared; return the figures of the library."""
    project, evidence = discover(str(root), sys.executable, tests_needed=True), Evidence()
    rounds: list[Played] = []
    left_out: dict[str, str] = {}
    practised: dict[str, int] = {}
    for name in options.agents.split(","):
        store, memory = str(folder / f"{library}-{name}.db"), Memory(folder / f"{library}-{name}")
        try:
            practised[name] = practise(name, project, evidence, memory, store, options)
            rounds += compared(name, project, evidence, memory, store, options)
        except SteersmanError as error:
            left_out[name] = str(error)[:160]
        print(f"  {library} {name}: {left_out.get(name) or f'{practised[name]} rounds of practice'}", file=sys.stderr)
    reference = evidence.known_reference
    return {
        "tests": len(reference.collected) if reference else 0,
        "suite_s": reference.wall_s if reference else 0.0,
        "practised": practised,
        "left_out": left_out,
        **figures(rounds),
        "rounds": [asdict(each) for each in rounds],
    }


def practise(
    name: str, project: Project, evidence: Evidence, memory: Memory, store: str, options: argparse.Namespace
) -> int:
    """Let an agent work and learn as any user's does; return how many rounds its time allowed."""
    deadline = cpu_s() + options.agent_s
    with (
        Steersman.open(store, settings={}, seed=TRAIN_SEED) as steersman,
        at(project, name, TRAIN_SEED, evidence, memory) as site,
    ):
        worker = member(name, steersman.agent, "benchmark")
        for number in range(options.train):
            if number and cpu_s() > deadline:
                return number
            site.begin(number)
            try:
                worker.round(site)
            except SteersmanError:
                if not number:
                    raise
                return number
        if worker.receipt is not None:
            worker.receipt.wait(TIMEOUT_S)
    return int(options.train)


def compared(
    name: str, project: Project, evidence: Evidence, memory: Memory, store: str, options: argparse.Namespace
) -> Iterator[Played]:
    """Let both policies decide for the same planted faults in turns, each with a copy and a skill of its own."""
    deadline = cpu_s() + 2 * options.agent_s
    with (
        Steersman.open(store, settings=GREEDY, seed=TEST_SEED) as steersman,
        at(project, name, TEST_SEED, evidence, memory) as first,
        at(project, name, TEST_SEED, evidence, memory) as second,
    ):
        workers = {
            arm: (member(name, steersman.agent, "benchmark"), site) for arm, site in zip(ARMS, (first, second), strict=True)
        }
        for number in range(options.rounds):
            if number and cpu_s() > deadline:
                return
            order = list(workers) if number % 2 == 0 else list(workers)[::-1]
            pair = []
            for arm in order:
                worker, site = workers[arm]
                site.begin(number)
                played = one(worker, site, arm, number)
                if played is None:
                    return
                pair.append(played)
            yield from pair


def one(worker: Member, site: Site, arm: str, number: int) -> Played | None:
    """Let a policy decide and act; nothing is learned. None where its outcome is known only later or nothing may be done."""
    handle: AgentHandle = worker.handle
    decision = handle.decide(worker.skill.look(site), arm=ARMS[arm])
    if decision.arm == "safe":
        return None
    worked = worker.skill.work(site, decision.action)
    if worked.measurements is None:
        return None
    measured = dict(worker.spec.reward.check(worked.measurements))
    counted = tally(worker.name, [measured])
    found = counted.found if counted.planted else measured.get("faults_found", 0.0)
    return Played(
        agent=worker.name,
        arm=arm,
        number=number,
        planted=counted.planted,
        found=found,
        cpu_s=measured.get("cpu_s", measured.get("wall_s", 0.0)),
        reward=worker.spec.reward.score(measured).reward,
        action=" ".join(str(each) for each in decision.action.values()),
        measured=measured,
    )


def cpu_s() -> float:
    """Return the CPU seconds of this process and of those that it started and that have ended."""
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def at(project: Project, name: str, seed: int, evidence: Evidence, memory: Memory) -> Any:
    """Open a place of work that knows what all know of the suite."""
    return open_site(project, name, seed=seed, timeout_s=TIMEOUT_S, progress=Quiet(), evidence=evidence, memory=memory)


def figures(rounds: Sequence[Played]) -> dict[str, Any]:
    """Return the figures of all agents together and of each, with intervals by bootstrap over paired rounds."""
    pairs = paired(rounds)
    if not pairs:
        return {}
    rng = np.random.default_rng(0)
    by_agent = {
        name: [each for each in pairs if each["learned"].agent == name]
        for name in sorted({pair["learned"].agent for pair in pairs})
    }
    return {
        "pairs": len(pairs),
        "total": rates(by_agent, rng),
        "equal_budget": within(by_agent, rng),
        "first_fault_cpu_s": first_fault(by_agent, rng),
        "agents": {name: of_agent(each, rng) for name, each in sorted(by_agent.items())},
        "generated": {arm: generated([each[arm] for each in by_agent.get("test-generator", [])]) for arm in ARMS},
    }


Pair = dict[str, Played]


def paired(rounds: Sequence[Played]) -> list[Pair]:
    found: dict[tuple[str, int], Pair] = {}
    for each in rounds:
        found.setdefault((each.agent, each.number), {})[each.arm] = each
    return [each for each in found.values() if len(each) == len(ARMS)]


def rates(by_agent: dict[str, list[Pair]], rng: np.random.Generator) -> dict[str, Any]:
    """Return found faults for each CPU minute by policy, and the ratio with its interval; rounds are drawn by agent."""
    sums = {arm: np.zeros((DRAWS, 2)) for arm in ARMS}
    plain = {arm: np.zeros(2) for arm in ARMS}
    for pairs in by_agent.values():
        picks = rng.integers(0, len(pairs), (DRAWS, len(pairs)))
        for arm in ARMS:
            values = np.array([(each[arm].found, each[arm].cpu_s) for each in pairs])
            sums[arm] += values[picks].sum(axis=1)
            plain[arm] += values.sum(axis=0)
    rate = {arm: 60.0 * plain[arm][0] / max(plain[arm][1], 1e-9) for arm in ARMS}
    drawn = {arm: 60.0 * sums[arm][:, 0] / np.maximum(sums[arm][:, 1], 1e-9) for arm in ARMS}
    ratios = drawn["learned"] / np.maximum(drawn["baseline"], 1e-9)
    return {
        "planted": sum(each["learned"].planted for pairs in by_agent.values() for each in pairs),
        "found": {arm: float(plain[arm][0]) for arm in ARMS},
        "cpu_s": {arm: float(plain[arm][1]) for arm in ARMS},
        "per_cpu_minute": rate,
        "ratio": [rate["learned"] / max(rate["baseline"], 1e-9), *np.percentile(ratios, [2.5, 97.5]).tolist()],
    }


def resampled(by_agent: dict[str, list[Pair]], rng: np.random.Generator) -> dict[str, list[Pair]]:
    """Return as many rounds of each agent, drawn with replacement."""
    return {name: [pairs[int(each)] for each in rng.integers(0, len(pairs), len(pairs))] for name, pairs in by_agent.items()}


def walked(by_agent: dict[str, list[Pair]], rng: np.random.Generator) -> Iterator[Pair]:
    """Yield rounds as runs of the fleet have them: all agents in a random order, one round each, again and again."""
    names = sorted(by_agent)
    while True:
        for index in rng.permutation(len(names)):
            pairs = by_agent[names[int(index)]]
            yield pairs[int(rng.integers(len(pairs)))]


Walk = Callable[[Iterator[Pair], str], float]


def by_walks(by_agent: dict[str, list[Pair]], rng: np.random.Generator, walk: Walk) -> dict[str, Any]:
    """Return the mean of a figure over random walks, on which both policies go the same way, and of the difference.

    The interval is the 95 % bootstrap's, each draw with rounds and walks of its own.
    """
    draws = []
    for number in range(WALKED_DRAWS + 1):
        rounds = resampled(by_agent, rng) if number else by_agent
        seeds = rng.integers(1 << 31, size=WALKS if number else PLAIN_WALKS)
        draws.append([np.mean([walk(walked(rounds, np.random.default_rng(seed)), arm) for seed in seeds]) for arm in ARMS])
    means = np.array(draws)
    difference = means[:, 0] - means[:, 1]
    return {
        **{arm: float(means[0, index]) for index, arm in enumerate(ARMS)},
        "difference": [float(difference[0]), *np.percentile(difference[1:], [2.5, 97.5]).tolist()],
    }


def within(by_agent: dict[str, list[Pair]], rng: np.random.Generator) -> dict[str, Any]:
    """Return what each policy finds within the same CPU time: a quarter of what the dearer one took for everything."""
    budget = max(sum(each[arm].cpu_s for pairs in by_agent.values() for each in pairs) for arm in ARMS) / 4.0

    def spend(walk: Iterator[Pair], arm: str) -> float:
        spent, found = 0.0, 0.0
        for each in itertools.islice(walk, MOST):
            spent += each[arm].cpu_s
            if spent > budget:
                break
            found += each[arm].found
        return found

    return {"cpu_s": budget, **by_walks(by_agent, rng, spend)}


def first_fault(by_agent: dict[str, list[Pair]], rng: np.random.Generator) -> dict[str, Any]:
    """Return the CPU time until the first planted fault is found."""

    def until_found(walk: Iterator[Pair], arm: str) -> float:
        spent = 0.0
        for each in itertools.islice(walk, MOST):
            spent += each[arm].cpu_s
            if each[arm].found > 0:
                break
        return spent

    return by_walks(by_agent, rng, until_found)


def of_agent(pairs: Sequence[Pair], rng: np.random.Generator) -> dict[str, Any]:
    """Return one agent's figures; the reward's difference is paired."""
    difference = np.array([each["learned"].reward - each["baseline"].reward for each in pairs])
    means = difference[rng.integers(0, len(difference), (DRAWS, len(difference)))].mean(axis=1)
    return {
        "rounds": len(pairs),
        "planted": sum(each["learned"].planted for each in pairs),
        **{
            arm: {
                "found": sum(each[arm].found for each in pairs),
                "cpu_s": sum(each[arm].cpu_s for each in pairs),
                "reward": float(np.mean([each[arm].reward for each in pairs])),
                "actions": most([each[arm].action for each in pairs]),
            }
            for arm in ARMS
        },
        "reward_difference": [float(difference.mean()), *np.percentile(means, [2.5, 97.5]).tolist()],
    }


def most(actions: Sequence[str]) -> str:
    """Return the commonest action with its count."""
    best = max(sorted(set(actions)), key=actions.count)
    return f"{best} ({actions.count(best)}/{len(actions)})"


def generated(rounds: Sequence[Played]) -> dict[str, float]:
    """Return what the generated tests of a policy came to."""
    measured = [each.measured for each in rounds]
    if not measured:
        return {}
    return {
        "coverage_before": measured[0]["coverage_before"],
        "coverage_after": measured[-1]["coverage_after"],
        "mutants_killed": sum(each["faults_found"] for each in measured),
        "tests": sum(each["tests"] for each in measured),
        "cpu_s": sum(each["cpu_s"] for each in measured),
    }


def show(library: str, found: dict[str, Any]) -> None:
    """Print the tables of a library."""
    print(f"\n{library}: {found['tests']} tests, suite {found['suite_s']:.1f} s, {found.get('pairs', 0)} paired rounds")
    for name, reason in found["left_out"].items():
        print(f"  left out {name}: {reason}")
    if not found.get("pairs"):
        return
    _show_total(found)
    heads = "".join(f"{each:>8}" for each in ("planted", "learned", "rule", "CPU s", "rule", "reward", "rule"))
    print(f"  {'agent':<25}{heads}  difference of the reward, 95 %")
    for name, each in found["agents"].items():
        _show_agent(name, each)
    for arm, each in found["generated"].items():
        if each:
            gained = each["coverage_after"] - each["coverage_before"]
            print(
                f"  generated tests, {arm}: {each['tests']:.0f} kept, branches +{gained:.2f} points "
                f"(from {each['coverage_before']:.1f} %), {each['mutants_killed']:.0f} mutants killed that it missed, "
                f"{each['cpu_s']:.0f} s CPU"
            )
    sys.stdout.flush()


def _show_total(found: dict[str, Any]) -> None:
    total, equal, first = found["total"], found["equal_budget"], found["first_fault_cpu_s"]
    a, b = total["per_cpu_minute"]["learned"], total["per_cpu_minute"]["baseline"]
    ratio, low, high = total["ratio"]
    print(f"  found for each CPU minute: learned {a:.1f}, rule {b:.1f}; ratio {ratio:.2f} ({low:.2f} to {high:.2f})")
    print(
        f"  found of {total['planted']:.0f}: learned {total['found']['learned']:.1f}, rule {total['found']['baseline']:.1f}"
    )
    print(
        f"  within {equal['cpu_s']:.0f} s CPU: learned {equal['learned']:.1f}, rule {equal['baseline']:.1f}; "
        f"difference {_span(equal['difference'])}"
    )
    print(
        f"  CPU s to the first fault: learned {first['learned']:.2f}, rule {first['baseline']:.2f}; "
        f"difference {_span(first['difference'])}"
    )


def _show_agent(name: str, each: dict[str, Any]) -> None:
    a, b = each["learned"], each["baseline"]
    print(
        f"  {name:<25}{each['planted']:>8.0f}{a['found']:>8.1f}{b['found']:>8.1f}{a['cpu_s']:>8.1f}{b['cpu_s']:>8.1f}"
        f"{a['reward']:>8.1f}{b['reward']:>8.1f}  {_span(each['reward_difference'])}  {a['actions']} | {b['actions']}"
    )


def _span(three: Sequence[float]) -> str:
    return f"{three[0]:+.2f} ({three[1]:+.2f} to {three[2]:+.2f})"


if __name__ == "__main__":
    main()
