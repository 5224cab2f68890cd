"""Processes of this machine keep the contract of compute."""

import signal
import subprocess
import sys

import pytest

from steersman.backends.compute.local import LocalCompute
from steersman.core.compute import Compute
from steersman.core.errors import InvalidInput
from steersman.testing.compute_contract import LIMIT_S, ComputeContract


class TestLocalCompute(ComputeContract):
    @classmethod
    def open(cls) -> Compute:
        return LocalCompute(2)

    def test_slots_are_the_cpus_unless_given(self) -> None:
        assert LocalCompute(3).slots == 3
        assert LocalCompute().slots >= 1
        with pytest.raises(InvalidInput, match="slots must be at least 1, got 0"):
            LocalCompute(0)


def test_a_worker_ends_with_its_parent_whatever_it_does() -> None:
    program = f"""
from steersman.backends.compute.local import LocalCompute
from steersman.testing.compute_contract import end_parent
LocalCompute(1).map(end_parent, [{2 * LIMIT_S}])
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=LIMIT_S, check=False)  # until nobody holds its output
    assert done.returncode == -signal.SIGKILL
