"""The pipeline trains where it is due, keeps old knowledge by EWC in later runs, and what fails is kept and tried again."""

from collections.abc import Iterator

import pytest

from steersman.app import Steersman
from steersman.core.compute import Budget
from steersman.core.errors import InvalidInput
from steersman.core.versions import Judgement
from steersman.loops import promote
from steersman.loops.agent import Agent
from steersman.testing.traffic import Clock, Traffic, numbered, pays, steady_agent

DAY_S = 86_400.0
SMALL = {"hidden": "16", "stream": 0, "batch": 16, "updates": 50, "enabled": True, "check_s": 1.0, "tracker": "none"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(clock: Clock) -> Iterator[Agent]:
    spec = steady_agent({"training": SMALL, "release": {"mode": "continuous"}})
    with Steersman.open("memory:", agents=[spec], settings={}, clock=clock, ids=numbered()) as steersman:
        steersman._duties._closing.set()
        yield steersman.agent("lab/small")


def test_it_trains_where_it_is_due_and_later_on_what_is_new(agent: Agent, clock: Clock) -> None:
    pipeline = agent.pipeline
    traffic = Traffic(agent=agent, clock=clock, reward=pays)
    traffic.run(999)
    assert pipeline.run_if_due() is None
    traffic.run(1)
    pipeline._look_at = 0.0
    first = pipeline.run_if_due()
    assert first is not None
    assert (first.verdict, first.body["since"], first.body["transitions"]) == ("trained", 0, 1_000)
    assert agent.release.versions(1)[0].holds == "network, 16"
    traffic.run(1_000)
    pipeline._look_at = 0.0
    assert pipeline.run_if_due() is None  # it takes both: the last time is not long ago
    clock.now += DAY_S
    assert pipeline.standing().due
    pipeline._look_at = 0.0
    second = pipeline.run_if_due()
    assert second is not None
    assert second.body["since"] == first.body["position"]
    assert second.body["outcomes"] == 910  # of the 300 that were left out before, and 1,000 new ones, three tenths less
    assert second.version != first.version


def test_what_failed_is_kept_until_it_succeeds(agent: Agent, clock: Clock) -> None:
    Traffic(agent=agent, clock=clock, reward=pays).run(50)
    with pytest.raises(InvalidInput, match="are needed"):
        agent.pipeline.run(actor="me")
    failed = agent.pipeline.standing().failed
    assert failed is not None
    assert "are needed" in failed.reason
    Traffic(agent=agent, clock=clock, reward=pays, seed=1).run(500)
    agent.pipeline.run(actor="me")
    assert agent.pipeline.standing().failed is None


def test_what_its_budget_stopped_has_not_ended(agent: Agent, clock: Clock) -> None:
    Traffic(agent=agent, clock=clock, reward=pays).run(1_000)
    stopped = agent.pipeline.run(actor="me", updates=100, budget=Budget(cpu_seconds=1e-6))
    assert stopped.body["updates"] == 50
    assert agent.pipeline.standing().interrupted
    anew = agent.pipeline.run(actor="me", updates=100)  # what was learned halfway is nothing to be held near to
    assert (anew.body["since"], anew.body["outcomes"]) == (0, 700)
    assert not agent.pipeline.standing().interrupted


@pytest.fixture
def staged(clock: Clock) -> Iterator[Agent]:
    """An agent whose networks are released by themselves, each hour; its tables are not."""
    release = {"mode": "staged", "cut_outcomes": 1_000_000_000}
    training = {**SMALL, "batch": 64, "updates": 200, "learning_rate": 0.01, "min_hours": 0.0, "min_outcomes": 400}
    spec = steady_agent({"training": training, "release": release})
    with Steersman.open("memory:", agents=[spec], settings={}, clock=clock, ids=numbered()) as steersman:
        steersman._duties._closing.set()
        yield steersman.agent("lab/small")


def look(agent: Agent) -> Judgement | None:
    agent.pipeline._look_at = 0.0
    return agent.pipeline.run_if_due()


def test_a_network_of_which_nobody_could_tell_is_judged_again_by_what_came_since(staged: Agent, clock: Clock) -> None:
    traffic = Traffic(agent=staged, clock=clock, reward=pays)
    traffic.run(400)
    first = look(staged)
    assert first is not None
    assert (first.body["gate"], first.body["released"]) == (None, "")  # 120 outcomes are too few to tell
    traffic.run(400)
    second = look(staged)
    assert second is not None
    verdicts = [each for each in staged.release.judgements() if each.kind == "evaluation" and each.version == first.version]
    assert [each.body["gate"]["passed"] for each in verdicts] == [True, None]
    assert (staged.release.now.challenger, second.body["released"]) == (first.version, "")


def test_a_trial_that_leads_nowhere_gives_way_to_a_better_network(staged: Agent, clock: Clock) -> None:
    traffic = Traffic(agent=staged, clock=clock, reward=pays)
    traffic.run(800)
    same = staged.release.cut(actor="me")
    promote.start(staged._runtime, same.id, actor=promote.AUTOMATIC, reason="planted")
    assert look(staged) is not None
    assert staged.release.now.challenger == same.id  # its steps take 700 s, and it has twice as long
    clock.now += 1_401.0
    Traffic(agent=staged, clock=clock, reward=pays, seed=1).run(400)
    made = look(staged)
    assert made is not None
    moves = [(each.move, each.challenger) for each in staged.release.moves(2)]
    assert moves == [("started", staged.release.now.challenger), ("aborted", "")]
    assert staged.release.now.challenger != same.id


def test_a_network_that_cannot_be_tried_was_trained_all_the_same(clock: Clock) -> None:
    release = {"mode": "staged", "stages": "shadow 1s, 20% 1s", "cut_outcomes": 1_000_000_000}
    training = {**SMALL, "batch": 64, "updates": 200, "learning_rate": 0.01}
    spec = steady_agent({"training": training, "release": release})
    with Steersman.open("memory:", agents=[spec], settings={}, clock=clock, ids=numbered()) as steersman:
        steersman._duties._closing.set()
        agent = steersman.agent("lab/small")
        Traffic(agent=agent, clock=clock, reward=pays).run(2_000)
        made = agent.pipeline.run(actor="me")
        assert (made.verdict, made.body["gate"], made.body["released"]) == ("trained", True, "")
        assert "cannot reach its evidence" in made.body["kept_back"]
        assert "; not tried: step 20% 1s" in made.reason
        standing = agent.pipeline.standing()
        assert (standing.failed, standing.last, standing.interrupted) == (None, made, False)
