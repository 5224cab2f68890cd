"""Meters: who counts what agents do, picked by name."""

from typing import Any


def open_metrics(tenant: str) -> Any:
    """Return a meter that counts what a tenant's agents do, in this process, and shows it to Prometheus."""
    from steersman.backends.metrics.prometheus import PrometheusMeter

    return PrometheusMeter(tenant)
