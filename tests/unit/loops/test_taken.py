"""An event of a bus counts once: its name is in the log with the decision, or the outcome, that it led to."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.core.errors import Conflict, InvalidInput, StoreError
from steersman.core.values import Taken
from steersman.loops.agent import Agent
from steersman.testing.specs import small_agent

STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}
SOON_S = 10.0


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def steersman(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Steersman]:
    places = {"memory": "memory:", "sqlite": str(tmp_path / "log.db")}
    url: str = places.get(request.param) or request.getfixturevalue("store_url")
    with Steersman.open(url, settings={}) as opened:
        yield opened


@pytest.fixture
def agent(steersman: Steersman) -> Agent:
    for _ in range(20):  # on a busy machine the store may be slow to answer, and says so
        with suppress(StoreError):
            return steersman.agent(small_agent())
        time.sleep(0.25)
    return steersman.agent(small_agent())


def event(name: str, position: str = "7-0") -> Taken:
    return Taken(stream="signals", event=name, position=position)


def found(steersman: Steersman, name: str) -> Taken:
    steersman.log.flush(SOON_S)
    taken = steersman.log.taken("signals", name)
    assert taken is not None
    return taken


def test_a_decision_is_logged_with_the_event_that_asked_for_it(steersman: Steersman, agent: Agent) -> None:
    made = agent.decide(STATE, taken=event("s-1"))
    taken = found(steersman, "s-1")
    assert (taken.decision_id, taken.position) == (made.id, "7-0")
    assert taken.at == pytest.approx(made.decided_at, abs=1e-5)


def test_an_event_that_comes_again_makes_no_second_decision_and_draws_no_number(steersman: Steersman, agent: Agent) -> None:
    agent.decide(STATE, taken=event("s-1"))
    draws = agent._runtime.draws.counter
    steersman.log.flush(SOON_S)
    if steersman.log.shared:
        agent.decide(STATE, taken=event("s-1"))  # a shared store may say so later
        steersman.log.flush(SOON_S)
    else:
        with pytest.raises(Conflict, match="s-1"):
            agent.decide(STATE, taken=event("s-1"))
        assert agent._runtime.draws.counter == draws
    assert len(list(steersman.log.rows())) == 1
    assert agent.decide(STATE, taken=event("s-2")).id == found(steersman, "s-2").decision_id


def test_a_wrong_state_takes_no_event(steersman: Steersman, agent: Agent) -> None:
    with pytest.raises(InvalidInput):
        agent.decide({"load": "much"}, taken=event("s-1"))
    steersman.log.flush(SOON_S)
    assert steersman.log.taken("signals", "s-1") is None


def test_an_outcome_is_learned_once_however_often_its_event_comes(steersman: Steersman, agent: Agent) -> None:
    made = agent.decide(STATE)
    agent.report(made, {"reward": 0.5}, taken=event("c-1")).wait(SOON_S)
    agent.follow() if steersman.log.shared else None
    learned = agent.values(STATE)
    with pytest.raises(Conflict, match="c-1"):
        agent.report(made, {"reward": 0.5}, taken=event("c-1")).wait(SOON_S)
    with pytest.raises(Conflict):
        agent.report(made, {"reward": -0.5}, taken=event("c-1"), correct=True).wait(SOON_S)
    assert found(steersman, "c-1").decision_id == made.id
    assert [each.reward for each in steersman.log.outcomes(made.id)] == [0.5]
    agent.follow() if steersman.log.shared else None
    assert agent.values(STATE) == learned


def test_an_event_that_says_what_was_reported_already_is_taken_and_changes_nothing(
    steersman: Steersman, agent: Agent
) -> None:
    made = agent.decide(STATE)
    agent.report(made, {"reward": 0.5}).wait(SOON_S)
    agent.report(made, {"reward": 0.5}, taken=event("c-1")).wait(SOON_S)
    assert found(steersman, "c-1").decision_id == made.id
    assert len(steersman.log.outcomes(made.id)) == 1


def test_an_event_that_says_something_else_is_refused_and_not_taken(steersman: Steersman, agent: Agent) -> None:
    made = agent.decide(STATE)
    agent.report(made, {"reward": 0.5}).wait(SOON_S)
    with pytest.raises(Conflict, match="another outcome"):
        agent.report(made, {"reward": 0.25}, taken=event("c-1"))
    steersman.log.flush(SOON_S)
    assert steersman.log.taken("signals", "c-1") is None
    agent.report(made, {"reward": 0.25}, taken=event("c-1"), correct=True).wait(SOON_S)
    assert found(steersman, "c-1").decision_id == made.id


def test_where_another_process_reported_the_same_first_the_event_is_taken_all_the_same(store_url: str) -> None:
    spec = small_agent()
    with Steersman.open(store_url, settings={}) as one, Steersman.open(store_url, settings={}) as other:
        made = one.agent(spec).decide(STATE)
        one.log.flush(SOON_S)
        receipts = [
            each.agent(spec).report(made, {"reward": 0.5}, taken=event(name)) for each, name in ((one, "a"), (other, "b"))
        ]
        for receipt in receipts:
            receipt.wait(SOON_S)
        assert found(one, "a").decision_id == found(other, "b").decision_id == made.id
        assert len(one.log.outcomes(made.id)) == 1


def test_where_two_processes_take_the_same_event_one_of_them_is_told(store_url: str) -> None:
    spec = small_agent()
    with Steersman.open(store_url, settings={}) as one, Steersman.open(store_url, settings={}) as other:
        made = [each.agent(spec).decide(STATE, taken=event("s-1")) for each in (one, other)]
        for each in (one, other):
            each.log.append(()).wait(SOON_S)
        first = found(other, "s-1").decision_id
        assert [each.id for each in one.log.rows() if not hasattr(each, "decision_id")] == [first]
        assert first in {each.id for each in made}
        late = [each.agent(spec).report(first, {"reward": 0.5}, taken=event("c-1")) for each in (one, other)]
        refused = 0
        for receipt in late:
            try:
                receipt.wait(SOON_S)
            except Conflict:
                refused += 1
        assert refused == 1
        assert len(one.log.outcomes(first)) == 1
