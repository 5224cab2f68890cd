"""The life of versions: cut, judged, tried in steps, promoted, rolled back; and what is refused on the way."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.actions import ActionSpace
from steersman.core.errors import Conflict, InvalidInput, NotFound, NotPermitted
from steersman.core.guards import Guard, Refusal
from steersman.core.state import StateValues
from steersman.core.versions import BASELINE, LEARNING, Deployment
from steersman.loops import promote
from steersman.loops.agent import Agent
from steersman.loops.cut import due, frozen_now, keep
from steersman.policies import artefact
from steersman.stages.decide.guards import Guards
from steersman.testing.traffic import PAYS, Clock, Traffic, numbered, pays, steady_agent

ME = "somebody"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def opened(clock: Clock) -> Iterator[Any]:
    """Open an agent on a store in memory, with settings; nobody but the test looks at releases."""
    with _Opener(clock) as make:
        yield make


class _Opener:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._open: list[Steersman] = []

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        for each in self._open:
            each.close()
        self._open.clear()

    def __call__(self, url: str = "memory:", **settings: Any) -> Agent:
        steersman = Steersman.open(url, agents=[steady_agent(settings)], settings={}, clock=self._clock, ids=numbered())
        steersman._duties._closing.set()  # ticks come from the test alone, so that the same test is the same run
        self._open.append(steersman)
        return steersman.agent("lab/small")


def _bad_version(agent: Agent) -> str:
    """Keep a version that is sure of the action that pays least."""
    box = agent._runtime
    with box.lock:
        good = frozen_now(box)
    worst = [1.0 if choice == min(PAYS, key=PAYS.__getitem__) else -1.0 for _, choice in box.spec.actions.slot_names]
    bad = artefact.Frozen(
        **{**vars(good), "value": np.tile(worst, (len(good.keys), 1)), "visits": np.full_like(good.visits, 1_000)}
    )
    place = box.world.production
    assert place is not None
    return keep(box, place, bad, position=0, outcomes=0, actor=ME, reason="planted").id


def _learned(agent: Agent, clock: Clock, count: int = 1_500) -> str:
    """Cut a version, and go on learning a little, so that what is being learned is another one."""
    Traffic(agent=agent, clock=clock, reward=pays).run(count)
    version = agent.release.cut(actor=ME).id
    Traffic(agent=agent, clock=clock, reward=pays, seed=8).run(5)
    return version


def _served(agent: Agent, clock: Clock, count: int = 60) -> set[str]:
    return {each.version for each in Traffic(agent=agent, clock=clock, reward=lambda *_: None, seed=9).run(count)}


def test_nothing_is_released_unless_somebody_says_so(opened: Any, clock: Clock) -> None:
    """What is being learned decides, as long as nobody moved anything; no version is cut."""
    agent = opened()
    made = Traffic(agent=agent, clock=clock, reward=pays).run(700)
    assert {each.version for each in made} == {LEARNING}
    assert agent.release.now.number == 0
    assert agent.release.versions() == []


def test_a_staged_agent_goes_the_whole_way_by_itself(opened: Any, clock: Clock) -> None:
    """The rule comes first, exploring; a version is cut, judged better, tried in shadow, at 20 % and 50 %, and promoted."""
    agent = opened(release={"mode": "staged"})
    traffic = Traffic(agent=agent, clock=clock, reward=pays)
    traffic.run(9_000, until=lambda move: move.move == "promoted")
    ways = [(each.move, each.stage, each.share) for each in traffic.moves]
    assert ways[1:] == [
        ("started", "shadow", 0.0),
        ("advanced", "canary", 0.2),
        ("advanced", "canary", 0.5),
        ("promoted", "full", 0.0),
    ]
    first, *_, last = traffic.moves
    assert last.champion == traffic.moves[1].challenger != first.champion
    evaluation = next(each for each in agent.release.judgements() if each.kind == "evaluation")
    assert (evaluation.verdict, evaluation.body["gate"]["passed"]) == ("better", True)
    assert traffic.moves[1].evidence["evaluation"] == evaluation.id
    assert _served(agent, clock) == {last.champion}


def test_each_subject_meets_one_arm_and_shares_are_kept(opened: Any, clock: Clock) -> None:
    """In a canary the same subject gets the same version each time, and the challenger gets its share of the subjects."""
    agent = opened()
    version = _learned(agent, clock)
    start = agent.release.experiment("baseline", version, actor=ME, share=0.3, lasts_s=1e6)
    arms: dict[str, set[str]] = {}
    for number in range(3_000):
        subject = f"s{number % 600}"
        decision = agent.decide({"load": 10, "backlog": 5, "weekend": False}, subject=subject)
        arms.setdefault(subject, set()).add(decision.version)
        assert decision.release == start.release
    assert all(len(each) == 1 for each in arms.values())
    assert 0.24 < sum(each == {version} for each in arms.values()) / 600 < 0.36  # ± 3 standard errors


def test_a_bad_version_is_rolled_back_by_itself(opened: Any, clock: Clock) -> None:
    """A version that somebody let through all the same is caught while it is small, and decides nothing afterwards."""
    agent = opened()
    good, bad = _learned(agent, clock), _bad_version(agent)
    promote.roll_back(agent._runtime, actor=ME, reason="known to be good", to=good)
    promote.start(agent._runtime, bad, actor=ME, reason="planted")
    traffic = Traffic(agent=agent, clock=clock, reward=pays, seed=3)
    made = traffic.run(8_000, until=lambda move: move.move == "rolled back")
    assert traffic.moves[-1].move == "rolled back"
    assert "reward" in traffic.moves[-1].reason
    assert traffic.moves[-1].champion == good
    assert sum(each.version == bad for each in made) < 0.25 * len(made)
    assert _served(agent, clock) == {good}
    outcome = agent.release.judgements()[0]
    assert (outcome.kind, outcome.verdict, outcome.version) == ("outcome", "rolled back", bad)


def test_a_bad_version_does_not_pass_the_gate(opened: Any, clock: Clock) -> None:
    """A version that the log shows to be worse is refused, even with a reason; production stays as it is."""
    agent = opened()
    _learned(agent, clock)
    bad = _bad_version(agent)
    with pytest.raises(NotPermitted, match="worse"):
        agent.release.start(bad, actor=ME, despite="I want to see it")
    assert agent.release.now.number == 0


def test_what_the_log_cannot_tell_needs_a_reason(opened: Any, clock: Clock) -> None:
    """With hardly any outcomes nothing can be told, so nothing starts, unless a person says why."""
    agent = opened()
    Traffic(agent=agent, clock=clock, reward=pays).run(60)
    version = agent.release.cut(actor=ME).id
    Traffic(agent=agent, clock=clock, reward=pays).run(5)
    with pytest.raises(NotPermitted, match="cannot tell"):
        agent.release.start(version, actor=ME)
    moved = agent.release.start(version, actor=ME, despite="a pilot on my own machine")
    assert (moved.challenger, moved.reason) == (version, "a pilot on my own machine")


def test_a_rollback_restores_the_very_version(opened: Any, clock: Clock) -> None:
    """Back and forth, what serves is what the last move names, to the hash, and unknown names change nothing."""
    agent = opened()
    first = _learned(agent, clock)
    second = _learned(agent, clock)
    for to in (first, second, first, BASELINE, second):
        agent.release.rollback(to, actor=ME)
        assert _served(agent, clock, 20) == {to}
    with pytest.raises(NotFound):
        agent.release.rollback("feedfeedfeed", actor=ME)
    assert _served(agent, clock, 20) == {second}
    assert agent.release.rollback(actor=ME).champion == BASELINE
    with pytest.raises(Conflict, match="already"):
        agent.release.rollback(BASELINE, actor=ME)


def test_a_rollback_does_not_lead_to_what_was_rolled_back(opened: Any, clock: Clock) -> None:
    """After v2 was rolled back to v1, the way back from v1 is not v2."""
    agent = opened()
    first, second = _learned(agent, clock), _learned(agent, clock)
    agent.release.rollback(first, actor=ME)
    now = agent.release.now
    promote._end(agent._runtime, now, "promoted", second, actor=ME, reason="", evidence={})
    assert agent.release.rollback(actor=ME).champion == first
    assert agent.release.rollback(actor=ME).champion in (LEARNING, BASELINE)


def test_one_trial_at_a_time_and_none_against_oneself(opened: Any, clock: Clock) -> None:
    agent = opened()
    version = _learned(agent, clock)
    agent.release.rollback(version, actor=ME)
    with pytest.raises(InvalidInput, match="itself"):
        promote.start(agent._runtime, version, actor=ME)
    agent.release.experiment(actor=ME)
    with pytest.raises(Conflict, match="being tried already"):
        agent.release.experiment(actor=ME)


def test_a_person_holds_confirms_and_aborts(opened: Any, clock: Clock) -> None:
    """Each step up waits for a person in advisory mode; a trial that is held stays there; one that is aborted is over."""
    agent = opened(release={"mode": "advisory", "stages": "shadow 10s, 50% 100s", "cut_outcomes": 1_000_000})
    version = _learned(agent, clock)
    agent.release.start(version, actor=ME, despite="first of its kind")
    traffic = Traffic(agent=agent, clock=clock, reward=pays, seed=2)
    traffic.run(100)
    assert agent.release.now.waits_for_person
    assert agent.release.resume(actor=ME).stage == "canary"
    agent.release.hold(actor=ME, reason="let me think")
    traffic.run(3_000)
    assert (agent.release.now.stage, agent.release.now.held) == ("canary", "let me think")
    agent.release.resume(actor=ME)
    traffic.run(200)
    over = agent.release.abort(actor=ME, reason="enough")
    assert (over.champion, over.under_way) == (traffic.moves[0].previous, False)
    with pytest.raises(Conflict, match="no trial"):
        agent.release.hold(actor=ME)


def test_an_experiment_names_a_winner_and_changes_nothing(opened: Any, clock: Clock) -> None:
    """After its time an experiment is concluded: winner, improvement and advice are kept; who decided decides again."""
    agent = opened()
    version = _learned(agent, clock)
    agent.release.rollback(version, actor=ME)
    agent.release.experiment("baseline", version, actor=ME, lasts_s=2_000.0)
    traffic = Traffic(agent=agent, clock=clock, reward=pays, seed=4)
    traffic.run(2_500, until=lambda move: move.move == "concluded")
    assert traffic.moves[-1].champion == version
    outcome = agent.release.judgements()[0]
    assert outcome.body["winner"] == "challenger"
    assert outcome.body["improvement"] == pytest.approx(0.45, abs=0.2)  # 2 · (0.8 · 0.85 + … − 0.5), exploring included
    assert "challenger" in outcome.reason


def test_experience_of_a_bad_version_can_be_left_out(opened: Any, clock: Clock, tmp_path: Any) -> None:
    """In quarantine a version's outcomes teach nothing: the table is the fold of the log without them."""
    agent = opened(str(tmp_path / "log.db"))
    version = _learned(agent, clock, 600)
    before = frozen_now(agent._runtime)
    agent.release.rollback(version, actor=ME)
    Traffic(agent=agent, clock=clock, reward=lambda *_: -1.0, seed=5).run(300)
    assert artefact.pack(frozen_now(agent._runtime)) != artefact.pack(before)
    agent.release.rollback(BASELINE, actor=ME)
    agent.release.quarantine(version, actor=ME, reason="poisoned")
    assert np.array_equal(frozen_now(agent._runtime).value, before.value)
    agent.release.quarantine(version, actor=ME, release=True)
    assert not np.array_equal(frozen_now(agent._runtime).value, before.value)
    with pytest.raises(Conflict, match="not in quarantine"):
        agent.release.quarantine(version, actor=ME, release=True)


def test_decisions_by_versions_are_replayed_to_the_bit(opened: Any, clock: Clock) -> None:
    """Whatever decided (the table, either arm of a trial, the rule), the same code makes the same decision again."""
    agent = opened()
    version = _learned(agent, clock, 600)
    made = [agent.decide({"load": 10, "backlog": 5, "weekend": False})]
    agent.release.experiment("baseline", version, actor=ME, share=0.5)
    made += Traffic(agent=agent, clock=clock, reward=pays, seed=6).run(60)
    arms = {(each.arm, each.version) for each in made}
    assert {("champion", BASELINE), ("challenger", version), ("champion", LEARNING)} <= arms
    replays = [agent.replay(each.id) for each in made]
    assert all(each.identical for each in replays), [each.differences for each in replays]


def test_shadow_decides_nothing(opened: Any, clock: Clock) -> None:
    """In the shadow stage the challenger is asked about each decision, its answer is logged, and the champion obeyed."""
    agent = opened()
    version = _learned(agent, clock)
    agent.release.start(version, actor=ME, despite="to see")
    champion = agent.release.now.champion
    made = Traffic(agent=agent, clock=clock, reward=lambda *_: None).run(50)
    assert {each.version for each in made} == {champion}
    assert all(each.shadow is not None and each.stage == "shadow" for each in made)
    assert all(0.0 <= (each.shadow_probability or 0.0) <= 1.0 for each in made if each.action_probability is not None)


def test_a_shadow_that_fails_goes_no_further(opened: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A challenger that cannot be asked harms nobody, and is held."""
    agent = opened()
    version = _learned(agent, clock)
    agent.release.start(version, actor=ME, despite="to see")
    table = agent._runtime.serving.policy(version).table
    monkeypatch.setattr(type(table), "slot_values", _fail_for(table, type(table).slot_values))
    made = Traffic(agent=agent, clock=clock, reward=pays).run(400)
    assert all(each.arm != "safe" for each in made)
    assert "failed" in agent.release.now.held


def _fail_for(table: object, ask: Any) -> Any:
    def asked(self: Any, row: Any) -> Any:
        if self is table:
            raise RuntimeError("planted")
        return ask(self, row)

    return asked


def test_where_a_version_cannot_be_read_the_rule_decides(opened: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the artefact of what is in production was changed, the rule decides, and the version is taken out by itself."""
    agent = opened()
    version = _learned(agent, clock, 200)
    agent.release.rollback(version, actor=ME)
    agent._runtime.serving._loaded.clear()
    hostile = b"something else"
    monkeypatch.setattr(type(agent._runtime.world.production.registry), "artefact", lambda *_: hostile)
    decision = agent.decide({"load": 10, "backlog": 5, "weekend": False})
    assert (decision.version, decision.executed) == (BASELINE, {"action": "light"})
    assert "artefact was changed" in agent._runtime.last_error


def test_a_definition_that_changed_leaves_the_rule_in_production(opened: Any, clock: Clock, tmp_path: Path) -> None:
    """After a deploy with other actions no old version fits: the rule decides at once, and the next look makes it so."""
    url = str(tmp_path / "log.db")
    agent = opened(url, release={"mode": "staged"})
    agent.release.rollback(_learned(agent, clock, 300), actor=ME)
    opened.close()
    wider = replace(steady_agent(), actions=ActionSpace.flat("rest", "light", "steady", "heavy", "more"))
    with Steersman.open(url, agents=[wider], settings={}, clock=clock, learn=False) as steersman:
        agent = steersman.agent("lab/small")
        assert agent.decide({"load": 10, "backlog": 5, "weekend": False}).version == BASELINE
        moved = agent.release.follow()
        assert moved is not None
        assert (moved.move, moved.champion) == ("rolled back", BASELINE)
        assert "cannot be served" in moved.reason


def test_what_was_judged_is_what_is_moved(opened: Any, clock: Clock) -> None:
    """Where a person ended the bad trial meanwhile, the automatic rollback of it is refused, and the good one stays."""
    agent = opened(release={"quarantine": True})
    good, bad = _learned(agent, clock), _bad_version(agent)
    agent.release.rollback(good, actor=ME)
    judged = promote.start(agent._runtime, bad, actor=ME, reason="planted")
    agent.release.abort(actor=ME, reason="I saw it too")
    with pytest.raises(Conflict):
        promote.roll_back(agent._runtime, judged, actor="steersman", reason="worse")
    assert (agent.release.now.champion, agent.release.now.quarantined) == (good, ())


def test_a_way_back_never_fails(opened: Any, clock: Clock) -> None:
    """Who comes back after a trial cannot be shut away meanwhile; where that cannot be served, the rule comes back."""
    agent = opened()
    good, bad = _learned(agent, clock), _bad_version(agent)
    agent.release.rollback(good, actor=ME)
    agent.release.experiment("baseline", bad, actor=ME)
    with pytest.raises(Conflict, match="comes back after"):
        agent.release.quarantine(good, actor=ME)
    agent._runtime.serving._loaded.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(agent._runtime.world.production.registry), "artefact", lambda *_: b"gone")
        assert agent.release.abort(actor=ME).champion == BASELINE


def test_an_experiment_has_no_arm_in_quarantine_and_makes_no_champion(opened: Any, clock: Clock) -> None:
    """A version that was shut away takes part in nothing, and one that was only compared is no way back."""
    agent = opened()
    good, bad = _learned(agent, clock), _bad_version(agent)
    agent.release.rollback(good, actor=ME)
    agent.release.experiment(bad, good, actor=ME)
    agent.release.abort(actor=ME)
    assert agent.release.rollback(actor=ME).champion != bad
    agent.release.quarantine(bad, actor=ME)
    with pytest.raises(Conflict, match="in quarantine"):
        agent.release.experiment(bad, good, actor=ME)


def test_a_challenger_that_cannot_decide_is_rolled_back(opened: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a canary its subjects get the safe action, marked as its own; a tenth of failures is enough to end the trial."""
    agent = opened()
    version = _learned(agent, clock)
    agent.release.experiment("baseline", version, actor=ME, share=0.5, lasts_s=1e6)
    table = agent._runtime.serving.policy(version).table
    monkeypatch.setattr(type(table), "slot_values", _fail_for(table, type(table).slot_values))
    traffic = Traffic(agent=agent, clock=clock, reward=pays)
    made = traffic.run(400, until=lambda move: move.move == "rolled back")
    assert "serving" in traffic.moves[-1].reason
    assert {each.release for each in made} == {made[0].release}
    assert {each.version for each in made if each.arm == "safe"} == {version}


def test_a_guard_that_refuses_everything_is_no_failure_of_the_challenger(opened: Any, clock: Clock) -> None:
    """Where no action is allowed nobody is asked, in shadow as elsewhere."""
    agent = opened()
    box = agent._runtime
    version = _learned(agent, clock)
    nothing = Guard(name="shut", refuse=_refuse_all_when_empty, deadline_ms=2_000.0)
    box.guards = Guards((nothing,), box.spec.actions, box.world.timer)
    agent.release.start(version, actor=ME, despite="to see")
    traffic = Traffic(agent=agent, clock=clock, reward=pays, seed=7)
    traffic.run(200, until=lambda move: move.move == "advanced")
    assert traffic.moves[-1].move == "advanced"


def _refuse_all_when_empty(state: StateValues) -> list[Refusal]:
    return [Refusal(where={}, reason="nothing waits")] if float(state["backlog"]) < 100 else []


def test_a_person_confirms_what_is_still_so(opened: Any, clock: Clock) -> None:
    """A confirmation of a move that was passed is refused, and so is one whose evidence has gone."""
    agent = opened(release={"mode": "advisory", "stages": "shadow 10s, 50% 100s", "cut_outcomes": 1_000_000})
    agent.release.start(_learned(agent, clock), actor=ME, despite="first of its kind")
    Traffic(agent=agent, clock=clock, reward=pays, seed=2).run(60)
    seen = agent.release.now
    assert seen.waits_for_person
    with pytest.raises(Conflict, match="was made since"):
        agent.release.resume(actor=ME, number=seen.number - 1)
    clock.now = seen.entered_at - 5.0
    with pytest.raises(Conflict, match="not due any more"):
        agent.release.resume(actor=ME, number=seen.number)
    clock.now = seen.at + 60.0
    assert agent.release.resume(actor=ME, number=seen.number).stage == "canary"


def test_who_learned_before_releases_goes_on_as_it_is(opened: Any, clock: Clock, tmp_path: Path) -> None:
    """Switched to staged releases, what decided so far is kept as it is, and not thrown away for the rule."""
    url = str(tmp_path / "log.db")
    agent = opened(url)
    Traffic(agent=agent, clock=clock, reward=pays).run(600)
    opened.close()
    agent = opened(url, release={"mode": "staged"})
    moved = agent.release.tick()
    assert (moved.move, moved.reason) == ("begun", "releases begin with what was learned so far")
    assert agent._runtime.serving.policy(moved.champion).table.rows.keys() == agent._runtime.fold.table.rows.keys()


def test_a_plan_that_cannot_reach_its_evidence_is_refused(opened: Any, clock: Clock) -> None:
    """At one decision an hour a step of a minute sees nobody: told before anything moves."""
    agent = opened()
    Traffic(agent=agent, clock=clock, reward=pays, pace_s=3_600.0).run(300)
    version = agent.release.cut(actor=ME).id
    Traffic(agent=agent, clock=clock, reward=pays, pace_s=3_600.0).run(5)
    with pytest.raises(InvalidInput, match="cannot reach its evidence"):
        agent.release.start(version, actor=ME, plan="10% 1m", despite="to see")
    assert agent.release.now.number == 0


def test_a_clock_that_goes_back_decides_nothing(opened: Any, clock: Clock) -> None:
    """While the clock stands before the last move, no step is taken."""
    agent = opened()
    version = _learned(agent, clock)
    agent.release.start(version, actor=ME, despite="to see")
    clock.now -= 10_000.0
    traffic = Traffic(agent=agent, clock=clock, reward=pays)
    traffic.run(400)
    assert traffic.moves == []
    agent.release.clock_jumped(-10_000.0)
    assert "the clock jumped" in agent.release.now.held


def test_what_was_in_production_then(opened: Any, clock: Clock) -> None:
    agent = opened()
    version = _learned(agent, clock, 200)
    before = clock.now
    clock.now += 10
    agent.release.rollback(version, actor=ME)
    clock.now += 10
    agent.release.rollback(BASELINE, actor=ME)
    assert agent.release.at(before) is None
    assert _champion(agent.release.at(before + 15)) == version
    assert _champion(agent.release.at(clock.now + 1)) == BASELINE


def _champion(found: Deployment | None) -> str:
    assert found is not None
    return found.champion


def test_a_drill_catches_what_it_plants_and_leaves_production_alone(opened: Any, clock: Clock) -> None:
    """A bad version in a sandbox is rolled back, a copy of the champion is not, and nothing of it reaches production."""
    agent = opened()
    _learned(agent, clock)
    count = agent._runtime.log.decision_count("lab/small")
    found = agent.release.drill(actor=ME, decisions=5_000)
    assert found.passed, found.sentence
    assert 0 < found.decisions < 5_000
    assert found.planted > 0.05
    assert agent._runtime.log.decision_count("lab/small") == count
    assert agent.release.now.number == 0
    assert agent.release.judgements()[0].kind == "drill"


def test_a_drill_says_where_nothing_bad_can_be_planted(opened: Any, clock: Clock) -> None:
    """Where all actions pay the same, nothing can be caught, and the drill fails instead of passing."""
    agent = opened()
    Traffic(agent=agent, clock=clock, reward=lambda *_: 0.5).run(400)
    found = agent.release.drill(actor=ME, decisions=600)
    assert not found.passed
    assert not found.detected
    with pytest.raises(InvalidInput, match="100"):
        opened().release.drill(actor=ME)


def test_the_ledger_holds_forecasts_against_what_happened(opened: Any, clock: Clock) -> None:
    """Each release that came to an end adds a line: what was foretold, and what was seen live."""
    agent = opened(release={"mode": "staged"})
    Traffic(agent=agent, clock=clock, reward=pays).run(9_000, until=lambda move: move.move == "promoted")
    (line,) = agent.release.ledger().lines
    assert line.inside
    assert line.live.count >= 50
    assert line.error == pytest.approx(line.forecast.value - line.live.mean)
    assert line.live.mean == pytest.approx(0.42, abs=4 * line.live.standard_error)  # 2 · (0.7 · 0.3 + …), as it is


def test_guards_still_hold_for_a_challenger(opened: Any, clock: Clock) -> None:
    """A version cannot choose what a guard refuses, however sure of it it is."""
    agent = opened()
    _learned(agent, clock)
    box = agent._runtime
    sure = frozen_now(box)
    values = np.array([1.0 if choice == "heavy" else -1.0 for _, choice in box.spec.actions.slot_names])
    greedy = artefact.Frozen(**{**vars(sure), "value": np.tile(values, (len(sure.keys), 1)), "epsilon": 0.0})
    place = box.world.production
    assert place is not None
    version = keep(box, place, greedy, position=0, outcomes=0, actor=ME, reason="").id
    agent.release.experiment("baseline", version, actor=ME, share=0.5)
    made = Traffic(agent=agent, clock=clock, reward=lambda *_: None).run(400)
    heavy = [each for each in made if each.executed == {"action": "heavy"}]
    assert heavy
    assert all(float(each.state["load"]) < 80 for each in heavy)


def test_a_log_in_which_everything_pays_the_same_can_be_judged(opened: Any, clock: Clock) -> None:
    """Without any difference in rewards nothing is better or worse, and nothing divides by zero."""
    agent = opened()
    Traffic(agent=agent, clock=clock, reward=lambda *_: 0.25).run(400)
    judged = agent.release.evaluate(actor=ME)
    assert judged.verdict == "cannot tell"


@pytest.mark.parametrize(
    ("when", "count", "age_s", "expected"),
    [
        ("both", 200, 400.0, True),
        ("both", 200, 100.0, False),
        ("both", 50, 400.0, False),
        ("either", 200, 100.0, True),
        ("either", 50, 400.0, True),
        ("either", 50, 100.0, False),
    ],
)
def test_versions_are_cut_by_count_and_by_time(
    opened: Any, clock: Clock, when: str, count: int, age_s: float, expected: bool
) -> None:
    agent = opened(release={"mode": "shadow", "cut_outcomes": 150, "cut_age_s": 300.0, "cut_when": when})
    Traffic(agent=agent, clock=clock, reward=pays, pace_s=0.01).run(20)
    last = agent.release.cut(actor=ME)
    Traffic(agent=agent, clock=clock, reward=pays, pace_s=0.01, seed=1).run(count)
    clock.now = last.cut_at + age_s
    assert due(agent._runtime, last) is expected


def test_what_is_wrong_with_a_plan_or_an_experiment_is_told_at_the_door(opened: Any) -> None:
    """A plan in the settings that is none is told when the agent is opened; shares and times of an experiment as such."""
    with pytest.raises(InvalidInput, match="'nonsense' is no step"):
        opened(release={"stages": "nonsense"})
    agent = opened()
    for wrong in ({"share": 1.0}, {"share": 0.0}, {"lasts_s": -1.0}):
        with pytest.raises(InvalidInput, match="an experiment needs a share"):
            agent.release.experiment(actor=ME, **wrong)
    assert agent.release.now.number == 0
