"""Old rows leave the log; what was learned of them stays, and learning goes on as if they were there."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from steersman import InvalidInput, NotFound, Steersman
from steersman.core.ports import Log
from steersman.loops import retain
from steersman.loops.agent import Agent
from steersman.loops.learn import refold
from steersman.testing.specs import small_agent

DAY_S = 86_400.0
SETTINGS = {"store": {"retention_s": 30 * DAY_S}, "learning": {"gamma": 0.5}}
SOON_S = 10.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def opened(url: str | Path, clock: Clock, settings: dict[str, dict[str, float]] | None = None) -> Iterator[Agent]:
    """Open a store with ids that come in a row, so that twins are alike."""
    numbers = count()
    names = iter(lambda: f"018bcfe5-0000-7000-8000-{next(numbers):012x}", "")
    given = SETTINGS if settings is None else settings
    with Steersman.open(url, agents=[small_agent()], settings=given, clock=clock, ids=lambda: next(names)) as steersman:
        yield steersman.agent("lab/small")


def work(agent: Agent, clock: Clock, days: int = 60) -> list[str]:
    """Decide three times a day, in episodes of two steps and alone, and report; return the ids."""
    made = []
    for day in range(days):
        clock.now += DAY_S
        state = {"load": float(day * 7 % 100), "backlog": day * 37 % 1000, "weekend": day % 7 > 4}
        alone = agent.decide(state)
        agent.report(alone, {"reward": (day % 5 - 2) / 2})
        with agent.episode(f"day {clock.now:.0f}") as episode:
            first = episode.decide(state)
            episode.report(first, {"reward": 0.25}, next_state=state)
            second = episode.decide(state)
            episode.report(second, {"reward": -0.25}, terminated=True).wait(SOON_S)
        made += [alone.id, first.id, second.id]
        while agent.follow():
            pass
    return made


def log_of(agent: Agent) -> Log:
    return agent._runtime.log


@pytest.fixture(params=["memory:", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    match request.param:
        case "sqlite":
            return tmp_path / "log.db"
        case "postgres":
            return str(request.getfixturevalue("store_url"))
    return "memory:"


def test_a_fold_of_the_rest_on_its_base_is_what_the_whole_log_gave(url: str | Path, clock: Clock) -> None:
    with opened(url, clock) as agent:
        made = work(agent, clock)
        agent.follow()
        before = refold(agent._runtime).changes(replace=True)
        cut = agent.cut()
        assert cut > 0
        after = refold(agent._runtime).changes(replace=True)
        assert (after.entries, after.states, after.carry) == (before.entries, before.states, before.carry)
        with pytest.raises(NotFound):
            agent.report(made[0], {"reward": 1.0}, correct=True)
        assert agent.explain(made[-1]).decision.id == made[-1]
        assert agent.replay(made[-1]).identical
        assert agent.cut() == 0, "nothing more is old enough"


def test_corrections_after_a_cut_give_what_they_would_have_given(clock: Clock) -> None:
    tables = []
    for keep in (False, True):
        clock.now = 1_700_000_000.0
        with opened("memory:", clock) as agent:
            made = work(agent, clock)
            if not keep:
                assert agent.cut() > 0
            agent.report(made[-9], {"reward": 1.0}, correct=True)
            agent.withdraw(made[-6])
            work(agent, clock, days=0)
            tables.append(agent._runtime.fold.changes(replace=True))
    assert tables[0].entries == tables[1].entries
    assert tables[0].carry == tables[1].carry


def test_many_rows_are_cut_some_at_a_time(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retain, "MOST_ROWS", 20)
    with opened("memory:", clock) as agent:
        work(agent, clock)
        before = refold(agent._runtime).changes(replace=True)
        cuts = [agent.cut() for _ in range(6)]
        assert len(set(cuts)) == 6
        assert cuts == [*sorted(set(cuts) - {0}), 0], "each further on, until nothing is old enough"
        assert refold(agent._runtime).changes(replace=True).entries == before.entries


def test_a_store_opened_again_goes_on_from_its_base(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "log.db"
    with opened(path, clock) as agent:
        work(agent, clock)
        agent.cut()
        log_of(agent).flush()
        before = agent._runtime.fold.changes(replace=True)
    with opened(path, clock) as agent:
        assert agent._runtime.fold.changes(replace=True).entries == before.entries
        assert refold(agent._runtime).changes(replace=True).entries == before.entries


def test_other_settings_begin_with_the_rows_that_are_left(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "log.db"
    with opened(path, clock) as agent:
        work(agent, clock)
        agent.cut()
        left = sum(1 for _ in log_of(agent).history("lab/small"))
        log_of(agent).flush()
    with opened(path, clock, {**SETTINGS, "learning": {"gamma": 0.5, "alpha": 0.2}}) as agent:
        assert agent._runtime.fold.carry.transitions == left


def test_settings_that_do_not_bear_on_what_is_learned_keep_the_base(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "log.db"
    with opened(path, clock) as agent:
        work(agent, clock)
        agent.cut()
        log_of(agent).flush()
        before = agent._runtime.fold.changes(replace=True)
    others: dict[str, dict[str, float]] = {
        "exploration": {"budget": 1_000},
        "hierarchy": {"propagate_every_s": 60.0},
        "serving": {"baseline_share": 0.1},
    }
    with opened(path, clock, {**SETTINGS, **others}) as agent:
        assert agent._runtime.fold.changes(replace=True).entries == before.entries


def test_a_decision_that_learned_from_what_was_cut_cannot_be_made_again(clock: Clock) -> None:
    with opened("memory:", clock) as agent:
        work(agent, clock)
        waits = agent.decide({"load": 5.0, "backlog": 5, "weekend": False})
        work(agent, clock)
        assert agent.cut() > waits.table_position
        assert "retention has cut" in agent.replay(waits.id).differences[0]


def test_without_retention_nothing_is_cut(clock: Clock) -> None:
    with opened("memory:", clock, {"learning": {"gamma": 0.5}}) as agent:
        work(agent, clock, days=40)
        assert agent.cut() == 0
        assert sum(1 for _ in log_of(agent).history("lab/small")) == 120


def test_memory_that_cannot_be_stored_keeps_the_whole_log(clock: Clock) -> None:
    with opened("memory:", clock, {**SETTINGS, "replay": {"updates": 1}}) as agent:
        work(agent, clock, days=40)
        assert agent.cut() == 0


def test_rows_must_stay_while_they_can_be_corrected(clock: Clock) -> None:
    with pytest.raises(InvalidInput, match="accept_until_s"), opened("memory:", clock, {"store": {"retention_s": 60.0}}):
        pass
