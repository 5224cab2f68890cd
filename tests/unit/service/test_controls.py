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
