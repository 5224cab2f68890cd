"""Where the stores of tenants are, and what is remembered of them."""

import threading
from unittest.mock import MagicMock

import pytest

from steersman.core.ports import Receipt
from steersman.service.tenants import LastSaid, tenant_url


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
