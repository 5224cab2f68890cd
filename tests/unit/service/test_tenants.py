"""Where the stores of tenants are."""

import pytest

from steersman.service.tenants import tenant_url


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
