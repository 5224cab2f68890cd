"""The ledger: it adds what is new, reads nothing twice, and is right after corrections."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.core.values import Figures
from steersman.service import ledger as room
from steersman.service.ledger import Ledger, ledger_of
from steersman.stages.monitor.performance import summary
from steersman.testing.specs import small_agent

STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}


@pytest.fixture
def steersman() -> Iterator[Steersman]:
    with Steersman.open("memory:", agents=[small_agent()], settings={}) as opened:
        yield opened


def act(steersman: Steersman, reward: float) -> str:
    agent = steersman.agent("lab/small")
    decision = agent.decide(STATE)
    agent.report(decision, {"reward": reward}).wait()
    return decision.id


def totals(ledger: Ledger) -> tuple[int, int, float]:
    found = summary(ledger.figures("lab/small"))
    return found.decisions, found.rewarded, round((found.reward or 0.0) * found.rewarded, 6)


def test_it_adds_what_is_new_and_takes_corrections_into_account(steersman: Steersman) -> None:
    ledger = Ledger(steersman)
    ledger.refresh()
    assert (ledger.caught_up, ledger.agents()) == (True, [])
    first = act(steersman, 0.5)
    ledger.refresh()
    assert totals(ledger) == (1, 1, 0.5)
    act(steersman, -0.25)
    steersman.agent("lab/small").report(first, {"reward": 0.75}, correct=True).wait()
    ledger.refresh()
    assert totals(ledger) == (2, 2, 0.5)
    steersman.agent("lab/small").withdraw(first).wait()
    ledger.refresh()
    assert totals(ledger) == (2, 1, -0.25)


def test_many_small_steps_amount_to_one_large_one(steersman: Steersman, monkeypatch: pytest.MonkeyPatch) -> None:
    for reward in (0.5, -0.5, 0.25, 0.125):
        act(steersman, reward)
    whole = Ledger(steersman)
    whole.refresh()
    monkeypatch.setattr(room, "STEP", 1)
    stepwise = Ledger(steersman)
    stepwise.refresh()
    assert stepwise.figures("lab/small") == whole.figures("lab/small")


def test_nothing_is_read_twice(steersman: Steersman, monkeypatch: pytest.MonkeyPatch) -> None:
    act(steersman, 0.5)
    ledger, asked = Ledger(steersman), []
    whole = steersman.log.figures

    def figures(after: int = 0, until: int | None = None) -> list[Figures]:
        asked.append((after, until))
        return whole(after, until)

    monkeypatch.setattr(steersman.log, "figures", figures)
    ledger.refresh()
    ledger.refresh()
    act(steersman, 0.5)
    ledger.refresh()
    assert asked == [(0, 2), (2, 4)]


def test_what_was_made_of_an_agent_is_made_anew_only_when_something_happened(steersman: Steersman) -> None:
    act(steersman, 0.5)
    ledger, made = Ledger(steersman), []
    ledger.refresh()

    def make() -> int:
        made.append(1)
        return len(made)

    assert [ledger.once("lab/small", "view", make) for _ in range(3)] == [1, 1, 1]
    act(steersman, 0.5)
    ledger.refresh()
    assert ledger.once("lab/small", "view", make) == 2
    assert ledger.once("lab/small", "view", make, also="another span") == 3


def test_old_hours_are_summed_up(steersman: Steersman) -> None:
    act(steersman, 0.5)
    now = [time.time()]
    ledger = Ledger(steersman, clock=lambda: now[0])
    ledger.refresh()
    now[0] += (room.KEPT_HOURS + 2) * 3600.0
    ledger.refresh()
    assert ledger.figures("lab/small", since_hour=1) == []
    assert totals(ledger) == (1, 1, 0.5)


def test_it_is_filled_in_a_thread_where_much_is_new(steersman: Steersman, monkeypatch: pytest.MonkeyPatch) -> None:
    act(steersman, 0.5)
    monkeypatch.setattr(room, "QUICK", 1)
    ledger = Ledger(steersman)
    assert ledger.behind()
    ledger.refresh_later()
    deadline = time.monotonic() + 10.0
    while ledger.behind() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert totals(ledger) == (1, 1, 0.5)
    assert ledger.share_read == 1.0


def test_threads_that_ask_at_once_do_not_count_twice(steersman: Steersman) -> None:
    ledger = Ledger(steersman)

    def ask() -> None:
        for _ in range(20):
            act(steersman, 0.5)
            ledger.refresh()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    ledger.refresh()
    assert totals(ledger) == (80, 80, 40.0)


def test_each_store_has_one_ledger(steersman: Steersman) -> None:
    assert ledger_of(steersman) is ledger_of(steersman)
