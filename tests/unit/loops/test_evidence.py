"""What a version is judged by, what is kept of it, and what is watched: each reads the log as far as it counts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.kinship import Kinship
from steersman.core.reward import Reward
from steersman.core.state import Number, StateSchema
from steersman.core.values import Decision
from steersman.core.versions import BASELINE, LEARNING, PolicyVersion
from steersman.loops import watching
from steersman.loops.agent import Agent
from steersman.loops.cut import DUE, NOTHING, blank, cut, cut_earlier, due, frozen_now, keep, last_cut, production
from steersman.loops.evidence import ALONE, gather, holdout
from steersman.loops.runtime import Runtime
from steersman.loops.watching import Watching, position_at
from steersman.testing.traffic import Clock, Traffic, numbered, pays, steady_agent

ME = "somebody"
STATE: dict[str, Any] = {"load": 5.0}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(clock: Clock) -> Iterator[Any]:
    """Open agents on a store in memory; nobody but the test looks at releases."""
    stores: list[Steersman] = []

    def make(*specs: AgentSpec, **settings: Any) -> Steersman:
        given = specs or (steady_agent(settings),)
        stores.append(Steersman.open("memory:", agents=given, settings={}, clock=clock, ids=numbered()))
        stores[-1]._duties._closing.set()
        return stores[-1]

    yield make
    for each in stores:
        each.close()


def _small(store: Steersman) -> tuple[Agent, Runtime]:
    agent = store.agent("lab/small")
    return agent, agent._runtime


def _made(agent: Agent, clock: Clock, count: int) -> list[Decision]:
    return Traffic(agent=agent, clock=clock, reward=pays).run(count)


# evidence


def test_what_was_learned_and_corrected_later_is_no_evidence(opened: Any, clock: Clock) -> None:
    """An outcome is held out by where it was first reported; its last correction says what it was."""
    agent, box = _small(opened())
    before = _made(agent, clock, 40)
    version = cut(box, actor=ME).id
    agent.report(before[3], {"reward": 0.25}, correct=True)
    assert len(gather(box, version, BASELINE).evidence) == 0
    after = _made(agent, clock, 10)
    agent.report(after[4], {"reward": 0.125}, correct=True)
    agent.report(before[5], {"reward": 0.25}, correct=True)
    found = gather(box, version, BASELINE).evidence
    assert len(found) == 10
    assert found.reward[4] == 0.125
    assert 0.25 not in found.reward


def test_what_the_rule_did_alone_is_left_out_where_enough_else_is_known(opened: Any, clock: Clock) -> None:
    """After the rule decided for a while, a version is judged by what was tried before that, and by that alone."""
    agent, box = _small(opened(evaluation={"min_outcomes": 50}))
    version = blank(box, actor=ME)
    _made(agent, clock, 60)
    alone = gather(box, version, BASELINE).evidence
    agent.release.rollback(BASELINE, actor=ME)
    _made(agent, clock, 90)
    found = gather(box, version, BASELINE).evidence
    assert found.left_out == {ALONE: 90}
    assert np.array_equal(found.propensity, alone.propensity)
    assert found.propensity.max() < 1.0


def test_what_the_rule_did_alone_stays_where_too_little_else_is_known(opened: Any, clock: Clock) -> None:
    """With fewer others than evaluation needs, a version that does as the rule does still has the rule's outcomes."""
    agent, box = _small(opened(evaluation={"min_outcomes": 50}))
    version = blank(box, actor=ME)
    _made(agent, clock, 49)
    agent.release.rollback(BASELINE, actor=ME)
    _made(agent, clock, 60)
    found = gather(box, version, BASELINE).evidence
    assert (len(found), found.left_out) == (109, {})


def test_what_counts_is_looked_for_behind_what_the_rule_did_alone(opened: Any, clock: Clock) -> None:
    """However long the rule has decided, the newest outcomes that tell something are found before it."""
    agent, box = _small(opened(evaluation={"min_outcomes": 50, "rows": 100}))
    version = blank(box, actor=ME)
    _made(agent, clock, 120)
    agent.release.rollback(BASELINE, actor=ME)
    _made(agent, clock, 450)
    found = gather(box, version, BASELINE).evidence
    assert (len(found), found.left_out) == (100, {ALONE: 450})


def test_a_holdout_is_its_share_to_the_row(opened: Any, clock: Clock) -> None:
    """Of 200 outcomes 30 % are held out: the version learns from 140, and 60 are left to judge it by."""
    agent, box = _small(opened(evaluation={"min_outcomes": 50}))
    assert holdout(box, 0.3) == 0
    _made(agent, clock, 200)
    version = cut_earlier(box, holdout(box, 0.3), actor=ME, reason="")
    assert version.outcomes == 140
    assert len(gather(box, version.id, BASELINE).evidence) == 60


def test_a_holdout_is_a_share_of_what_can_be_used(opened: Any, clock: Clock) -> None:
    """Actions that were exchanged, corrections and what the rule did alone take nothing away from what is held out."""
    agent, box = _small(opened(evaluation={"min_outcomes": 50}))
    made = _made(agent, clock, 200)
    for decision in made[:20]:
        agent.report(decision, {"reward": 0.5}, correct=True)
    for _ in range(100):
        agent.report(agent.decide({"load": 5.0, "backlog": 5, "weekend": False}), {"reward": 0.0}, executed="heavy")
    agent.release.rollback(BASELINE, actor=ME)
    _made(agent, clock, 300)
    until = holdout(box, 0.3)
    version = cut_earlier(box, until, actor=ME, reason="").id
    found = gather(box, version, BASELINE).evidence
    usable = [each for _, each, outcome in box.log.history("lab/small") if each.version == LEARNING and not outcome.revision]
    fit = [each for each in usable if box.log.outcomes(each.id)[-1].executed in (None, each.executed)]
    assert len(found) == round(0.3 * len(fit))


# cut


def _kin(name: str, **settings: Any) -> AgentSpec:
    kinship = Kinship(
        category="c",
        group="g",
        project=lambda state: {"load": float(state["load"]) / 60},
        roles={f"action={each}": each for each in "abc"},
    )
    return AgentSpec(
        name=f"lab/{name}",
        description="One of a family, for tests.",
        state=StateSchema(name=name, fields=(Number(name="load", low=0, high=60, edges=(20, 40)),)),
        actions=ActionSpace.flat("a", "b", "c"),
        reward=Reward.plain(0.0, 1.0),
        baseline=lambda state: "a",
        safe_action="c",
        settings={"learning": {"gamma": 0.0, "alpha": 1.0, "alpha_schedule": "visits", "alpha_scale": 1.0}, **settings},
        kinship=kinship,
    )


@pytest.fixture
def newcomer(opened: Any) -> Agent:
    """An agent with two outcomes of its own, of five that it asks for, and kin that know "b" for best."""
    exploring = {"exploration": {"epsilon": 0.5}}
    newcomer = _kin("new", serving={"cold_visits": 5, "baseline_share": 0.0}, exploration={"epsilon": 0.0})
    store = opened(*(_kin(f"old{each}", **exploring) for each in range(3)), newcomer)
    means, rng = {"a": 0.2, "b": 0.8, "c": 0.4}, np.random.default_rng(0)
    family = [store.agent(f"lab/old{each}") for each in range(3)]
    for agent in family:
        for _ in range(60):
            decision = agent.decide(STATE, arm="champion")
            agent.report(decision, {"reward": float(np.clip(means[str(decision.choice)] + rng.normal(0.0, 0.05), 0.0, 1.0))})
    young: Agent = store.agent("lab/new")
    for _ in range(2):
        young.report(young.decide(STATE), {"reward": 0.3}, executed="c")
    for agent in [*family, young] * 2:
        agent.share()
    return young


def test_a_version_is_no_colder_than_what_it_was_cut_of(newcomer: Agent) -> None:
    """Where priors kept a state from being cold, the version decides by the same values, not by the rule."""
    live = newcomer.decide(STATE)
    assert (live.choice, live.reason) == ("b", "own and borrowed values")
    newcomer.release.rollback(newcomer.release.cut(actor=ME).id, actor=ME)
    decided = newcomer.decide(STATE)
    assert (decided.choice, decided.reason) == ("b", "learned values")
    assert decided.values == pytest.approx(live.values)


def test_a_version_borrows_no_more_visits_than_it_lacks(newcomer: Agent) -> None:
    """Of five visits two were made: three are added, to the choice that most is known of; what is learned stays as it is."""
    frozen, table = frozen_now(newcomer._runtime), newcomer._runtime.fold.table
    (place,) = (frozen.keys.index(key) for key in table.rows)
    assert sorted((frozen.visits[place] - table.visits[0]).tolist()) == [0, 0, 3]
    assert table.state_visits(0) == 2


def test_a_version_knows_what_only_kin_know(opened: Any) -> None:
    """In states that an agent never met it decides as its kin taught it, live and as a version; elsewhere by rule."""
    store = opened(_kin("old", exploration={"epsilon": 0.5}), _kin("new", exploration={"epsilon": 0.0}))
    old, new = store.agent("lab/old"), store.agent("lab/new")
    low, middle, high = ({"load": load} for load in (5.0, 30.0, 50.0))
    for number in range(120):
        state, best = ((low, "b"), (middle, "c"))[number % 2]
        decision = old.decide(state, arm="champion")
        old.report(decision, {"reward": 0.8 if decision.choice == best else 0.2})
    for agent in (old, new):
        agent.share()
    live = [new.decide(state, arm="champion") for state in (low, middle, high)]
    new.report(live[2], {"reward": 0.5}, executed="a")
    new.release.rollback(new.release.cut(actor=ME).id, actor=ME)
    decided = [new.decide(state, arm="champion") for state in (low, middle, high)]
    assert [each.choice for each in live] == [each.choice for each in decided] == ["b", "c", "a"]
    assert live[2].reason == "cold state (0 visits): baseline"
    for before, after in zip(live[:2], decided[:2], strict=True):
        assert after.reason == "learned values"
        assert after.values == pytest.approx(before.values)


def test_a_version_of_an_earlier_position_takes_in_what_kin_say(newcomer: Agent) -> None:
    """What is cut as of now and what is learned now are the same content, so the same version."""
    box = newcomer._runtime
    assert cut_earlier(box, box.log.position, actor=ME, reason="").id == cut(box, actor=ME).id
    assert cut_earlier(box, 0, actor=ME, reason="").outcomes == 0


def test_a_version_of_an_earlier_position_changes_no_count(opened: Any, clock: Clock) -> None:
    """How many rows the agent's own fold left out stays what it was."""
    agent, box = _small(opened())
    _made(agent, clock, 10)
    box.skipped = 7
    cut_earlier(box, box.log.position, actor=ME, reason="")
    assert box.skipped == 7


def test_a_blank_version_has_no_age(opened: Any, clock: Clock) -> None:
    """Where it takes outcomes and age, the first version that has learned is cut by outcomes alone, the next by both."""
    agent, box = _small(opened(release={"mode": "staged", "cut_outcomes": 20, "cut_age_s": 86_400.0, "cut_when": "both"}))
    blank(box, actor=ME)
    first = last_cut(box)
    assert first is not None
    assert (first.outcomes, first.reason) == (0, NOTHING)
    _fed(agent, 19)
    assert not due(box, first)
    _fed(agent, 1)
    assert due(box, first)
    second = cut(box, actor=ME, reason=DUE)
    _fed(agent, 20)
    assert not due(box, second)
    clock.now += 86_400.0
    assert due(box, second)


def _fed(agent: Agent, count: int) -> None:
    for _ in range(count):
        agent.report(agent.decide({"load": 5.0, "backlog": 5, "weekend": False}), {"reward": 0.5})


def _moved(box: Runtime, clock: Clock, times: int) -> None:
    """Keep what moves keep: other content each time."""
    for number in range(times):
        clock.now += 1.0
        frozen = frozen_now(box)
        content = type(frozen)(**{**vars(frozen), "epsilon": float(clock.now % 1_000) / 1_000 + 1e-6 * number})
        keep(box, production(box), content, position=1, outcomes=1, actor=ME, reason="before it was moved")


def _cut(box: Runtime, agent: Agent, clock: Clock) -> PolicyVersion:
    clock.now += 1.0
    _fed(agent, 1)
    return cut(box, actor=ME, reason=DUE)


@pytest.mark.parametrize("between", [0, 5, 40])
def test_the_last_cut_is_found_behind_what_moves_keep(opened: Any, clock: Clock, between: int) -> None:
    """However many versions moves have kept since, whether looked for before or not, the newest cut is the last one."""
    agent, box = _small(opened())
    assert last_cut(box) is None
    first = _cut(box, agent, clock)
    assert last_cut(box) == first
    _moved(box, clock, between)
    assert last_cut(box) == first
    second = _cut(box, agent, clock)
    _moved(box, clock, between)
    assert last_cut(box) == second
    other = Runtime(box.spec, box.settings, box.world, box.guard_list)
    assert last_cut(other) == second


# watching


def _watched(opened: Any, **more: Any) -> tuple[Agent, Runtime]:
    given = {"error_budget": 0.05, "drift_reference": 100, "drift_window": 100, **more}
    return _small(opened(monitoring=given))


def test_an_error_budget_remembers_its_period_after_a_restart(
    opened: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks at the log for the first time counts the same outcomes as who was there all the while."""
    monkeypatch.setattr(watching, "_BACK", 1)  # reaches back 200 of 600 positions for drift
    agent, box = _watched(opened)
    was_there = Watching(box)
    for number in range(300):
        clock.now += 3_600.0
        agent.report(agent.decide({"load": 5.0, "backlog": 5, "weekend": False}), {"reward": -1.0 if number < 100 else 1.0})
        was_there.tick()
    before, after = was_there._burn(), Watching(box)
    after.tick()
    assert before == after._burn()
    assert before is not None
    assert (before.outcomes, before.failures) == (300, 100)


def test_an_error_budget_forgets_what_lies_before_its_period(
    opened: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of outcomes of ten days, those of the last three are counted where the period is three days."""
    monkeypatch.setattr(watching, "_BACK", 1)
    agent, box = _watched(opened, error_period_s=259_200.0)
    for _ in range(240):
        clock.now += 3_600.0
        agent.report(agent.decide({"load": 5.0, "backlog": 5, "weekend": False}), {"reward": 1.0})
    looks = Watching(box)
    looks.tick()
    burn = looks._burn()
    assert burn is not None
    assert burn.outcomes == 72


def test_a_position_is_found_by_time(opened: Any, clock: Clock) -> None:
    """Rows behind the position are of that time or later, rows up to it are earlier."""
    agent, box = _small(opened())
    began = clock.now
    _made(agent, clock, 30)
    for at in (began - 5.0, began + 1.0, began + 7.0, began + 7.5, began + 30.0, began + 99.0):
        position = position_at(box.log, "lab/small", at)
        rows = box.log.since("lab/small", 0)
        times = [(place, row.decided_at if isinstance(row, Decision) else row.reported_at) for place, row in rows]
        assert [place for place, time in times if time >= at] == [place for place, _ in times if place > position]
