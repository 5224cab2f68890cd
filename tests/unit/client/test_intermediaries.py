"""What stands between the client and the service, and answers in its place, decides nothing; closing says what is left."""

import socket
from typing import Any

import pytest

from steersman.client import Client, Reported, Said
from steersman.core.errors import StoreError
from steersman.testing import nasty_server
from steersman.testing.nasty_server import PROBLEM, NastyServer, answers, sends

STRANGERS = {
    "302 to a page for signing in": sends(nasty_server.reply(302, b"", "location: https://sso.example/login\r\n")),
    "404 of a proxy": sends(nasty_server.reply(404, b"<html>not here", kind="text/html")),
    "400 of a proxy": sends(nasty_server.reply(400, b"bad request", kind="text/plain")),
    "401 of a proxy": sends(nasty_server.reply(401, b"<html>who are you?", kind="text/html")),
    "503 of a proxy": sends(nasty_server.reply(503, b"<html>no upstream", kind="text/html")),
    "304": sends(nasty_server.reply(304, b"")),
    "404 with somebody else's problem": answers(404, "NotFound", kind="https://gateway.example/problems/unknown-route"),
    "404 with a problem of no kind": answers(404, "NotFound", kind=""),
    "503 with somebody else's problem": answers(503, "Overloaded", kind="https://gateway.example/problems/no-upstream"),
    "404 with half a problem": sends(nasty_server.reply(404, b'{"type": "urn:steer', kind="application/problem+json")),
    "our problem as a page": sends(nasty_server.reply(404, {"type": PROBLEM, "status": 404, "error": "NotFound"})),
    "200 with a page for signing in": sends(nasty_server.reply(200, b"<html>sign in", kind="text/html")),
}


@pytest.mark.parametrize("behaviour", STRANGERS.values(), ids=STRANGERS)
def test_what_stands_before_the_service_cannot_give_an_outcome_up(nasty: NastyServer, behaviour: Any) -> None:
    nasty.always = behaviour
    client = Client(nasty.url, deadline_s=0.2)
    assert client.report("d1", {"reward": 0.1}).status == "waiting"
    (late,) = client.report_batch([Said(decision_id="d2", measurements={"reward": 0.2})])
    assert isinstance(late, Reported)
    assert late.status == "waiting"
    for _ in range(2):  # answered once, and asked again
        nasty.wait_for(lambda got: got.path.endswith("batch") and len(got.body["outcomes"]) == 2)
    assert (len(client.waiting), client.refused) == (2, [])
    nasty.always = None
    assert client.flush(deadline_s=30.0) == 0
    client.close()
    (last,) = [each.body for each in nasty.got if each.path.endswith("batch")][-1:]
    assert [each["decision_id"] for each in last["outcomes"]] == ["d1", "d2"]


@pytest.mark.parametrize("behaviour", STRANGERS.values(), ids=STRANGERS)
def test_what_stands_before_the_service_cannot_turn_a_decision_away(nasty: NastyServer, behaviour: Any) -> None:
    nasty.always = behaviour
    with Client(nasty.url, deadline_s=0.5, fallback=lambda agent, state: "mine") as client:
        assert client.decide("lab/small", {"load": 1.0}).choice == "mine"
    assert len(nasty.got) == 1  # it may have let the question through


def test_closing_says_how_many_wait_and_how_many_were_refused(nasty: NastyServer) -> None:
    nasty.always = answers(503, headers="retry-after: 3600\r\n")
    client = Client(nasty.url, deadline_s=0.5)
    for number in range(4):
        client.report(f"d{number}", {"reward": 0.1})

    def mixed(connection: socket.socket, got: nasty_server.Got) -> bool:
        busy = {"problem": {"type": PROBLEM, "status": 503, "detail": "the store is busy", "error": "StoreError"}}
        unknown = {"problem": {"type": PROBLEM, "status": 404, "detail": "no such decision", "error": "NotFound"}}
        said = [each["decision_id"] for each in got.body.get("outcomes", ())]
        return nasty_server.results(*(busy if each == "d0" else unknown for each in said))(connection, got)

    nasty.always = mixed
    client.flush(deadline_s=0.5)
    nasty.wait_for(lambda got: [each["decision_id"] for each in got.body.get("outcomes", ())] == ["d0"])
    with pytest.raises(
        StoreError, match=r"^outcomes were not delivered: 1 waiting \(.+\): .+; 3 refused, .* first of d1, no such decision$"
    ):
        client.close()
