"""Agents, their policies, windows and figures, health, metrics and exports over HTTP."""

import json

import httpx
import pytest

from steersman.service.ledger import KEPT_HOURS

STATE = {"load": 10, "backlog": 5, "weekend": False}


@pytest.fixture(scope="module", autouse=True)
def learned(running: object) -> None:
    """Let the agent decide and learn a little."""
    with httpx.Client(base_url=running.url) as client:  # type: ignore[attr-defined]  # the fixture's type is in conftest
        for _ in range(12):
            made = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE}).json()["id"]
            client.post("/v1/outcomes", json={"decision_id": made, "measurements": {"reward": 0.5}})


def test_agents_are_listed_with_what_they_decide(client: httpx.Client) -> None:
    listed = {each["agent"]: each for each in client.get("/v1/agents").json()["agents"]}
    assert listed["lab/small"]["decisions"] == 12
    assert listed["lab/small"]["defined"]
    assert "qe/test-executor" in listed


@pytest.mark.parametrize("name", ["lab/small", "lab%2Fsmall"])
def test_an_agent_shows_what_it_is_and_where_it_stands(client: httpx.Client, name: str) -> None:
    found = client.get(f"/v1/agents/{name}").json()
    assert [each["name"] for each in found["state"]["fields"]] == ["load", "backlog", "weekend"]
    assert found["actions"] == {"action": ["rest", "light", "steady", "heavy"]}
    assert found["diagnosis"]["decisions"] == 12
    assert found["settings"]["learning"]["gamma"] == 0.0


def test_a_policy_says_what_is_done_in_which_situation(client: httpx.Client) -> None:
    rows = client.get("/v1/policies/lab/small?limit=5").json()["rows"]
    assert rows[0]["visits"] == 12
    assert rows[0]["rulings"][0]["because"]


def test_figures_sum_up_what_happened(client: httpx.Client) -> None:
    figures = client.get("/v1/figures?agent=lab/small&hours=2").json()["figures"]
    assert sum(each["decisions"] for each in figures) == 12
    assert sum(each["reward"] for each in figures) == pytest.approx(6.0)


def test_windows_are_listed(client: httpx.Client) -> None:
    assert client.get("/v1/windows/lab/small").json() == {"windows": []}


@pytest.mark.parametrize(
    "path", ["/v1/agents/lab/smell", "/v1/policies/lab/smell", "/v1/windows/lab/smell", "/v1/figures?agent=lab/smell"]
)
def test_an_unknown_agent_is_not_found_and_the_nearest_named(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "Did you mean 'lab/small'?" in answer.json()["detail"]


def test_metrics_are_told_as_prometheus_reads_them(client: httpx.Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith(("text/plain", "application/openmetrics-text"))
    assert "steersman_decisions_total" in answer.text
    assert 'operation="POST /v1/decisions"' in answer.text


def test_the_log_is_exported_as_lines_and_that_is_audited(client: httpx.Client) -> None:
    lines = [json.loads(each) for each in client.get("/v1/export").text.splitlines()]
    assert lines[0]["format"] == "steersman-log"
    assert sum("decision" in each for each in lines) == 12
    assert sum("outcome" in each for each in lines) == 12
    assert len(client.get("/v1/export?agent=qe/test-executor").text.splitlines()) == 1
    assert client.get("/v1/export?agent=nobody").status_code == 404
    assert client.get("/v1/audit?limit=3").json()["events"][-1]["event"] == "log exported"


@pytest.mark.parametrize(("hours", "status"), [(1, 200), (KEPT_HOURS, 200), (KEPT_HOURS + 1, 400), (0, 400)])
def test_figures_are_asked_for_as_many_hours_as_are_kept_apart(client: httpx.Client, hours: int, status: int) -> None:
    answer = client.get("/v1/figures", params={"hours": hours})
    assert answer.status_code == status
    if status == 400:
        assert f"from 1 to {KEPT_HOURS}" in answer.json()["detail"]
