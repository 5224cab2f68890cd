"""Server-sent events: what changed, signs of life, and an end."""

import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from steersman.app import Steersman
from steersman.core.sections import Service as Limits
from steersman.service import app, events
from steersman.service.operations import Call, Operation, Reply
from steersman.testing.serving import Running, bearer, make_key, serving
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}
LIMITS = Limits(heartbeat_s=0.3, streams=2)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Running]:
    with serving(str(tmp_path / "log.db"), agents=[small_agent()], limits=LIMITS) as running:
        yield running


def lines(answer: httpx.Response, until: str, within_s: float = 10.0) -> list[str]:
    """Return the lines of a stream up to one that begins as it is said."""
    end, found = time.monotonic() + within_s, []
    for line in answer.iter_lines():
        found.append(line)
        if line.startswith(until) or time.monotonic() > end:
            break
    return found


def test_a_change_is_told_within_a_second(watched: Running) -> None:
    with httpx.stream("GET", f"{watched.url}/v1/events", timeout=10.0) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["cache-control"] == "no-store"
        stream = answer.iter_lines()
        assert next(stream) == "retry: 2000"
        made = httpx.post(f"{watched.url}/v1/decisions", json={"agent": "lab/small", "state": STATE})
        began = time.monotonic()
        while (line := next(stream)) != "event: change":
            assert line == "" or line.startswith(":")
        assert next(stream) == 'data: {"agents":["lab/small"]}'
        assert time.monotonic() - began < 1.0
        assert made.status_code == 200


def test_a_change_is_told_once_it_can_be_read(watched: Running, tmp_path: Path) -> None:
    told: list[str] = []

    def hear() -> None:
        with httpx.stream("GET", f"{watched.url}/v1/events", timeout=10.0) as answer:
            for line in answer.iter_lines():
                told.append(line)
                if line == "event: change":
                    return

    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other, ThreadPoolExecutor(1) as pool:
        heard = pool.submit(hear)
        while not told:
            time.sleep(0.01)
        other.execute("BEGIN IMMEDIATE")  # nothing else is written meanwhile
        made = httpx.post(f"{watched.url}/v1/decisions", json={"agent": "lab/small", "state": STATE})
        assert not made.json()["durable"]
        time.sleep(4 * events.STEP_S)
        assert "event: change" not in told
        other.rollback()
        heard.result(10.0)
    assert "event: change" in told


def test_silence_is_broken_by_signs_of_life(watched: Running) -> None:
    with httpx.stream("GET", f"{watched.url}/v1/events", timeout=10.0) as answer:
        assert ": alive" in lines(answer, ": alive")


def test_there_are_only_so_many_streams(watched: Running) -> None:
    url = f"{watched.url}/v1/events"
    with httpx.stream("GET", url, timeout=10.0) as one, httpx.stream("GET", url, timeout=10.0) as two:
        held = one.iter_lines(), two.iter_lines()  # an iterator that is dropped hangs up
        assert [next(each) for each in held] == ["retry: 2000"] * 2
        refused = httpx.get(url, timeout=10.0)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    deadline = time.monotonic() + 10.0
    while watched.service.streaming and time.monotonic() < deadline:
        time.sleep(0.05)
    assert watched.service.streaming == 0
    assert not watched.service.tenants.get("default").changes.watched


def test_a_stream_ends_when_the_service_stops(tmp_path: Path) -> None:
    found: list[str] = []
    with serving(str(tmp_path / "log.db"), agents=[small_agent()], limits=LIMITS) as running:
        begun = threading.Event()

        def watch() -> None:
            with httpx.stream("GET", f"{running.url}/v1/events", timeout=20.0) as answer:
                for line in answer.iter_lines():
                    begun.set()
                    found.append(line)

        thread = threading.Thread(target=watch)
        thread.start()
        assert begun.wait(10.0)
        began = time.monotonic()
    thread.join(10.0)
    assert not thread.is_alive()
    assert time.monotonic() - began < 5.0
    assert "event: end" in found


def test_a_stream_ends_with_its_key(tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    text = make_key(store, "view")
    with serving(str(store), agents=[small_agent()], limits=LIMITS) as running:
        key = Steersman.keys_in(str(store))[0]
        with httpx.stream("GET", f"{running.url}/v1/events", headers=bearer(text), timeout=10.0) as answer:
            stream = answer.iter_lines()
            assert next(stream) == "retry: 2000"
            Steersman.add_key_in(str(store), replace(key, revoked_at=time.time()), actor="test", event="key revoked")
            began = time.monotonic()
            for _ in stream:
                assert time.monotonic() - began < 5.0
        assert time.monotonic() - began < 1.5


def test_who_does_not_read_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    async def flood(call: Call) -> Reply:
        async def pieces() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 65_536
                yield b"x" * 65_536

        return Reply(stream=pieces(), media_type="text/plain")

    monkeypatch.setattr(app, "_SLOW_READER_S", 0.3)
    operations = (Operation(method="GET", path="/flood", role=None, summary="Flood.", handler=flood),)
    with serving(str(tmp_path / "log.db"), operations=operations) as running:
        host, port = running.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as lazy:
            lazy.sendall(b"GET /flood HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert lazy.recv(10)
            deadline = time.monotonic() + 10.0
            while running.service.streaming and time.monotonic() < deadline:
                time.sleep(0.05)
            assert running.service.streaming == 0
    assert sent < 50_000_000
