"""A real service on a real file, in this process, and clients for it."""

from collections.abc import Iterator

import httpx
import pytest

from steersman.testing.serving import Running, serving
from steersman.testing.specs import small_agent


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
