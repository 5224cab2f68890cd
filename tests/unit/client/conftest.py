"""A server that misbehaves as it is told to."""

from collections.abc import Iterator

import pytest

from steersman.testing.nasty_server import NastyServer


@pytest.fixture
def nasty() -> Iterator[NastyServer]:
    server = NastyServer()
    yield server
    server.close()
