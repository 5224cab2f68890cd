"""A version that the world leaves behind gives way to the rule, by the rule's own share, and only then."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.actions import Choice
from steersman.core.values import Decision
from steersman.core.versions import BASELINE, Deployment
from steersman.loops import floor as floor_loop
from steersman.loops.agent import Agent
from steersman.loops.floor import FloorWatch
from steersman.loops.promote import AUTOMATIC
from steersman.loops.trial import Trials
from steersman.testing.traffic import PAYS, Clock, Traffic, numbered, pays, steady_agent

ME = "somebody"
TURNED: dict[Choice, float] = {**PAYS, "steady": 0.1}
"""The same world after what was best in it has become worse than the rule."""


def turned(decision: Decision, rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < TURNED[decision.choice] else -1.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(clock: Clock) -> Iterator[Any]:
    """Open an agent whose rule keeps a third of the decisions; nobody but the test looks at releases."""
    with ExitStack() as stack:

        def make(**settings: Any) -> Agent:
            given = {**settings, "serving": {"baseline_share": 1.0 / 3.0}}
            opening = Steersman.open("memory:", agents=[steady_agent(given)], settings={}, clock=clock, ids=numbered())
            steersman = stack.enter_context(opening)
            steersman._duties._closing.set()
            return steersman.agent("lab/small")

        yield make


def with_version(agent: Agent, clock: Clock) -> str:
    """Let the agent learn, and have what it learned decide; return that version."""
    Traffic(agent=agent, clock=clock, reward=pays).run(600)
    version = agent.release.cut(actor=ME).id
    agent.release.rollback(version, actor=ME)
    return version


def moves(agent: Agent, clock: Clock, reward: Any, count: int = 1_500, seed: int = 1) -> list[Deployment]:
    traffic = Traffic(agent=agent, clock=clock, reward=reward, seed=seed)
    traffic.run(count, until=lambda move: move.move == "rolled back")
    return traffic.moves


def test_what_the_world_has_left_behind_gives_way_to_the_rule(opened: Any, clock: Clock) -> None:
    agent = opened()
    version = with_version(agent, clock)
    assert moves(agent, clock, pays, 500) == []
    found = agent.release.floor()
    assert (found.version, found.below) == (version, False)
    [moved] = moves(agent, clock, turned)
    assert (moved.move, moved.champion, moved.previous, moved.actor) == ("rolled back", BASELINE, version, AUTOMATIC)
    assert moved.reason.startswith("below the floor: of late")
    assert moved.evidence["evidence"] > moved.evidence["limit"]
    assert agent.release.floor() is None  # the rule alone is held against nothing
    assert moves(agent, clock, turned, 200) == []


def test_where_versions_are_cut_the_rule_goes_on_exploring(opened: Any, clock: Clock) -> None:
    agent = opened(release={"mode": "staged", "cut_outcomes": 100_000})
    version = with_version(agent, clock)
    [moved] = moves(agent, clock, turned)
    assert moved.champion not in (BASELINE, version)
    made = Traffic(agent=agent, clock=clock, reward=turned, seed=3).run(300)
    assert {each.choice for each in made} == set(PAYS)
    assert moves(agent, clock, turned, 500, seed=4) == []  # the rule that explores is not worse than the rule


def test_a_trial_under_way_is_ended_first(opened: Any, clock: Clock) -> None:
    agent = opened()
    version = with_version(agent, clock)
    Traffic(agent=agent, clock=clock, reward=pays, seed=8).run(5)
    tried = agent.release.cut(actor=ME).id
    agent.release.start(tried, actor=ME, plan="shadow 10000s, 20% 10000s", despite="to have a trial under way")
    [moved] = moves(agent, clock, turned)
    assert (moved.move, moved.champion) == ("rolled back", BASELINE)
    ended = agent.release.moves()[1]
    assert (ended.move, ended.champion, ended.actor) == ("aborted", version, AUTOMATIC)
    assert "below the floor" in ended.reason


@pytest.mark.parametrize(
    "settings",
    [
        {"release": {"floor_run_length": 0}},
        {"learning": {"gamma": 0.5}},  # what a decision earns is not its reward alone
    ],
)
def test_where_it_is_not_asked_or_cannot_be_told_nothing_moves(opened: Any, clock: Clock, settings: Any) -> None:
    agent = opened(**settings)
    with_version(agent, clock)
    assert agent.release.floor() is None
    assert moves(agent, clock, turned, 800) == []


def test_who_begins_to_look_later_comes_to_the_same(opened: Any, clock: Clock) -> None:
    agent = opened()
    with_version(agent, clock)
    assert moves(agent, clock, turned, 60) == []
    found = agent.release.floor()
    later = FloorWatch(agent._runtime, Trials(agent._runtime)).report()
    assert later is not None
    assert replace(later, evidence=0.0) == replace(found, evidence=0.0)
    assert later.evidence == pytest.approx(found.evidence)
    assert found.units[1] > 10.0


def test_a_version_that_is_put_back_has_to_show_anew_what_it_earns(opened: Any, clock: Clock) -> None:
    agent = opened()
    version = with_version(agent, clock)
    [_] = moves(agent, clock, turned)
    agent.release.rollback(version, actor=ME, reason="I know better")
    assert agent.release.tick() is None
    assert agent.release.floor().units == (0.0, 0.0)
    [moved] = moves(agent, clock, turned, seed=2)
    assert moved.champion == BASELINE


def test_a_rule_that_explores_is_held_against_nothing(opened: Any, clock: Clock) -> None:
    """Thompson sampling explores in each cold state, and a version that has learned nothing knows no other."""
    agent = opened(exploration={"policy": "thompson"}, release={"mode": "staged", "cut_outcomes": 100_000})
    Traffic(agent=agent, clock=clock, reward=pays).run(500)
    assert agent.release.now.champion not in (BASELINE, "")
    assert agent.release.floor() is None


def test_an_experiment_beside_it_is_ended_and_then_looked_at_anew(opened: Any, clock: Clock) -> None:
    agent = opened()
    version = with_version(agent, clock)
    agent.release.experiment(version, BASELINE, actor=ME, share=0.2, lasts_s=100_000.0)
    traffic = Traffic(agent=agent, clock=clock, reward=turned, seed=1)
    traffic.run(4_000, until=lambda move: move.move == "rolled back")
    assert [each.move for each in traffic.moves][-2:] in (["rolled back"], ["aborted", "rolled back"])
    assert traffic.moves[-1].champion == BASELINE


def test_the_explored_are_told_by_what_the_version_does_not_by_settings(opened: Any, clock: Clock) -> None:
    agent = opened()
    version = with_version(agent, clock)
    [row] = Traffic(agent=agent, clock=clock, reward=pays, seed=4).run(1)
    watch = agent.release._floor
    assert watch._allowed(row) == len(PAYS)
    assert agent._runtime.serving.policy(version).chooser.by_epsilon
    settings = agent._runtime.settings
    agent._runtime.settings = replace(settings, exploration=replace(settings.exploration, policy="softmax"))
    assert watch._allowed(row) == len(PAYS)


def test_a_long_log_is_read_in_parts_and_judged_when_all_of_it_was(
    opened: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = opened()
    with_version(agent, clock)
    moves(agent, clock, turned, 60)
    monkeypatch.setattr(floor_loop, "_CHUNK", 500)
    watch = FloorWatch(agent._runtime, Trials(agent._runtime))
    seen = watch._floor_of(agent.release.now)
    assert seen is not None
    assert [watch._read(seen) for _ in range(12)].index(True) == agent._runtime.log.durable_position // 500
