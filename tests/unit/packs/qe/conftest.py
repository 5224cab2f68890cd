"""A small generated project, and a small agent handle that learns."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from steersman.core.actions import Action, Choice
from steersman.core.agent import AgentSpec
from steersman.core.state import StateValues
from steersman.core.values import Arm, Decision, Entry
from steersman.packs.qe.agents import test_executor

SHOP = """
def price(amount, rate):
    total = amount * rate
    if total > 100:
        total = total - 10
    return total


def stock(items):
    count = 0
    for item in items:
        if not item:
            continue
        count = count + 1
    return count
"""
CART = """
from shop import price


def cart(prices, member):
    total = sum(price(each, 1) for each in prices)
    return total - 5 if member and total >= 20 else total
"""
TEST_SHOP = """
import pytest
from shop import price, stock


@pytest.mark.parametrize("amount", [1, 50, 100, 101, 200])
def test_price(amount):
    assert price(amount, 1) == (amount if amount <= 100 else amount - 10)


def test_stock():
    assert stock(["a", "", "b"]) == 2
"""
TEST_CART = """
from cart import cart


def test_member():
    assert cart([10, 10], True) == 15


def test_guest():
    assert cart([10, 10], False) == 20
"""


def write(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project of two modules in the root and two test files."""
    files = {"shop.py": SHOP, "cart.py": CART, "tests/test_shop.py": TEST_SHOP, "tests/test_cart.py": TEST_CART}
    return write(tmp_path / "shop project", files)


class Lines:
    """A Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def phase(self, title: str, total: int | None = None) -> None:
        self.lines.append(title)

    def step(self, text: str, amount: int = 1) -> None:
        self.lines.append(text)

    def note(self, text: str) -> None:
        self.lines.append(text)


class Acknowledged:
    """A receipt for what is not stored anywhere."""

    def wait(self, timeout_s: float | None = None) -> None:
        return None

    def done(self) -> bool:
        return True


class SmallHandle:
    """ε-greedy over one mean for each choice; no store, no stages."""

    def __init__(self, spec: AgentSpec, seed: int = 0) -> None:
        self.spec = spec
        self.generator = np.random.default_rng(seed)
        self.sums = np.zeros(spec.actions.width)
        self.counts = np.zeros(spec.actions.width)
        self.reported: list[Mapping[str, float]] = []

    def decide(
        self, state: StateValues, *, episode: str | None = None, subject: str | None = None, arm: Arm | None = None
    ) -> Decision:
        checked, _ = self.spec.state.check(state)
        space = self.spec.actions
        allowed = np.ones(len(space), dtype=bool)
        for guard in self.spec.guards:
            for refusal in guard.refuse(checked):
                allowed &= ~space.mask(refusal.where)
        chosen = space.index(self.spec.baseline(checked))
        if arm != "baseline":
            means = (self.sums / np.maximum(self.counts, 1))[space.slots].sum(axis=1)
            explore = self.generator.random() < 0.5
            chosen = int(self.generator.choice(np.flatnonzero(allowed)) if explore else np.argmax(means - 1e9 * ~allowed))
        return Decision(
            id=str(uuid.uuid4()),
            agent=self.spec.name,
            episode="",
            step=0,
            subject="",
            state=dict(checked),
            schema=self.spec.state.id,
            refusals=(),
            proposed=None,
            executed=dict(space.actions[chosen]),
            propensity=None,
            arm=arm or "champion",
            arm_probability=1.0,
            reason="",
            values=(),
            confidence=0.0,
            epsilon=0.5,
            policy="",
            settings_hash="",
            table_position=0,
            draw=0,
            seed=0,
            decided_at=0.0,
            latency_us=0.0,
        )

    def report(
        self,
        decision: Decision | str,
        measurements: Mapping[str, float],
        *,
        next_state: StateValues | None = None,
        terminated: bool | None = None,
        truncated: bool = False,
        executed: Action | Choice | None = None,
        source: str = "",
    ) -> Acknowledged:
        assert isinstance(decision, Decision)
        reward = self.spec.reward.score(self.spec.reward.check(measurements)).reward
        slots = self.spec.actions.slots[self.spec.actions.index(decision.executed)]
        self.sums[slots] += reward
        self.counts[slots] += 1
        self.reported.append(measurements)
        return Acknowledged()

    def values(self, state: StateValues) -> dict[str, dict[Choice, Entry]]:
        found: dict[str, dict[Choice, Entry]] = {}
        means = self.sums / np.maximum(self.counts, 1)
        for (name, choice), mean, count in zip(self.spec.actions.slot_names, means, self.counts, strict=True):
            found.setdefault(name, {})[choice] = Entry(
                value=float(mean), visits=int(count), td_variance=0.0, reward_mean=0.0, reward_m2=0.0, updated_at=0.0
            )
        return found


@pytest.fixture
def progress() -> Lines:
    return Lines()


@pytest.fixture
def make() -> Callable[[Path, Mapping[str, str]], Path]:
    """Write files, by name, under a folder."""
    return write


@pytest.fixture
def small_handle() -> Callable[[str], SmallHandle]:
    """What `app` passes to a command: a name to a handle; always the same one."""
    handle = SmallHandle(test_executor.agent)
    return lambda name: handle
