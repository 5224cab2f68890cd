"""Ranking: asked once, rewarded once, late, in parts or never; activated first; and the same model after a restart."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.errors import Conflict, InvalidInput, NotFound, Overloaded
from steersman.core.values import AuditEvent, Control, Decision, Outcome
from steersman.loops.rank import Offer, Ranker, Request, Slot, ranking

OFFERS = [Offer(id=name, features=[{"kind": name}]) for name in ("first", "second", "third")]
CONTEXT = [{"user": {"segment": "new", "age": 31}}]
ASKED = Request(offers=OFFERS, context=CONTEXT, event="event-1")
NAME = "personalizer/default"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Opened = Callable[..., Ranker]


@pytest.fixture
def opened(clock: Clock) -> Iterator[Opened]:
    stores: list[Steersman] = []

    def make(url: str = "memory:", seed: int = 0, **settings: Any) -> Ranker:
        for each in stores:
            each.close()
        stores[:] = [Steersman.open(url, settings={"personalizer": settings}, clock=clock, seed=seed)]
        return stores[0].ranker()

    yield make
    for each in stores:
        each.close()


def _model(of: Ranker) -> tuple[bytes, bytes, int, int]:
    fold = of.fold
    return fold.belief.mean.tobytes(), fold.belief.variance.tobytes(), fold.learned, fold.corrected


def _outcomes(of: Ranker, event: str) -> list[Outcome]:
    return of._log.outcomes(event)


def _logged(of: Ranker, event: str) -> Decision:
    return of.decisions(event)[0]


def test_a_ranking_sums_to_one_and_begins_with_the_chosen_action(opened: Opened) -> None:
    answer = opened().rank(ASKED)
    ranked = ranking(answer.decisions[0])
    assert sorted(name for name, _ in ranked) == ["first", "second", "third"]
    assert sum(chance for _, chance in ranked) == pytest.approx(1.0)
    assert ranked[0][0] == answer.decisions[0].executed["action"]
    assert answer.decisions[0].action_probability == ranked[0][1]


def test_excluded_actions_come_last_and_are_never_chosen(opened: Opened) -> None:
    asked = opened()
    for number in range(200):
        request = Request(offers=OFFERS, context=CONTEXT, excluded=["first", "unheard of"], event=f"e{number}")
        ranked = ranking(asked.rank(request).decisions[0])
        assert ranked[-1] == ("first", 0.0)


def test_the_same_request_again_has_the_same_answer_and_another_is_refused(opened: Opened) -> None:
    asked = opened()
    first = asked.rank(ASKED)
    assert asked.rank(ASKED).decisions == first.decisions
    with pytest.raises(Conflict, match="another request"):
        asked.rank(Request(offers=OFFERS[:2], context=CONTEXT, event="event-1"))
    with pytest.raises(Conflict, match="another request"):
        asked.rank(Request(offers=OFFERS, context=CONTEXT, event="event-1", deferred=True))


def test_a_request_that_was_refused_uses_up_no_random_number(opened: Opened) -> None:
    requests = [Request(offers=OFFERS, context=CONTEXT, event=f"e{number}") for number in range(30)]
    plain = opened()
    expected = [plain.rank(each).decisions[0].executed for each in requests]
    disturbed = opened()
    found = []
    for each in requests:
        found.append(disturbed.rank(each).decisions[0].executed)
        disturbed.rank(each)
        with pytest.raises(InvalidInput):
            disturbed.rank(Request(offers=OFFERS, context=[{"a": math.inf}]))
    assert found == expected


def test_the_same_seed_gives_the_same_decisions_and_another_does_not(opened: Opened) -> None:
    def run(seed: int) -> list[Any]:
        asked = opened(seed=seed)
        return [
            asked.rank(Request(offers=OFFERS, context=CONTEXT, event=f"e{number}")).decisions[0].executed
            for number in range(50)
        ]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_reward_is_learned_once_however_often_it_is_reported(opened: Opened) -> None:
    asked = opened()
    asked.rank(ASKED)
    asked.reward("event-1", 1.0).wait()
    model = _model(asked)
    asked.reward("event-1", 1.0).wait()
    asked.reward("event-1", -1.0).wait()  # the earliest counts
    assert _model(asked) == model
    assert [each.reward for each in _outcomes(asked, "event-1")] == [1.0]


def test_rewards_add_up_where_the_settings_say_so_and_stay_in_their_range(opened: Opened) -> None:
    asked = opened(aggregation="sum")
    asked.rank(ASKED)
    for value in (0.5, 0.25, 0.75):
        asked.reward("event-1", value).wait()
    assert [each.reward for each in _outcomes(asked, "event-1")] == [0.5, 0.75, 1.0]
    assert (asked.fold.learned, asked.fold.corrected) == (1, 2)


def test_silence_earns_the_default_reward_and_a_late_reward_takes_its_place(opened: Opened, clock: Clock) -> None:
    asked = opened(default_reward=-0.5)
    asked.rank(ASKED)
    clock.now += 599
    asked.maintain()
    assert _outcomes(asked, "event-1") == []
    clock.now += 2
    asked.maintain()
    asked.maintain()
    assert [(each.kind, each.reward) for each in _outcomes(asked, "event-1")] == [("expired", -0.5)]
    asked.reward("event-1", 1.0).wait()
    assert [(each.kind, each.reward) for each in _outcomes(asked, "event-1")] == [("expired", -0.5), ("reported", 1.0)]
    assert (asked.fold.learned, asked.fold.corrected) == (1, 1)


def test_an_event_that_is_never_activated_is_not_learned_from(opened: Opened, clock: Clock) -> None:
    asked = opened()
    blank = _model(asked)
    asked.rank(Request(offers=OFFERS, context=CONTEXT, event="rewarded", deferred=True))
    asked.rank(Request(offers=OFFERS, context=CONTEXT, event="silent", deferred=True))
    asked.reward("rewarded", 1.0).wait()
    clock.now += 10_000
    asked.maintain()
    assert _model(asked) == blank
    assert [each.reward for name in ("rewarded", "silent") for each in _outcomes(asked, name)] == [None, None]


def test_activation_counts_before_and_after_the_reward(opened: Opened) -> None:
    asked = opened()
    for event, steps in (("before", ("activate", "reward")), ("after", ("reward", "activate"))):
        asked.rank(Request(offers=OFFERS, context=CONTEXT, event=event, deferred=True))
        for step in steps:
            (asked.activate(event) if step == "activate" else asked.reward(event, 0.5)).wait()
        asked.activate(event).wait()
        assert [each.reward for each in _outcomes(asked, event)] == [None, 0.5]
    assert asked.fold.learned == 2


def test_an_activated_event_that_nobody_rewards_earns_the_default(opened: Opened, clock: Clock, tmp_path: Path) -> None:
    asked = opened(str(tmp_path / "log.db"))
    asked.rank(Request(offers=OFFERS, context=CONTEXT, event="e", deferred=True))
    asked.activate("e").wait()
    asked.store()
    asked = opened(str(tmp_path / "log.db"))  # that it waits is remembered
    clock.now += 601
    asked.maintain()
    asked.maintain()
    assert [(each.kind, each.reward) for each in _outcomes(asked, "e")] == [("reported", None), ("expired", 0.0)]


def test_activating_what_counts_anyway_changes_nothing(opened: Opened) -> None:
    asked = opened()
    asked.rank(ASKED)
    asked.activate("event-1").wait()
    assert _outcomes(asked, "event-1") == []


@pytest.mark.parametrize("value", [math.nan, math.inf, 1.01, -1.01, True, "1", None])
def test_a_reward_that_is_none_is_refused(opened: Opened, value: Any) -> None:
    asked = opened()
    asked.rank(ASKED)
    with pytest.raises(InvalidInput, match="value"):
        asked.reward("event-1", value)
    assert _outcomes(asked, "event-1") == []


def test_rewards_belong_to_events_of_this_ranker(opened: Opened, clock: Clock) -> None:
    asked = opened()
    asked.rank(ASKED)
    foreign = _logged(asked, "event-1")
    asked._log.append((_renamed(foreign, "foreign"),)).wait()
    for event in ("event-2", "", "foreign", "event-1\x1fslot"):
        with pytest.raises(NotFound, match="was ranked here"):
            asked.reward(event, 1.0)
        with pytest.raises(NotFound, match="was ranked here"):
            asked.activate(event)
    clock.now += 2_592_001
    with pytest.raises(Conflict, match="accepted for"):
        asked.reward("event-1", 1.0)


def _renamed(decision: Decision, name: str) -> Decision:
    fields = {each: getattr(decision, each) for each in decision.__struct_fields__}
    return Decision(**{**fields, "id": name, "episode": name, "agent": "qe/other"})


def test_what_is_folded_again_equals_what_was_learned_live(opened: Opened, clock: Clock, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    file = str(tmp_path / "log.db")
    asked = opened(file, aggregation="sum")
    for number in range(300):
        deferred = bool(rng.integers(2))
        offers = [OFFERS[each] for each in rng.permutation(3)]
        context = [{"user": {"age": int(rng.integers(80)), "segment": "ab"[rng.integers(2)]}}]
        asked.rank(Request(offers=offers, context=context, event=f"e{number}", deferred=deferred))
        for _ in range(rng.integers(3)):
            event = f"e{rng.integers(number + 1)}"
            (asked.activate(event) if rng.integers(3) == 0 else asked.reward(event, float(rng.uniform(-1, 1)))).wait()
        clock.now += float(rng.uniform(0, 30))
        if number % 50 == 0:
            asked.maintain()
        if number == 150:
            asked.store()
    live, pending = _model(asked), asked.fold.pending
    assert asked.fold.corrected > 20
    stored = opened(file, aggregation="sum")
    assert stored.fold.learned == asked.fold.learned
    assert (_model(stored), stored.fold.pending) == (live, pending)
    stored._log.append((), _nothing())
    whole = opened(file, aggregation="sum")
    assert (_model(whole), whole.fold.pending) == (live, pending)


def _nothing() -> Any:
    from steersman.loops.learn import blank

    return blank(NAME)


def test_other_settings_of_the_model_learn_the_log_anew_and_others_do_not(opened: Opened, tmp_path: Path) -> None:
    file = str(tmp_path / "log.db")
    asked = opened(file)
    for number in range(20):
        asked.rank(Request(offers=OFFERS, context=CONTEXT, event=f"e{number}"))
        asked.reward(f"e{number}", 0.5)
    asked.store()
    small = opened(file, hash_bits=10)
    assert (small.fold.learned, len(small.fold.belief.mean)) == (20, 1_024)
    small.store()
    assert _model(opened(file, hash_bits=10, greed=1.0)) == _model(small)


def test_a_store_opened_again_goes_on_with_the_random_numbers(opened: Opened, tmp_path: Path) -> None:
    requests = [Request(offers=OFFERS, context=CONTEXT, event=f"e{number}") for number in range(40)]
    whole = opened()
    expected = [whole.rank(each).decisions[0].executed for each in requests]
    file = str(tmp_path / "log.db")
    found = [opened(file).rank(each).decisions[0].executed for each in requests[:5]]
    asked = opened(file)
    assert found + [asked.rank(each).decisions[0].executed for each in requests[5:]] == expected


def test_each_slot_gets_an_action_of_its_own_and_a_true_propensity(opened: Opened) -> None:
    asked = opened()
    slots = [Slot(id="top", baseline="second", features=[{"size": "large"}]), Slot(id="side", baseline="first")]
    request = Request(offers=OFFERS, context=CONTEXT, event="page", slots=slots)
    answer = asked.rank(request)
    top, side = answer.decisions
    assert top.executed != side.executed
    assert dict(ranking(side))[str(top.executed["action"])] == 0.0
    assert asked.rank(request).decisions == answer.decisions
    asked.reward("page", 1.0, "side").wait()
    assert [len(_outcomes(asked, each.id)) for each in answer.decisions] == [0, 1]
    with pytest.raises(NotFound, match="slot 'top'"):
        asked.reward("pages", 1.0, "top")


def test_a_deferred_page_is_activated_as_a_whole(opened: Opened) -> None:
    asked = opened()
    slots = [Slot(id="top", baseline="second"), Slot(id="side", baseline="first", excluded=["third"])]
    made = asked.rank(Request(offers=OFFERS, context=CONTEXT, event="page", slots=slots, deferred=True)).decisions
    asked.reward("page", 1.0, "side").wait()
    assert asked.fold.learned == 0
    asked.activate("page").wait()
    assert asked.fold.learned == 1
    assert [len(_outcomes(asked, each.id)) for each in made] == [1, 2]


def test_an_apprentice_always_shows_the_first_action_and_learns(opened: Opened) -> None:
    asked = opened(baseline_share=1.0)
    for number in range(50):
        answer = asked.rank(Request(offers=OFFERS, context=CONTEXT, event=f"e{number}", excluded=["first"] * (number % 2)))
        assert answer.decisions[0].executed["action"] == ("first", "second")[number % 2]
        assert answer.decisions[0].action_probability == pytest.approx(1.0)
        asked.reward(answer.event, 1.0)
    assert asked.fold.learned == 50


@pytest.mark.parametrize("scope", ["*", "personalizer", NAME])
def test_a_kill_switch_serves_the_first_action_and_nothing_is_called_drawn(opened: Opened, scope: str) -> None:
    asked = opened()
    _control(asked, scope=scope, kind="kill")
    for number in range(50):
        made = asked.rank(Request(offers=OFFERS, context=CONTEXT, event=f"e{number}")).decisions[0]
        assert (made.executed["action"], made.arm, made.propensity, made.action_probability) == ("first", "safe", None, None)
        assert "kill switch" in made.reason


def test_pause_stops_exploring_and_a_pin_holds_unless_excluded(opened: Opened) -> None:
    asked = opened(baseline_share=0.0)
    asked.rank(ASKED)
    asked.reward("event-1", 1.0)
    _control(asked, scope=NAME, kind="pause")
    best = {asked.rank(Request(offers=OFFERS, context=CONTEXT)).decisions[0].choice for _ in range(50)}
    assert best == {_logged(asked, "event-1").choice}
    _control(asked, scope=NAME, kind="pin", choices={"action": "third"})
    assert {asked.rank(Request(offers=OFFERS, context=CONTEXT)).decisions[0].choice for _ in range(20)} == {"third"}
    without = Request(offers=OFFERS, context=CONTEXT, excluded=["third"])
    assert "third" not in {asked.rank(without).decisions[0].choice for _ in range(20)}


@pytest.mark.parametrize("mode", ["off", "shadow", "advisory"])
def test_the_baseline_has_all_of_it_where_what_was_learned_only_watches(opened: Opened, mode: str) -> None:
    asked = opened(baseline_share=0.0)
    _control(asked, scope=NAME, kind="mode", choices={"mode": mode})
    made = [asked.rank(Request(offers=OFFERS, context=CONTEXT)).decisions[0] for _ in range(50)]
    assert {(each.choice, each.arm, each.propensity, each.action_probability) for each in made} == {
        ("first", "baseline", 1.0, 1.0)
    }
    assert made[0].reason.startswith(f"influence {mode}: ")
    _control(asked, scope=NAME, kind="mode", choices={"mode": "live"})
    assert len({asked.rank(Request(offers=OFFERS, context=CONTEXT)).decisions[0].choice for _ in range(200)}) > 1


def _control(asked: Ranker, **about: Any) -> None:
    control = Control(actor="ann", reason="drill", at=0.0, active=True, **about)
    event = AuditEvent(at=0.0, actor="ann", event=control.kind, subject=control.scope, detail="drill")
    asked._log.append((control, event)).wait()
    asked._hands.looked_at = float("-inf")


def test_a_model_that_is_broken_serves_the_first_action_and_says_so(opened: Opened) -> None:
    asked = opened()
    asked.fold.belief.mean[:] = math.nan
    made = asked.rank(ASKED).decisions[0]
    assert (made.choice, made.arm, made.action_probability) == ("first", "safe", None)
    assert "must be finite" in made.reason
    assert asked.failures == 1


def test_a_log_that_is_full_refuses_and_nothing_is_half_done(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = opened()
    asked.rank(ASKED)
    model = _model(asked)

    def full(*_: object) -> Any:
        raise Overloaded("the queue is full")

    with monkeypatch.context() as patched:
        patched.setattr(asked._log, "append", full)
        with pytest.raises(Overloaded):
            asked.rank(Request(offers=OFFERS, event="event-2"))
        with pytest.raises(Overloaded):
            asked.reward("event-1", 1.0)
    assert _model(asked) == model
    asked.reward("event-1", 1.0).wait()
    assert asked.fold.learned == 1


def _nested(depth: int) -> dict[str, Any]:
    return {"a": _nested(depth - 1)} if depth else {"a": 1}


HOSTILE = {
    "no actions": {"offers": []},
    "51 actions": {"offers": [Offer(id=f"a{number}") for number in range(51)]},
    "twice the same id": {"offers": [OFFERS[0], OFFERS[0]]},
    "an empty id": {"offers": [Offer(id="")]},
    "a long id": {"offers": [Offer(id="a" * 257)]},
    "an id with control characters": {"offers": [Offer(id="a\nb")]},
    "a long event": {"event": "e" * 257},
    "all excluded": {"excluded": ["first", "second", "third"]},
    "deep": {"context": [_nested(12)]},
    "very deep": {"context": [_nested(400)]},
    "NaN": {"context": [{"a": math.nan}]},
    "infinity": {"offers": [Offer(id="a", features=[{"x": math.inf}])]},
    "a number too large for a float": {"context": [{"a": 10**400}]},
    "many features": {"context": [{f"f{number}": 1 for number in range(501)}]},
    "many pairs": {
        "context": [{f"f{number}": 1 for number in range(400)}],
        "offers": [Offer(id=f"a{number}", features=[{f"g{each}": 1 for each in range(20)}]) for number in range(20)],
    },
    "long text": {"context": [{"a": "x" * 200_001}]},
    "more slots than actions": {"slots": [Slot(id=f"s{number}", baseline="first") for number in range(4)]},
    "two slots of one name": {"slots": [Slot(id="s", baseline="first"), Slot(id="s", baseline="second")]},
    "two slots of one baseline": {"slots": [Slot(id="s", baseline="first"), Slot(id="t", baseline="first")]},
    "a baseline that is excluded": {"slots": [Slot(id="s", baseline="first", excluded=["first"])]},
    "a baseline that is no action": {"slots": [Slot(id="s", baseline="fourth")]},
    "slots that may run out": {
        "slots": [
            Slot(id="s", baseline="first", excluded=["second", "third"]),
            Slot(id="t", baseline="second", excluded=["first", "third"]),
            Slot(id="u", baseline="third", excluded=["first", "second"]),
        ]
    },
}


@pytest.mark.parametrize("about", HOSTILE.values(), ids=HOSTILE)
def test_what_cannot_be_ranked_is_refused_and_leaves_nothing(opened: Opened, about: dict[str, Any]) -> None:
    asked = opened()
    with pytest.raises(InvalidInput):
        asked.rank(Request(**{"offers": OFFERS, "context": CONTEXT, **about}))
    assert list(asked._log.rows()) == []


def test_odd_features_are_taken_and_read_back_the_same(opened: Opened) -> None:
    odd = [
        {
            "ключ": "значение",
            "": {"": [1, "a", None, True, {"b": [2.5]}]},
            "e": "\u202e💥",
            "n": -1e308,
            "z": 0,
            "s": "a=b\x1fc",
        }
    ]
    asked = opened()
    asked.rank(Request(offers=[Offer(id="💥", features=odd), Offer(id="b")], context=odd, event="odd"))
    assert json.loads(str(_logged(asked, "odd").state["context"])) == odd
    asked.reward("odd", 1.0).wait()
    assert np.isfinite(asked.fold.belief.mean).all()


def test_memory_is_bounded_whatever_is_asked(opened: Opened) -> None:
    asked = opened(hash_bits=8)
    for number in range(3_000):
        asked.rank(
            Request(
                offers=[Offer(id=f"a{number}", features=[{"f": number}])], context=[{"c": str(number)}], event=f"e{number}"
            )
        )
        if number % 2:
            asked.reward(f"e{number}", 0.5)
    assert len(asked._open) <= 1_000
    assert len(asked.fold.belief.mean) == 256
    assert len(asked.fold.changes(NAME).carry) < 256 * 20 + 500


def test_a_control_holds_from_the_next_ranking_on() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        asked = steersman.ranker()
        asked.rank(Request(offers=OFFERS, context=CONTEXT))  # has just looked at the controls
        steersman.kill(NAME, actor="ann", reason="drill")
        assert "kill switch" in asked.rank(Request(offers=OFFERS, context=CONTEXT)).decisions[0].reason
        steersman.kill(NAME, actor="ann", active=False)
        steersman.control("pin", NAME, actor="ann", choices={"action": "third"})
        made = asked.rank(Request(offers=OFFERS, context=CONTEXT)).decisions[0]
        assert (made.choice, made.action_probability) == ("third", 1.0)
        assert {each.guard for each in made.refusals} == {"pinned"}
