"""What tests of backtests share: agents that have learned nothing yet, and somebody who watches and says nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.cli.trade import SETTINGS
from steersman.packs.trading.backtest.arms import agents_of

Agents = Callable[[], dict[str, Any]]


class Silent:
    """Nobody watches; which phases began, and the steps of each, is kept."""

    def __init__(self) -> None:
        self.phases: list[tuple[str, int | None]] = []
        self.steps: dict[str, list[int]] = {}

    def phase(self, title: str, total: int | None = None) -> None:
        """Begin a phase."""
        self.phases.append((title, total))

    def step(self, text: str, amount: int = 1) -> None:
        """Count a step."""
        self.steps.setdefault(self.phases[-1][0], []).append(amount)

    def note(self, text: str) -> None:
        """Hear something that belongs to no step."""


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture
def fresh_agents() -> Iterator[Agents]:
    """Return a function that makes the two agents, as real as anywhere, on a store of their own."""
    with ExitStack() as open_now:

        def made() -> dict[str, Any]:
            return agents_of(open_now.enter_context(Steersman.open("memory:", settings=SETTINGS)).agent)

        yield made
