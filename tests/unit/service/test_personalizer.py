"""Clients of Personalizer find the paths, bodies, statuses and errors that they know."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from steersman.service.personalizer import OPERATIONS
from steersman.service.personalizer.operations import VERSIONS
from steersman.testing.serving import Running, make_key, serving

BASE = "/personalizer/v1.1-preview.3"


def body(event: str | None = None, **about: Any) -> dict[str, Any]:
    """Return what the service's own client sends for a ranking."""
    return {
        "contextFeatures": [{"timeOfDay": "morning"}, {"device": {"mobile": True, "width": 390}}],
        "actions": [
            {"id": "pasta", "features": [{"taste": "salty", "spiceLevel": "medium"}, {"nutritionalLevel": 5}]},
            {"id": "ice cream", "features": [{"taste": "sweet", "spiceLevel": "none"}, {"nutritionalLevel": 2}]},
            {"id": "juice", "features": [{"taste": "sweet", "spiceLevel": "none"}, {"nutritionLevel": 5}, {"drink": True}]},
        ],
        "excludedActions": ["juice"],
        "eventId": event,
        "deferActivation": False,
        **about,
    }


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, timeout=30.0) as found:
        yield found


def _error(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    message: str = error["message"]
    assert message
    return message


@pytest.mark.parametrize("version", VERSIONS)
def test_rank_then_reward_as_every_version_spells_it(client: httpx.Client, version: str) -> None:
    ranked = client.post(f"/personalizer/{version}/rank", json=body(f"event-{version}"))
    assert ranked.status_code == 201
    said = ranked.json()
    assert set(said) == {"ranking", "eventId", "rewardActionId"}
    assert said["eventId"] == f"event-{version}"
    assert said["ranking"][0]["id"] == said["rewardActionId"]
    assert said["ranking"][-1] == {"id": "juice", "probability": 0.0}
    assert sum(each["probability"] for each in said["ranking"]) == pytest.approx(1.0)
    rewarded = client.post(f"/personalizer/{version}/events/event-{version}/reward", json={"value": 0.75})
    assert (rewarded.status_code, rewarded.content) == (204, b"")


def test_the_last_version_stands_in_the_query(client: httpx.Client) -> None:
    dated = {"api-version": "2022-09-01-preview"}
    assert client.post("/personalizer/rank", params=dated, json=body("dated")).status_code == 201
    assert client.post("/personalizer/events/dated/reward", params=dated, json={"value": 1.0}).status_code == 204
    assert client.post("/personalizer/events/dated/activate", params=dated).status_code == 204
    _error(client.post("/personalizer/rank", json=body("dated")), 404, "ResourceNotFound")
    page = {"actions": body()["actions"], "slots": [{"id": "s", "baselineAction": "juice"}], "eventId": "dated page"}
    assert client.post("/personalizer/multislot/rank", params=dated, json=page).status_code == 201
    reward = {"reward": [{"slotId": "s", "value": 1.0}]}
    path = "/personalizer/multislot/events/dated page"
    assert client.post(f"{path}/reward", params=dated, json=reward).status_code == 204
    assert client.post(f"{path}/activate", params=dated).status_code == 204


def test_a_reward_is_learned_and_an_unnamed_event_gets_a_name(client: httpx.Client, running: Running) -> None:
    learned = running.service.tenants["default"].ranker().fold.learned
    event = client.post(f"{BASE}/rank", json={"actions": [{"id": "a", "features": []}, {"id": "b", "features": []}]})
    assert event.status_code == 201
    for value in (1.0, 0.5):
        assert client.post(f"{BASE}/events/{event.json()['eventId']}/reward", json={"value": value}).status_code == 204
    assert running.service.tenants["default"].ranker().fold.learned == learned + 1


def test_a_deferred_event_counts_once_it_is_activated(client: httpx.Client, running: Running) -> None:
    mine = running.service.tenants["default"].ranker()
    learned = mine.fold.learned
    client.post(f"{BASE}/rank", json=body("later", deferActivation=True))
    assert client.post(f"{BASE}/events/later/reward", json={"value": 1.0}).status_code == 204
    assert mine.fold.learned == learned
    assert client.post(f"{BASE}/events/later/activate").status_code == 204
    assert mine.fold.learned == learned + 1


def test_slots_are_filled_rewarded_and_activated(client: httpx.Client) -> None:
    asked = {
        "contextFeatures": [{"user": {"returning": True}}],
        "actions": body()["actions"],
        "slots": [
            {"id": "main", "features": [{"size": "large"}], "excludedActions": ["juice"], "baselineAction": "pasta"},
            {"id": "side", "features": [{"size": "small"}], "excludedActions": [], "baselineAction": "juice"},
        ],
        "eventId": "page",
        "deferActivation": True,
    }
    filled = client.post(f"{BASE}/multislot/rank", json=asked)
    assert filled.status_code == 201
    said = filled.json()
    assert said["eventId"] == "page"
    assert [each["id"] for each in said["slots"]] == ["main", "side"]
    assert len({each["rewardActionId"] for each in said["slots"]}) == 2
    assert client.post(f"{BASE}/multislot/events/page/activate").status_code == 204
    rewards = {"reward": [{"slotId": "main", "value": 0.5}, {"slotId": "side", "value": 0.25}]}
    assert client.post(f"{BASE}/multislot/events/page/reward", json=rewards).status_code == 204
    rewards["reward"][0]["slotId"] = "cellar"
    assert "cellar" in _error(client.post(f"{BASE}/multislot/events/page/reward", json=rewards), 404, "ResourceNotFound")


def test_event_ids_may_hold_anything_that_a_path_can_be_made_to(client: httpx.Client) -> None:
    for event, path in (("a/b", "a%2Fb"), ("ünïcode 💥", "%C3%BCn%C3%AFcode%20%F0%9F%92%A5"), ("?x=1", "%3Fx%3D1")):
        assert client.post(f"{BASE}/rank", json=body(event)).json()["eventId"] == event
        assert client.post(f"{BASE}/events/{path}/reward", json={"value": 1.0}).status_code == 204


@pytest.mark.parametrize(
    "about",
    [
        {"actions": []},
        {"actions": [{"id": f"a{each}", "features": []} for each in range(51)]},
        {"actions": [{"id": "a", "features": []}, {"id": "a", "features": []}]},
        {"excludedActions": ["pasta", "ice cream", "juice"]},
        {"contextFeatures": [{"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {"j": {"k": 1}}}}}}}}}}}]},
        {"contextFeatures": [{f"f{each}": each for each in range(501)}]},
        {"contextFeatures": [{"a": "x" * 200_001}]},
        {"eventId": "line\nbreak"},
    ],
)
def test_what_cannot_be_ranked_is_told_in_the_shape_that_clients_read(client: httpx.Client, about: dict[str, Any]) -> None:
    _error(client.post(f"{BASE}/rank", json=body("hostile", **about)), 400, "BadRequest")
    _error(client.post(f"{BASE}/events/hostile/reward", json={"value": 1.0}), 404, "ResourceNotFound")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"actions":[{"id":"a","features":[{"x":NaN}]}]}',
        b'{"actions":[{"id":"a","features":[{"x":1e999}]}]}',
        b'{"actions":[{"id":"a","features":[{"x":1}]}],"eventid":"typo"}',
        b'{"actions":[{"id":1,"features":[]}]}',
        b'{"actions":[{"id":"a","features":' + b"[" * 50_000 + b"]" * 50_000 + b"}]}",
        b'{"actions":',
        b"\xff\xfe",
        b"",
    ],
)
def test_a_body_that_cannot_be_read_is_refused(client: httpx.Client, raw: bytes) -> None:
    answer = client.post(f"{BASE}/rank", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code == 400


@pytest.mark.parametrize("value", [1.01, -1.5, "1", True, None])
def test_a_reward_that_is_none_is_refused(client: httpx.Client, value: Any) -> None:
    client.post(f"{BASE}/rank", json=body("unrewarded"))
    assert client.post(f"{BASE}/events/unrewarded/reward", json={"value": value}).status_code == 400


def test_rewards_for_events_that_were_never_ranked_are_refused(client: httpx.Client) -> None:
    for event in ("forged", "018f0000-0000-7000-8000-000000000000", "../rank", "event-v1.0%1Fmain"):
        for said in (
            client.post(f"{BASE}/events/{event}/reward", json={"value": 1.0}),
            client.post(f"{BASE}/events/{event}/activate"),
        ):
            assert said.status_code == 404, event
    _error(client.post(f"{BASE}/events/forged/reward", json={"value": 1.0}), 404, "ResourceNotFound")


def test_an_event_of_another_request_is_refused(client: httpx.Client) -> None:
    assert client.post(f"{BASE}/rank", json=body("once")).json() == client.post(f"{BASE}/rank", json=body("once")).json()
    other = body("once", contextFeatures=[{"timeOfDay": "evening"}])
    _error(client.post(f"{BASE}/rank", json=other), 409, "OperationNotAllowed")


def test_a_version_that_never_was_is_not_found(client: httpx.Client) -> None:
    assert "v1.1-preview.3" in _error(client.post("/personalizer/v2.0/rank", json=body()), 404, "ResourceNotFound")


def test_many_at_once_are_each_answered_once(client: httpx.Client, running: Running) -> None:
    failures: list[str] = []

    def visit(number: int) -> None:
        with httpx.Client(base_url=running.url, timeout=30.0) as own:
            for each in range(20):
                event = f"many-{number}-{each}"
                if own.post(f"{BASE}/rank", json=body(event)).status_code != 201:
                    failures.append(event)
                if own.post(f"{BASE}/events/{event}/reward", json={"value": 1.0}).status_code != 204:
                    failures.append(event)

    learned = running.service.tenants["default"].ranker().fold.learned
    threads = [threading.Thread(target=visit, args=(number,)) for number in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert running.service.tenants["default"].ranker().fold.learned == learned + 120


def test_a_key_opens_the_ranker_of_its_tenant_and_its_roles_count(tmp_path: Path) -> None:
    store = str(tmp_path / "log.db")
    shop = make_key(store, "decide", "report", tenant="shop")
    reader = make_key(store, "view", tenant="shop")
    news = make_key(store, "decide", "report", tenant="news")
    with serving(store, operations=OPERATIONS, loopback=False) as running, httpx.Client(base_url=running.url) as client:

        def post(path: str, key: str, content: object) -> int:
            return client.post(f"{BASE}{path}", json=content, headers={"Ocp-Apim-Subscription-Key": key}).status_code

        assert post("/rank", "", body("e")) == 401
        assert post("/rank", "steer_abc_def", body("e")) == 401
        assert post("/rank", reader, body("e")) == 403
        assert post("/rank", shop, body("e")) == 201
        assert post("/events/e/reward", news, {"value": 1.0}) == 404
        assert post("/events/e/reward", reader, {"value": 1.0}) == 403
        assert post("/events/e/reward", shop, {"value": 1.0}) == 204


def _page(actions: int, slots: int, features: int = 1, context: int = 1) -> dict[str, Any]:
    """Return a request for many slots."""
    return {
        "contextFeatures": [{f"c{each}": each for each in range(context)}],
        "actions": [{"id": f"a{each}", "features": [{f"f{at}": at for at in range(features)}]} for each in range(actions)],
        "slots": [{"id": f"s{each}", "baselineAction": f"a{each}"} for each in range(slots)],
    }


@pytest.mark.parametrize(
    ("path", "asked", "in_line"),
    [
        ("rank", body(), False),
        ("multislot/rank", _page(3, 2), False),
        ("multislot/rank", _page(50, 50), True),
        ("rank", {key: each for key, each in _page(50, 0, 30, 30).items() if key != "slots"}, True),
    ],
)
def test_what_takes_long_to_rank_holds_up_nobody(
    client: httpx.Client,
    running: Running,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    asked: dict[str, Any],
    *,
    in_line: bool,
) -> None:
    where: list[str] = []
    ranker = running.service.tenants["default"].ranker()
    rank = ranker.rank

    def noted(request: Any) -> Any:
        where.append(threading.current_thread().name)
        return rank(request)

    monkeypatch.setattr(ranker, "rank", noted)
    assert client.post(f"{BASE}/{path}", json=asked).status_code == 201
    assert [each.startswith("steersman-line") for each in where] == [in_line]


def test_behind_a_ranking_that_takes_long_nobody_waits_in_the_event_loop(client: httpx.Client, running: Running) -> None:
    ranker = running.service.tenants["default"].ranker()
    statuses: list[int] = []

    def ask(path: str, asked: dict[str, Any]) -> None:
        statuses.append(httpx.post(f"{running.url}{BASE}/{path}", json=asked, timeout=30.0).status_code)

    threads = [
        threading.Thread(target=ask, args=("multislot/rank", _page(20, 10))),
        threading.Thread(target=ask, args=("rank", body())),
    ]
    with ranker._lock:
        threads[0].start()
        deadline = time.monotonic() + 10.0
        while not running.service.tenants.get("default").busy[ranker.name] and time.monotonic() < deadline:
            time.sleep(0.01)
        threads[1].start()
        for _ in range(5):
            assert client.get("/healthz", timeout=5.0).status_code == 200
        assert statuses == []
    for each in threads:
        each.join()
    assert statuses == [201, 201]


@pytest.mark.parametrize(
    ("asked", "hint"), [(_page(50, 50, 20, 30), "pairs of features"), (_page(50, 50, 2, 1), "characters for each")]
)
def test_all_slots_together_are_bounded(client: httpx.Client, asked: dict[str, Any], hint: str) -> None:
    if hint.startswith("characters"):
        asked["contextFeatures"] = [{"text": "x" * 50_000}]
    assert hint in _error(client.post(f"{BASE}/multislot/rank", json=asked), 400, "BadRequest")
