"""What the standard variables of OpenTelemetry ask for. Nothing here imports it."""

import os
from collections.abc import Mapping

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def traces_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Return whether traces are asked for: an endpoint of OTLP is named, and nothing turns them off."""
    environ = os.environ if environ is None else environ
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    return not off and any(environ.get(each) for each in _ENDPOINTS)
