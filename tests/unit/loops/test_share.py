"""Sharing at work: agents of one store tell each other what they saw, and nothing borrowed becomes anybody's own."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from steersman.app import Steersman
from steersman.backends.memory import MemoryLog
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.kinship import Kinship
from steersman.core.reward import Reward
from steersman.core.state import Number, StateSchema
from steersman.core.values import Decision
from steersman.loops.agent import Agent

MEANS = {"a": 0.2, "b": 0.8, "c": 0.4}
STATE: dict[str, Any] = {"load": 5.0}


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def _spec(name: str, *, scale: float = 1.0, kin: bool = True, **settings: Any) -> AgentSpec:
    """Return an agent of the family; `scale` is what it is paid at most."""
    kinship = Kinship(
        category="c",
        group="g",
        project=lambda state: {"load": float(state["load"]) / 60},
        roles={f"action={name}-{each}": each for each in "abc"},
    )
    return AgentSpec(
        name=f"lab/{name}",
        description="One of a family, for tests.",
        state=StateSchema(name=name, fields=(Number(name="load", low=0, high=60, edges=(20, 40)),)),
        actions=ActionSpace.flat(*(f"{name}-{each}" for each in "abc")),
        reward=Reward.plain(0.0, scale),
        baseline=lambda state: f"{name}-a",
        safe_action=f"{name}-c",
        settings={"learning": {"gamma": 0.0, "alpha": 1.0, "alpha_schedule": "visits", "alpha_scale": 1.0}, **settings},
        kinship=kinship if kin else None,
    )


def _live(agent: Agent, count: int = 60, *, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    scale = agent.spec.reward.high
    for _ in range(count):
        decision = agent.decide(STATE, arm="champion")
        reward = float(np.clip(MEANS[str(decision.choice)[-1]] + rng.normal(0.0, 0.05), 0.0, 1.0))
        agent.report(decision, {"reward": scale * reward}, executed=decision.choice)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def steersman(clock: Clock) -> Iterator[Steersman]:
    with Steersman(MemoryLog(), clock=clock) as opened:
        yield opened


@pytest.fixture
def family(steersman: Steersman) -> list[Agent]:
    """Three agents that have learned, and a newcomer that is paid in other units; all have exchanged."""
    family = [steersman.agent(_spec(f"old{index}", exploration={"epsilon": 0.5})) for index in range(3)]
    family.append(steersman.agent(_spec("new", scale=100.0, exploration={"epsilon": 0.0})))
    for index, agent in enumerate(family[:3]):
        _live(agent, seed=index)
    for agent in [*family, *family]:  # twice, so that the first has heard of the last
        agent.share()
    return family


def _champion(agent: Agent) -> Decision:
    return agent.decide(STATE, arm="champion")


def test_a_newcomer_begins_where_its_kin_have_come_to(family: list[Agent]) -> None:
    decision = _champion(family[3])
    assert decision.choice == "new-b"
    assert decision.reason == "own and borrowed values"
    assert decision.values == pytest.approx((20.0, 80.0, 40.0), abs=8.0)
    assert decision.confidence == 0.0


def test_a_state_that_kin_do_not_know_is_as_cold_as_ever(family: list[Agent]) -> None:
    decision = family[3].decide({"load": 50.0}, arm="champion")
    assert (decision.choice, decision.priors) == ("new-a", ())
    assert decision.reason == "cold state (0 visits): baseline"


def test_a_prior_worth_less_than_the_visits_asked_for_leaves_a_state_cold(steersman: Steersman, family: list[Agent]) -> None:
    careful = steersman.agent(_spec("careful", serving={"cold_visits": 50}))
    careful.share()
    decision = _champion(careful)
    assert decision.reason == "cold state (0 visits): baseline"
    assert decision.priors


def test_nothing_borrowed_is_anybodys_own(steersman: Steersman, family: list[Agent]) -> None:
    before = [row for pool in ("fleet", "category/c", "group/g") for row in steersman.log.contributions(pool)]
    for _ in range(20):
        family[3].decide(STATE)
    assert [agent.share() for agent in family] == [0, 0, 0, 0]
    assert [row for pool in ("fleet", "category/c", "group/g") for row in steersman.log.contributions(pool)] == before
    assert family[3].values(STATE) == {}
    assert "lab/new" not in {row.source for row in before}


def test_learning_goes_by_own_values_alone(steersman: Steersman, family: list[Agent]) -> None:
    """A value is the mean of the agent's own rewards, whatever its kin say."""
    newcomer = family[3]
    for reward in (10.0, 30.0):
        newcomer.report(_champion(newcomer), {"reward": reward}, executed="new-c")
    newcomer.share()
    assert newcomer.values(STATE)["action"]["new-c"].value == pytest.approx(20.0)


def test_own_evidence_wins_in_the_end(family: list[Agent]) -> None:
    newcomer = family[3]
    for choice, reward in (("new-a", 90.0), ("new-b", 10.0), ("new-c", 30.0)):
        for _ in range(200):
            newcomer.report(_champion(newcomer), {"reward": reward}, executed=choice)
    newcomer.share()
    decision = _champion(newcomer)
    assert decision.choice == "new-a"
    assert decision.values == pytest.approx((90.0, 10.0, 30.0), abs=4.0)


def test_a_decision_with_priors_is_replayed_to_the_bit_and_explained(family: list[Agent]) -> None:
    for agent in family:
        _live(agent, 5)
        decision = _champion(agent)
        agent.share()  # other priors now; the decision keeps those it was made with
        assert agent.replay(decision.id).identical, agent.replay(decision.id).differences
        shares = agent.explain(decision.id).shares["action"]
        own = dict(zip(shares, decision.priors[0].weights, strict=True))
        for choice, parts in shares.items():
            assert sum(parts.values()) == pytest.approx(1.0)
            weights = own[choice] + sum(each.weights[list(shares).index(choice)] for each in decision.priors[1:])
            assert parts.get("own", 0.0) == pytest.approx(own[choice] / weights)
            assert set(parts) <= {"own", "category/c", "fleet", *(f"transfer/{each.spec.name}" for each in family)}


def test_a_replay_sees_priors_that_were_changed(family: list[Agent], monkeypatch: pytest.MonkeyPatch) -> None:
    newcomer = family[3]
    decision = _champion(newcomer)
    own, borrowed = decision.priors[0], decision.priors[1]
    forged = msgspec.structs.replace(borrowed, means=tuple(-each for each in borrowed.means))
    other = msgspec.structs.replace(decision, priors=(own, forged, *decision.priors[2:]))
    monkeypatch.setattr(newcomer._runtime.log, "decision", lambda name: other)
    assert any(each.startswith("values") for each in newcomer.replay(decision.id).differences)


def test_blended_values_are_the_weighted_mean_of_what_is_logged(family: list[Agent]) -> None:
    _live(family[3], 3)
    decision = _champion(family[3])
    weights, means = (np.array([getattr(each, name) for each in decision.priors]) for name in ("weights", "means"))
    assert decision.values == pytest.approx(tuple((weights * means).sum(axis=0) / weights.sum(axis=0)))


def test_sharing_comes_again_when_its_time_is_up(clock: Clock, family: list[Agent]) -> None:
    _live(family[0], 5, seed=9)
    assert family[0].share(if_due=True) == 0
    clock.now += 299.0
    assert family[0].share(if_due=True) == 0
    clock.now += 1.0
    assert family[0].share(if_due=True) > 0
    assert family[0].share() == 0


def test_switched_off_everything_given_is_taken_back(steersman: Steersman, clock: Clock) -> None:
    log = MemoryLog()
    open_ = Steersman(log, clock=clock)
    giver = open_.agent(_spec("old0"))
    _live(giver)
    assert giver.share() > 0
    off = Steersman(log, clock=clock, overrides={"hierarchy": {"enabled": False}, "transfer": {"enabled": False}})
    assert off.agent(_spec("old0")).share() > 0
    assert [log.contributions(pool) for pool in ("fleet", "category/c", "group/g")] == [[], [], []]


def test_what_was_given_is_known_after_opening_again(clock: Clock) -> None:
    log = MemoryLog()
    first = Steersman(log, clock=clock)
    for index in range(2):
        _live(first.agent(_spec(f"old{index}")), seed=index)
        assert first.agent(f"lab/old{index}").share() > 0
    again = Steersman(log, clock=clock)
    assert again.agent(_spec("old0")).share() == 0
    newcomer = again.agent(_spec("new", exploration={"epsilon": 0.0}))
    assert _champion(newcomer).choice == "new-b", "priors are taken when the agent is opened"


def test_a_withdrawn_outcome_is_withdrawn_from_the_pools_too(steersman: Steersman) -> None:
    agent = steersman.agent(_spec("old0"))
    decision = _champion(agent)
    agent.report(decision, {"reward": 0.5})
    agent.share()
    assert len(steersman.log.contributions("fleet")) == 1
    agent.withdraw(decision)
    agent.share()
    assert steersman.log.contributions("fleet") == []


def test_an_agent_without_kinship_decides_as_before(steersman: Steersman, family: list[Agent]) -> None:
    alone = steersman.agent(_spec("alone", kin=False))
    assert alone.share() == 0
    _live(alone, 10)
    decision = _champion(alone)
    assert (decision.priors, decision.reason) == ((), "learned values")
    entries = alone.values(STATE)["action"]
    assert decision.values == tuple(each.value for each in entries.values())


def test_kin_with_nobody_else_decide_as_without(clock: Clock) -> None:
    def decisions(kin: bool) -> list[tuple[Any, ...]]:
        with Steersman(MemoryLog(), clock=clock, seed=3) as opened:
            agent = opened.agent(_spec("one", kin=kin))
            made = []
            for _ in range(50):
                decision = agent.decide(STATE)
                agent.report(decision, {"reward": MEANS[str(decision.choice)[-1]]})
                agent.share()
                made.append((decision.choice, decision.propensity, decision.values, decision.reason))
            return made

    assert decisions(True) == decisions(False)


def test_decisions_logged_before_there_were_priors_can_be_read(family: list[Agent]) -> None:
    row = msgspec.json.decode(msgspec.json.encode(_champion(family[3])))
    assert msgspec.convert(row, Decision).priors
    del row["priors"]
    assert msgspec.convert(row, Decision).priors == ()


def test_of_processes_on_one_store_the_one_that_learns_gives_and_all_take(store_url: str) -> None:
    specs = [
        _spec("old0", exploration={"epsilon": 1.0, "schedule": "constant"}),
        _spec("new", exploration={"epsilon": 0.0, "schedule": "constant"}),
    ]
    with (
        Steersman.open(store_url, agents=specs, settings={}) as one,
        Steersman.open(store_url, agents=specs, settings={}) as two,
    ):
        learner, follower = one.agent("lab/old0"), two.agent("lab/old0")
        _live(learner)
        one.log.flush()
        deadline = time.monotonic() + 10.0
        while follower.values(STATE) != learner.values(STATE) or not learner.values(STATE):
            assert time.monotonic() < deadline, "the follower has what the learner learned"
            time.sleep(0.01)
        assert follower.share() == 0
        assert learner.share() > 0
        one.log.flush()
        newcomer = two.agent("lab/new")
        newcomer.share()
        decision = _champion(newcomer)
        assert (decision.choice, decision.reason) == ("new-b", "own and borrowed values"), decision
