"""Where the stores of tenants are, and what is remembered of them."""

import asyncio
import threading
from pathlib import Path
from unittest.mock import MagicMock

import httpx
import pytest

from steersman.app import Steersman
from steersman.core.errors import StoreError
from steersman.core.ports import Receipt
from steersman.service.tenants import LastSaid, Tenants, tenant_url
from steersman.testing.serving import bearer, make_key, serving
from steersman.testing.specs import small_agent


@pytest.mark.parametrize(
    ("url", "name", "expected"),
    [
        ("log.db", "default", "log.db"),
        ("log.db", "acme", "log.tenants/acme.db"),
        ("/var/log.db", "acme", "/var/log.tenants/acme.db"),
        ("sqlite:///log.db", "acme", "sqlite:///log.tenants/acme.db"),
        ("sqlite:////var/log.db", "acme", "sqlite:////var/log.tenants/acme.db"),
        ("memory:", "acme", "memory:"),
        ("postgresql://u:p@h:1/d", "acme", "postgresql://u:p@h:1/d?schema=steersman_t_acme"),
        ("postgresql://h/d?schema=own&sslmode=require", "acme", "postgresql://h/d?sslmode=require&schema=own_t_acme"),
    ],
)
def test_a_tenants_store_lies_beside_the_main_one(url: str, name: str, expected: str) -> None:
    assert tenant_url(url, name) == expected


def test_no_two_tenants_share_a_schema() -> None:
    names = ["a-b", "a_b", "ab", "a--b", "a__b", "x" * 41, "x" * 40 + "-"]
    urls = {tenant_url("postgresql://h/d", each) for each in names}
    assert len(urls) == len(names)
    assert all(len(each.partition("schema=")[2]) <= 53 for each in urls)


def test_what_was_said_is_caught_by_who_said_it_though_others_overlap() -> None:
    said = LastSaid()
    decision, words = MagicMock(id="d"), [MagicMock(), MagicMock()]
    both = threading.Barrier(2)
    caught: dict[int, object] = {}

    def report(number: int) -> Receipt:
        both.wait(5.0)
        said.recorded(decision, words[number])
        both.wait(5.0)
        return MagicMock()

    def say(number: int) -> None:
        caught[number] = said.by("d", lambda: report(number))[1]

    threads = [threading.Thread(target=say, args=(number,)) for number in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert caught == dict(enumerate(words))
    assert said.by("d", MagicMock())[1] is None


def test_a_trail_leaves_out_other_tenants_keys_before_it_counts_and_as_the_store_has_them(tmp_path: Path) -> None:
    store = tmp_path / "log.db"
    text = make_key(store, "admin", name="own")
    own = Steersman.keys_in(str(store))[0].id
    with serving(str(store), agents=[small_agent()]) as running:
        for index in range(5):
            make_key(store, "view", name=f"north {index}", tenant="north")  # the service may not have heard of them yet
        events = httpx.get(f"{running.url}/v1/audit?limit=1", headers=bearer(text)).json()["events"]
        assert len(events) == 1
        events = httpx.get(f"{running.url}/v1/audit?limit=1000", headers=bearer(text)).json()["events"]
    assert [each["subject"] for each in events if each["event"] == "key created"] == [own]


@pytest.mark.parametrize("error", [StoreError("it is away"), RuntimeError("nobody foresaw this")])
def test_one_tenants_trouble_is_no_other_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    store = tmp_path / "log.db"
    make_key(store, "view", tenant="north")
    observed = MagicMock()
    with serving(str(store), agents=[small_agent()]) as running:
        main, north = (running.service.tenants.get(name) for name in ("default", "north"))
        with monkeypatch.context() as patched:
            patched.setattr(main, "metrics", MagicMock(observe=MagicMock(side_effect=error)))
            patched.setattr(north, "metrics", MagicMock(observe=observed))
            loop = running.service._loop
            asyncio.run_coroutine_threadsafe(running.service._look_after_agents(), loop).result(10.0)
    observed.assert_called_once_with(north.steersman)


def test_all_stores_are_closed_though_one_of_them_fails() -> None:
    stores = {"one": MagicMock(), "two": MagicMock()}
    stores["one"].close.side_effect = RuntimeError("nobody foresaw this")
    tenants = Tenants(lambda name, meters: stores[name])
    for name in stores:
        tenants.get(name)
    with pytest.raises(RuntimeError):
        tenants.close()
    stores["two"].close.assert_called_once_with()
