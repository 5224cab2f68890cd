"""A store that does not write: decisions go on and say so, outcomes are not acknowledged, and readiness tells."""

import time
from collections.abc import Iterator
from typing import Any, cast

import httpx
import pytest

from steersman.backends.memory import MemoryLog
from steersman.core.sections import Service as Limits
from steersman.testing.serving import Running, serving
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}


@pytest.fixture
def running() -> Iterator[Running]:
    """A service on a log in memory that can be stalled."""
    limits = Limits(decide_wait_s=0.1, report_wait_s=0.2)
    with serving("memory:", agents=[small_agent()], limits=limits) as found:
        yield found
        log_of(found).resume()


def log_of(running: Running) -> MemoryLog:
    return cast(MemoryLog, running.service.tenants["default"].log)


def decide(client: httpx.Client) -> dict[str, Any]:
    made: dict[str, Any] = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE}).json()
    return made


def test_a_stalled_store_acknowledges_nothing_and_all_goes_on_afterwards(client: httpx.Client, running: Running) -> None:
    made = decide(client)
    assert made["durable"]
    log_of(running).stall("the disk is full")
    assert (decide(client)["recorded"], decide(client)["durable"]) == (True, False)
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["reason"]) == (503, "the disk is full")
    assert client.get("/healthz").status_code == 200
    said = {"decision_id": made["id"], "measurements": {"reward": 0.5}}
    late = client.post("/v1/outcomes", json=said)
    assert (late.status_code, late.json()["error"], late.headers["retry-after"]) == (503, "DeadlineExceeded", "1")
    batch = client.post("/v1/outcomes/batch", json={"outcomes": [said]}).json()["results"]
    assert batch[0]["problem"]["status"] == 503
    log_of(running).resume()
    assert client.post("/v1/outcomes", json=said).json()["revision"] == 0
    assert client.get("/readyz").status_code == 200
    assert decide(client)["durable"]


def test_a_stalled_store_holds_nobody_up_longer_than_was_said(client: httpx.Client, running: Running) -> None:
    decide(client)
    log_of(running).stall("the disk is full")
    began = time.monotonic()
    for _ in range(5):
        decide(client)
    assert time.monotonic() - began < 5 * 0.1 + 1.0


def test_a_full_queue_answers_with_the_safe_action(client: httpx.Client, running: Running) -> None:
    decide(client)
    log = log_of(running)
    log.stall("the disk is full")
    log._queue_rows = 0
    made = decide(client)
    assert (made["recorded"], made["durable"], made["action"]) == (False, False, {"action": "rest"})
    said = {"decision_id": made["id"], "measurements": {"reward": 0.5}}
    assert client.post("/v1/outcomes", json=said).status_code == 404
