"""Deciding: fails closed at every step, logs what it did, and keeps its propensities honest."""

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.errors import Conflict, InvalidInput, Overloaded, StoreError
from steersman.core.guards import Guard, Refusal
from steersman.core.state import StateValues
from steersman.loops.agent import Agent
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

STATE: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}
SAFE = {"action": "rest"}


@pytest.fixture
def steersman() -> Iterator[Steersman]:
    with Steersman.open("memory:", settings={}) as opened:
        yield opened


@pytest.fixture
def agent(steersman: Steersman) -> Agent:
    return steersman.agent(small_agent())


def _boom(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("fault")


STEPS: dict[str, Any] = {
    "encoding": lambda runtime, patch: patch.setattr(runtime.encoder, "bins", _boom),
    "keys": lambda runtime, patch: patch.setattr(runtime.encoder, "key", _boom),
    "guards": lambda runtime, patch: patch.setattr(runtime.guards, "narrow", _boom),
    "baseline": lambda runtime, patch: patch.setattr(runtime, "spec", _with_baseline(runtime.spec, _boom)),
    "a baseline that answers nonsense": lambda runtime, patch: patch.setattr(
        runtime, "spec", _with_baseline(runtime.spec, lambda state: "nonsense")
    ),
    "randomness": lambda runtime, patch: patch.setattr(runtime.draws, "next", _boom),
    "the choice": lambda runtime, patch: patch.setattr(runtime.chooser, "choose", _boom),
    "a table of NaN": lambda runtime, patch: _poison(runtime, math.nan),
    "a table that lost its rows": lambda runtime, patch: patch.setattr(runtime.fold.table, "value", np.zeros((0, 4))),
}


def _with_baseline(spec: Any, baseline: Any) -> Any:
    from dataclasses import replace

    return replace(spec, baseline=baseline)


def _poison(runtime: Any, value: float) -> None:
    runtime.fold.table.value[:] = value


@pytest.mark.parametrize("step", STEPS)
def test_a_fault_at_any_step_ends_in_the_safe_action(step: str, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """P8: the declared safe action, always, with the reason and without a propensity."""
    for _ in range(3):  # the state has a row, so that a poisoned table is read
        agent.report(agent.decide(STATE, arm="champion"), {"reward": 0.5})
    STEPS[step](agent._runtime, monkeypatch)
    for _ in range(20):
        decision = agent.decide(STATE, arm="champion")
        assert decision.action == SAFE
        assert decision.propensity is None
        assert decision.arm == "safe"
        assert "failed, so the safe action" in decision.reason
    assert agent.diagnose().last_error


def test_nothing_allowed_ends_in_the_safe_action(steersman: Steersman) -> None:
    never = Guard(name="never", refuse=lambda state: [Refusal(where={}, reason="no")])
    decision = steersman.agent(small_agent(guards=(never,))).decide(STATE)
    assert (decision.action, decision.arm, decision.reason) == (SAFE, "safe", "no action is allowed")
    assert decision.refusals[0].reason == "no"


def test_a_full_queue_ends_in_the_safe_action_and_says_so(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> Any:
        raise Overloaded("100000 rows wait")

    monkeypatch.setattr(agent._runtime.log, "append", full)
    decision = agent.decide(STATE)
    assert decision.action == SAFE
    assert "not recorded" in decision.reason


def test_a_kill_switch_that_cannot_be_read_stops_after_a_second(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    agent.decide(STATE)
    monkeypatch.setattr(agent._runtime.log, "controls", _boom)
    agent._runtime.hands.looked_at -= 0.5
    assert agent.decide(STATE).arm != "safe"
    agent._runtime.hands.looked_at -= 0.6
    decision = agent.decide(STATE)
    assert decision.arm == "safe"
    assert "kill switch unknown" in decision.reason


def test_the_kill_switch_works_on_the_next_decision_and_is_audited(steersman: Steersman, agent: Agent) -> None:
    agent.decide(STATE)
    for scope in ("*", "lab", "lab/small"):
        steersman.kill(scope, actor="ann", reason="odd choices")
        decision = agent.decide(STATE)
        assert decision.action == SAFE
        assert "odd choices" in decision.reason
        steersman.kill(scope, actor="ann", active=False)
        assert agent.decide(STATE).arm != "safe"
    steersman.kill("other", actor="ann")
    assert agent.decide(STATE).arm != "safe"
    assert [each.event for each in steersman.log.audit()][:2] == ["kill switch on", "kill switch off"]


def _hang(state: StateValues) -> list[Refusal]:
    if float(state["load"]) > 50:
        deadline = time.monotonic() + 30.0
        while time.monotonic() < deadline:  # holds its interpreter
            pass
    return []


def test_a_guard_that_hangs_is_killed_at_its_deadline(steersman: Steersman) -> None:
    """P8: a blocking guard runs in a process of its own, and denies while that is missing."""
    hanging = Guard(name="hanging", refuse=_hang, deadline_ms=500.0, blocking=True)
    agent = steersman.agent(small_agent({"serving": {"baseline_share": 0.0}}, guards=(hanging,)))
    assert agent.decide(STATE).arm == "champion"
    started = time.perf_counter()
    decision = agent.decide({**STATE, "load": 90})
    elapsed_ms = (time.perf_counter() - started) * 1000
    assert decision.action == SAFE
    assert "did not answer in 500 ms" in decision.refusals[0].reason
    assert elapsed_ms < 2_000  # far below the guard's 30 s; the exact figure is the benchmark's
    assert agent.decide(STATE).action == SAFE  # being started again
    deadline = time.monotonic() + 30
    while agent.decide(STATE).arm == "safe":
        assert time.monotonic() < deadline, "the guard's process did not come back"
        time.sleep(0.05)


def test_the_callers_mistakes_are_the_callers(agent: Agent) -> None:
    with pytest.raises(InvalidInput, match="'load' is missing"):
        agent.decide({"backlog": 1, "weekend": True})
    with pytest.raises(InvalidInput, match="not a finite number"):
        agent.decide({**STATE, "load": math.nan})


def test_guards_hold_in_every_arm_with_wild_values(agent: Agent) -> None:
    """P7 in short: no refused action, whatever the table says and whoever asks."""
    rng = np.random.default_rng(0)
    for index in range(3_000):
        state = sample_state(agent.spec.state, rng)
        if index % 500 == 100:
            agent._runtime.fold.table.value[:] = rng.choice(
                [1e300, -1e300, 0.0, math.inf], agent._runtime.fold.table.value.shape
            )
        if index % 500 == 300:
            agent._runtime.fold.table.value[:, 3] = 1e9
        decision = agent.decide(state, arm=None if index % 3 else "champion")
        assert not (float(state["load"]) >= 80 and decision.action == {"action": "heavy"})


@pytest.mark.parametrize(
    "exploration",
    [
        {"policy": "epsilon_greedy", "epsilon": 0.3},
        {"policy": "softmax", "temperature": 0.5},
        {"policy": "thompson"},
        {"policy": "ucb"},
    ],
)
def test_the_logged_propensity_is_true(exploration: dict[str, Any]) -> None:
    """P11 in short: χ² of the actions' frequencies against the logged propensities, arms included."""
    rejected = 0
    runs, draws = 10, 1_000
    for seed in range(runs):
        settings = {"exploration": {**exploration, "schedule": "constant"}, "serving": {"baseline_share": 0.2}}
        with Steersman.open("memory:", settings={}, seed=seed) as steersman:
            agent = steersman.agent(small_agent({"learning": {"gamma": 0.0}, **settings}))
            rng = np.random.default_rng(seed)
            for _ in range(60):
                agent.report(agent.decide(STATE), {"reward": float(rng.uniform(-1, 1))})
            runtime = agent._runtime
            counts: dict[str, int] = {}
            expected: dict[str, float] = {}
            for _ in range(draws):
                decision = agent.decide(STATE)
                if decision.arm == "safe":  # a machine that stalled for a guard's deadline is no news about chances
                    continue
                counts[str(decision.choice)] = counts.get(str(decision.choice), 0) + 1
            now = _situation(runtime)
            champion, _ = runtime.chooser.probabilities(runtime.fold.table, now, runtime.fold.table.slot_values(now.row))
            for index, action in enumerate(runtime.spec.actions.actions):
                rule = 1.0 if index == now.baseline else 0.0
                expected[str(action["action"])] = 0.2 * rule + 0.8 * float(champion[index])
            assert all(expected[name] > 0 for name in counts)
            rejected += _p_value(counts, expected, sum(counts.values())) < 0.05
    assert rejected <= 3  # of 10; 0.5 expected, and more than 3 has a chance of 0.001


def _situation(runtime: Any) -> Any:
    from steersman.stages.decide.choose import Situation

    key = runtime.encoder.key(runtime.encoder.bins(STATE))
    return Situation(
        row=runtime.fold.table.rows.get(key),
        allowed=runtime.guards.narrow(STATE).allowed,
        baseline=runtime.spec.actions.index("light"),
        epsilon=runtime.fold.epsilon,
        uniforms=np.zeros(4),
    )


def _p_value(counts: dict[str, int], expected: dict[str, float], draws: int) -> float:
    from scipy import stats

    kept = [(counts.get(name, 0), p * draws) for name, p in expected.items() if p * draws >= 5]
    rest_seen, rest_due = draws - sum(seen for seen, _ in kept), draws - sum(due for _, due in kept)
    if rest_due >= 5:
        kept.append((rest_seen, rest_due))
    if len(kept) < 2:
        return 1.0
    seen, due = zip(*kept, strict=True)
    scale = sum(seen) / sum(due)
    return float(stats.chisquare(seen, [each * scale for each in due]).pvalue)


def test_the_same_seed_gives_the_same_decisions_and_another_seed_others() -> None:
    def run(seed: int) -> list[Any]:
        with Steersman.open("memory:", settings={}, seed=seed) as steersman:
            agent = steersman.agent(small_agent())
            rng = np.random.default_rng(0)
            made = []
            for _ in range(300):
                decision = agent.decide(sample_state(agent.spec.state, rng))
                agent.report(decision, {"reward": float(rng.uniform(-1, 1))})
                made.append((decision.executed, decision.propensity, decision.values, decision.arm))
            return made

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_an_episode_has_its_steps_and_its_epsilon(agent: Agent) -> None:
    with agent.episode("one") as episode:
        for step in range(10):
            decision = episode.decide(STATE)
            assert (decision.episode, decision.step, decision.epsilon) == ("one", step, 0.2)
            episode.report(decision, {"reward": 0.1}, next_state=STATE)
        with pytest.raises(Conflict, match="is over"):
            episode.decide(STATE)
    assert agent.diagnose().episodes_closed == 1
    assert agent.decide(STATE).epsilon < 0.2


def test_a_terminated_episode_takes_no_further_decision(agent: Agent) -> None:
    with agent.episode() as episode:
        episode.report(episode.decide(STATE), {"reward": 0.1}, terminated=True)
        with pytest.raises(Conflict):
            episode.decide(STATE)


def test_store_errors_are_not_swallowed_elsewhere(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise StoreError("gone")

    decision = agent.decide(STATE)
    monkeypatch.setattr(agent._runtime.log, "append", broken)
    with pytest.raises(StoreError, match="gone"):
        agent.report(decision, {"reward": 0.1})
