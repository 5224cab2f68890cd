"""Ranking by features, beside Vowpal Wabbit: what is shown in worlds whose best is known, and a replay of real clicks.

In a world each contender meets the same visits and draws its own answers, which are rewarded with 1 or 0. The table tells
the chance to please of what it showed in the last quarter, as a share of the best there is, over some seeds; the first
action in the caller's order is the baseline, 1 is the best. Steersman is the product's own ranker, in memory, with its
defaults, which keep a tenth of all decisions for the first action and for even chances; the second row leaves that out.
Microseconds are those of one rank and one reward. Vowpal Wabbit gets the same features as DSJSON, with all pairs.

With --data DIR it also replays a log of real clicks on what was shown by even chances (Open Bandit Dataset: a folder with
all.csv and item_context.csv), learned one after the other, each judged before it is learned, by inverse propensities.

    python benchmarks/personalizer.py [--visits 4000] [--seeds 3] [--data DIR]
"""

import argparse
import csv
import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from steersman.app import Steersman
from steersman.core.sections import Personalizer
from steersman.loops.rank import Offer, Request
from steersman.policies.contextual import ContextualPolicy
from steersman.policies.features import rows
from steersman.stages.learn.contextual import SCHEMA, ContextualFold, action_features, context_features
from steersman.stages.record.dsjson import read
from steersman.testing.contexts import SegmentWorld, TasteWorld, Visit

Floats = NDArray[np.float64]
FIRST_SEED = 100  # the defaults were chosen on worlds of seeds below
WORLDS = {"segments": SegmentWorld, "tastes": TasteWorld}
VOWPAL = {
    "Vowpal Wabbit, ε-greedy 0.1, MTR": "--cb_explore_adf --cb_type mtr --epsilon 0.1",
    "Vowpal Wabbit, SquareCB": "--cb_explore_adf --cb_type mtr --squarecb",
}


class Contender(Protocol):
    """Who answers visits and learns."""

    def visit(self, visit: Visit, rng: np.random.Generator) -> int:
        """Choose, have it rewarded, learn, and return which action was chosen."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--visits", type=int, default=4_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", type=Path, help="a folder with all.csv and item_context.csv of the Open Bandit Dataset")
    options = parser.parse_args()
    print(
        f"{'share of the best, last quarter of ' + str(options.visits) + ' visits':<52}",
        *(f"{each:>9}" for each in WORLDS),
        "  µs",
    )
    for name, make in contenders().items():
        shares, seconds = [], []
        for world in WORLDS.values():
            met = [
                meet(make(seed), world(seed), options.visits, seed) for seed in range(FIRST_SEED, FIRST_SEED + options.seeds)
            ]
            shares.append(np.mean([share for share, _ in met]))
            seconds += [each for _, each in met]
        print(f"{name:<52}", *(f"{each:>9.3f}" for each in shares), f"{np.median(seconds) * 1e6:>5.0f}", flush=True)
    if options.data is not None:
        replay(options.data)


def contenders() -> dict[str, Callable[[int], Contender]]:
    found: dict[str, Callable[[int], Contender]] = {
        "first action (baseline)": lambda _: Fixed(),
        "Steersman": lambda seed: Ours(seed, {}),
        "Steersman, without its fixed shares": lambda seed: Ours(seed, {"floor": 0.0, "baseline_share": 0.0}),
    }
    if vowpal() is not None:
        for name, arguments in VOWPAL.items():
            found[name] = lambda _, arguments=arguments: Vowpal(arguments)  # type: ignore[misc]
    return found


def meet(contender: Contender, world: Any, visits: int, seed: int) -> tuple[float, float]:
    """Return the share of the best in the last quarter, and the median seconds of one visit."""
    rng, rewards = np.random.default_rng(seed), np.random.default_rng(1_000 + seed)
    shown = best = 0.0
    seconds = []
    for number in range(visits):
        visit = world.visit(rng)
        began = time.perf_counter()
        chosen = contender.visit(visit, rewards)
        seconds.append(time.perf_counter() - began)
        if number >= visits * 3 // 4:
            shown += float(visit.chances[chosen])
            best += float(visit.chances.max())
    return shown / best, float(np.median(seconds))


class Fixed:
    """Shows the first action."""

    def visit(self, visit: Visit, rng: np.random.Generator) -> int:
        """Show it."""
        return 0


class Ours:
    """The product's ranker, in memory."""

    def __init__(self, seed: int, settings: dict[str, Any]) -> None:
        self._steersman = Steersman.open("memory:", settings={"personalizer": settings}, seed=seed)
        self._ranker = self._steersman.ranker()

    def visit(self, visit: Visit, rng: np.random.Generator) -> int:
        """Rank, and reward."""
        offers = [Offer(id=name, features=known) for name, known in visit.actions]
        answer = self._ranker.rank(Request(offers=offers, context=visit.context))
        chosen = [each.id for each in offers].index(str(answer.decisions[0].executed["action"]))
        self._ranker.reward(answer.event, float(rng.random() < visit.chances[chosen]))
        return chosen


class Vowpal:
    """Vowpal Wabbit, told the same as DSJSON."""

    def __init__(self, arguments: str) -> None:
        self._workspace = vowpal().Workspace(f"{arguments} -q :: -b 18 --quiet --dsjson")

    def visit(self, visit: Visit, rng: np.random.Generator) -> int:
        """Predict, draw, and learn."""
        chances = self.chances(line(visit.context, visit.actions))
        chosen = min(int(np.searchsorted(np.cumsum(chances), rng.random(), side="right")), len(chances) - 1)
        reward = float(rng.random() < visit.chances[chosen])
        self.learn(line(visit.context, visit.actions, chosen=chosen, chance=float(chances[chosen]), reward=reward))
        return chosen

    def chances(self, text: str) -> Floats:
        """Return the probability of each action."""
        examples = self._workspace.parse(text)
        found = np.array(self._workspace.predict(examples), dtype=np.float64)
        self._workspace.finish_example(examples)
        chances: Floats = found / found.sum()
        return chances

    def learn(self, text: str) -> None:
        """Learn from a labelled line."""
        examples = self._workspace.parse(text)
        self._workspace.learn(examples)
        self._workspace.finish_example(examples)


def vowpal() -> Any:
    try:
        return importlib.import_module("vowpalwabbit")
    except ImportError:
        print("Vowpal Wabbit is not installed: pip install -r requirements-bench.txt", file=sys.stderr)
        return None


def line(
    context: list[dict[str, Any]],
    actions: list[tuple[str, list[dict[str, Any]]]],
    *,
    chosen: int | None = None,
    chance: float = 1.0,
    reward: float = 0.0,
) -> str:
    """Return an event as the service logged it; without a label where nothing was chosen yet."""
    label: dict[str, Any] = {}
    if chosen is not None:
        label = {"_label_cost": -reward, "_label_probability": chance, "_label_Action": chosen + 1, "_labelIndex": chosen}
        label["o"] = [{"v": reward}]
    multi = [{"_tag": name, "i": {"constant": 1, "id": name}, "j": known} for name, known in actions]
    order = list(range(1, len(actions) + 1))
    event = {
        "Version": "1",
        "EventId": "e",
        "Timestamp": "2026-01-01T00:00:00Z",
        "a": order,
        "p": [1 / len(order)] * len(order),
    }
    return json.dumps({**label, **event, "c": {"FromUrl": context, "_multi": multi}})


def replay(folder: Path) -> None:
    """Print what each contender would have earned on the log, by inverse propensities, with one standard error."""
    events = list(clicks(folder))
    print(f"\nclicks per 1,000 on {len(events)} logged events ({sum(reward for *_, reward in events):.0f} clicks), by IPS")
    print(f"{'as logged, even chances':<52} {1_000 * np.mean([reward for *_, reward in events]):>6.2f}")
    policies: dict[str, Callable[[str, str], Floats]] = {"Steersman": replayed_by_us()}
    if vowpal() is not None:
        policies |= {name: replayed_by(Vowpal(arguments)) for name, arguments in VOWPAL.items()}
    for name, judge in policies.items():
        worth = []
        for context, actions, chosen, chance, reward in events:
            labelled = line(context, actions, chosen=chosen, chance=chance, reward=reward)
            worth.append(judge(line(context, actions), labelled)[chosen] / chance * reward)
        error = np.std(worth) / np.sqrt(len(worth))
        print(f"{name:<52} {1_000 * np.mean(worth):>6.2f} ± {1_000 * error:.2f}", flush=True)


def replayed_by(contender: Vowpal) -> Callable[[str, str], Floats]:
    def judge(asked: str, labelled: str) -> Floats:
        chances = contender.chances(asked)
        contender.learn(labelled)
        return chances

    return judge


def replayed_by_us() -> Callable[[str, str], Floats]:
    settings = Personalizer()
    fold, policy = ContextualFold(settings), ContextualPolicy(settings)
    decoder: Any = json.loads

    def judge(asked: str, labelled: str) -> Floats:
        event = read(labelled.encode(), agent="personalizer/default", schema=SCHEMA)
        assert not isinstance(event, str)
        offers = decoder(str(event.decision.state["actions"]))
        known = [action_features(name, each) for name, each in offers]
        given = rows(context_features(event.decision.state), known, fold.scales, settings.hash_bits)
        scores = policy.scores(fold.belief, given)
        chances = policy.distribution(scores, np.ones(len(known), dtype=np.bool_), fold.learned)
        fold.apply(event.decision, event.outcome)
        return chances

    return judge


def clicks(folder: Path) -> Iterator[tuple[list[dict[str, Any]], list[tuple[str, list[dict[str, Any]]]], int, float, float]]:
    """Yield context, actions, the chosen one, its probability and the click of each logged event."""
    with (folder / "item_context.csv").open() as file:
        items = [(f"item-{row['item_id']}", [_features(row, "item_feature")]) for row in csv.DictReader(file)]
    with (folder / "all.csv").open() as file:
        for row in csv.DictReader(file):
            context: list[dict[str, Any]] = [{"user": _features(row, "user_feature")}, {"position": f"at {row['position']}"}]
            yield context, items, int(row["item_id"]), 1 / len(items), float(row["click"])


def _features(row: dict[str, str], prefix: str) -> dict[str, Any]:
    known = {name: value for name, value in row.items() if name.startswith(prefix)}
    return {name: float(value) if "." in value else value for name, value in known.items()}


if __name__ == "__main__":
    main()
