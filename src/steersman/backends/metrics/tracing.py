"""Traces by OpenTelemetry: one trace from a request to what was learned of it (extra `tracing`).

"steersman.decide" is the span of a decision, a child of the caller's where the request brought a W3C traceparent. Its own
traceparent goes into the decision's row, so that any process that reads the row can go on with the trace: "steersman.report"
spans from the report until it was logged, "steersman.learn" from the report until it was learned.
No state, action, measurement or message of an error is an attribute of a span.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from steersman.core.values import Decision, Outcome

_W3C = TraceContextTextMapPropagator()


class TracingMeter:
    """Implements `core.ports.Meter`: goes on with the trace of each decision that has one.

    Where spans go, how they are sampled and what the service is called follows the OTEL_* variables; `exporter` replaces
    that of OTLP over HTTP. Make one in each process, after any fork.
    """

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        about = {"service.name": os.environ.get("OTEL_SERVICE_NAME") or "steersman", "service.version": version("steersman")}
        self._provider = TracerProvider(resource=Resource.create(about))
        self._provider.add_span_processor(BatchSpanProcessor(exporter or _otlp()))
        self._tracer: Tracer = self._provider.get_tracer("steersman", version("steersman"))
        self._open: dict[str, Span] = {}
        self._lock = threading.Lock()

    @contextmanager
    def deciding(self, agent: str, traceparent: str = "", tracestate: str = "") -> Iterator[str]:
        """Span a decision, and give the traceparent that `agent.decide(…, trace_id=…)` shall store.

        `traceparent` and `tracestate` are the headers of the request; one that is not well formed begins a trace of its own.
        """
        parent = _context(traceparent, tracestate)
        span = self._tracer.start_span("steersman.decide", parent, SpanKind.SERVER, {"steersman.agent": agent})
        own = _traceparent(span)
        with self._lock:
            self._open[own] = span
        try:
            yield own
        except Exception as error:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))  # its message may tell the state
            raise
        finally:
            with self._lock:
                self._open.pop(own, None)
            span.end()

    def decided(self, decision: Decision) -> None:
        """Say in the decision's span, if it is still open, what was decided by whom."""
        span = self._open.get(decision.trace_id) if decision.trace_id else None
        if span is not None:
            span.set_attributes(_about(decision) | {"steersman.overridden": decision.overridden})

    def recorded(self, decision: Decision, outcome: Outcome) -> None:
        """Span a report, from when it came until now."""
        self._span("steersman.report", decision, outcome)

    def learned(self, decision: Decision, outcome: Outcome) -> None:
        """Span what it took until an outcome was learned, from when it was reported until now."""
        self._span("steersman.learn", decision, outcome)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _span(self, name: str, decision: Decision, outcome: Outcome) -> None:
        if not decision.trace_id:
            return
        about = _about(decision) | {"steersman.outcome.kind": outcome.kind, "steersman.outcome.revision": outcome.revision}
        now = time.time_ns()
        began = min(int(outcome.reported_at * 1e9), now)
        parent = _context(decision.trace_id)
        self._tracer.start_span(name, parent, SpanKind.INTERNAL, about, start_time=began).end(now)


def _otlp() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _context(traceparent: str, tracestate: str = "") -> Context:
    return _W3C.extract({"traceparent": traceparent, "tracestate": tracestate}, Context())


def _traceparent(span: Span) -> str:
    own = span.get_span_context()
    return f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"


def _about(decision: Decision) -> dict[str, str | bool | int]:
    return {
        "steersman.decision": decision.id,
        "steersman.agent": decision.agent,
        "steersman.arm": decision.arm,
        "steersman.stage": decision.stage,
        "steersman.policy": decision.policy,
    }
