"""Contracts are tests that lie in the package: show what their asserts saw."""

import pytest

for contract in ("bus", "compute", "event", "log", "pool", "release", "service", "table", "tracker"):
    pytest.register_assert_rewrite(f"steersman.testing.{contract}_contract")
