"""P20: tenants and roles are apart. Each operation of the table × each role × no key, an own or a foreign tenant's.

The matrix is made from the table, so that an operation that is added is in it. That it can fail is shown by seeded bugs.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from steersman.app import Steersman
from steersman.core.access import ROLES, granted, issue
from steersman.core.values import Role
from steersman.service import tenants
from steersman.service.access import Access
from steersman.service.operations import Operation
from steersman.testing import serving as served
from steersman.testing.serving import Running, serving
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}
MARK = "north-only"
TENANTS = ("default", "north", "south")
STREAMS = ("/v1/events", "/v1/export")


@dataclass(kw_only=True)
class House:
    """A service with three tenants, keys of each role in each, and what only the tenant "north" has."""

    running: Running
    client: httpx.Client
    keys: dict[tuple[str, Role], str]
    ids: dict[tuple[str, Role], str]
    decision: str = ""
    reported: str = ""

    def ask(self, key: str, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Return status and text of an answer; of a stream, its beginning."""
        headers = {"authorization": f"Bearer {key}"} if key else {}
        if path.partition("?")[0] not in STREAMS:
            answer = self.client.request(method, path, headers=headers, json=body)
            return answer.status_code, answer.text
        with self.client.stream(method, path, headers=headers) as stream:
            text = ""
            for piece in stream.iter_text():
                text += piece
                if len(text) > 100_000 or stream.headers["content-type"].startswith("text/event-stream"):
                    break
            return stream.status_code, text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("house")


def house_in(folder: Path) -> Iterator[House]:
    store, keys, ids = folder / "log.db", {}, {}
    for tenant in TENANTS:
        for role in ROLES:
            key, text = issue(name=f"{tenant} {role}", roles=[role], at=time.time(), tenant=tenant)
            Steersman.add_key_in(str(store), key, actor="test", event="key created")
            keys[tenant, role], ids[tenant, role] = text, key.id
    with (
        serving(str(store), agents=[small_agent()]) as running,
        httpx.Client(base_url=running.url, timeout=60.0) as client,
    ):
        house = House(running=running, client=client, keys=keys, ids=ids)
        made = [
            json.loads(house.ask(keys["north", "decide"], "POST", "/v1/decisions", _decision(f"{MARK}-{index}"))[1])["id"]
            for index in range(2)
        ]
        house.decision, house.reported = made
        said = {"decision_id": house.reported, "measurements": {"reward": 0.25}, "terminated": True, "source": MARK}
        assert house.ask(keys["north", "report"], "POST", "/v1/outcomes", said)[0] == 200
        moved = {"move": "rollback", "to": "baseline", "reason": MARK}
        assert house.ask(keys["north", "operate"], "POST", "/v1/releases/lab/small", moved)[0] == 200
        assert house.ask(keys["north", "operate"], "POST", "/v1/evaluations/lab/small", {})[0] == 200
        yield house


def _decision(episode: str) -> dict[str, Any]:
    return {"agent": "lab/small", "state": STATE, "episode": episode}


@pytest.fixture(scope="module")
def house(folder: Path) -> Iterator[House]:
    yield from house_in(folder)


def path_of(operation: Operation, values: dict[str, str]) -> str:
    """Return an operation's path with parameters filled in."""
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: values.get(match[1], "nothing"), operation.path)


def body_of(operation: Operation, house: House, decision: str) -> Any:
    """Return a body that an operation takes, or an empty one for those that this file does not know."""
    bodies: dict[str, Any] = {
        "/v1/decisions": _decision("mine"),
        "/v1/decisions/batch": {"decisions": [_decision("mine")]},
        "/v1/outcomes": {"decision_id": decision, "measurements": {"reward": 0.5}, "terminated": True},
        "/v1/outcomes/batch": {"outcomes": [{"decision_id": decision, "measurements": {"reward": 0.5}, "terminated": True}]},
        "/v1/controls": {"kind": "pause", "active": False},
        "/v1/versions/{agent:agent}": {"reason": "mine"},
        "/v1/releases/{agent:agent}": {"move": "rollback", "to": "baseline", "reason": "mine"},
        "/v1/evaluations/{agent:agent}": {"candidate": "learning", "against": "baseline"},
        "/v1/drills/{agent:agent}": {"share": 0.5, "decisions": 100},
        "/v1/keys": {"name": "another", "roles": ["view"]},
        "/v1/keys/{id}/rotation": {},
    }
    return None if operation.body is None else bodies.get(operation.path, {})


def guarded(house: House) -> list[Operation]:
    return [each for each in house.running.service.operations if each.role is not None]


def wrong_roles(house: House) -> list[str]:
    """Return where a role may what it should not, or may not what it should; and what answers without a key."""
    wrong = []
    for each in guarded(house):
        path, body = path_of(each, {"agent": "lab/small"}), body_of(each, house, "nothing")
        if house.ask("", each.method, path, body)[0] != 401:
            wrong.append(f"{each.method} {each.path} without a key")
        for role in ROLES:
            status = house.ask(house.keys["south", role], each.method, path, body)[0]
            if (status == 403) == (each.role in granted([role])) or status in (401, 429) or status >= 500:
                wrong.append(f"{each.method} {each.path} as {role}: {status}")
    return wrong


def leaks(house: House) -> list[str]:
    """Return where a key of another tenant, though it may do all there, sees or changes what is the north's."""
    before = _of_north(house)
    found = []
    for tenant in ("south", "default"):
        for each in guarded(house):
            for decision in (house.decision, house.reported):
                for name in (decision, house.ids["north", "view"]):
                    path = path_of(each, {"agent": "lab/small", "id": name, "event": name, "version": "v1.1-preview.3"})
                    status, text = house.ask(
                        house.keys[tenant, "admin"], each.method, _with_query(path), body_of(each, house, decision)
                    )
                    if MARK in text or "north" in text.replace(name, ""):
                        found.append(f"{each.method} {path} shows {tenant} what is the north's: {status}")
    if _of_north(house) != before:
        found.append("what is the north's was changed")
    return found


def _with_query(path: str) -> str:
    return f"{path}?agent=lab/small" if path == "/v1/decisions" else path


def _of_north(house: House) -> tuple[str, ...]:
    key = house.keys["north", "admin"]
    of_decisions = (f"/v1/decisions/{house.decision}", f"/v1/decisions/{house.reported}")
    of_releases = (f"/v1/{each}/lab/small" for each in ("releases", "versions", "evaluations"))
    paths = (*of_decisions, *of_releases, "/v1/keys", "/v1/controls")
    return tuple(house.ask(key, "GET", each)[1] for each in paths)


def test_each_role_may_what_it_should_and_nothing_else(house: House) -> None:
    assert wrong_roles(house) == []
    assert len(guarded(house)) >= 45


def test_no_tenant_sees_or_changes_what_is_anothers(house: House) -> None:
    assert house.ask(house.keys["north", "view"], "GET", "/v1/decisions?agent=lab/small")[1].count(MARK) >= 2
    assert MARK in house.ask(house.keys["north", "admin"], "GET", "/v1/export")[1]
    assert MARK in house.ask(house.keys["north", "view"], "GET", "/v1/releases/lab/small")[1]
    assert leaks(house) == []


def test_each_tenant_has_a_store_of_its_own(house: House, folder: Path) -> None:
    assert {each.name for each in (folder / "log.tenants").glob("*.db")} == {"north.db", "south.db"}


def test_a_missing_check_of_roles_is_caught(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Access, "check_role", staticmethod(lambda operation, caller: None))
    assert "POST /v1/controls as view: 200" in wrong_roles(house)


def test_a_missing_check_of_keys_is_caught(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Access, "local", property(lambda self: True))
    assert "GET /v1/keys without a key" in wrong_roles(house)


def test_one_store_for_all_tenants_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        opened: dict[str, Steersman] = {}
        real = Steersman.open
        patched.setattr(served, "tenant_url", lambda url, name: url)
        patched.setattr(
            Steersman,
            "open",
            lambda url, **more: opened[url] if url in opened else opened.setdefault(url, real(url, **more)),
        )
        for house in house_in(tmp_path):
            assert leaks(house) != []
    assert tenants.tenant_url("a.db", "north") != "a.db"
