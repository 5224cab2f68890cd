"""Learning changes actions and beats the baseline, through the whole loop on a real store, and survives a restart."""

from pathlib import Path
from typing import Any

import numpy as np

from steersman.app import Steersman
from steersman.core.values import Arm
from steersman.loops.agent import Agent
from steersman.maths.statistics import mean_interval
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

SETTINGS: dict[str, dict[str, Any]] = {
    "learning": {"gamma": 0.0, "alpha_schedule": "visits", "alpha": 0.5},
    "serving": {"baseline_share": 0.1},
}
ARMS: tuple[Arm, Arm] = ("champion", "baseline")
BEST = {0: "steady", 1: "light", 2: "steady", 3: "rest"}


def _reward(state: dict[str, Any], action: str, rng: np.random.Generator) -> float:
    """The baseline (always light) is right at a medium load only."""
    level = sum(float(state["load"]) >= edge for edge in (20, 50, 80))
    right = 0.5 if action == BEST[level] else -0.1
    return float(np.clip(right + rng.normal(0.0, 0.3), -1.0, 1.0))


def _live(agent: Agent, rng: np.random.Generator, count: int) -> None:
    for _ in range(count):
        state = sample_state(agent.spec.state, rng)
        decision = agent.decide(state)
        agent.report(decision, {"reward": _reward(state, str(decision.choice), rng)})


def _duel(agent: Agent, rng: np.random.Generator, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    differences = []
    for _ in range(count):
        state = sample_state(agent.spec.state, rng)
        rewards = {}
        for arm in ARMS:
            decision = agent.decide(state, arm=arm)
            rewards[arm] = _reward(state, str(decision.choice), rng)
        differences.append(rewards["champion"] - rewards["baseline"])
    return np.array(differences)


def test_the_learned_policy_beats_the_baseline_and_is_still_there_after_a_restart(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    with Steersman.open(tmp_path / "log.db", settings={}, seed=1) as steersman:
        agent = steersman.agent(small_agent(SETTINGS))
        before = _duel(agent, rng, 200)
        low, high = mean_interval(before)
        assert low < 0.1, "before it has learned, the champion is no better than the baseline"
        _live(agent, rng, 4_000)
        states = [sample_state(agent.spec.state, rng) for _ in range(50)]
        learned = [agent.values(state) for state in states]
    with Steersman.open(tmp_path / "log.db", settings={}, seed=1) as steersman:
        agent = steersman.agent(small_agent(SETTINGS))
        assert [agent.values(state) for state in states] == learned
        after = _duel(agent, rng, 600)
    low, high = mean_interval(after)
    assert low > 0.2, f"the learned policy should earn clearly more: {low:.2f} to {high:.2f}"


def test_one_seed_gives_the_same_tables_on_any_backend(tmp_path: Path) -> None:
    tables = []
    for url in ("memory:", tmp_path / "a.db", tmp_path / "b.db"):
        rng = np.random.default_rng(5)
        with Steersman.open(url, settings={}, seed=2, clock=lambda: 1_000.0) as steersman:
            agent = steersman.agent(small_agent({"learning": {"method": "double_q", "gamma": 0.9}}))
            for _ in range(60):
                with agent.episode() as episode:
                    state = sample_state(agent.spec.state, rng)
                    for step in range(3):
                        following = sample_state(agent.spec.state, rng)
                        decision = episode.decide(state)
                        reward = {"reward": _reward(state, str(decision.choice), rng)}
                        if step == 2:
                            episode.report(decision, reward, terminated=True)
                        else:
                            episode.report(decision, reward, next_state=following)
                        state = following
            tables.append(agent._runtime.fold.changes(replace=True).entries)
    assert tables[0] == tables[1] == tables[2]
    assert len(tables[0]) > 20


def test_trajectory_rules_take_up_open_episodes_after_a_restart(tmp_path: Path) -> None:
    state: dict[str, Any] = {"load": 10.0, "backlog": 5.0, "weekend": False}
    other = {**state, "load": 60.0}
    for method in ("sarsa", "n_step_sarsa", "monte_carlo", "q_learning"):
        spec = small_agent({"learning": {"method": method, "gamma": 0.5}})
        results = []
        for stops in (False, True):
            store = tmp_path / f"{method}{stops}.db"
            steersman = Steersman.open(store, settings={}, clock=lambda: 1_000.0)
            agent = steersman.agent(spec)
            agent.report(agent.decide(state, episode="e"), {"reward": 0.25}, next_state=other).wait()
            if stops:
                steersman.close()
                steersman = Steersman.open(store, settings={}, clock=lambda: 1_000.0)
                agent = steersman.agent(spec)
            decision = agent.decide(other, episode="e")
            assert decision.step == 1
            agent.report(decision, {"reward": 1.0}, terminated=True).wait()
            results.append(agent._runtime.fold.changes(replace=True).entries)
            steersman.close()
        assert results[0] == results[1], method
        assert results[0]
