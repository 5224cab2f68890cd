"""P20 for what goes on and on: streams and exports of one tenant hold nothing of another's, while both are at work."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from steersman.service.events import Changes
from steersman.service.tenants import Tenant
from steersman.testing.serving import Running, bearer, make_key, serving
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}
MARK = "north-only"


class Watcher(threading.Thread):
    """Reads a stream of events until it ends."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.begun = threading.Event()
        self._url, self._key = url, key

    def run(self) -> None:
        """Read."""
        with httpx.stream("GET", f"{self._url}/v1/events", headers=bearer(self._key), timeout=30.0) as answer:
            for line in answer.iter_lines():
                self.lines.append(line)
                self.begun.set()

    def told(self) -> set[str]:
        """Return the agents that it was told of."""
        return {name for line in self.lines if line.startswith('data: {"agents') for name in json.loads(line[6:])["agents"]}


@contextmanager
def house(folder: Path) -> Iterator[tuple[Running, dict[str, str]]]:
    """Serve two tenants; yield the service and a key to everything of each."""
    keys = {tenant: make_key(folder / "log.db", "admin", tenant=tenant) for tenant in ("north", "south")}
    with serving(str(folder / "log.db"), agents=[small_agent()]) as running:
        yield running, keys


def at_work(running: Running, key: str) -> None:
    """Decide and report for a while."""
    with httpx.Client(base_url=running.url, headers=bearer(key), timeout=30.0) as client:
        for number in range(20):
            asked = {"agent": "lab/small", "state": STATE, "episode": f"{MARK}-{number}"}
            made = client.post("/v1/decisions", json=asked).json()
            said = {"decision_id": made["id"], "measurements": {"reward": 0.5}, "terminated": True, "source": MARK}
            assert client.post("/v1/outcomes", json=said).status_code == 200


def watched(folder: Path) -> dict[str, set[str]]:
    """Have both tenants watch while the north is at work; return what each was told of."""
    with house(folder) as (running, keys):
        watchers = {tenant: Watcher(running.url, key) for tenant, key in keys.items()}
        for each in watchers.values():
            each.start()
        for each in watchers.values():
            assert each.begun.wait(20.0)
        at_work(running, keys["north"])
        httpx.get(f"{running.url}/v1/agents", headers=bearer(keys["south"]))
        threading.Event().wait(0.6)  # two looks at what has changed
    for each in watchers.values():
        each.join(20.0)
    return {tenant: each.told() for tenant, each in watchers.items()}


def test_a_tenant_is_not_told_what_another_one_does(tmp_path: Path) -> None:
    assert watched(tmp_path) == {"north": {"lab/small"}, "south": set()}


def test_changes_that_all_tenants_share_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Changes()
    monkeypatch.setattr(Tenant, "changes", property(lambda self: shared, lambda self, value: None), raising=False)
    assert watched(tmp_path)["south"] == {"lab/small"}


def test_an_export_under_way_holds_nothing_of_another_tenant(tmp_path: Path) -> None:
    with house(tmp_path) as (running, keys):
        at_work(running, keys["south"])
        worker = threading.Thread(target=at_work, args=(running, keys["north"]))
        worker.start()
        exports = [httpx.get(f"{running.url}/v1/export", headers=bearer(keys["south"]), timeout=30.0).text for _ in range(5)]
        worker.join()
        mine = httpx.get(f"{running.url}/v1/export?agent=lab/small", headers=bearer(keys["north"]), timeout=30.0).text
    assert {each.count(MARK) for each in exports} == {exports[0].count(MARK)}
    assert len({len(each.splitlines()) for each in exports}) == 1
    assert mine.count('"kind":"reported"') == 20
