"""A real service on a real file, in this process, and clients for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from steersman.app import Steersman
from steersman.core.access import DEFAULT_TENANT, issue
from steersman.testing.serving import Running, serving
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}
Keys = Callable[..., str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service in local mode, for all tests of a file."""
    with serving(str(tmp_path_factory.mktemp("store") / "log.db"), agents=[small_agent()]) as found:
        yield found


@pytest.fixture
def client(running: Running) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=running.url, timeout=30.0) as found:
        yield found


def make_key(store: Path, *roles: str, name: str = "tester", tenant: str = DEFAULT_TENANT, at: float | None = None) -> str:
    """Put a key into a store and return its text."""
    import time

    key, text = issue(name=name, roles=roles, at=at or time.time(), tenant=tenant)
    Steersman.add_key_in(str(store), key, actor="test", event="key created")
    return text


def bearer(text: str) -> dict[str, str]:
    """Return the header that sends a key."""
    return {"authorization": f"Bearer {text}"}
