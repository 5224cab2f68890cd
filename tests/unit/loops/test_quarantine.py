"""Quarantine: what a version did is learned from or not, in every process, after retention, and while decisions go on."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steersman.app import Steersman
from steersman.core.errors import StoreError
from steersman.core.values import Decision
from steersman.core.versions import BASELINE
from steersman.loops import learn, promote
from steersman.loops.agent import Agent
from steersman.loops.cut import frozen_now, keep
from steersman.policies import artefact
from steersman.stages.learn.fold import Fold
from steersman.stages.release.plan import steps
from steersman.testing.specs import small_agent
from steersman.testing.traffic import PAYS, Clock, Traffic, numbered, pays, steady_agent

ME = "somebody"
STATE = {"load": 10.0, "backlog": 5, "weekend": False}
RETENTION: dict[str, Any] = {
    "store": {"retention_s": 3_600.0},
    "episodes": {"accept_until_s": 3_000.0, "reward_wait_s": 100.0},
}
SOON_S = 10.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def opened(clock: Clock, url: str = "memory:", **given: Any) -> Iterator[Agent]:
    """Open an agent whose threads rest, so that nobody but the test looks at what is in quarantine."""
    ids = numbered() if url == "memory:" else None
    with Steersman.open(url, agents=[steady_agent(given)], settings={}, clock=clock, ids=ids) as steersman:
        steersman._duties._closing.set()
        yield steersman.agent("lab/small")


def planted(agent: Agent) -> str:
    """Keep a version that is sure of the action that pays least, and return its name."""
    box = agent._runtime
    with box.lock:
        good = frozen_now(box)
    worst = [1.0 if choice == min(PAYS, key=PAYS.__getitem__) else -1.0 for _, choice in box.spec.actions.slot_names]
    keys = good.keys or ("none",)
    shape = (len(keys), len(worst))
    bad = artefact.Frozen(
        **{**vars(good), "value": np.tile(worst, (shape[0], 1)), "visits": np.full(shape, 1_000, good.visits.dtype)}
    )
    assert box.world.production is not None
    return keep(box, box.world.production, bad, position=0, outcomes=0, actor=ME, reason="planted").id


def work(agent: Agent, clock: Clock, decisions: int, seed: int = 0) -> list[Decision]:
    return Traffic(agent=agent, clock=clock, reward=pays, seed=seed).run(decisions)


def with_a_bad_version(agent: Agent, clock: Clock, outcomes: int = 100) -> str:
    """Let an agent learn of twice as many outcomes of its own as of a bad version, and return that version."""
    work(agent, clock, 2 * outcomes)
    bad = planted(agent)
    agent.release.rollback(bad, actor=ME)
    work(agent, clock, outcomes, seed=1)
    agent.release.rollback("learning", actor=ME)
    return bad


def updates(fold: Fold) -> int:
    """Return how many outcomes taught something."""
    return int(fold.table.visits.sum())


def fold_of(agent: Agent) -> Fold:
    return agent._runtime.fold


def same(one: Fold, other: Fold) -> bool:
    """Whether two folds would store the same."""
    left, right = one.changes(replace=True), other.changes(replace=True)
    return (left.entries, left.states, left.carry) == (right.entries, right.states, right.carry)


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {SOON_S} s: {what}"
        time.sleep(0.01)


def test_what_retention_has_cut_is_not_lost_when_a_version_goes_into_quarantine(clock: Clock) -> None:
    """The base is taken up whatever is in quarantine; only what is left of the log is learned without the version."""
    with opened(clock, **RETENTION) as agent:
        bad = with_a_bad_version(agent, clock)
        clock.now += 3_601.0
        while agent.cut():
            pass
        agent.release.rollback(bad, actor=ME)
        work(agent, clock, 50, seed=2)
        agent.release.rollback("learning", actor=ME)
        assert updates(fold_of(agent)) == 350
        agent.release.quarantine(bad, actor=ME)
        assert updates(fold_of(agent)) == 300
        assert "stays as it was" in agent._runtime.last_error, "it is told that the 100 outcomes that were cut remain"
        clock.now += 3_601.0
        while agent.cut():
            pass
        assert updates(learn.refold(agent._runtime)) == 300, "nor is it lost when rows are cut again"
        agent.release.quarantine(bad, actor=ME, release=True)
        assert updates(fold_of(agent)) == 300, "what was cut without it stays without it"


def test_what_retention_cut_under_other_settings_is_still_left_alone(clock: Clock, tmp_path: Path) -> None:
    url = str(tmp_path / "log.db")
    with opened(clock, url, **RETENTION) as agent:
        bad = with_a_bad_version(agent, clock)
        agent._runtime.log.flush()
        clock.now += 3_601.0
        while agent.cut():
            pass
        agent.release.quarantine(bad, actor=ME)
        agent._runtime.log.flush()
    with opened(clock, url, **RETENTION, learning={"gamma": 0.0, "alpha": 0.3}) as agent:
        assert updates(fold_of(agent)) == 0


def test_every_process_goes_on_with_what_the_learner_learns(store_url: str) -> None:
    """After a quarantine the learner learns anew, and those that only decide, stand by, or come later take that up."""
    with (
        Steersman.open(store_url, agents=[small_agent()], settings={}) as one,
        Steersman.open(store_url, agents=[small_agent()], settings={}, learn=False) as two,
        Steersman.open(store_url, agents=[small_agent()], settings={}) as three,
    ):
        agents = [each.agent("lab/small") for each in (one, two, three)]
        act(agents[0])
        eventually(lambda: [fold_of(each).carry.transitions for each in agents] == [20] * 3, "all have learned")
        bad = planted(agents[0])
        agents[0].release.rollback(bad, actor=ME)
        act(agents[0])
        agents[0].release.rollback("learning", actor=ME)
        agents[0].release.quarantine(bad, actor=ME)
        eventually(lambda: [updates(fold_of(each)) for each in agents] == [20] * 3, "all have left it out")
        act(agents[0])
        eventually(lambda: [updates(fold_of(each)) for each in agents] == [40] * 3, "all go on")
        assert all(each._runtime.quarantined == {bad} and not each._runtime.misfit for each in agents)
        with Steersman.open(store_url, agents=[small_agent()], settings={}, learn=False) as late:
            assert updates(fold_of(late.agent("lab/small"))) == 40


def act(agent: Agent, times: int = 20) -> None:
    for index in range(times):
        receipt = agent.report(agent.decide(STATE), {"reward": (index % 5) / 5})
    receipt.wait(SOON_S)


def test_a_quarantine_that_could_not_be_learned_is_tried_again(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(clock) as agent:
        bad = with_a_bad_version(agent, clock)

        def failing(*_: object, **__: object) -> Iterator[object]:
            raise StoreError("the disk hiccups")

        with monkeypatch.context() as patched:
            patched.setattr(agent._runtime.log, "history", failing)
            agent.release.quarantine(bad, actor=ME)
        assert (updates(fold_of(agent)), agent._runtime.quarantined) == (300, frozenset())
        assert "hiccups" in agent._runtime.last_error
        learn.observe_quarantine(agent._runtime)
        assert (updates(fold_of(agent)), agent._runtime.quarantined) == (200, frozenset({bad}))


def test_what_could_not_be_stored_is_stored_with_the_next_outcome(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(clock, str(tmp_path / "log.db")) as agent:
        bad, log = with_a_bad_version(agent, clock), agent._runtime.log

        def failing(*_: object, **__: object) -> None:
            raise StoreError("the disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(log, "append", failing)
            agent.release.quarantine(bad, actor=ME)
        assert updates(fold_of(agent)) == 200
        work(agent, clock, 1)
        log.flush()
        stored = log.learned("lab/small")
        assert stored is not None
        assert stored[0].entries == learn.refold(agent._runtime).changes(replace=True).entries
        assert fold_of(agent).fits(stored[0])


def test_whoever_opens_the_store_knows_what_is_in_quarantine(clock: Clock, tmp_path: Path) -> None:
    """A command line beside the owner cuts and judges by the same experience; an owner that restarts folds nothing anew."""
    url = str(tmp_path / "log.db")
    with opened(clock, url) as agent:
        bad = with_a_bad_version(agent, clock)
        agent.release.quarantine(bad, actor=ME)
        agent._runtime.log.flush()
        whole = [steady_agent()]
        with Steersman.open(url, agents=whole, settings={}, read_only=True, moves=True, clock=clock) as beside:
            other = beside.agent("lab/small")
            assert other._runtime.quarantined == {bad}
            assert updates(fold_of(other)) == updates(fold_of(agent)) == 200
            other.release.quarantine(bad, actor=ME, release=True)
            assert updates(fold_of(other)) == 300, "although it may store nothing"
            other.release.quarantine(bad, actor=ME)
        agent._runtime.log.flush()
    with opened(clock, url) as agent:
        assert agent._runtime.quarantined == {bad}
        assert not agent._runtime.replace_stored, "what is stored fits"
        assert updates(fold_of(agent)) == 200


@pytest.mark.parametrize("correct", [False, True], ids=["reports", "a correction"])
def test_decisions_and_reports_go_on_while_the_log_is_learned_anew(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, correct: bool
) -> None:
    """Nothing waits for the refold, and what came meanwhile is in its result, in its order."""
    with opened(clock) as agent:
        bad = with_a_bad_version(agent, clock)
        first = agent.decide(STATE)
        agent.report(first, {"reward": 0.5})
        refold, went_on = learn.refold, list[bool]()

        def others() -> None:
            work_without_looking(agent, clock, 30)
            if correct:
                agent.report(first, {"reward": -1.0}, correct=True)

        def slow(*given: Any, **named: Any) -> Fold:
            made = refold(*given, **named)
            if not went_on:
                went_on.append(False)
                meanwhile = threading.Thread(target=others, daemon=True)
                meanwhile.start()
                meanwhile.join(SOON_S)
                went_on[0] = not meanwhile.is_alive()
            return made

        with monkeypatch.context() as patched:
            patched.setattr(learn, "refold", slow)
            agent.release.quarantine(bad, actor=ME)
        assert went_on == [True]
        assert updates(fold_of(agent)) == 231
        assert same(fold_of(agent), learn.refold(agent._runtime))


def work_without_looking(agent: Agent, clock: Clock, decisions: int) -> None:
    for index in range(decisions):
        clock.now += 1.0
        agent.report(agent.decide(STATE), {"reward": (index % 5) / 5})


def test_retention_leaves_what_a_trial_is_judged_by(clock: Clock) -> None:
    """While a trial is under way nothing is cut behind where it began; once it is over, that goes as well."""
    with opened(clock, **RETENTION) as agent:
        work(agent, clock, 200)
        agent.release.rollback(BASELINE, actor=ME)
        began = promote.start(agent._runtime, planted(agent), actor=ME, plan=steps("50% 24h"))
        work_without_looking(agent, clock, 100)
        clock.now += 3_601.0
        work_without_looking(agent, clock, 10)
        cut = [agent.cut(), agent.cut()]
        assert cut[0] <= began.position
        assert cut[1] == 0
        left = [decision.release for _, decision, _ in agent._runtime.log.history("lab/small")]
        assert left == [began.release] * 110
        agent.release.abort(actor=ME, reason="enough")
        assert agent.cut() > began.position
        assert sum(1 for _ in agent._runtime.log.history("lab/small")) == 10


def test_decisions_made_before_a_quarantine_was_noted_are_replayed(clock: Clock, tmp_path: Path) -> None:
    """Another process moved; until that is noted here, the table of before decides, and that is what replay finds."""
    url = str(tmp_path / "log.db")
    with opened(clock, url) as agent:
        bad = with_a_bad_version(agent, clock)
        agent._runtime.log.flush()
        clock.now += 1.0
        with Steersman.open(url, agents=[steady_agent()], settings={}, read_only=True, moves=True, clock=clock) as beside:
            beside.agent("lab/small").release.quarantine(bad, actor="the command line")
        clock.now += 1.0
        before = [agent.decide(STATE) for _ in range(5)]
        production = agent._runtime.world.production
        assert production is not None
        production.look_again()
        learn.observe_quarantine(agent._runtime)
        clock.now += 1.0
        after = [agent.decide(STATE) for _ in range(5)]
        assert before[0].values != after[0].values
        agent._runtime.log.flush()
        assert all(agent.replay(each.id).identical for each in (*before, *after))


def test_a_decision_by_neither_table_is_not_replayed(clock: Clock) -> None:
    """That two tables may have decided makes no replay of a decision by a third."""
    with opened(clock) as agent:
        bad = with_a_bad_version(agent, clock)
        agent.release.quarantine(bad, actor=ME)
        clock.now += 1.0
        box = agent._runtime
        with box.lock:
            box.fold.table.value += 0.125
        assert not agent.replay(agent.decide(STATE, arm="champion").id).identical


MOVES = st.lists(st.sampled_from(["work", "bad works", "correct", "away", "back", "cut"]), min_size=3, max_size=10)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(MOVES)
def test_whatever_happens_what_decides_is_the_fold_of_the_log(moves: list[str]) -> None:
    """Work, corrections, quarantine and retention in any order: the table that decides is what a refold gives."""
    clock = Clock()
    with opened(clock, **RETENTION) as agent:
        bad, made, outcomes = with_a_bad_version(agent, clock, 10), list[Decision](), 30
        for seed, move in enumerate(moves):
            away = bad in agent.release.now.quarantined
            if move == "work":
                made, outcomes = work(agent, clock, 5, seed=seed), outcomes + 5
            elif move == "bad works" and not away:
                agent.release.rollback(bad, actor=ME)
                made, outcomes = work(agent, clock, 5, seed=seed), outcomes + 5
                agent.release.rollback("learning", actor=ME)
            elif move == "correct" and made:
                agent.report(made[0], {"reward": 0.25}, correct=True)
            elif move in ("away", "back") and away is (move == "back"):
                agent.release.quarantine(bad, actor=ME, release=away)
            elif move == "cut":
                made.clear()
                clock.now += 3_601.0
                agent.cut()
        assert same(fold_of(agent), learn.refold(agent._runtime))
        assert fold_of(agent).carry.transitions == outcomes, "no outcome is lost, whoever decided"
