"""Limits: what one key, or all together, may ask for at a time."""

import asyncio
import dataclasses
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from steersman.core.sections import Service as Limits
from steersman.service import health
from steersman.service.limits import Crumbs, Rates
from steersman.service.operations import Call, Operation
from steersman.service.problems import Throttled
from steersman.testing.serving import Running, bearer, make_key, serving
from steersman.testing.specs import small_agent


class Stopwatch:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_and_fills_again() -> None:
    clock = Stopwatch()
    rates = Rates(per_s=2.0, burst=3, clock=clock)
    for _ in range(3):
        rates.take("one")
    with pytest.raises(Throttled) as refused:
        rates.take("one")
    assert refused.value.retry_after_s == 0.5
    rates.take("another")
    clock.now = 0.5
    rates.take("one")
    with pytest.raises(Throttled):
        rates.take("one")
    clock.now = 100.0
    for _ in range(3):
        rates.take("one")


def test_the_parts_of_a_batch_count() -> None:
    clock = Stopwatch()
    rates = Rates(per_s=10.0, burst=5, clock=clock)
    rates.take("one", 25)
    with pytest.raises(Throttled) as refused:
        rates.take("one")
    assert refused.value.retry_after_s == pytest.approx(2.1)


def test_no_rate_is_no_limit() -> None:
    rates = Rates(per_s=0.0, burst=1)
    for _ in range(100):
        rates.take("one")


def test_who_has_no_key_has_no_limit_whether_by_one_or_by_many(tmp_path: Path) -> None:
    limits = Limits(rate_per_s=1.0, burst=1)
    asked = {"agent": "lab/small", "state": {"load": 10, "backlog": 5, "weekend": False}}
    with serving(str(tmp_path / "log.db"), agents=[small_agent()], limits=limits) as running:
        for _ in range(3):
            made = httpx.post(f"{running.url}/v1/decisions/batch", json={"decisions": [asked] * 5})
            assert made.status_code == 200
            said = [{"decision_id": each["id"], "measurements": {"reward": 0.5}} for each in made.json()["results"]]
            assert httpx.post(f"{running.url}/v1/outcomes/batch", json={"outcomes": said}).status_code == 200


def test_the_trail_is_told_of_some_refusals_and_how_many_it_was_not_told_of() -> None:
    clock = Stopwatch()
    crumbs = Crumbs(per_s=1.0, burst=2, clock=clock)
    assert [crumbs.take("one") for _ in range(5)] == [0, 0, None, None, None]
    assert crumbs.take("another") == 0, "what one does is not told of another"
    clock.now = 1.0
    assert crumbs.take("one") == 3


def test_a_key_above_its_rate_is_told_when_to_come_back(tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    first, second = make_key(store, "view", name="a"), make_key(store, "view", name="b")
    limits = Limits(rate_per_s=1.0, burst=5)
    with serving(str(store), agents=[small_agent()], limits=limits) as running, httpx.Client(base_url=running.url) as client:
        answers = [client.get("/v1/controls", headers=bearer(first)) for _ in range(8)]
        assert [each.status_code for each in answers][:5] == [200] * 5
        assert answers[-1].status_code == 429
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 2
        assert client.get("/v1/controls", headers=bearer(second)).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_more_than_can_be_done_is_refused_early_and_health_is_not(tmp_path: Path) -> None:
    release = asyncio.Event()
    begun = threading.Semaphore(0)

    async def slow(call: Call) -> dict[str, str]:
        begun.release()
        await release.wait()
        return {}

    operations = (Operation(method="GET", path="/slow", role=None, summary="Wait.", handler=slow), *health.OPERATIONS)
    with serving(str(tmp_path / "log.db"), operations=operations, limits=Limits(concurrency=3)) as running:

        def ask() -> None:
            statuses.append(httpx.get(f"{running.url}/slow", timeout=30.0).status_code)

        statuses: list[int] = []
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for each in threads:
            each.start()
        for _ in threads:
            assert begun.acquire(timeout=10.0)
        refused = httpx.get(f"{running.url}/slow")
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["type"] == "urn:steersman:problem:overloaded"
        with httpx.Client(base_url=running.url) as client:  # the connection of a refused request goes on to serve
            assert [client.get("/slow").status_code for _ in range(3)] == [503] * 3
            assert client.post("/slow", json={"a": "b" * 1000}).status_code == 503
            assert client.get("/healthz").status_code == 200
        running.service._loop.call_soon_threadsafe(release.set)
        for each in threads:
            each.join()
        assert statuses == [200] * 3
        assert httpx.get(f"{running.url}/slow").status_code == 200


LOGIN = b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"


def _half_sent(running: Running, text: bytes) -> socket.socket:
    host, port = running.url.removeprefix("http://").split(":")
    found = socket.create_connection((host, int(port)), timeout=10.0)
    found.settimeout(10.0)
    found.sendall(text)
    return found


def _wait(until: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10.0
    while not until() and time.monotonic() < deadline:
        time.sleep(0.01)
    return until()


def test_bodies_that_do_not_come_take_nobodys_place(tmp_path: Path) -> None:
    limits = Limits(concurrency=4)
    said = b"POST /v1/decisions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{"
    with serving(str(tmp_path / "log.db"), agents=[small_agent()], limits=limits) as running:
        held = [_half_sent(running, LOGIN)]
        try:
            assert _wait(lambda: running.service.arriving[False] == 1)
            held += [_half_sent(running, LOGIN) for _ in range(9)]
            for each in held[1:]:
                assert b"503 Service Unavailable" in each.recv(65_536)
            assert httpx.get(f"{running.url}/v1/agents").status_code == 200
            held += [_half_sent(running, said) for _ in range(4)]
            assert _wait(lambda: running.service.arriving == {True: 4, False: 1})
            assert running.service.busy == 0
            assert httpx.get(f"{running.url}/v1/agents").status_code == 200
            held.append(_half_sent(running, said))
            assert b"503 Service Unavailable" in held[-1].recv(65_536)
        finally:
            for each in held:
                each.close()
        assert _wait(lambda: running.service.arriving == {True: 0, False: 0})
        assert running.service.busy == 0
        assert httpx.get(f"{running.url}/v1/agents").status_code == 200


def test_the_page_names_limits_that_there_are() -> None:
    page = Path(__file__).parents[3] / "docs" / "service.md"
    named = set(re.findall(r"`service\.(\w+)`", page.read_text()))
    assert named
    assert named <= {each.name for each in dataclasses.fields(Limits)}
