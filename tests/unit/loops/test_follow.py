"""Many processes on one store: one learns, the others follow, and whoever was overtaken is refused."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from steersman import Conflict, Steersman
from steersman.backends.sql.postgres import PostgresLog, leases, listener
from steersman.core.ports import Receipt
from steersman.core.values import Decision, Learned
from steersman.loops import hands
from steersman.loops.agent import Agent
from steersman.loops.learn import blank, refold
from steersman.stages.record.outcomes import silent
from steersman.testing.specs import small_agent

STATE = {"load": 10.0, "backlog": 5, "weekend": False}
SOON_S = 10.0


@contextmanager
def opened(url: str, **options: object) -> Iterator[Agent]:
    """Open a store as a process of its own would, and give its agent."""
    with Steersman.open(url, agents=[small_agent()], settings={}, **options) as steersman:  # type: ignore[arg-type]
        yield steersman.agent("lab/small")


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {SOON_S} s: {what}"
        time.sleep(0.01)


def learned(agent: Agent) -> int:
    return agent._runtime.fold.carry.transitions


def act(agent: Agent, times: int = 20) -> None:
    for index in range(times):
        receipt = agent.report(agent.decide(STATE), {"reward": (index % 5) / 5})
    receipt.wait(SOON_S)


def same_tables(one: Agent, other: Agent) -> bool:
    left, right = one._runtime.fold.table, other._runtime.fold.table
    return left.rows.keys() == right.rows.keys() and all(
        np.array_equal(left.value[left.rows[key]], right.value[right.rows[key]]) for key in left.rows
    )


def test_one_learns_what_all_report_and_the_others_follow(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url) as second:
        act(first)
        act(second)
        eventually(lambda: learned(first) == learned(second) == 40, "both have learned 40 outcomes")
        assert [each._runtime.fence for each in (first, second)] == [1, None]
        assert same_tables(first, second)
        assert first.values(STATE) == second.values(STATE)


def test_the_table_equals_a_fold_of_the_log_by_one_thread(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url) as second:
        act(first)
        act(second)
        eventually(lambda: learned(first) == 40, "all is learned")
        stored = first._runtime.log.learned("lab/small")
        assert stored is not None
        assert stored[0].entries == refold(first._runtime).changes(replace=True).entries


def test_another_process_takes_over_where_the_learner_stopped(store_url: str) -> None:
    with opened(store_url) as second:
        with opened(store_url) as first:
            eventually(lambda: second._runtime.fence == 1, "the second learns")
            act(first)
        with opened(store_url) as third:
            second._runtime.learns = False
            assert second._runtime.shared is not None
            second.follow()
            second._runtime.shared.release("lab/small")
            eventually(lambda: third._runtime.fence == 2, "the third learns")
            act(second)
            eventually(lambda: learned(second) == learned(third) == 40, "both know all of it")


def test_a_stale_learner_is_refused(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url, learn=False) as second:
        act(first)
        eventually(lambda: learned(first) == 20, "the first has learned")
        stale = blank("lab/small")
        stale.fence, stale.position = 0, 5
        with pytest.raises(Conflict, match="another process learns"):
            second._runtime.log.append((), stale).wait(SOON_S)
        assert first._runtime.log.learned("lab/small") is not None
        act(second)
        eventually(lambda: learned(first) == 40, "the right one goes on")


def test_an_overtaken_learner_takes_up_what_the_new_one_stored(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 1.0)
    monkeypatch.setattr(leases, "RENEW_S", 0.1)
    with opened(store_url) as first:
        act(first)
        eventually(lambda: learned(first) == 20, "the first has learned")
        first._runtime.learns = False  # it sleeps, and its lease runs out
        monkeypatch.setattr(_log(first)._listener, "each_look", lambda connection: None)
        with opened(store_url) as second:
            eventually(lambda: second._runtime.fence == 2, "the second learns")
            first._runtime.learns = True
            act(second)
            eventually(lambda: learned(first) == learned(second) == 40, "both know all of it")
            assert first._runtime.fence is None


def _log(agent: Agent) -> PostgresLog:
    log = agent._runtime.log
    assert isinstance(log, PostgresLog)
    return log


def test_learning_that_takes_longer_than_the_lease_keeps_it(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_S", 0.5)
    monkeypatch.setattr(leases, "RENEW_S", 0.1)
    with opened(store_url) as first, opened(store_url) as second:
        act(first)
        eventually(lambda: learned(first) == 20, "the first has learned")
        with first._runtime.following:  # as if it were folding a long log
            time.sleep(1.5)
        assert second._runtime.fence is None
        act(second)
        eventually(lambda: learned(second) == 40, "the first goes on")
        assert first._runtime.fence == 1


def test_a_late_outcome_is_learned_though_another_process_gave_up_on_it(store_url: str) -> None:
    settings = {"learning": {"gamma": 0.0}, "episodes": {"reward_wait_s": 0.0}}
    agents = [small_agent(settings)]
    with (
        Steersman.open(store_url, agents=agents, settings={}) as one,
        Steersman.open(store_url, agents=agents, settings={}) as two,
    ):
        learner, other = one.agent("lab/small"), two.agent("lab/small")
        eventually(lambda: learner._runtime.fence == 1, "the first learns")
        waited, unwaited = other.decide(STATE), other.decide(STATE)
        other._runtime.log.flush(SOON_S)
        assert learner.expire() == 2
        one.log.flush(SOON_S)
        other.report(waited, {"reward": 1.0}).wait(SOON_S)
        other.report(unwaited, {"reward": 1.0})
        two.log.flush(SOON_S)
        for each in (waited, unwaited):
            assert [row.kind for row in two.log.outcomes(each.id)] == ["expired", "reported"]


def test_a_receipt_follows_an_outcome_that_came_between(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url) as second:
        decision = first.decide(STATE)
        first._runtime.log.flush(SOON_S)
        silence = silent(decision, spec=first.spec, at=time.time())
        second._runtime.log.append((silence,)).wait(SOON_S)
        receipt = first.report(decision, {"reward": 0.5})  # which this process does not know of
        receipt.wait(SOON_S)
        assert receipt.done()
        assert [row.revision for row in first._runtime.log.outcomes(decision.id)] == [0, 1]


def test_a_correction_is_learned_again_from_where_it_stood(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url) as second:
        decision = first.decide(STATE, arm="baseline")
        first.report(decision, {"reward": 1.0}).wait(SOON_S)
        act(first)
        eventually(lambda: learned(second) == 21, "all is learned")
        second.report(decision.id, {"reward": -1.0}, correct=True).wait(SOON_S)
        before = first._runtime.position

        def redone(agent: Agent) -> bool:
            return agent._runtime.position > before and same_tables(first, second)

        eventually(lambda: redone(first) and redone(second), "the correction is learned by all")
        entry = first.values(STATE)["action"]["light"]
        assert entry.reward_mean < 0.5


def test_what_two_processes_report_alike_is_acknowledged_to_both(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url) as second:
        decision = first.decide(STATE)
        first._runtime.log.flush(SOON_S)
        receipts = [each.report(decision.id, {"reward": 0.5}) for each in (first, second)]
        for each in receipts:
            each.wait(SOON_S)
        assert len(first._runtime.log.outcomes(decision.id)) == 1


def test_what_two_processes_report_differently_is_a_conflict_for_one(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url) as second:
        decision = first.decide(STATE)
        first._runtime.log.flush(SOON_S)
        receipt = first.report(decision, {"reward": 0.5})
        second_answer = _answer(lambda: second.report(decision.id, {"reward": 0.25}))  # told now, or by its receipt
        assert sorted([_answer(lambda: receipt), second_answer]) == ["acknowledged", "conflict"]


def _answer(report: Callable[[], Receipt]) -> str:
    try:
        report().wait(SOON_S)
    except Conflict:
        return "conflict"
    return "acknowledged"


def test_processes_at_work_have_streams_of_their_own(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url) as second:
        assert (first._runtime.log.stream, second._runtime.log.stream) == (0, 1)
        ours, theirs = [first.decide(STATE) for _ in range(5)], [second.decide(STATE) for _ in range(5)]
        assert [each.stream for each in (*ours, *theirs)] == [0] * 5 + [1] * 5
        second._runtime.log.flush(SOON_S)
        assert first.replay(ours[0].id).identical
        assert first.replay(theirs[0].id).identical, "by whichever process it was made"
    with opened(store_url) as again:
        assert again._runtime.log.stream == 0
        assert again.decide(STATE).draw == 5, "the stream goes on where it stopped"


def test_a_kill_switch_reaches_every_process(store_url: str) -> None:
    with opened(store_url) as first, opened(store_url) as second:
        assert second.decide(STATE).arm != "safe"
        Steersman.control_in(store_url, "kill", "lab", actor="a test")
        flipped = time.monotonic()
        eventually(lambda: first.decide(STATE).arm == second.decide(STATE).arm == "safe", "the safe action is served")
        assert time.monotonic() - flipped < 1.0 + 2 * hands.POLL_S
        Steersman.control_in(store_url, "kill", "lab", actor="a test", active=False)
        eventually(lambda: first.decide(STATE).arm != "safe", "it is released")


def test_an_unknown_kill_switch_serves_the_safe_action(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(store_url) as agent:
        assert agent.decide(STATE).arm != "safe"
        monkeypatch.setattr(listener, "STALE_S", -1.0)  # as if the store had not been read for long
        eventually(lambda: agent.decide(STATE).arm == "safe", "not knowing is the same as being stopped")


def test_the_exploration_budget_is_shared(store_url: str) -> None:
    settings = {"exploration": {"policy": "epsilon_greedy", "epsilon": 1.0, "decay": 1.0, "budget": 30}}
    agents = [small_agent({**settings, "learning": {"gamma": 0.0}, "serving": {"cold_visits": 0, "baseline_share": 0.0}})]
    with (
        Steersman.open(store_url, agents=agents, settings={}) as one,
        Steersman.open(store_url, agents=agents, settings={}) as two,
    ):
        workers = [each.agent("lab/small") for each in (one, two)]
        workers[0].report(workers[0].decide(STATE, arm="baseline"), {"reward": 1.0}).wait(SOON_S)
        eventually(lambda: [learned(each) for each in workers] == [1, 1], "one action is known to be best")
        made = [made for _ in range(400) for each in workers if (made := _slowly(each)).arm == "champion"]
        explored = sum(each.executed != {"action": "light"} for each in made)
        assert 0 < explored <= 30
        assert not made[-1].may_explore
        assert made[-1].propensity == 1.0
        one.log.flush(SOON_S)
        assert workers[1].replay(made[-1].id).identical


def _slowly(agent: Agent) -> Decision:
    time.sleep(0.0005)  # tokens come by and by
    return agent.decide(STATE)


def test_learned_since_gives_what_is_new_and_all_after_a_removal(store_url: str) -> None:
    log = PostgresLog(store_url)
    try:
        with opened(store_url) as agent:
            act(agent, 5)
            eventually(lambda: _stored(log) == agent._runtime.log.position == 10, "all is learned and stored")
            whole = log.learned_since("lab/small", 0)
            assert whole is not None
            assert log.learned_since("lab/small", whole.version) is None
            agent.report(agent.decide({**STATE, "load": 60.0}, arm="baseline"), {"reward": 0.5}).wait(SOON_S)
            eventually(lambda: _stored(log) == agent._runtime.log.position == 12, "one more is learned and stored")
            new = log.learned_since("lab/small", whole.version)
            assert new is not None
            assert (len(new.entries), new.replace) == (1, False)
            assert _after_removal(log, new.version, next(iter(new.states)), agent._runtime.fence or 0).replace
    finally:
        log.close()


def _stored(log: PostgresLog) -> int | None:
    found = log.learned_since("lab/small", 0)
    return None if found is None else found.position


def _after_removal(log: PostgresLog, version: int, state: str, fence: int) -> Learned:
    removal = Learned(
        agent="lab/small", entries={}, states={}, removed={state}, episodes={}, carry=b"{}", position=12, fence=fence
    )
    log.append((), removal).wait(SOON_S)
    found = log.learned_since("lab/small", version)
    assert found is not None
    assert state not in found.states
    return found
