"""The client against a server that is slow, resets, sends garbage, turns away or is gone: nothing is lost or done twice."""

import asyncio
import inspect
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from steersman.client import Ask, AsyncClient, Client, Said, exchange
from steersman.client.exchange import pauses
from steersman.core import errors
from steersman.core.errors import (
    Conflict,
    DeadlineExceeded,
    InvalidInput,
    Overloaded,
    SteersmanError,
    StoreError,
    Unauthenticated,
)
from steersman.testing import nasty_server
from steersman.testing.nasty_server import PROBLEM, NastyServer, answers, sends

STATE = {"load": 1.0}
AGENT = "lab/small"
AMBIGUOUS = {
    "resets": nasty_server.resets,
    "hangs up": nasty_server.hangs_up,
    "says nothing": nasty_server.says_nothing,
    "drips": nasty_server.drips,
    "garbage": sends(b"\x00\xff\x13 what?\r\n\r\n"),
    "garbage of http": sends(nasty_server.reply(200, b"<html>")),
    "half an answer": sends(nasty_server.reply(200, {"id": "d"})[:-5]),
    "another answer": sends(nasty_server.reply(200, {"id": 7})),
    "broken compression": sends(nasty_server.reply(200, b"nothing of the kind", "content-encoding: gzip\r\n")),
    "500": answers(500),
    "502": sends(nasty_server.reply(502, b"<html>bad gateway", kind="text/html")),
}


def rule(agent: str, state: Mapping[str, Any]) -> str:
    return "mine"


def client_of(server: NastyServer, **options: Any) -> Client:
    return Client(server.url, **{"deadline_s": 0.5, "fallback": rule, **options})


def nowhere() -> str:
    """Return the URL of a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


# deciding


@pytest.mark.parametrize("behaviour", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_decision_that_may_have_been_made_is_not_asked_for_again(nasty: NastyServer, behaviour: Any) -> None:
    nasty.script = [behaviour]
    with client_of(nasty) as client:
        decision = client.decide(AGENT, STATE)
    assert (decision.choice, decision.recorded, decision.arm) == ("mine", False, "baseline")
    assert len(nasty.got) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_decision_that_was_turned_away_is_asked_for_again(nasty: NastyServer, status: int) -> None:
    nasty.script = [answers(status), answers(status)]
    with client_of(nasty) as client:
        decision = client.decide(AGENT, STATE, episode="e", subject="s", arm="champion")
    assert decision.recorded
    assert [each.body for each in nasty.got] == 3 * [
        {"agent": AGENT, "state": STATE, "episode": "e", "subject": "s", "arm": "champion"}
    ]


def test_a_service_that_comes_up_within_the_deadline_is_asked(nasty: NastyServer) -> None:
    url = nowhere()
    with Client(url, deadline_s=5.0, fallback=rule) as client:
        starter = threading.Timer(0.3, lambda: later.append(nasty_server.NastyServer(port=int(url.rpartition(":")[2]))))
        later: list[NastyServer] = []
        starter.start()
        assert client.decide(AGENT, STATE).recorded
    later[0].close()


def test_without_a_service_the_fallback_decides() -> None:
    with Client(nowhere(), deadline_s=0.2, fallback=rule) as client:
        decision = client.decide(AGENT, STATE, episode="e")
    assert decision.action == {"action": "mine"}
    assert decision.episode == "e"
    assert decision.reason.startswith("decided by the client's fallback: http://127.0.0.1:")


def test_without_a_fallback_the_reason_is_raised(nasty: NastyServer) -> None:
    nasty.script = [nasty_server.says_nothing]
    with client_of(nasty, fallback=None) as client, pytest.raises(DeadlineExceeded, match="did not answer in time"):
        client.decide(AGENT, STATE)
    with Client(nowhere(), deadline_s=5.0) as client, pytest.raises(StoreError, match="steersman up"):
        client.decide(AGENT, STATE)


def test_what_the_caller_must_mend_is_raised_and_never_papered_over(nasty: NastyServer) -> None:
    tree = [each for each in vars(errors).values() if inspect.isclass(each) and issubclass(each, SteersmanError)]
    with client_of(nasty) as client:
        for each in tree:
            nasty.script = [answers(400, each.__name__, detail="field 'loda'. Did you mean 'load'?")]
            with pytest.raises(each, match="Did you mean 'load'") as raised:
                client.decide(AGENT, STATE)
            assert type(raised.value) is each
        for status, kind in ((401, Unauthenticated), (409, Conflict), (413, InvalidInput)):
            nasty.script = [answers(status, "NoSuchClass")]
            with pytest.raises(kind):
                client.decide(AGENT, STATE)


def test_the_fallback_decides_after_the_deadline_and_long_before_the_service_answers(nasty: NastyServer) -> None:
    waits = threading.Event()

    def late(connection: socket.socket, got: nasty_server.Got) -> bool:
        assert waits.wait(60.0)
        return nasty_server.well(connection, got)

    nasty.script = [late]
    try:
        with client_of(nasty) as client:
            assert not client.decide(AGENT, STATE).recorded
    finally:
        waits.set()


def test_a_key_is_not_carried_to_another_address(nasty: NastyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = NastyServer()
    monkeypatch.setattr(exchange, "pauses", lambda rng: iter([0.0, math.inf]))  # tried twice, and never with no time left
    try:
        nasty.always = sends(nasty_server.reply(307, {}, f"location: {elsewhere.url}/v1/decisions\r\n"))
        with client_of(nasty, key="steer_a_b", fallback=None, deadline_s=8.0) as client:
            with pytest.raises(StoreError, match=f"redirects to {elsewhere.url}"):
                client.decide(AGENT, STATE)
            with pytest.raises(StoreError, match="give the client that address"):
                client.read("/v1/agents")
        assert elsewhere.got == []
    finally:
        elsewhere.close()


def test_what_was_answered_before_is_told_where_the_time_is_over(nasty: NastyServer) -> None:
    nasty.script, nasty.always = [AMBIGUOUS["502"]], nasty_server.says_nothing
    with client_of(nasty) as client, pytest.raises(DeadlineExceeded, match=r"did not answer in time.*answered 502"):
        client.read("/v1/agents")
    assert len(nasty.got) == 2


def test_a_wait_that_outlasts_the_deadline_ends_with_what_was_answered(
    nasty: NastyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def oversleep(pause_s: float) -> None:
        await sleep(pause_s + 0.6)

    sleep = asyncio.sleep
    nasty.always = AMBIGUOUS["502"]
    monkeypatch.setattr(exchange, "asyncio", SimpleNamespace(timeout=asyncio.timeout, sleep=oversleep))
    with client_of(nasty) as client, pytest.raises(StoreError, match="answered 502"):
        client.read("/v1/agents")
    assert len(nasty.got) == 1


def test_a_deadline_that_the_service_missed_is_no_end_of_ours(nasty: NastyServer) -> None:
    nasty.script = [answers(503, "DeadlineExceeded")] * 2
    with client_of(nasty, deadline_s=30.0) as client:
        assert client.report("d1", {"reward": 0.5}).revision == 0
    assert len(nasty.got) == 3


def test_a_wait_that_the_service_asks_for_is_kept(nasty: NastyServer) -> None:
    nasty.script = [answers(503, "Overloaded", headers="retry-after: 1\r\n")]
    with client_of(nasty, deadline_s=3.0) as client:
        assert client.decide(AGENT, STATE).recorded
    assert nasty.got[1].at - nasty.got[0].at >= 1.0


def test_a_wait_beyond_the_deadline_is_not_begun(nasty: NastyServer) -> None:
    nasty.script = [answers(429, "TooMany", headers="retry-after: 3600\r\n")]
    with client_of(nasty, deadline_s=600.0) as client:
        assert not client.decide(AGENT, STATE).recorded  # a client that waited would run into the time limit of the tests
    assert len(nasty.got) == 1


def test_a_batch_says_of_each_what_became_of_it(nasty: NastyServer) -> None:
    answer = {"id": "d", "agent": AGENT, "action": {"action": "rest"}, "arm": "champion"}
    nasty.script = [
        nasty_server.results(
            answer,
            {"problem": {"type": PROBLEM, "title": "t", "status": 400, "detail": "no", "error": "InvalidInput"}},
            {"problem": {"type": PROBLEM, "title": "t", "status": 503, "detail": "busy", "error": "Overloaded"}},
        )
    ]
    with client_of(nasty) as client:
        first, second, third = client.decide_batch([Ask(agent=AGENT, state=STATE)] * 3)
        assert (first.recorded, first.choice) == (True, "rest")  # type: ignore[union-attr]
        assert isinstance(second, InvalidInput)
        assert (third.recorded, third.choice) == (False, "mine")  # type: ignore[union-attr]
        nasty.script = [nasty_server.results(answer)]
        assert [each.recorded for each in client.decide_batch([Ask(agent=AGENT, state=STATE)] * 2)] == [False, False]  # type: ignore[union-attr]


# reporting


@pytest.mark.parametrize("behaviour", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_outcome_is_delivered_whatever_happened_to_the_first_try(nasty: NastyServer, behaviour: Any) -> None:
    nasty.script = [behaviour, nasty_server.hangs_up]
    with client_of(nasty) as client:
        reported = client.report("d1", {"reward": 0.5})
        assert reported.status in ("stored", "waiting")
        client.flush(deadline_s=60.0)
        assert client.waiting == []
    assert {str(each.body) for each in nasty.got if each.path == "/v1/outcomes"} == {
        "{'decision_id': 'd1', 'measurements': {'reward': 0.5}}"
    }


def test_outcomes_wait_for_the_service_and_are_sent_in_their_order(nasty: NastyServer) -> None:
    nasty.always = answers(503)
    with client_of(nasty, deadline_s=0.05) as client:
        assert [client.report(f"d{number % 3}", {"reward": number / 10}).status for number in range(9)] == ["waiting"] * 9
        nasty.always = None
        assert client.flush(deadline_s=60.0) == 0
    said = [
        each["measurements"]["reward"] for got in nasty.got if got.path.endswith("batch") for each in got.body["outcomes"]
    ]
    assert said[-9:] == [number / 10 for number in range(9)]


def test_a_later_outcome_does_not_overtake_one_that_waits(nasty: NastyServer) -> None:
    nasty.always = answers(503)
    with client_of(nasty, deadline_s=0.05) as client:
        client.report("d1", {"reward": 0.1})
        nasty.always, nasty.script = None, []
        client.report("d1", {"reward": 0.2}, correct=True)
        client.flush(deadline_s=60.0)
    stored = [got for got in nasty.got if got.path == "/v1/outcomes" and got.body["measurements"]["reward"] == 0.2]
    assert stored == []


def test_a_full_outbox_refuses_and_closing_says_what_is_left() -> None:
    client = Client(nowhere(), deadline_s=0.05, queue=2)
    client.report("d1", {"reward": 0.1})
    client.report("d2", {"reward": 0.1})
    with pytest.raises(Overloaded, match="d3 was not taken"):
        client.report("d3", {"reward": 0.1})
    assert [type(each).__name__ for each in client.report_batch([Said(decision_id="d4", measurements={})])] == ["Overloaded"]
    with pytest.raises(StoreError, match=r"not delivered: 2 waiting \(http"):
        client.close()
    assert [each.decision_id for each in client.waiting] == ["d1", "d2"]
    client.close()
    with pytest.raises(StoreError, match="the client is closed"):
        client.report("d1", {"reward": 0.1})
    assert [each.decision_id for each in client.waiting] == ["d1", "d2"]
    assert client.refused == []
    client.close()


def test_what_waited_and_is_refused_does_not_hold_up_the_rest(nasty: NastyServer) -> None:
    nasty.always = answers(503, headers="retry-after: 3600\r\n")
    client = client_of(nasty, deadline_s=60.0)
    for number in range(3):
        client.report(f"d{number}", {"reward": 0.1})
    unknown = {"problem": {"type": PROBLEM, "status": 404, "detail": "no decision", "error": "NotFound"}}
    busy = {"problem": {"type": PROBLEM, "status": 503, "detail": "busy", "error": "Overloaded"}}
    once = [busy]

    def mixed(connection: socket.socket, got: nasty_server.Got) -> bool:
        def of(name: str) -> object:
            bad = unknown if name == "d1" else once.pop() if name == "d2" and once else None
            return bad or {"decision_id": name, "revision": 0, "kind": "reported"}

        return nasty_server.results(*(of(each["decision_id"]) for each in got.body["outcomes"]))(connection, got)

    nasty.always = mixed
    assert client.flush(deadline_s=60.0) == 0
    assert [(said.decision_id, type(error).__name__) for said, error in client.refused] == [("d1", "NotFound")]
    assert [each["decision_id"] for each in nasty.got[-1].body["outcomes"]] == ["d2"]
    with pytest.raises(StoreError, match="1 refused"):
        client.close()


def test_a_batch_that_is_refused_as_such_is_sent_one_by_one(nasty: NastyServer) -> None:
    nasty.always = answers(503)
    client = client_of(nasty, deadline_s=0.05)
    for number in range(3):
        client.report(f"d{number}", {"reward": 0.1})

    def picky(connection: socket.socket, got: nasty_server.Got) -> bool:
        bad = got.path.endswith("batch") or got.body["decision_id"] == "d1"
        return answers(400, "InvalidInput")(connection, got) if bad else nasty_server.well(connection, got)

    nasty.always = picky
    assert client.flush(deadline_s=60.0) == 0
    assert [said.decision_id for said, _ in client.refused] == ["d1"]
    with pytest.raises(StoreError, match="1 refused"):
        client.close()


def test_a_key_that_is_refused_keeps_outcomes_waiting(nasty: NastyServer) -> None:
    nasty.always = answers(503)
    client = client_of(nasty, deadline_s=0.05, key="steer_a_b")
    client.report("d1", {"reward": 0.1})
    nasty.always = answers(401, "Unauthenticated", detail="the key has expired")
    assert client.flush(deadline_s=0.2) == 1
    with pytest.raises(Unauthenticated):
        client.report("d2", {"reward": 0.1})
    nasty.always = None
    assert client.flush(deadline_s=60.0) == 0
    client.close()
    assert {each.headers["authorization"] for each in nasty.got} == {"Bearer steer_a_b"}


def test_nothing_is_sent_for_a_decision_that_was_made_here(nasty: NastyServer) -> None:
    nasty.script = [nasty_server.resets]
    with client_of(nasty) as client:
        assert client.report(client.decide(AGENT, STATE), {"reward": 0.1}).status == "unrecorded"
    assert nasty.paths() == ["/v1/decisions"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_do_not_leave_the_house(nasty: NastyServer, value: float) -> None:
    with client_of(nasty) as client:
        with pytest.raises(InvalidInput, match=r"measurements\.reward"):
            client.report("d1", {"reward": value})
        with pytest.raises(InvalidInput, match=r"state\.load"):
            client.decide(AGENT, {"load": value})
        with pytest.raises(InvalidInput, match=r"decisions\[0\]\.state\.load"):
            client.decide_batch([Ask(agent=AGENT, state={"load": value})])
    assert nasty.got == []


# the rest


def test_reading_and_withdrawing_are_tried_again(nasty: NastyServer) -> None:
    with client_of(nasty, deadline_s=2.0) as client:
        nasty.script = [nasty_server.resets, answers(502)]
        assert client.explain("d1") == {"path": "/v1/decisions/d1/explanation"}
        nasty.script = [nasty_server.resets]
        assert client.read("/v1/decisions", {"limit": 3}) == {"path": "/v1/decisions?limit=3"}
        nasty.script = [
            nasty_server.resets,
            sends(nasty_server.reply(200, {"decision_id": "d1", "revision": 1, "kind": "withdrawn"})),
        ]
        assert client.withdraw("d1", source="me").kind == "withdrawn"
    assert nasty.got[-1].method == "DELETE"


def test_it_can_be_used_from_many_threads(nasty: NastyServer) -> None:
    with client_of(nasty, deadline_s=10.0) as client:
        threads = [
            threading.Thread(target=lambda: [client.report("d", {"reward": 0.0}) for _ in range(20)]) for _ in range(8)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
    assert len(nasty.got) == 160


def test_an_address_must_be_one() -> None:
    for url in ("localhost:80", "ftp://localhost", "http://"):
        with pytest.raises(InvalidInput, match="no address of a service"):
            Client(url)
    with pytest.raises(InvalidInput, match="deadline_s"):
        Client("http://127.0.0.1:1", deadline_s=0.0)


def test_pauses_grow_and_are_bounded() -> None:
    class Top:
        def uniform(self, low: float, high: float) -> float:
            return high

    found = pauses(Top())  # type: ignore[arg-type]
    assert [round(next(found), 3) for _ in range(9)] == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.0, 2.0]


def test_the_client_that_waits_offers_all_that_the_other_one_does() -> None:
    def public(kind: type) -> set[str]:
        return {each for each in dir(kind) if not each.startswith("_")}

    assert public(Client) == public(AsyncClient)
    for name in public(Client) - {"waiting", "refused", "close"}:
        assert inspect.signature(getattr(Client, name)) == inspect.signature(getattr(AsyncClient, name))


def test_importing_it_loads_nothing_heavy() -> None:
    heavy = ("numpy", "sqlalchemy", "starlette", "typer")
    code = f"import sys, steersman.client; print(*[each for each in {heavy} if each in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_it_goes_on_in_a_process_that_was_forked(nasty: NastyServer) -> None:
    code = f"""
import os
from steersman.client import Client
client = Client({nasty.url!r}, deadline_s=10.0)
assert client.decide("a", {{}}).recorded
child = os.fork()
if not child:
    os._exit(0 if client.decide("a", {{}}).recorded and client.report("d", {{}}).status == "stored" else 1)
assert os.waitpid(child, 0)[1] == 0
assert client.decide("a", {{}}).recorded
client.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(nasty.got) == 4


def test_closing_ends_the_thread_and_may_be_done_twice(nasty: NastyServer) -> None:
    client = client_of(nasty)
    client.decide(AGENT, STATE)
    client.close()
    assert "steersman-client" not in {each.name for each in threading.enumerate()}
    with pytest.raises(StoreError, match="the client is closed"):
        client.decide(AGENT, STATE)
    client.close()


def test_a_wait_for_the_service_can_be_interrupted(nasty: NastyServer) -> None:
    code = f"""
import signal
from steersman.client import Client
signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
signal.setitimer(signal.ITIMER_REAL, 0.5)
client = Client({nasty.url!r}, deadline_s=30.0)
try:
    client.decide("a", {{}})
except KeyboardInterrupt:
    client.close()
    print("interrupted")
"""
    nasty.script = [nasty_server.says_nothing]
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == ("interrupted", "")
    assert time.monotonic() - began < 20.0  # and not 30
