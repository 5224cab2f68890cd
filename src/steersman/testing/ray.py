"""A Ray cluster of two nodes for tests, all on this machine and on its loopback address alone."""

from contextlib import ExitStack
from importlib import import_module
from typing import Any, Self

import pytest

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_worker_niceness": "0",
}
"""What Ray is told by the environment, while there is a cluster."""
_NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False}
_SEEN_SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 2_000,
    "health_check_failure_threshold": 3,
}
"""A node that is gone is known to be after a second or so, and not after half a minute."""


class TwoNodes:
    """Two nodes of one CPU each, which this process has joined; the second one may be lost."""

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            environment = opened.enter_context(pytest.MonkeyPatch.context())
            for name, value in SETTINGS.items():
                environment.setenv(name, value)
            self._ray: Any = import_module("ray")  # it reads them when it is imported
            from ray.cluster_utils import Cluster

            self._cluster: Any = Cluster(initialize_head=True, head_node_args=_NODE | {"_system_config": _SEEN_SOON})
            opened.callback(self._cluster.shutdown)
            self.add_one()
            self.address = str(self._cluster.address)
            self._ray.init(address=self.address, logging_level="ERROR", log_to_driver=False)
            opened.callback(self._ray.shutdown)
            self._cluster.wait_for_nodes()
            self._opened = opened.pop_all()
        return self

    def lose_one(self) -> None:
        """End all processes of the second node at once."""
        self._cluster.remove_node(self._second, allow_graceful=False)

    def add_one(self) -> None:
        """Start a node in the place of the one that was lost."""
        self._second = self._cluster.add_node(**_NODE)

    def __exit__(self, *raised: object) -> None:
        self._opened.close()
