"""Processes of this machine keep the contract of compute."""

import pytest

from steersman.backends.compute.local import LocalCompute
from steersman.core.compute import Compute
from steersman.core.errors import InvalidInput
from steersman.testing.compute_contract import ComputeContract


class TestLocalCompute(ComputeContract):
    @classmethod
    def open(cls) -> Compute:
        return LocalCompute(2)

    def test_slots_are_the_cpus_unless_given(self) -> None:
        assert LocalCompute(3).slots == 3
        assert LocalCompute().slots >= 1
        with pytest.raises(InvalidInput, match="slots must be at least 1, got 0"):
            LocalCompute(0)
