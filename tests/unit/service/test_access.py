"""Who may ask: keys, sessions, and browsers that another site makes ask."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from steersman.core.access import issue
from steersman.core.errors import NotPermitted, Unauthenticated
from steersman.service import access as access_module
from steersman.service.access import Access, is_loopback
from steersman.testing.serving import Running, bearer, make_key, serving
from steersman.testing.specs import small_agent

NOW = 1_000_000.0


class Hour:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def access(clock: Hour, *keys: object, session_s: float = 60.0) -> Access:
    made = Access(loopback=True, secret=b"x", session_s=session_s, clock=clock)
    made.load(keys)  # type: ignore[arg-type]  # keys, as issued
    return made


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.8.8.8:1", "[::1]", "[::1]:8321"])
def test_this_machine_is_known_by_its_names(running: Running, host: str) -> None:
    assert httpx.get(f"{running.url}/v1/agents", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.com", "localhost.evil.com", "127.0.0.1.evil.com", "1.2.3.4:8321", "[::2]", ""])
def test_a_name_that_was_pointed_at_this_machine_is_refused(running: Running, host: str) -> None:
    answer = httpx.get(f"{running.url}/v1/agents", headers={"host": host})
    assert answer.status_code == 403
    assert "localhost" in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.com"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost:3000"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"x-forwarded-for": "1.2.3.4"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_another_sites_page_gets_nothing_in_local_mode(running: Running, method: str, headers: dict[str, str]) -> None:
    body = {"kind": "kill", "active": True}
    answer = httpx.request(method, f"{running.url}/v1/controls", headers=headers, json=body if method == "POST" else None)
    assert answer.status_code == 403, answer.text


def test_a_link_to_a_page_may_be_followed(running: Running) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert httpx.get(f"{running.url}/v1/agents", headers=headers).status_code == 200
    assert httpx.post(f"{running.url}/v1/controls", headers=headers, json={}).status_code == 403


def test_the_own_pages_may_ask(running: Running) -> None:
    for origin in (running.url, "null"):
        headers = {"origin": origin, "sec-fetch-site": "same-origin"}
        answer = httpx.post(f"{running.url}/v1/controls", headers=headers, json={"kind": "pause", "active": False})
        assert answer.status_code == 200
    answer = httpx.post(
        f"{running.url}/v1/controls", headers={"origin": running.url}, json={"kind": "pause", "active": False}
    )
    assert answer.status_code == 200


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A service with a key for all."""
    store = tmp_path_factory.mktemp("keyed") / "log.db"
    text = make_key(store, "admin")
    with serving(str(store), agents=[small_agent()]) as running:
        yield running, text


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Bearer",
        "Bearer x",
        "Bearer steer_",
        "Bearer steer_00_00",
        "Basic dXNlcjpwYXNz",
        "Bearer steer_\xe9_x",
        "Bearer " + "x" * 10_000,
    ],
)
def test_a_wrong_key_is_refused_and_says_how_to_get_one(keyed: tuple[Running, str], said: str) -> None:
    headers = {"authorization": said.encode("latin-1")} if said else {}
    answer = httpx.get(f"{keyed[0].url}/v1/agents", headers=headers)  # type: ignore[arg-type]  # bytes are fine
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "urn:steersman:problem:unauthenticated"


def test_a_key_with_another_secret_is_refused(keyed: tuple[Running, str]) -> None:
    running, text = keyed
    other = text[:-1] + ("a" if text[-1] != "a" else "b")
    assert httpx.get(f"{running.url}/v1/agents", headers=bearer(text)).status_code == 200
    assert httpx.get(f"{running.url}/v1/agents", headers=bearer(other)).status_code == 401
    assert httpx.get(f"{running.url}/v1/agents", headers={"ocp-apim-subscription-key": text}).status_code == 200


def test_a_person_signs_in_by_the_page_and_out_again(keyed: tuple[Running, str]) -> None:
    running, text = keyed
    with httpx.Client(base_url=running.url) as browser:
        assert browser.get("/", headers={"accept": "text/html"}).headers["location"] == "/login"
        assert browser.post("/login", data={"key": "steer_no_no"}).headers["location"] == "/login?failed=1"
        answer = browser.post("/login", data={"key": f" {text}\n"}, headers={"origin": running.url})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert {"HttpOnly", "SameSite=Strict"} < set(answer.headers["set-cookie"].split("; "))
        assert browser.get("/v1/controls").status_code == 200
        assert browser.post("/v1/controls", json={"kind": "pause", "active": False}).status_code == 200
        crossed = browser.post("/v1/controls", json={"kind": "kill", "active": True}, headers={"origin": "http://evil.com"})
        assert crossed.status_code == 403
        copied = dict(browser.cookies)
        browser.post("/logout")
        assert browser.get("/v1/controls").status_code == 401
        assert httpx.get(f"{running.url}/v1/controls", cookies=copied).status_code == 401
        assert browser.post("/logout").status_code == 303
    events = httpx.get(f"{running.url}/v1/audit", headers=bearer(text)).json()["events"]
    told = [(each["event"], each["actor"].partition(" ")[0]) for each in reversed(events)]
    assert [each for each in told if "sign" in each[0] or "login" in each[0]] == [
        ("refused Unauthenticated: POST /login", "unknown"),
        ("signed in", "tester"),
        ("signed out", "tester"),
    ]
    assert text not in str(events)


@pytest.mark.parametrize(("proto", "secure"), [("https", True), ("https, http", True), ("http", False), ("", False)])
def test_a_browser_that_came_by_tls_sends_its_session_by_tls_alone(
    keyed: tuple[Running, str], proto: str, *, secure: bool
) -> None:
    running, text = keyed
    answer = httpx.post(f"{running.url}/login", data={"key": text}, headers={"x-forwarded-proto": proto} if proto else {})
    assert ("Secure" in answer.headers["set-cookie"].split("; ")) is secure


def test_who_signs_in_again_and_again_does_not_flood_the_trail(keyed: tuple[Running, str]) -> None:
    running, text = keyed
    before = len(_signed_in(running, text))
    began = time.monotonic()
    for _ in range(60):
        httpx.post(f"{running.url}/login", data={"key": text})
    lasted_s = time.monotonic() - began
    assert len(_signed_in(running, text)) - before <= 21 + lasted_s, "some at once, then one each second"


def _signed_in(running: Running, text: str) -> list[str]:
    events = httpx.get(f"{running.url}/v1/audit?limit=1000", headers=bearer(text)).json()["events"]
    return [each["event"] for each in events if each["event"] == "signed in"]


def test_sessions_that_were_ended_are_known_until_they_would_have_ended_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access_module, "_MOST_ENDED", 3)
    clock = Hour()
    key, text = issue(name="Ann", roles=["view"], at=NOW)
    one = access(clock, key)
    kept, *ended = [one.sign_in(text)[1] for _ in range(6)]
    for each in ended:
        assert one.sign_out(each).key_id == key.id
        with pytest.raises(Unauthenticated, match="over"):
            one.sign_out(each)
    assert one._by_session(kept).key_id == key.id
    assert len(one._ended) == 3
    clock.now += 61.0
    one.load([key])
    one.sign_out(one.sign_in(text)[1])
    assert len(one._ended) == 1


def test_names_that_are_not_this_machines_are_not_kept() -> None:
    one = access(Hour())
    for host in (b"evil.com", b"x" * 60_000, b"127.0.0.1" + b"0" * 300, b"localhost:" + b"1" * 300):
        with pytest.raises(NotPermitted, match="localhost"):
            one._check_local("GET", {b"host": host})
    one._check_local("GET", {b"host": b"localhost:80"})
    assert one._hosts == {b"localhost:80"}


def test_a_login_from_another_site_is_refused(keyed: tuple[Running, str]) -> None:
    running, text = keyed
    answer = httpx.post(f"{running.url}/login", data={"key": text}, headers={"origin": "http://evil.com"})
    assert answer.status_code == 403


def test_a_session_ends_and_cannot_be_made_by_others() -> None:
    clock = Hour()
    key, text = issue(name="Ann", roles=["view"], at=NOW)
    one = access(clock, key)
    session = one.sign_in(text)[1]
    assert one._by_session(session).actor == f"Ann ({key.id})"
    name, expires, nonce, signature = session.split(".")
    for forged in (
        f"{name}.{int(expires) + 9}.{nonce}.{signature}",
        f"{name}.{expires}.{nonce[::-1]}.{signature}",
        f"{name}.{expires}.{signature}",
        f"{name}.{expires}.{nonce}.",
        "",
        "a",
        f"..{signature}",
        session + "x",
        "é",
    ):
        with pytest.raises(Unauthenticated):
            one._by_session(forged)
    clock.now += 61.0
    with pytest.raises(Unauthenticated, match="over"):
        one._by_session(session)


def test_a_session_ends_with_its_key() -> None:
    clock = Hour()
    key, text = issue(name="Ann", roles=["view"], at=NOW, expires_at=NOW + 10.0)
    one = access(clock, key)
    session = one.sign_in(text)[1]
    clock.now += 11.0
    with pytest.raises(Unauthenticated):
        one._by_session(session)


def test_an_expired_key_is_refused_though_it_was_let_in_before() -> None:
    clock = Hour()
    key, text = issue(name="Ann", roles=["view"], at=NOW, expires_at=NOW + 10.0)
    one = access(clock, key)
    caller = one._by_key(text)
    assert one.holds(caller)
    clock.now += 10.0
    assert not one.holds(caller)
    with pytest.raises(Unauthenticated, match="expired"):
        one._by_key(text)


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("a", False)]
)
def test_loopback_is_what_cannot_be_anything_else(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_the_first_key_ends_local_mode(tmp_path: Path) -> None:
    with serving(str(tmp_path / "log.db"), agents=[small_agent()]) as running, httpx.Client(base_url=running.url) as client:
        refused = client.post("/v1/keys", json={"name": "CI", "roles": ["decide"]})
        assert refused.status_code == 400
        assert "admin" in refused.json()["detail"]
        made = client.post("/v1/keys", json={"name": "Ann", "roles": ["admin"]})
        assert made.status_code == 201
        assert client.get("/v1/agents").status_code == 401
        assert client.get("/v1/agents", headers=bearer(made.json()["secret"])).status_code == 200
