"""Releases over HTTP: versions, moves, verdicts and drills, and what refuses them leaves production as it is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from steersman.app import Steersman
from steersman.service import heavy
from steersman.testing.serving import Running, serving
from steersman.testing.specs import small_agent

SETTINGS: dict[str, Any] = {
    "serving": {"baseline_share": 0.2, "cold_visits": 2},
    "exploration": {"floor": 0.2},
    "release": {"min_units": 30, "cohort_wait_s": 0.0},
}
WORTH = {"rest": -0.5, "light": 0.0, "steady": 0.4, "heavy": 0.2}
STATES = [{"load": load, "backlog": 5.0, "weekend": False} for load in (10.0, 30.0)]
BASE, RELEASES = "/v1/versions/lab/small", "/v1/releases/lab/small"


def teach(store: Path, times: int = 400) -> None:
    """Let the agent learn which action is worth most."""
    rng = np.random.default_rng(3)
    with Steersman.open(store, agents=[small_agent()], settings=SETTINGS) as steersman:
        agent = steersman.agent("lab/small")
        for index in range(times):
            decision = agent.decide(STATES[index % 2])
            reward = WORTH[str(decision.choice)] + rng.normal(0.0, 0.1)
            agent.report(decision, {"reward": float(np.clip(reward, -1.0, 1.0))})


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    store = tmp_path_factory.mktemp("store") / "log.db"
    teach(store)
    with serving(str(store), agents=[small_agent()], settings=SETTINGS) as running:
        yield running


@pytest.fixture
def client(taught: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=taught.url, timeout=60.0) as found:
        yield found
        if found.get(RELEASES).json()["trial"] is not None:
            found.post(RELEASES, json={"move": "abort", "reason": "the test is over"})


def now(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get(RELEASES).json()["now"]
    return found


def cut(client: httpx.Client) -> str:
    answer = client.post(BASE, json={"reason": "a test"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def start(client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post(RELEASES, json={"move": "start", "plan": "50% 1h", "despite": "a test", **more})


def test_a_version_is_cut_once_from_what_was_learned(client: httpx.Client) -> None:
    version = cut(client)
    assert cut(client) == version
    listed = client.get(BASE).json()["versions"]
    assert [each["id"] for each in listed].count(version) == 1
    assert listed[0]["outcomes"] == 400
    assert client.get(BASE, params={"limit": "0"}).status_code == 400


def test_an_agent_that_was_never_moved_is_decided_for_by_what_is_being_learned(tmp_path: Path) -> None:
    with serving(str(tmp_path / "log.db"), agents=[small_agent()]) as running:
        url = running.url
        assert httpx.get(f"{url}/v1/releases").json() == {"releases": []}
        httpx.post(f"{url}/v1/decisions", json={"agent": "lab/small", "state": STATES[0]})
        [only] = httpx.get(f"{url}/v1/releases").json()["releases"]
        assert (only["agent"], only["number"], only["champion"]) == ("lab/small", 0, "")
        shown = httpx.get(f"{url}{RELEASES}").json()
        assert (shown["now"]["number"], shown["moves"], shown["trial"]) == (0, [], None)
        assert httpx.post(f"{url}{RELEASES}", json={"move": "rollback"}).status_code == 409


def test_a_trial_is_started_held_resumed_and_ended_and_each_move_is_on_record(client: httpx.Client) -> None:
    version, before = cut(client), now(client)["number"]
    assert client.post(RELEASES, json={"move": "rollback", "to": "baseline"}).status_code == 200
    started = start(client, challenger=version[:12])
    assert started.status_code == 200, started.text
    assert (started.json()["challenger"], started.json()["stage"], started.json()["share"]) == (version, "canary", 0.5)
    shown = client.get(RELEASES).json()
    assert [each["metric"] for each in shown["trial"]["metrics"]] == ["reward", "success", "override", "arrival"]
    assert client.post(RELEASES, json={"move": "hold", "reason": "let me see"}).json()["held"] == "let me see"
    assert client.post(RELEASES, json={"move": "resume"}).json()["held"] == ""
    rolled = client.post(RELEASES, json={"move": "rollback", "reason": "enough"}).json()
    assert (rolled["champion"], rolled["move"], rolled["actor"]) == ("baseline", "rolled back", "local")
    assert now(client)["number"] == before + 5
    told = [each["event"] for each in client.get("/v1/audit", params={"limit": "30"}).json()["events"]]
    assert {"release started", "release held", "release resumed", "release rolled back"} <= set(told)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "move"),
        ({"move": "launch"}, 400, "launch"),
        ({"move": "start", "speed": 1}, 400, "speed"),
        ({"move": "start", "challenger": "ffff"}, 404, "ffff"),
        ({"move": "start", "plan": "everything now"}, 400, "no step"),
        ({"move": "hold"}, 409, "no trial"),
        ({"move": "resume"}, 409, "no trial"),
        ({"move": "abort"}, 409, "no trial"),
        ({"move": "rollback", "to": "ffff"}, 404, "ffff"),
        ({"move": "quarantine", "version": "ffff"}, 404, "ffff"),
        ({"move": "release-from-quarantine", "version": "baseline"}, 409, "not in quarantine"),
        ({"move": "experiment", "share": 1.0}, 400, "share"),
        ({"move": "experiment", "first": "baseline", "second": "baseline"}, 400, "itself"),
    ],
)
def test_what_is_refused_says_why_and_moves_nothing(
    client: httpx.Client, body: dict[str, Any], status: int, said: str
) -> None:
    before = now(client)
    answer = client.post(RELEASES, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert said in answer.json()["detail"]
    assert now(client) == before


def test_a_second_trial_is_refused_while_one_is_under_way(client: httpx.Client) -> None:
    client.post(RELEASES, json={"move": "rollback", "to": "baseline"})
    assert start(client).status_code == 200
    second = start(client)
    assert (second.status_code, "is being tried already" in second.json()["detail"]) == (409, True)


def test_what_was_in_production_at_a_time_is_told(client: httpx.Client) -> None:
    if not now(client)["number"]:
        client.post(RELEASES, json={"move": "rollback", "to": "baseline"})
    last = now(client)
    then = client.get(RELEASES, params={"at": str(last["at"] + 1.0)}).json()
    assert then["now"]["number"] == last["number"]
    assert then["trial"] is None
    early = client.get(RELEASES, params={"at": "1000"}).json()
    assert (early["now"], early["moves"]) == (None, [])
    for wrong in ("yesterday", "nan", "-5", "1e9"):
        assert client.get(RELEASES, params={"at": wrong}).status_code == 400


def test_a_version_is_quarantined_and_let_out_again(client: httpx.Client) -> None:
    version = cut(client)
    client.post(RELEASES, json={"move": "rollback", "to": "baseline"})
    put_away = client.post(RELEASES, json={"move": "quarantine", "version": version[:10]}).json()
    assert put_away["quarantined"] == [version]
    assert client.post(RELEASES, json={"move": "rollback", "to": version}).status_code == 409
    let_out = client.post(RELEASES, json={"move": "release-from-quarantine", "version": version}).json()
    assert let_out["quarantined"] == []


def test_an_experiment_compares_two_for_a_time(client: httpx.Client) -> None:
    asked = {"move": "experiment", "first": cut(client), "second": "baseline", "share": 0.5, "lasts_s": 3600}
    begun = client.post(RELEASES, json=asked)
    assert begun.status_code == 200, begun.text
    assert (begun.json()["purpose"], begun.json()["stages"]) == ("experiment", "50% 1h")


def test_a_verdict_is_given_with_its_evidence_and_kept(client: httpx.Client) -> None:
    judged = client.post("/v1/evaluations/lab/small", json={"against": "baseline"}).json()
    assert judged["verdict"] in ("better", "worse", "cannot tell")
    assert set(judged["body"]["evaluation"]["standings"]) == {"candidate", "incumbent", "baseline"}
    assert judged["body"]["gate"]["checks"][0]["name"] == "evidence"
    kept = client.get("/v1/evaluations/lab/small", params={"kind": "evaluation", "limit": "1"}).json()["judgements"]
    assert kept == [judged]
    assert client.get("/v1/evaluations/lab/small", params={"kind": "opinion"}).status_code == 400
    assert client.post("/v1/evaluations/lab/small", json={"candidate": "ffff"}).status_code == 404


def test_a_drill_shows_that_harm_is_caught(client: httpx.Client) -> None:
    found = client.post("/v1/drills/lab/small", json={"share": 0.5, "decisions": 4_000}).json()
    assert found["passed"], found["sentence"]
    assert found["drill"]["detected"]
    kept = client.get("/v1/evaluations/lab/small", params={"kind": "drill"}).json()["judgements"]
    assert kept[0]["reason"] == found["sentence"]
    assert client.post("/v1/drills/lab/small", json={"share": 2}).status_code == 400


def test_heavy_work_is_refused_before_it_takes_all_processors(client: httpx.Client, taught: Running) -> None:
    taught.service.heavy = heavy.AT_ONCE
    try:
        for path in ("/v1/evaluations/lab/small", "/v1/drills/lab/small"):
            answer = client.post(path, json={})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    finally:
        taught.service.heavy = 0
    assert client.post("/v1/evaluations/lab/small", json={}).status_code == 200
    assert taught.service.heavy == 0


def test_the_ledger_and_the_signals_are_told(client: httpx.Client) -> None:
    ledger = client.get("/v1/ledger/lab/small").json()
    assert (ledger["lines"], ledger["coverage"]) == ([], None)
    assert "No forecast" in ledger["sentence"]
    assert client.get("/v1/signals", params={"agent": "lab/small"}).json() == {"signals": []}
    assert client.get("/v1/signals", params={"agent": "no/such"}).status_code == 404


def test_each_move_is_told_to_whoever_watches(client: httpx.Client, taught: Running) -> None:
    with httpx.stream("GET", f"{taught.url}/v1/events", timeout=20.0) as answer:
        stream = answer.iter_lines()
        assert next(stream) == "retry: 2000"
        asked = {"move": "experiment", "first": cut(client), "second": "baseline"}
        moved = [client.post(RELEASES, json=each).json() for each in (asked, {"move": "hold"}, {"move": "abort"})]
        told: list[dict[str, Any]] = []
        while len(told) < len(moved):
            if next(stream) == "event: move":
                told.append(json.loads(next(stream).removeprefix("data: ")))
    assert [(each["number"], each["move"]) for each in told] == [(each["number"], each["move"]) for each in moved]
    assert all(each["evidence"] == {} for each in told)
