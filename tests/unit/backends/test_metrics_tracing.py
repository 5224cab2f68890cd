"""One trace leads from a request to what was learned of it, also where processes share the work, and tells no contents."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from steersman.app import Steersman
from steersman.app.telemetry import open_tracing
from steersman.backends.metrics.settings import traces_wanted
from steersman.backends.metrics.tracing import TracingMeter
from steersman.core.errors import InvalidInput
from steersman.core.values import Decision
from steersman.testing.specs import small_agent

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = CALLER[:-1] + "0"
STATE = {"load": 77, "backlog": 433, "weekend": False}
LEARNER = """
import sys

import msgspec

from steersman.app.telemetry import open_tracing
from steersman.core.values import Decision, Outcome

meter = open_tracing()
decision, outcome = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[Decision, Outcome])
meter.learned(decision, outcome)
meter.close()
"""


class Collector(ThreadingHTTPServer):
    """A collector of OTLP over HTTP, as far as traces go."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> dict[str, Span]:
        """Return what came in, by name."""
        requests = [ExportTraceServiceRequest.FromString(each) for each in self.bodies]
        found = [
            span for each in requests for part in each.resource_spans for scope in part.scope_spans for span in scope.spans
        ]
        assert len({each.name for each in found}) == len(found)
        return {each.name: each for each in found}

    def services(self) -> set[str]:
        """Return the names of the services that sent something."""
        requests = [ExportTraceServiceRequest.FromString(each) for each in self.bodies]
        attributes = [each for request in requests for part in request.resource_spans for each in part.resource.attributes]
        return {each.value.string_value for each in attributes if each.key == "service.name"}


class Handler(BaseHTTPRequestHandler):
    """Takes what is posted to the path of traces."""

    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Start a collector to which the environment points."""
    made = Collector()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "steersman-test")
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def steersman() -> Iterator[Steersman]:
    with Steersman.open("memory:", agents=[small_agent()], settings={}) as opened:
        yield opened


def decided(steersman: Steersman, meter: TracingMeter, traceparent: str = "") -> Decision:
    """Decide in a span, as the service does."""
    with meter.deciding("lab/small", traceparent) as own:
        made = steersman.agent("lab/small").decide(STATE, trace_id=own)
        meter.decided(made)
    return made


def traced(collector: Collector, steersman: Steersman, traceparent: str = "") -> tuple[Decision, dict[str, Span]]:
    """Decide, report and learn, and return the decision with all spans."""
    meter = open_tracing()
    assert meter is not None
    made = decided(steersman, meter, traceparent)
    steersman.agent("lab/small").report(made, {"reward": 0.5}, terminated=True).wait(10)
    said = steersman.outcomes(made.id)[-1]
    meter.recorded(made, said)
    meter.learned(made, said)
    meter.close()
    return made, collector.spans()


def test_one_trace_leads_from_the_request_to_what_was_learned(collector: Collector, steersman: Steersman) -> None:
    made, spans = traced(collector, steersman, CALLER)
    assert set(spans) == {"steersman.decide", "steersman.report", "steersman.learn"}
    assert {each.trace_id.hex() for each in spans.values()} == {CALLER.split("-")[1]}
    decide = spans["steersman.decide"]
    assert decide.parent_span_id.hex() == CALLER.split("-")[2]
    assert made.trace_id == f"00-{decide.trace_id.hex()}-{decide.span_id.hex()}-01"
    for name in ("steersman.report", "steersman.learn"):
        assert spans[name].parent_span_id == decide.span_id
        assert spans[name].start_time_unix_nano <= spans[name].end_time_unix_nano
    assert collector.services() == {"steersman-test"}


def test_spans_say_who_decided_and_nothing_that_was_sent(collector: Collector, steersman: Steersman) -> None:
    made, spans = traced(collector, steersman)
    said = {each.key: each.value for each in spans["steersman.decide"].attributes}
    assert said["steersman.decision"].string_value == made.id
    assert said["steersman.arm"].string_value == made.arm
    for name, span in spans.items():
        known = ("agent", "arm", "decision", "outcome.kind", "outcome.revision", "overridden", "policy", "stage")
        assert {each.key for each in span.attributes} <= {f"steersman.{each}" for each in known}, name
    assert [each for each in (b"backlog", b"433", b"weekend") if any(each in body for body in collector.bodies)] == []


def test_an_error_is_told_by_its_type(collector: Collector, steersman: Steersman) -> None:
    meter = open_tracing()
    assert meter is not None
    with pytest.raises(InvalidInput), meter.deciding("lab/small") as own:
        steersman.agent("lab/small").decide({**STATE, "load": "patient-4711"}, trace_id=own)
    meter.close()
    span = collector.spans()["steersman.decide"]
    assert (span.status.message, list(span.events)) == ("InvalidInput", [])
    assert b"4711" not in b"".join(collector.bodies)


def test_what_the_caller_does_not_sample_is_not_sent(collector: Collector, steersman: Steersman) -> None:
    made, spans = traced(collector, steersman, UNSAMPLED)
    assert spans == {}
    assert made.trace_id.startswith(UNSAMPLED[:35])


def test_sampling_follows_the_standard_variables(
    collector: Collector, steersman: Steersman, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert traced(collector, steersman)[1] == {}


@pytest.mark.parametrize(
    "traceparent", ["", "nonsense", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "00-x-y-01", CALLER + "é"]
)
def test_a_traceparent_that_is_none_begins_a_trace(collector: Collector, steersman: Steersman, traceparent: str) -> None:
    _, spans = traced(collector, steersman, traceparent)
    assert spans["steersman.decide"].parent_span_id == b""
    assert spans["steersman.learn"].parent_span_id == spans["steersman.decide"].span_id


def test_another_process_goes_on_with_the_trace(collector: Collector, steersman: Steersman, tmp_path: Path) -> None:
    import msgspec

    meter = open_tracing()
    assert meter is not None
    made = decided(steersman, meter, CALLER)
    steersman.agent("lab/small").report(made, {"reward": 0.5}, terminated=True).wait(10)
    said = steersman.outcomes(made.id)[-1]
    subprocess.run(
        [sys.executable, "-c", LEARNER], input=msgspec.json.encode((made, said)), env={**os.environ}, check=True, timeout=60
    )
    meter.close()
    spans = collector.spans()
    assert spans["steersman.learn"].trace_id.hex() == CALLER.split("-")[1]
    assert spans["steersman.learn"].parent_span_id == spans["steersman.decide"].span_id


def test_decisions_without_a_trace_leave_none(collector: Collector, steersman: Steersman) -> None:
    meter = open_tracing()
    assert meter is not None
    made = steersman.agent("lab/small").decide(STATE)
    steersman.agent("lab/small").report(made, {"reward": 0.5}, terminated=True).wait(10)
    said = steersman.outcomes(made.id)[-1]
    meter.decided(made)
    meter.recorded(made, said)
    meter.learned(made, said)
    meter.close()
    assert collector.spans() == {}


def test_traces_are_off_unless_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    assert open_tracing() is None
    endpoint = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}
    assert traces_wanted(endpoint)
    assert not traces_wanted({**endpoint, "OTEL_SDK_DISABLED": "true"})
    assert not traces_wanted({**endpoint, "OTEL_TRACES_EXPORTER": "none"})
