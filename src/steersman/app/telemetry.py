"""Telemetry: the meters that a service opens, and the files for the tools that watch it."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from steersman.core.access import DEFAULT_TENANT
from steersman.core.errors import InvalidInput

if TYPE_CHECKING:
    from steersman.backends.metrics.prometheus import PrometheusMeter
    from steersman.backends.metrics.tracing import TracingMeter

RULES_FILE = "steersman-rules.yml"
RUNBOOKS = "docs/runbooks.md"


def open_meter(tenant: str = DEFAULT_TENANT) -> "PrometheusMeter | None":
    """Return a meter for Prometheus, one for each tenant in each process; None where prometheus-client is not installed.

    To be given to `Steersman.open(meters=…)`; then `meter.observe(steersman)` every few seconds.
    """
    try:
        from steersman.backends.metrics.prometheus import PrometheusMeter
    except ImportError:
        return None
    return PrometheusMeter(tenant)


def open_tracing() -> "TracingMeter | None":
    """Return a meter that traces, one for each process; None where no OTEL_* variable asks for it.

    Raises InvalidInput where one does and the extra `tracing` is not installed.
    """
    from steersman.backends.metrics.settings import traces_wanted

    if not traces_wanted():
        return None
    try:
        from steersman.backends.metrics.tracing import TracingMeter
    except ImportError as error:
        raise InvalidInput(
            f"traces are asked for by OTEL_* variables and need their extra: pip install 'steersman[tracing]' ({error})."
        ) from error
    return TracingMeter()


def share_metrics(folder: Path) -> dict[str, str]:
    """Return the environment in which processes share their metrics by a folder, which is emptied.

    For whoever starts them: it has to be in force before they import anything of metrics.
    """
    from steersman.backends.metrics.processes import prepare

    return prepare(folder)


def forget_metrics(folder: Path, pid: int) -> None:
    """Leave out what a process that has ended said of itself; what it counted stays counted."""
    from steersman.backends.metrics.processes import forget

    forget(folder, pid)


def telemetry_files(kind: Literal["rules", "dashboards"], runbooks: str = RUNBOOKS) -> dict[str, bytes]:
    """Return the rules for Prometheus with their tests, or the dashboards for Grafana, by file name."""
    from steersman.backends.metrics.dashboards import dashboards
    from steersman.backends.metrics.rule_tests import rule_tests
    from steersman.backends.metrics.rules import rules

    if kind == "dashboards":
        return dashboards()
    return {RULES_FILE: rules(runbooks), **rule_tests(runbooks)}
