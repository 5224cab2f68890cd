"""A route says what an event means to an agent; what it says wrongly is told before the first event, with the way out."""

from pathlib import Path
from typing import Any

import pytest

from steersman.core.errors import InvalidInput
from steersman.core.events import Event
from steersman.core.routes import Route, by_kind, read, text, value, values
from steersman.core.settings import SettingsFile
from steersman.testing.specs import small_agent

EVENT = Event(
    id="e1",
    type="job.queued",
    at=12.5,
    subject="ada",
    source="queue",
    data={"load": 30, "deep": {"list": [1, {"x": "y"}]}, "empty": ""},
)
STATE: dict[str, Any] = {"load": "load", "backlog": "backlog", "weekend": False}


def decide(**more: Any) -> Route:
    return Route(**{"on": "job.queued", "do": "decide", "agent": "lab/small", "state": STATE, **more})


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("load", 30),
        ("deep.list.0", 1),
        ("deep.list.1.x", "y"),
        ("@subject", "ada"),
        ("@at", 12.5),
        ("@source", "queue"),
        ("@type", "job.queued"),
        ("@decision.action.size", 2),
        ("=load", "load"),
        ("=", ""),
        (3, 3),
        (False, False),
    ],
)
def test_a_value_is_a_path_something_beside_the_data_or_a_literal(said: Any, found: Any) -> None:
    assert value(said, EVENT, {"decision": {"action": {"size": 2}}}) == found


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("laod", "no 'laod'. Did you mean 'load'?"),
        ("deep.list.2", "'2' leads nowhere"),
        ("deep.list.x", "'x' leads nowhere"),
        ("load.x", "'x' leads nowhere"),
        ("", "no ''"),
        ("@sbuject", "Did you mean 'subject'?"),
        ("@decision.action", "no '@decision.action'"),
    ],
)
def test_what_an_event_does_not_have_is_told_with_the_nearest(said: str, complaint: str) -> None:
    with pytest.raises(InvalidInput) as error:
        value(said, EVENT)
    assert complaint in str(error.value)
    assert "'e1' (job.queued@1)" in str(error.value)


def test_names_have_to_be_text_and_not_empty() -> None:
    assert text("@subject", EVENT) == "ada"
    for said in ("load", "empty"):
        with pytest.raises(InvalidInput, match="is to name something"):
            text(said, EVENT)


def test_several_values_keep_their_names() -> None:
    assert values({"a": "load", "b": True}, EVENT) == {"a": 30, "b": True}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"do": "note"}, "to note, it has to name prepare"),
        ({"do": "decide"}, "to decide, it has to name agent, state or prepare"),
        ({"do": "decide", "agent": "a"}, "has to name state or prepare"),
        ({"do": "report", "agent": "a", "decision": "id"}, "measurements or prepare"),
        ({"do": "report", "agent": "a", "measurements": {"reward": 1}}, "either decision or decision_of"),
        (
            {"do": "report", "agent": "a", "measurements": {"reward": 1}, "decision": "x", "decision_of": "y"},
            "either decision or decision_of",
        ),
    ],
)
def test_a_route_that_cannot_work_is_refused(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        Route(on="x", **given)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"state": {**STATE, "laod": "load"}}, "knows no 'laod'. Did you mean 'load'?"),
        ({"state": {"load": 1}}, "needs backlog, weekend as well"),
        ({"do": "report", "decision": "id", "measurements": {"rewrad": 1}}, "Did you mean 'reward'?"),
    ],
)
def test_a_route_that_does_not_fit_its_agent_is_refused(more: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput) as error:
        decide(**more).check(small_agent())
    assert complaint in str(error.value)


def test_what_a_plug_computes_need_not_be_named() -> None:
    decide(state={"load": 1}, prepare="somewhere:Plug").check(small_agent())
    decide().check(small_agent())


def test_routes_of_a_kind_are_told_apart_by_what_they_do_and_for_whom() -> None:
    routes = (decide(), decide(agent="lab/other"), decide(version=2), decide(name="again"))
    assert {kind: len(each) for kind, each in by_kind(routes).items()} == {"job.queued@1": 3, "job.queued@2": 1}
    assert {each.key("e1") for each in routes} == {"e1:decide lab/small", "e1:decide lab/other", "e1:again"}
    with pytest.raises(InvalidInput, match="Give one of them another name"):
        by_kind((decide(), decide()))


ROUTES = """
[bus]
url = "redis://localhost"
streams = "jobs, ends"
[[bus.routes]]
on = "job.queued"
do = "decide"
agent = "lab/small"
state = { load = "load", backlog = 5, weekend = false }
emit = "decision.made"
[[bus.routes]]
on = "job.done"
do = "report"
agent = "lab/small"
decision = "decision"
measurements = { reward = "reward" }
executed = { action = "done" }
terminated = true
"""


def test_a_settings_file_holds_routes_beside_the_section(tmp_path: Path) -> None:
    file = tmp_path / "steersman.toml"
    file.write_text(ROUTES)
    found = SettingsFile.read(file, {})
    assert [(each.on, each.do, each.emit) for each in found.routes] == [
        ("job.queued", "decide", "decision.made"),
        ("job.done", "report", ""),
    ]
    assert found.routes[1].executed == {"action": "done"}
    assert found.routes[1].terminated is True
    assert found.settings("", {}).bus.streams == "jobs, ends"
    assert found.settings("", {}).hash == SettingsFile().settings("", {}).hash


@pytest.mark.parametrize(
    ("tables", "complaint"),
    [
        ("x", "is a list of tables"),
        (
            [{"on": "a", "do": "note", "prepare": "x:y", "adgent": "b"}],
            "route 1: unknown key 'adgent'. Did you mean 'agent'?",
        ),
        ([{"on": "a", "do": "note", "prepare": "x:y"}, {"on": "a", "do": "look"}], "route 2: Invalid enum value 'look'"),
        ([{"do": "note"}], "route 1: Object missing required field `on`"),
        ([3], "route 1: Expected `object`"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_its_place(tables: Any, complaint: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(tables, "steersman.toml")
    assert complaint in str(error.value)
