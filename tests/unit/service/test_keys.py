"""Keys over HTTP and by the command line, and how soon they hold or do not."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from steersman.app import Steersman
from steersman.core.access import issue
from steersman.core.errors import Conflict
from steersman.service.keys import rotated
from steersman.testing.serving import bearer, make_key, serving
from steersman.testing.specs import small_agent

SOON_S = 1.0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "log.db"


@pytest.fixture(scope="module")
def admin(store: Path) -> Iterator[httpx.Client]:
    """A client that may do all."""
    text = make_key(store, "admin", name="Ann")
    with (
        serving(str(store), agents=[small_agent()]) as running,
        httpx.Client(base_url=running.url, headers=bearer(text)) as client,
    ):
        yield client


def works(admin: httpx.Client, text: str) -> bool:
    return httpx.get(f"{admin.base_url}/v1/agents", headers=bearer(text)).status_code == 200


def within(seconds: float, admin: httpx.Client, text: str, *, holds: bool) -> bool:
    """Return whether a key comes to hold, or not to, in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if works(admin, text) is holds:
            return True
        time.sleep(0.02)
    return False


def test_a_key_is_made_shown_once_and_holds_at_once(admin: httpx.Client) -> None:
    made = admin.post("/v1/keys", json={"name": "CI", "roles": ["view"], "expires_in_s": 60}).json()
    assert works(admin, made["secret"])
    listed = admin.get("/v1/keys")
    assert made["key"] in listed.json()["keys"]
    assert made["secret"].rpartition("_")[2] not in listed.text
    assert "digest" not in listed.text


def test_a_revoked_key_opens_nothing(admin: httpx.Client) -> None:
    made = admin.post("/v1/keys", json={"name": "CI", "roles": ["view"]}).json()
    gone = admin.delete(f"/v1/keys/{made['key']['id']}").json()
    assert gone["revoked_at"]
    assert not works(admin, made["secret"])
    assert admin.delete(f"/v1/keys/{made['key']['id']}").json() == gone


def test_a_key_that_was_revoked_elsewhere_stops_within_a_second(admin: httpx.Client, store: Path) -> None:
    key, text = issue(name="CI", roles=["view"], at=time.time())
    Steersman.add_key_in(str(store), key, actor="test", event="key created")
    assert within(SOON_S, admin, text, holds=True)
    Steersman.add_key_in(str(store), replace(key, revoked_at=time.time()), actor="test", event="key revoked")
    assert within(SOON_S, admin, text, holds=False)


def test_a_rotated_key_ends_at_once_or_after_its_grace(admin: httpx.Client) -> None:
    first = admin.post("/v1/keys", json={"name": "CI", "roles": ["view"]}).json()
    second = admin.post(f"/v1/keys/{first['key']['id']}/rotation", json={"grace_s": 0.5}).json()
    assert second["key"]["name"] == "CI"
    assert works(admin, first["secret"])
    assert works(admin, second["secret"])
    assert within(0.5 + SOON_S, admin, first["secret"], holds=False)
    third = admin.post(f"/v1/keys/{second['key']['id']}/rotation", json={}).json()
    assert not works(admin, second["secret"])
    assert works(admin, third["secret"])
    assert admin.post(f"/v1/keys/{second['key']['id']}/rotation", json={}).status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x", "roles": []},
        {"name": "x", "roles": ["king"]},
        {"name": "", "roles": ["view"]},
        {"name": "x\n", "roles": ["view"]},
        {"name": "x" * 101, "roles": ["view"]},
        {"name": "x", "roles": ["view"], "expires_in_s": 0},
        {"name": "x", "roles": ["view"], "tenant": "other"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(admin: httpx.Client, body: dict[str, object]) -> None:
    assert admin.post("/v1/keys", json=body).status_code == 400


def test_what_was_done_with_keys_is_audited(admin: httpx.Client) -> None:
    made = admin.post("/v1/keys", json={"name": "Bo", "roles": ["view"]}).json()
    name = made["key"]["id"]
    second = admin.post(f"/v1/keys/{name}/rotation", json={}).json()["key"]["id"]
    admin.delete(f"/v1/keys/{second}")
    assert admin.delete("/v1/keys/nothing").status_code == 404
    events = [(e["event"], e["subject"]) for e in admin.get("/v1/audit").json()["events"] if e["actor"].startswith("Ann (")]
    assert events[:5] == [
        ("refused NotFound: DELETE /v1/keys/{id}", "/v1/keys/nothing"),
        ("key revoked", second),
        ("key ends after its rotation", name),
        (f"key created in the place of {name}", second),
        ("key created", name),
    ]


def test_a_key_that_has_ended_cannot_be_rotated() -> None:
    key, _ = issue(name="CI", roles=["view"], at=0.0, expires_at=5.0)
    old, new, _ = rotated(key, at=1.0, grace_s=60.0)
    assert (old.expires_at, new.expires_at) == (5.0, 5.0)
    with pytest.raises(Conflict, match="expired"):
        rotated(key, at=5.0)


def test_looking_after_keys_does_not_end_because_it_failed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = tmp_path / "log.db"
    text = make_key(store, "admin")
    with (
        serving(str(store), agents=[small_agent()]) as running,
        httpx.Client(base_url=running.url, headers=bearer(text)) as client,
    ):
        log = running.service.tenants["default"].log
        failed = threading.Event()

        def fail() -> None:
            failed.set()
            raise RuntimeError("nobody foresaw this")

        with monkeypatch.context() as patched:
            patched.setattr(log, "keys", fail)
            assert failed.wait(5.0)
        assert works(client, text)
        key = Steersman.keys_in(str(store))[0]
        Steersman.add_key_in(str(store), replace(key, revoked_at=time.time()), actor="test", event="key revoked")
        assert within(SOON_S, client, text, holds=False)


def test_who_may_not_is_refused_and_that_is_audited_but_not_without_end(admin: httpx.Client, store: Path) -> None:
    text = make_key(store, "view", name="Nosy")
    assert within(SOON_S, admin, text, holds=True)
    body = {"name": "mine", "roles": ["admin"]}
    began = time.monotonic()
    statuses = {httpx.post(f"{admin.base_url}/v1/keys", json=body, headers=bearer(text)).status_code for _ in range(60)}
    lasted_s = time.monotonic() - began
    statuses |= {httpx.post(f"{admin.base_url}/v1/keys", json=body).status_code}
    assert statuses == {403, 401}
    events = admin.get("/v1/audit", params={"limit": 1000}).json()["events"]
    refused = [each for each in events if each["actor"].startswith("Nosy (") and each["event"].startswith("refused")]
    assert 20 <= len(refused) <= min(21 + lasted_s, 60), "some at once, then one each second"
    assert refused[0]["event"] == "refused NotPermitted: POST /v1/keys"
    assert any(each["actor"] == "unknown" and "Unauthenticated" in each["event"] for each in events)


def test_a_refusal_is_told_to_the_trail_of_the_callers_tenant_alone(tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    text = make_key(store, "view", name="Nosy", tenant="north")
    with serving(str(store), agents=[small_agent()]) as running:
        assert running.service.tenants.known("north") is None
        answer = httpx.post(f"{running.url}/v1/keys", json={"name": "mine", "roles": ["admin"]}, headers=bearer(text))
        assert answer.status_code == 403
        trails = {name: running.service.tenants[name].log.audit(100) for name in ("default", "north")}
        shown = httpx.get(f"{running.url}/metrics", headers=bearer(text)).text
    told = {name: [each.event for each in trail if each.actor.startswith("Nosy (")] for name, trail in trails.items()}
    assert told == {"default": [], "north": ["refused NotPermitted: POST /v1/keys"]}
    assert 'operation="POST /v1/keys"' in shown
