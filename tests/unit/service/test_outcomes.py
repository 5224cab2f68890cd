"""Outcomes over HTTP."""

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest

from steersman.loops import report as report_loop
from steersman.service import outcomes
from steersman.service.operations import Caller
from steersman.service.tenants import Tenant
from steersman.stages.record.outcomes import silent
from steersman.testing.serving import Running, serving
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}


@pytest.fixture
def decision(client: httpx.Client) -> str:
    """The id of a decision."""
    made: str = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE}).json()["id"]
    return made


def report(client: httpx.Client, decision: str, reward: float = 0.5, **more: Any) -> httpx.Response:
    return client.post("/v1/outcomes", json={"decision_id": decision, "measurements": {"reward": reward}, **more})


def revisions(client: httpx.Client, decision: str) -> list[tuple[int, str, float | None]]:
    found = client.get(f"/v1/decisions/{decision}").json()["outcomes"]
    return [(each["revision"], each["kind"], each["reward"]) for each in found]


def test_an_outcome_is_answered_with_what_was_recorded(client: httpx.Client, decision: str) -> None:
    said = {"decision_id": decision, "revision": 0, "kind": "reported", "reward": 0.5, "components": {"reward": 0.5}}
    assert report(client, decision).json() == said
    assert revisions(client, decision) == [(0, "reported", 0.5)]


def test_the_same_again_is_acknowledged_and_changes_nothing(client: httpx.Client, decision: str) -> None:
    first = report(client, decision)
    assert [report(client, decision).json() for _ in range(3)] == [first.json()] * 3
    assert len(revisions(client, decision)) == 1


def test_something_else_is_a_conflict_unless_it_corrects(client: httpx.Client, decision: str) -> None:
    report(client, decision)
    refused = report(client, decision, 0.7)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:steersman:problem:conflict"
    assert report(client, decision, 0.7, correct=True).json()["revision"] == 1
    assert revisions(client, decision)[-1] == (1, "reported", 0.7)


def test_a_revision_says_which_word_it_is(client: httpx.Client, decision: str) -> None:
    assert report(client, decision, 0.1, revision=0).json()["revision"] == 0
    assert report(client, decision, 0.2, revision=1).json()["revision"] == 1
    assert report(client, decision, 0.3, revision=2).json()["revision"] == 2
    again = [report(client, decision, reward, revision=index).json() for index, reward in enumerate((0.1, 0.2, 0.3))]
    assert [(each["revision"], each["reward"]) for each in again] == [(0, 0.1), (1, 0.2), (2, 0.3)]
    assert len(revisions(client, decision)) == 3


@pytest.mark.parametrize("revision", [0, 1])
def test_another_word_for_the_same_revision_is_a_conflict(client: httpx.Client, decision: str, revision: int) -> None:
    report(client, decision, 0.1, revision=0)
    report(client, decision, 0.2, revision=1)
    assert report(client, decision, 0.9, revision=revision).status_code == 409
    assert len(revisions(client, decision)) == 2


@pytest.mark.parametrize("revision", [1, 5])
def test_a_gap_in_the_revisions_is_a_conflict(client: httpx.Client, decision: str, revision: int) -> None:
    answer = report(client, decision, revision=revision)
    assert answer.status_code == 409
    assert "0 revisions" in answer.json()["detail"]


def test_an_outcome_is_withdrawn_and_that_is_audited(client: httpx.Client, decision: str) -> None:
    report(client, decision)
    gone = client.delete(f"/v1/decisions/{decision}/outcome", params={"source": "me"})
    assert gone.json()["kind"] == "withdrawn"
    assert revisions(client, decision)[-1] == (1, "withdrawn", None)
    events = client.get("/v1/audit").json()["events"]
    assert ("outcome withdrawn", decision, "local") in {(e["event"], e["subject"], e["actor"]) for e in events}


def test_there_must_be_something_to_withdraw(client: httpx.Client, decision: str) -> None:
    assert client.delete(f"/v1/decisions/{decision}/outcome").status_code == 404
    assert client.delete("/v1/decisions/nothing/outcome").status_code == 404


def test_a_batch_is_acknowledged_part_by_part(client: httpx.Client, decision: str) -> None:
    said = {"decision_id": decision, "measurements": {"reward": 0.5}}
    parts = [
        said,
        {**said, "measurements": {"reward": 0.6}},
        {**said, "decision_id": "x"},
        said,
        {**said, "measurements": {}},
    ]
    results = client.post("/v1/outcomes/batch", json={"outcomes": parts}).json()["results"]
    assert [each.get("problem", {}).get("status", "taken") for each in results] == ["taken", 409, 404, "taken", 400]


@pytest.mark.parametrize(
    ("measurements", "hint"),
    [
        ({}, "missing"),
        ({"reward": 2.0}, "outside"),
        ({"reward": 0.5, "speed": 1.0}, "unknown measurement"),
        ({"reward": "0.5"}, "Expected `float`"),
        ({"reward": None}, "Expected `float`"),
    ],
)
def test_measurements_that_do_not_fit_are_refused(
    client: httpx.Client, decision: str, measurements: dict[str, Any], hint: str
) -> None:
    answer = client.post("/v1/outcomes", json={"decision_id": decision, "measurements": measurements})
    assert answer.status_code == 400
    assert hint in answer.json()["detail"]
    assert report(client, decision).status_code == 200, "what was refused must not stand in the way"


def test_an_unknown_decision_is_not_found(client: httpx.Client) -> None:
    assert report(client, "01a221ff-7b96-7000-8f29-d3e01c83ac3e").status_code == 404


def test_more_parts_than_a_batch_takes_are_refused(client: httpx.Client) -> None:
    said = {"decision_id": "x", "measurements": {}}
    assert client.post("/v1/outcomes/batch", json={"outcomes": [said] * 1001}).status_code == 400


def test_while_an_agent_learns_anew_the_others_are_answered(client: httpx.Client, running: Running) -> None:
    made = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE}).json()
    report(client, made["id"])
    lock = running.service.tenants["default"].agent("lab/small")._runtime.lock
    answers: list[int] = []

    def correct() -> None:
        with httpx.Client(base_url=running.url, timeout=30.0) as other:
            answers.append(report(other, made["id"], 0.9, correct=True).status_code)

    def decide() -> None:
        answers.append(httpx.post(f"{running.url}/v1/decisions", json={"agent": "lab/small", "state": STATE}).status_code)

    threads = [threading.Thread(target=correct), *(threading.Thread(target=decide) for _ in range(20))]
    with lock:  # as learning anew holds it
        threads[0].start()
        deadline = time.monotonic() + 10.0
        while not running.service.tenants.get("default").busy["lab/small"] and time.monotonic() < deadline:
            time.sleep(0.01)
        for each in threads[1:]:
            each.start()
        for _ in range(5):
            assert client.get("/healthz", timeout=2.0).status_code == 200
            assert client.get("/v1/controls", timeout=2.0).status_code == 200
        assert answers == []
    for each in threads:
        each.join()
    assert answers == [200] * 21


@pytest.mark.parametrize("swept", [True, False])
def test_what_silence_was_first_with_is_revised_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, swept: bool
) -> None:
    where: list[str] = []

    def noted(tenant: Tenant, *rest: Any) -> Any:
        where.append(threading.current_thread().name)
        return known(tenant, *rest)

    known = outcomes._report_known
    monkeypatch.setattr(outcomes, "_report_known", noted)
    settings = {"episodes": {"reward_wait_s": 60.0 if swept else 0.5}}
    with (
        serving(str(tmp_path / "log.db"), agents=[small_agent()], settings=settings) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        made = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE}).json()["id"]
        tenant = running.service.tenants.get("default")
        if swept:
            runtime = tenant.agents["lab/small"]._runtime
            silence = silent(runtime.open[made], spec=runtime.spec, at=time.time())
            with runtime.reporting:
                report_loop._append_first(runtime, runtime.open[made], silence)  # as the sweep does
            assert made not in tenant.recent
        answer = report(client, made)
        assert answer.status_code == 200
        assert answer.json()["revision"] == int(swept)
    assert [each.startswith("steersman-line") for each in where] == [True]


def test_a_first_report_is_taken_at_once(client: httpx.Client, decision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(outcomes, "_report_known")
    assert report(client, decision).status_code == 200


def test_a_retry_on_a_shared_store_is_told_the_revision_that_it_repeats() -> None:
    first: Any = object()
    waited: list[float] = []

    async def durable(receipt: Any, timeout_s: float) -> None:
        waited.append(timeout_s)

    host = SimpleNamespace(durable=durable, settings=SimpleNamespace(report_wait_s=3.0))
    call, tenant = SimpleNamespace(host=host), SimpleNamespace(shared=True)
    taken = outcomes._Taken(MagicMock(), first, logged=True)
    found = asyncio.run(outcomes._acknowledged(call, tenant, "d", taken))  # type: ignore[arg-type]  # as far as it is asked
    assert found is first
    assert waited == [3.0]


def test_nobody_passes_for_another_source_or_for_many() -> None:
    """With a key, what a caller says of itself stands behind its own name, and counts as one source in learning."""
    ci = Caller(actor="ci (a1b2c3)", tenant="t", roles=frozenset(), key_id="a1b2c3")
    assert ci.source("") == "ci (a1b2c3)"
    assert {ci.source(name).partition("/")[0] for name in ("staging", "ops (d4e5f6)", "x/y")} == {"ci (a1b2c3)"}
    alone = Caller(actor="local", tenant="t", roles=frozenset())
    assert (alone.source("qe run"), alone.source(None)) == ("qe run", "local")
