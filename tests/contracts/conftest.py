"""Contracts are tests that lie in the package: show what their asserts saw."""

import pytest

pytest.register_assert_rewrite("steersman.testing.log_contract", "steersman.testing.pool_contract")
