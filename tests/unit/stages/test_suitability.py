"""Where learning is the wrong tool, it says so; and agents that do well hear nothing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from steersman.app import Steersman
from steersman.core.errors import InvalidInput
from steersman.core.sections import Convergence as Limits
from steersman.core.values import Window
from steersman.loops.agent import Agent
from steersman.stages.monitor.suitability import Task, expected_states, findings
from steersman.testing.log_rows import window
from steersman.testing.specs import agent_for, small_agent
from steersman.testing.worlds import TabularWorld, additive_bandit_world, bandit_world, cliff_world, lake_world

LIMITS = Limits(windows=4)
DAY_S = 86_400.0
TASK = Task(
    states_seen=20,
    states_once=0,
    states_possible=2_000,
    outcomes=400,
    choices=6,
    dimensions=2,
    alpha=0.1,
    reward_range=2.0,
    exploring=0.1,
)
FINE = structs.replace(window(0), outcomes=100, updates=100, td_bias=0.0, td_pairs=500, reward_mean=0.5, reward_m2=1.0)


def _windows(rewards: tuple[float, ...] = (0.5,) * 4, *, days: float = 1.0, **changes: Any) -> list[Window]:
    """Return windows, newest first, that together took some days."""
    step = days * DAY_S / len(rewards)
    return [
        structs.replace(
            FINE, number=index, reward_mean=mean, started_at=index * step, ended_at=(index + 1) * step, **changes
        )
        for index, mean in enumerate(rewards)
    ][::-1]


def test_a_fine_agent_hears_nothing() -> None:
    assert findings(TASK, _windows(), LIMITS) == []
    assert findings(TASK, [], LIMITS) == []


def test_too_few_decisions_are_told_with_the_time_they_would_take() -> None:
    # 400 outcomes in 100 days are 4 a day; 200 states · 3 choices an outcome · 10 visits − 400 = 5,600 are missing
    task = replace(TASK, states_seen=200)
    (found,) = findings(task, _windows(days=100.0), LIMITS)
    assert "at 4 outcomes a day, about 200 states with 6 choices each take 3.8 years" in found
    assert "coarser bins" in found
    assert findings(task, _windows(days=1.0), LIMITS) == [], "14 days are no reason to give up"
    assert findings(task, _windows(days=100.0), Limits(windows=4, patience_s=1_500 * DAY_S)) == []


@pytest.mark.parametrize(
    ("seen", "once", "outcomes", "expected"),
    [(20, 0, 400, 20), (150, 100, 200, 300), (150, 150, 150, 2_000), (0, 0, 0, 2_000), (1_500, 1_000, 2_000, 2_000)],
)
def test_states_that_were_not_met_yet_are_counted_in(seen: int, once: int, outcomes: int, expected: int) -> None:
    assert expected_states(seen=seen, once=once, outcomes=outcomes, possible=2_000) == expected


def test_the_number_of_states_is_not_overestimated() -> None:
    rng = np.random.default_rng(0)
    for possible, outcomes in ((500, 200), (500, 1_000), (50, 200)):
        visits = np.bincount(rng.integers(0, possible, outcomes), minlength=possible)
        estimate = expected_states(
            seen=int((visits > 0).sum()), once=int((visits == 1).sum()), outcomes=outcomes, possible=10**6
        )
        assert estimate == pytest.approx(possible, rel=0.2)


def test_a_reward_that_hardly_ever_comes_is_told() -> None:
    many: dict[str, Any] = {"outcomes": 1_000, "successes": 1}
    (found,) = findings(TASK, _windows(varied=1, **many)[:3] + _windows(varied=0, **many)[:1], LIMITS)
    assert "3 of the last 4,000 outcomes (0.075 %)" in found
    assert "partial progress" in found
    assert findings(TASK, _windows(varied=12, **many), LIMITS) == []
    assert findings(TASK, _windows(varied=0, **many), LIMITS) == [], "none at all is told apart"
    few = _windows(varied=1, successes=1)[:1] + _windows(varied=0, successes=0)[:3]
    assert findings(TASK, few, LIMITS) == [], "1 of 400 may be 1 of 100 by chance"


def test_an_agent_that_hardly_ever_fails_is_fine() -> None:
    assert findings(TASK, _windows(varied=0, successes=100)[:3] + _windows(varied=1, successes=99)[:1], LIMITS) == []


def test_a_world_that_outruns_learning_is_told() -> None:
    swinging = {"td_bias": 0.5, "td_noise": 0.0, "states_seen": 20}
    (found,) = findings(TASK, _windows((0.7, -0.1, 0.7, -0.1), **swinging), LIMITS)
    assert "about 30 updates to follow while a state gets 5 in a window" in found
    assert "raise learning.alpha" in found
    for quiet in (
        _windows((0.7, -0.1, 0.7, -0.1), **swinging | {"td_bias": 0.0}),  # values fit: the states explain it
        _windows((0.7, -0.1, 0.7, -0.1), **swinging | {"states_seen": 2}),  # 50 updates a window: values follow
        _windows((0.7, -0.1, 0.7, -0.1), **swinging | {"reward_m2": 5_000.0}),  # noise
        _windows((-0.1, 0.1, 0.4, 0.7), **swinging),  # learning
        _windows((0.7, 0.5, 0.3, 0.1), **swinging),  # a decline, no swing
    ):
        assert findings(TASK, quiet, LIMITS) == []
    assert findings(replace(TASK, alpha=0.6), _windows((0.7, -0.1, 0.7, -0.1), **swinging), LIMITS) == []


def test_trying_out_what_cannot_be_taken_back_is_told() -> None:
    task = replace(TASK, irreversible=("delete",))
    (found,) = findings(task, [], LIMITS)
    assert "('delete'): 10 % of its decisions explore" in found
    assert findings(replace(task, simulated=True), [], LIMITS) == []
    assert findings(replace(task, exploring=0.0), [], LIMITS) == []


def test_a_definition_can_only_declare_choices_that_it_has() -> None:
    with pytest.raises(InvalidInput, match=r"irreversible names 'haevy'. Did you mean 'heavy'"):
        replace(small_agent(), irreversible=("haevy",))


class _Lab:
    """An agent acting in a world whose decisions are some time apart."""

    def __init__(self, steersman: Steersman, now: list[float], settings: dict[str, Any], *, apart_s: float) -> None:
        self._steersman = steersman
        self._now = now
        self._settings = settings
        self._apart_s = apart_s

    def act(self, worlds: tuple[TabularWorld, ...], steps: int, *, change_after: int = 10**9) -> Agent:
        """Act for a number of steps; another world takes over every so many."""
        agent = self._steersman.agent(agent_for(worlds[0], self._settings))
        rng, taken = np.random.default_rng(0), 0
        while taken < steps:
            world = worlds[taken // change_after % len(worlds)]
            taken += self._episode(agent, world, rng)
        return agent

    def _episode(self, agent: Agent, world: TabularWorld, rng: np.random.Generator) -> int:
        state = world.reset(rng)
        with agent.episode() as episode:
            for step in range(world.time_limit):
                self._now[0] += self._apart_s
                decision = episode.decide({"cell": str(state)})
                action = agent.spec.actions.index(decision.action)
                following, reward, terminated = world.step(state, action, rng)
                last = not terminated and step + 1 == world.time_limit
                episode.report(
                    decision, {"reward": reward}, next_state={"cell": str(following)}, terminated=terminated, truncated=last
                )
                state = following
                if terminated:
                    break
        return step + 1


def _act(worlds: tuple[TabularWorld, ...], settings: dict[str, Any], steps: int, **more: Any) -> Agent:
    now = [1.7e9]
    steersman = Steersman.open("memory:", settings={}, clock=lambda: now[0])
    apart_s = more.pop("apart_s", 30.0)
    return _Lab(steersman, now, settings, apart_s=apart_s).act(worlds, steps, **more)


@pytest.mark.parametrize(
    "world", [bandit_world(), additive_bandit_world(), cliff_world(), lake_world()], ids=lambda w: w.name
)
@pytest.mark.parametrize("steps", [1_200, 4_000])
def test_no_false_alarm_in_worlds_that_can_be_learned(world: TabularWorld, steps: int) -> None:
    found = _act((world,), {}, steps).diagnose()
    assert found.findings == []
    assert found.convergence.recommendation not in ("", "check the environment")


def test_a_good_agent_in_a_world_that_can_be_learned_is_ready() -> None:
    easy = replace(bandit_world(), transitions=_surer(bandit_world()))
    found = _act((easy,), {"learning": {"alpha": 0.3}}, 3_000).diagnose()
    assert (found.convergence.recommendation, found.findings) == ("ready", [])
    early = _act((easy,), {"learning": {"alpha": 0.3}}, 900).diagnose()
    assert (early.convergence.verdict, early.findings) == ("not enough data", [])


def test_a_world_that_turns_over_faster_than_values_follow_is_found() -> None:
    first = bandit_world()
    surer = replace(first, transitions=_surer(first))
    turned = replace(surer, transitions=surer.transitions[:, ::-1, :])
    found = _act((surer, turned), {"exploration": {"schedule": "constant"}}, 3_000, change_after=160).diagnose()
    assert found.convergence.recommendation == "check the environment"
    assert any("moves" in each or "move faster" in each for each in found.findings)


def test_a_large_table_with_few_decisions_is_found() -> None:
    chances = np.full((400, 8, 402), 0.0)
    chances[:, :, 400], chances[:, :, 401] = 0.6, 0.4
    chances = np.concatenate([chances, np.zeros((2, 8, 402))])
    chances[[400, 401], :, [400, 401]] = 1.0
    rewards = np.zeros_like(chances)
    rewards[:400, :, 400] = 1.0
    wide = TabularWorld(
        name="wide",
        transitions=chances,
        rewards=rewards,
        low=0.0,
        high=1.0,
        terminal=np.arange(402) >= 400,
        start=np.append(np.full(400, 1 / 400), [0.0, 0.0]),
        gamma=0.0,
        time_limit=1,
    )
    (found,) = _act((wide,), {}, 300, apart_s=7_200.0).diagnose().findings
    assert "at 12 outcomes a day" in found
    assert "8 choices" in found
    assert _act((wide,), {}, 300, apart_s=30.0).diagnose().findings == []


def _surer(world: TabularWorld) -> Any:
    """Return the transitions of a bandit whose best action of each context always wins, and whose others never do."""
    chances = world.transitions.copy()
    won, lost = world.states - 2, world.states - 1
    best = chances[:won, :, won].argmax(axis=1)
    for context in range(won):
        chances[context, :, won], chances[context, :, lost] = 0.05, 0.95
        chances[context, best[context], won], chances[context, best[context], lost] = 0.95, 0.05
    return chances
