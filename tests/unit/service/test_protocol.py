"""What arrives slowly, endlessly, too large or as nonsense: a clear answer, bounded memory, and the others go on."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from steersman.core.sections import Service as Limits
from steersman.testing.serving import Running, serving
from steersman.testing.specs import small_agent

JSON = b"POST /v1/decisions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service that has little patience."""
    limits = Limits(request_wait_s=0.4, body_bytes=10_000, connections=30, concurrency=20)
    with serving(str(tmp_path_factory.mktemp("strict") / "log.db"), agents=[small_agent()], limits=limits) as running:
        yield running


def connected(running: Running) -> socket.socket:
    host, port = running.url.removeprefix("http://").split(":")
    found = socket.create_connection((host, int(port)), timeout=10.0)
    found.settimeout(10.0)
    return found


def said(connection: socket.socket) -> tuple[int, Any]:
    """Return status and problem of all that comes until the connection is closed."""
    data = b""
    while piece := connection.recv(65_536):
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def alive(running: Running) -> bool:
    return httpx.get(f"{running.url}/healthz").status_code == 200


@pytest.mark.parametrize(
    "start",
    [b"POST /v1/dec", JSON, JSON + b"content-length: 100\r\n\r\n{", JSON + b"transfer-encoding: chunked\r\n\r\n5\r\nabc"],
)
def test_a_request_that_does_not_arrive_is_given_up(strict: Running, start: bytes) -> None:
    with connected(strict) as connection:
        connection.sendall(start)
        status, problem = said(connection)
    assert status == 408
    assert problem["error"] == "DeadlineExceeded"
    assert alive(strict)


def test_a_connection_on_which_nothing_comes_is_closed(strict: Running) -> None:
    with connected(strict) as connection:
        assert connection.recv(1) == b""


def test_dribbling_does_not_buy_time(strict: Running) -> None:
    with connected(strict) as connection:
        connection.sendall(JSON)
        connection.settimeout(0.05)
        sent = 0
        for _ in range(60):
            try:
                connection.sendall(b"x-a: b\r\n")
                sent += 1
                if connection.recv(65_536):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert sent < 30
    assert alive(strict)


@pytest.mark.parametrize(
    "nonsense", [b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n", b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n" * 9 + b"X"]
)
def test_what_is_no_request_is_refused(strict: Running, nonsense: bytes) -> None:
    with connected(strict) as connection:
        connection.sendall(nonsense)
        status, problem = said(connection)
    assert status in (400, 408)
    assert problem["status"] == status


@pytest.mark.parametrize("pipelined", [b"", b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"])
def test_what_never_begins_is_not_counted_as_begun(strict: Running, pipelined: bytes) -> None:
    for _ in range(strict.service.settings.concurrency + 5):
        with connected(strict) as connection:
            connection.sendall(pipelined + b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n")
            assert connection.recv(65_536)
    assert httpx.get(f"{strict.url}/v1/agents").status_code == 200
    assert (strict.service.begun, strict.service.busy) == (0, 0)


def test_a_request_whose_caller_has_gone_is_counted_off_again(strict: Running) -> None:
    for _ in range(20):
        with connected(strict) as connection:
            connection.sendall(b"GET /v1/agents HTTP/1.1\r\nhost: localhost\r\n\r\n" * 3)
    deadline = time.monotonic() + 10.0
    open_now = strict.server.server_state.connections
    while (strict.service.begun or strict.service.busy or open_now) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (strict.service.begun, strict.service.busy, len(open_now)) == (0, 0, 0)


def test_endless_headers_are_refused(strict: Running) -> None:
    with connected(strict) as connection:
        connection.sendall(JSON)
        for _ in range(20):
            connection.sendall(b"x-a: " + b"b" * 10_000 + b"\r\n")
        assert said(connection)[0] == 431


def test_a_body_that_is_too_large_is_not_read(strict: Running) -> None:
    answer = httpx.post(f"{strict.url}/v1/decisions", content=b" " * 10_001, headers={"content-type": "application/json"})
    assert answer.status_code == 413
    assert "10000 bytes" in answer.json()["detail"]
    with connected(strict) as connection:
        connection.sendall(JSON + b"content-length: 999999999999\r\n\r\n")
        assert said(connection)[0] == 413


def test_a_body_in_pieces_is_cut_off_where_it_is_too_large(strict: Running) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 1_000

    answer = httpx.post(f"{strict.url}/v1/decisions", content=pieces(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_requests_in_one_packet_are_answered_one_after_the_other(strict: Running) -> None:
    with connected(strict) as connection:
        one = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"
        connection.sendall(one + b"\r\n" + one + b"\r\n" + one + b"connection: close\r\n\r\n")
        data = b""
        while piece := connection.recv(65_536):
            data += piece
    assert data.count(b"HTTP/1.1 200 OK") == 3


def test_more_connections_than_there_may_be_are_refused(strict: Running) -> None:
    held = [connected(strict) for _ in range(31)]
    try:
        status, problem = said(held[-1])
        assert (status, problem["error"]) == (503, "Overloaded")
    finally:
        for each in held:
            each.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("PATCH", "/v1/decisions", 405),
        ("POST", "/v1/decisions/a/b/c", 404),
        ("OPTIONS", "/v1/agents", 405),
    ],
)
def test_errors_of_the_frame_are_problems_as_well(strict: Running, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, strict.url + path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 405:
        assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_only_json_is_taken(strict: Running, kind: str) -> None:
    answer = httpx.post(f"{strict.url}/v1/decisions", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 415


def test_every_answer_carries_the_headers_that_protect(strict: Running) -> None:
    for path in ("/healthz", "/nothing", "/v1/agents", "/", "/metrics"):
        found = httpx.get(strict.url + path, headers={"accept": "text/html"}).headers
        assert found["x-content-type-options"] == "nosniff"
        assert found["referrer-policy"] in ("no-referrer", "same-origin")
        assert "frame-ancestors 'none'" in found["content-security-policy"]
        assert "default-src 'none'" in found["content-security-policy"]
        assert "server" not in found


def test_head_is_answered_as_get_without_a_body(strict: Running) -> None:
    answer = httpx.head(f"{strict.url}/healthz")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0
