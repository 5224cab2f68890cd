"""Controls over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

STATE = {"load": 10, "backlog": 5, "weekend": False}


@pytest.fixture(autouse=True)
def released(client: httpx.Client) -> Iterator[None]:
    """Release afterwards what a test has set."""
    yield
    for each in client.get("/v1/controls").json()["controls"]:
        client.post("/v1/controls", json={"kind": each["kind"], "scope": each["scope"], "active": False})


def decide(client: httpx.Client) -> dict[str, Any]:
    made: dict[str, Any] = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE}).json()
    return made


@pytest.mark.parametrize("scope", ["*", "lab", "lab/small"])
def test_the_kill_switch_holds_from_the_next_decision_on(client: httpx.Client, scope: str) -> None:
    said = client.post("/v1/controls", json={"kind": "kill", "active": True, "scope": scope, "reason": "it smokes"}).json()
    assert (said["actor"], said["reason"]) == ("local", "it smokes")
    made = decide(client)
    assert (made["arm"], made["action"], made["propensity"]) == ("safe", {"action": "rest"}, None)
    assert "it smokes" in made["reason"]
    client.post("/v1/controls", json={"kind": "kill", "active": False, "scope": scope})
    assert decide(client)["arm"] != "safe"


def test_a_pin_holds_a_choice(client: httpx.Client) -> None:
    pin = {"kind": "pin", "active": True, "scope": "lab/small", "choices": {"action": "steady"}, "expires_in_s": 60}
    assert client.post("/v1/controls", json=pin).status_code == 200
    assert {decide(client)["action"]["action"] for _ in range(20)} == {"steady"}
    assert client.get("/v1/controls").json()["controls"][-1]["choices"] == {"action": "steady"}


@pytest.mark.parametrize("mode", ["off", "shadow", "advisory"])
def test_a_mode_leaves_it_to_the_rule_and_tells_what_was_asked(client: httpx.Client, mode: str) -> None:
    body = {"kind": "mode", "active": True, "scope": "lab/small", "choices": {"mode": mode}, "reason": "eyes on it"}
    assert client.post("/v1/controls", json=body).status_code == 200
    made = decide(client)
    assert (made["mode"], made["arm"], made["action"], made["propensity"]) == (mode, "baseline", {"action": "light"}, 1.0)
    assert (made["shadow"] is None) == (mode == "off")
    page = client.get("/agents/lab/small", headers={"accept": "text/html"}).text
    assert "eyes on it" in page
    assert page.count("The rule decides") == 1, "the notice of the control, and not the finding beside it"
    record = client.get(f"/decisions/{made['id']}", headers={"accept": "text/html"}).text
    assert f"<dt>Mode</dt><dd>{mode}" in record
    client.post("/v1/controls", json={"kind": "mode", "active": False, "scope": "lab/small"})
    assert decide(client)["mode"] == "live"


def test_what_was_observed_long_ago_is_told_with_the_question(client: httpx.Client) -> None:
    asked = {"agent": "lab/small", "state": STATE, "observed_at": 1_000.0}
    assert client.post("/v1/decisions", json=asked).json()["mode"] == "live", "no limit is set"
    assert client.post("/v1/decisions", json=asked | {"observed_at": "yesterday"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"active": True}, 400),
        ({"kind": "stop", "active": True}, 400),
        ({"kind": "kill", "active": 1}, 400),
        ({"kind": "kill", "active": True, "scope": "lob"}, 404),
        ({"kind": "pin", "active": True, "scope": "lab/small"}, 400),
        ({"kind": "pin", "active": True, "scope": "lab/small", "choices": {"action": "run"}}, 400),
        ({"kind": "pause", "active": True, "expires_in_s": -1}, 400),
        ({"kind": "mode", "active": True, "scope": "lab/small"}, 400),
        ({"kind": "mode", "active": True, "scope": "lab/small", "choices": {"mode": "on"}}, 400),
        ({"kind": "pause", "active": True, "reason": "a\u0000b"}, 400),
        ({"kind": "pause", "active": True, "actor": "the boss"}, 400),
    ],
)
def test_what_makes_no_sense_is_refused(client: httpx.Client, body: dict[str, Any], status: int) -> None:
    assert client.post("/v1/controls", json=body).status_code == status
    assert decide(client)["arm"] != "safe"


def test_each_word_is_audited_and_so_is_what_was_refused(client: httpx.Client) -> None:
    client.post("/v1/controls", json={"kind": "pause", "active": True, "scope": "lab"})
    client.post("/v1/controls", json={"kind": "pause", "active": True, "scope": "lob"})
    events = client.get("/v1/audit", params={"limit": 2}).json()["events"]
    assert [(each["event"], each["actor"]) for each in events] == [
        ("refused NotFound: POST /v1/controls", "local"),
        ("pause of exploring on", "local"),
    ]


def test_the_trail_is_whole(client: httpx.Client) -> None:
    client.post("/v1/controls", json={"kind": "pause", "active": True})
    found = client.get("/v1/audit/verification").json()
    assert found["intact"]
    assert found["events"] >= 1
