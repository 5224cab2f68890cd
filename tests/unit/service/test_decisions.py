"""Decisions over HTTP."""

import httpx
import pytest

from steersman.testing.serving import Running

STATE = {"load": 10, "backlog": 5, "weekend": False}


def decide(client: httpx.Client, **more: object) -> dict[str, object]:
    answer = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def test_a_decision_is_answered_once_it_is_on_the_disk(client: httpx.Client, running: Running) -> None:
    made = decide(client)
    assert made["recorded"]
    assert made["durable"]
    assert made["agent"] == "lab/small"
    assert made["action"]["action"] in ("rest", "light", "steady", "heavy")  # type: ignore[index]
    logged = client.get(f"/v1/decisions/{made['id']}").json()["decision"]
    assert logged["executed"] == made["action"]
    assert logged["action_probability"] == made["propensity"]
    log = running.service.tenants["default"].log
    assert log.durable_position == log.position


def test_a_batch_is_answered_part_by_part(client: httpx.Client) -> None:
    asked = [
        {"agent": "lab/small", "state": STATE},
        {"agent": "lab/smell", "state": STATE},
        {"agent": "lab/small", "state": {}},
    ]
    results = client.post("/v1/decisions/batch", json={"decisions": asked}).json()["results"]
    assert results[0]["durable"]
    assert results[1]["problem"]["status"] == 404
    assert "Did you mean 'lab/small'?" in results[1]["problem"]["detail"]
    assert results[2]["problem"]["status"] == 400


def test_an_episode_goes_on_over_requests(client: httpx.Client) -> None:
    steps = [decide(client, episode="a day")["step"] for _ in range(3)]
    assert steps == [0, 1, 2]


def test_the_list_holds_the_newest_first(client: httpx.Client) -> None:
    made = [decide(client)["id"] for _ in range(3)]
    listed = client.get("/v1/decisions", params={"agent": "lab/small", "limit": 2}).json()["decisions"]
    assert [each["id"] for each in listed] == made[:0:-1]


def test_a_decision_is_explained_and_made_again(client: httpx.Client) -> None:
    made = decide(client)
    explained = client.get(f"/v1/decisions/{made['id']}/explanation").json()
    assert explained["situation"]["load"]
    assert client.get(f"/v1/decisions/{made['id']}/replay").json()["identical"]


def test_the_callers_trace_is_kept(client: httpx.Client) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE}, headers={"traceparent": trace})
    assert client.get(f"/v1/decisions/{answer.json()['id']}").json()["decision"]["trace_id"] == trace
    answer = client.post("/v1/decisions", json={"agent": "lab/small", "state": STATE}, headers={"traceparent": "<b>"})
    assert client.get(f"/v1/decisions/{answer.json()['id']}").json()["decision"]["trace_id"] == ""


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        (b"", "JSON is malformed|truncated"),
        (b"{", "truncated"),
        (b'{"agent": "lab/small"}', "state"),
        (b'{"agent": "lab/small", "state": {"load": NaN}}', "malformed"),
        (b'{"agent": "lab/small", "state": {"load": 1e999, "backlog": 5, "weekend": false}}', "out of range"),
        (b'{"agent": "lab/small", "state": {"load": 1, "backlog": 5, "weekend": false}, "stat": 1}', "unknown field `stat`"),
        (b'{"agent": "lab/small", "state": {"load": "nan", "backlog": 5, "weekend": false}}', "load"),
        (b'{"agent": "lab/small", "state": {"load": 1, "backlog": 5, "weekend": 0}}', "weekend"),
        (b'{"agent": "lab/small", "state": {"load": 1, "backlog": 5, "weekend": false, "more": 1}}', "unknown field 'more'"),
        (
            b'{"agent": "lab/small", "state": {"load": 1' + b"0" * 400 + b', "backlog": 5, "weekend": false}}',
            "too large|range",
        ),
        (b'{"agent": "lab/small", "state": {"load": 1, "backlog": 5, "weekend": false}, "arm": "x"}', "arm"),
        (b'{"agent": "lab/small", "state": {"load": 1, "backlog": 5, "weekend": false}, "episode": "a\\u0000"}', "episode"),
        (
            b'{"agent": "lab/small", "state": {"load": 1, "backlog": 5, "weekend": false}, "episode": "'
            + b"e" * 201
            + b'"}',
            "200",
        ),
        (b"[" * 100_000, "nested|truncated|Expected"),
        (b'{"agent": "lab/small", "state": ' + b'{"a":' * 50_000, "nested|state"),
        (b"\xff\xfe", "malformed|utf"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_way_out(client: httpx.Client, body: bytes, hint: str) -> None:
    answer = client.post("/v1/decisions", content=body, headers={"content-type": "application/json"})
    problem = answer.json()
    assert answer.status_code == 400, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(each in problem["detail"] for each in hint.split("|")), problem
    assert problem["type"] == "urn:steersman:problem:invalid-input"


@pytest.mark.parametrize("limit", ["0", "-1", "1e3", "x", "1001", "９", ""])
def test_a_limit_is_a_number_in_its_range(client: httpx.Client, limit: str) -> None:
    answer = client.get("/v1/decisions", params={"agent": "lab/small", "limit": limit})
    assert answer.status_code == 400, answer.text
    assert "limit" in answer.json()["detail"]


def test_unknown_parameters_are_refused_with_the_nearest(client: httpx.Client) -> None:
    answer = client.get("/v1/decisions?agent=lab/small&limt=3")
    assert answer.status_code == 400
    assert "Did you mean 'limit'?" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["", "/explanation", "/replay"])
def test_an_unknown_decision_is_not_found(client: httpx.Client, path: str) -> None:
    answer = client.get(f"/v1/decisions/nothing{path}")
    assert answer.status_code == 404, answer.text
