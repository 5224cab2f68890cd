"""The whole life of versions of the qe agent, on what real runs of a real suite came to.

First pytest really runs, for every way in which the suite can be run here, after one seeded fault or edit after another.
Then traffic draws from these measurements, at one decision a minute on a clock that is moved by hand.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace as changed

from steersman.app import Steersman
from steersman.core.ports import Receipt
from steersman.core.state import StateValues
from steersman.core.values import Decision
from steersman.core.versions import Deployment
from steersman.loops import promote
from steersman.loops.agent import Agent
from steersman.loops.cut import frozen_now, keep
from steersman.packs.qe.agents.test_executor import SAFE
from steersman.packs.qe.agents.test_executor import agent as test_executor
from steersman.packs.qe.bench.duels import RunOptions, run
from steersman.policies import artefact
from steersman.testing.traffic import Clock, numbered

PLAIN = replace(test_executor, baseline=lambda state: SAFE)
"""The agent, in a project whose rule is pytest as it comes: all tests, in the order of the files, on one worker."""
WAYS = [
    (selection, order) for selection in ("all", "changed") for order in ("file", "failed_first", "fast_first", "learned")
]
CYCLES = len(WAYS)
SETTINGS: dict[str, Any] = {
    "exploration": {"schedule": "constant", "epsilon": 0.3},
    "release": {
        "mode": "staged",
        "stages": "shadow 1h, 10% 24h, 50% 24h",
        "cut_outcomes": 1_000,
        "cut_age_s": 43_200.0,
        "cohort_wait_s": 300.0,
    },
}

PRICES = """
def total(prices, discount=0):
    result = 0
    for price in prices:
        if price < 0:
            raise ValueError("negative")
        result += price
    return result - discount


def cheapest(prices):
    best = None
    for price in prices:
        if best is None or price < best:
            best = price
    return best


def share(part, whole):
    return part / whole if whole else 0.0
"""
TESTS = """
import time

import pytest
from prices import cheapest, share, total


@pytest.mark.parametrize("number", range(6))
def test_slow_and_sure(number):
    time.sleep(0.2)
    assert number == number


@pytest.mark.parametrize("prices", [[1, 2], [5], []])
def test_total(prices):
    assert total(prices) == sum(prices)


def test_discount():
    assert total([5, 5], 3) == 7


def test_negative():
    with pytest.raises(ValueError):
        total([-1])


def test_cheapest():
    assert cheapest([3, 1, 2]) == 1


def test_share():
    assert share(1, 2) == 0.5
    assert share(1, 0) == 0.0
"""


class Quiet:
    """Progress that nobody looks at."""

    def phase(self, title: str, total: int | None = None) -> None:
        """Say nothing."""

    def step(self, text: str, amount: int = 1) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


@dataclass(kw_only=True)
class Measured:
    """An agent's handle that has the suite run in each way in turn, and keeps what was measured."""

    agent: Agent
    turns: int = 0
    states: list[dict[str, Any]] = field(default_factory=list)
    by_way: dict[tuple[str, str], list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    way: tuple[str, str] = WAYS[0]

    def decide(self, state: StateValues, **asked: Any) -> Decision:
        """Decide on the next way, on one worker and without retries."""
        self.way = WAYS[self.turns % len(WAYS)]
        self.turns += 1
        self.states.append({**state, "has_xdist": 0, "has_rerunfailures": 0, "has_coverage": 0, "time_left_s": 864_000})
        selection, order = self.way
        return changed(self.agent.decide(state), executed={**SAFE, "selection": selection, "order": order})

    def report(self, decision: Decision | str, measurements: Mapping[str, float], **said: Any) -> Receipt:
        """Keep what was measured."""
        assert isinstance(decision, Decision)
        self.by_way[self.way].append(dict(measurements))
        return self.agent.report(decision, measurements, executed=decision.executed, terminated=True)

    def values(self, state: StateValues) -> Any:
        """Return what was learned."""
        return self.agent.values(state)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Run the suite of a small project for real, in all ways."""
    root = tmp_path_factory.mktemp("prices")
    (root / "tests").mkdir()
    (root / "prices.py").write_text(PRICES)
    (root / "tests" / "test_prices.py").write_text(TESTS)
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    with Steersman.open("memory:", agents=[PLAIN], settings={}) as steersman:
        handle = Measured(agent=steersman.agent(PLAIN.name))
        options = RunOptions(
            path=str(root),
            cycles=CYCLES,
            duel_every=0,
            final_duels=0,
            faults=3,
            screen_s=20.0,
            flaky_tests=0,
            flaky_rate=0.0,
        )
        run(lambda name: handle, options, Quiet())
    return handle


@dataclass(kw_only=True)
class Life:
    """Traffic at one decision a minute, each with what a real run came to."""

    agent: Agent
    clock: Clock
    measured: Measured
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    moves: list[Deployment] = field(default_factory=list)

    def run(self, count: int, until: Callable[[Deployment], bool] = lambda move: False) -> list[Decision]:
        made = []
        for number in range(count):
            self.clock.now += 60.0
            state = self.measured.states[int(self.rng.integers(len(self.measured.states)))]
            decision = self.agent.decide(state)
            made.append(decision)
            known = self.measured.by_way[str(decision.executed["selection"]), str(decision.executed["order"])]
            receipt = self.agent.report(decision, known[int(self.rng.integers(len(known)))], terminated=True)
            if number % 10:
                continue
            receipt.wait()  # on the disk, as it would be a minute later
            moved = self.agent.release.tick()
            if moved is not None:
                self.moves.append(moved)
                if until(moved):
                    break
        return made


@pytest.mark.long
def test_the_whole_life_of_versions(measured: Measured, tmp_path: Path) -> None:
    """Cut, evaluated, in shadow, in canary, promoted; a bad version that was planted then goes without a hand."""
    assert {way: len(found) for way, found in measured.by_way.items()} == dict.fromkeys(WAYS, CYCLES // len(WAYS))
    clock, ids = Clock(), numbered()
    with Steersman.open(tmp_path / "log.db", agents=[PLAIN], settings=SETTINGS, clock=clock, ids=ids) as steersman:
        steersman._duties._closing.set()  # this test alone looks, so that the clock and the looks go together
        agent = steersman.agent(PLAIN.name)
        life = Life(agent=agent, clock=clock, measured=measured)

        life.run(20_000, until=lambda move: move.move == "promoted")
        ways = [(each.move, each.stage, each.share) for each in life.moves]
        assert ways[-4:] == [
            ("started", "shadow", 0.0),
            ("advanced", "canary", 0.1),
            ("advanced", "canary", 0.5),
            ("promoted", "full", 0.0),
        ]
        good = life.moves[-1].champion
        started, *_, promoted = life.moves[-4:]
        assert promoted.at - started.at >= 49 * 3_600.0
        assert {each.version for each in life.run(20)} == {good}

        bad = _plant(agent)
        promote.start(agent._runtime, bad, actor="a test", reason="planted")
        made = life.run(20_000, until=lambda move: move.move == "rolled back")
        back = life.moves[-1]
        assert (back.move, back.actor, back.champion) == ("rolled back", "steersman", good)
        served = [each.version for each in made if each.stage != "shadow"]
        assert 0 < served.count(bad) < 0.2 * len(served)
        assert {each.version for each in life.run(50)} == {good}
        assert _harm(agent, bad) < 0.0

    with Steersman.open(tmp_path / "log.db", agents=[PLAIN], settings=SETTINGS, clock=clock, ids=ids) as steersman:
        agent = steersman.agent(PLAIN.name)
        assert agent.release.now.champion == good
        assert agent.decide(measured.states[0]).version == good
        assert [each.verdict for each in agent.release.judgements() if each.kind == "outcome"] == ["rolled back", "promoted"]
        assert steersman.verify_audit() == []


def _plant(agent: Agent) -> str:
    """Keep a version that is sure of the worst: what is learned, turned upside down."""
    box = agent._runtime
    frozen = frozen_now(box)
    low, high = (each / len(box.spec.actions.dimensions) for each in box.fold.bounds)
    bad = artefact.Frozen(**{**vars(frozen), "value": low + high - frozen.value, "visits": frozen.visits + 1_000})
    place = box.world.production
    assert place is not None
    return keep(box, place, bad, position=0, outcomes=0, actor="a test", reason="upside down").id


def _harm(agent: Agent, bad: str) -> float:
    """Return by how much more the bad version earned, as it was seen when it was rolled back."""
    outcome = next(each for each in agent.release.judgements() if each.version == bad and each.kind == "outcome")
    found: float = outcome.body["metrics"][0]["difference"]
    return found
