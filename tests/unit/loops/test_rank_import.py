"""Logs of Personalizer: what they say is kept, what cannot be used is counted and told, and nothing is taken in twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from steersman.app import Steersman
from steersman.cli.app import app
from steersman.loops.rank import Offer, Ranker, Request, ranking
from steersman.loops.rank_import import import_dsjson


def line(event: str, chosen: int = 2, cost: float = -1.0, **about: Any) -> bytes:
    """Return a line as the service wrote it: three drinks, the second ranked first with a probability of 0.8."""
    drinks = [("cappuccino", "hot"), ("iced-tea", "cold"), ("latte", "hot")]
    order = [chosen, *(each for each in (1, 2, 3) if each != chosen)]
    content: dict[str, Any] = {
        "_label_cost": cost,
        "_label_probability": 0.8,
        "_label_Action": chosen,
        "_labelIndex": chosen - 1,
        "o": [{"v": -cost, "EventId": event, "ActionTaken": False}] if cost else [],
        "Timestamp": "2026-03-01T17:09:31.8351230Z",
        "Version": "1",
        "EventId": event,
        "a": order,
        "c": {
            "FromUrl": [{"timeofday": "afternoon", "weather": "sunny"}],
            "_multi": [
                {"_tag": name, "i": {"constant": 1, "id": name}, "j": [{"temperature": kind}]} for name, kind in drinks
            ],
        },
        "p": [0.8, 0.1, 0.1],
        "VWState": {"m": "680ec362b798463eaf64489efaa0d2b1/13"},
    }
    return json.dumps({**content, **about}).encode()


@pytest.fixture
def into() -> Iterator[Ranker]:
    with Steersman.open("memory:", settings={"personalizer": {}}) as steersman:
        yield steersman.ranker()


def test_an_event_keeps_its_ranking_its_propensity_and_its_reward(into: Ranker) -> None:
    done = import_dsjson(into, [line("e1")])
    assert (done.events, done.left_out, done.bad) == (1, {}, [])
    decision = into.decisions("e1")[0]
    assert ranking(decision) == [("iced-tea", 0.8), ("cappuccino", 0.1), ("latte", 0.1)]
    assert (decision.choice, decision.propensity, decision.action_probability) == ("iced-tea", 0.8, 0.8)
    assert decision.decided_at == pytest.approx(1_772_384_971.835123)
    outcome = into._log.outcomes("e1")[0]
    assert (outcome.kind, outcome.reward, outcome.measurements) == ("reported", 1.0, {"value": 1.0})
    assert into.fold.learned == 1


def test_what_was_learned_there_is_known_by_the_names_of_requests_here(into: Ranker) -> None:
    import_dsjson(into, [line(f"e{number}", 1 + number % 3, -1.0 if number % 3 == 1 else 0.0) for number in range(300)])
    offers = [
        Offer(id=name, features=[{"temperature": kind}])
        for name, kind in (("cappuccino", "hot"), ("iced-tea", "cold"), ("latte", "hot"))
    ]
    answer = into.rank(Request(offers=offers, context=[{"timeofday": "afternoon", "weather": "sunny"}]))
    scores = dict(zip((each.id for each in offers), answer.decisions[0].values, strict=True))
    assert scores["iced-tea"] > 0.8
    assert max(scores["latte"], scores["cappuccino"]) < 0.2


def test_without_an_observation_the_reward_was_the_default(into: Ranker) -> None:
    import_dsjson(into, [line("e1", cost=0.0), line("e2", cost=0.5, o=[])])
    kinds = [(each.kind, each.reward) for name in ("e1", "e2") for each in into._log.outcomes(name)]
    assert kinds == [("expired", 0.0), ("expired", -0.5)]


def test_a_second_time_changes_nothing(into: Ranker) -> None:
    lines = [line("e1"), line("e2"), line("e1")]
    assert import_dsjson(into, lines).left_out == {"known already": 1}
    mean = into.fold.belief.mean.copy()
    again = import_dsjson(into, lines)
    assert (again.events, again.left_out) == (0, {"known already": 3})
    assert (into.fold.belief.mean == mean).all()


def test_what_cannot_be_used_is_counted_by_reason(into: Ranker) -> None:
    done = import_dsjson(
        into,
        [
            b"\xef\xbb\xbf" + line("e1") + b"\r\n",
            b"\n",
            line("e2", _skipLearn=True),
            b'{"RewardValue":1.0,"EnqueuedTimeUtc":"2026-03-01T17:09:31.0Z","EventId":"e3"}',
            b'{"Timestamp":"2026-03-01T17:09:31Z","Version":"1","c":{"_multi":[{}],"_slots":[{}]},"_outcomes":[]}',
            line("e4", c={"FromUrl": []}),
        ],
    )
    assert done.events == 1
    assert done.left_out == {"not activated": 1, "reward without its event": 1, "several slots": 1, "no actions": 1}


BAD = {
    "half a line": line("e")[:200],
    "no JSON": b"EventId,Timestamp",
    "not UTF-8": b'{"EventId":"\xff"}',
    "deep": b"[" * 100_000,
    "deep features": line(
        "e", c={"a": json.loads("[" * 30 + "]" * 30), "_multi": [{"_tag": "a"}, {"_tag": "b"}, {"_tag": "c"}]}
    ),
    "NaN": line("e", cost=float("nan")),
    "a number beyond all": line("e").replace(b"-1.0", b"-1e999"),
    "no event": line(""),
    "a probability of 2": line("e", _label_probability=2.0),
    "an action that is not there": line("e", _labelIndex=7),
    "an action before the first": line("e", _labelIndex=-1),
    "no cost": line("e", _label_cost=None),
    "no time": line("e", Timestamp="yesterday"),
    "an action that is no object": line("e", c={"_multi": ["a"]}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_line_is_told_with_its_number_and_the_others_are_taken_in(into: Ranker, bad: bytes) -> None:
    done = import_dsjson(into, [line("before"), bad, line("after")])
    assert (done.events, done.left_out) == (2, {"bad": 1})
    assert [number for number, _ in done.bad] == [2]


def test_odd_lines_are_read_as_far_as_they_say_something(into: Ranker) -> None:
    bare = {"_multi": [{"topic": "a"}, {"topic": "b"}]}
    import_dsjson(
        into,
        [
            line("no tags", c=bare, a=[2, 1], p=[0.7, 0.3], _label_probability=0.7),
            line("same tags", c={"_multi": [{"_tag": "x"}, {"_tag": "x"}]}, a=[], p=[]),
            line("no label index", _labelIndex=None, _label_Action=None, _label_probability=None),
            line("no probability", a=[], p=[], _label_probability=None),
        ],
    )
    assert ranking(into.decisions("no tags")[0]) == [("1", 0.7), ("0", 0.3)]
    assert into.decisions("same tags")[0].choice == "x#1"
    assert into.decisions("no label index")[0].propensity == 0.8
    assert into.decisions("no probability")[0].propensity is None


def test_the_command_tells_what_it_did(tmp_path: Path) -> None:
    file, store = tmp_path / "log.json", str(tmp_path / "log.db")
    file.write_bytes(b"\n".join([line("e1"), line("e2", _skipLearn=True), b"{"]))
    said = CliRunner().invoke(app, ["personalizer", "import", str(file), "--store", store])
    assert said.exit_code == 2
    assert "1 events taken in" in said.output
    assert "line 3" in said.output
    told = CliRunner().invoke(app, ["personalizer", "import", str(file), "--store", store, "--json"])
    assert json.loads(told.stdout)[str(file)]["left_out"] == {"known already": 1, "not activated": 1, "bad": 1}
    with Steersman.open(store, settings={}) as steersman:
        assert steersman.ranker().fold.learned == 1
