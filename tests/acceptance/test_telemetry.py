"""Telemetry as operators meet it: a service that is scraped, traced and logged, and files for the tools that watch it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from steersman.backends.metrics.table import BY_NAME
from steersman.testing.serving import bearer, make_key

PROMTOOL = shutil.which("promtool")
SECRET_STATE = {"load": 41.47112583, "backlog": 433, "weekend": False}
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
END_S = 30.0


@contextmanager
def up(folder: Path, *options: str, env: Mapping[str, str] | None = None) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start a service with an agent of its own, and end it; give its address."""
    (folder / "agents.py").write_text("from steersman.testing.specs import small_agent\n\nsmall = small_agent()\n")
    (folder / "steersman.toml").write_text('agent_files = ["agents.py"]\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "steersman", "up", "--port", "0", "--json", "--store", "log.db", *options],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CI": "1", **(env or {})},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield json.loads(line)["address"], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=END_S)


def decide_and_report(client: httpx.Client, count: int, **headers: str) -> list[str]:
    """Return the ids of decisions whose outcomes are durable."""
    ids = []
    for _ in range(count):
        made = client.post("/v1/decisions", json={"agent": "lab/small", "state": SECRET_STATE}, headers=headers)
        assert made.status_code == 200, made.text
        ids.append(made.json()["id"])
        said = client.post("/v1/outcomes", json={"decision_id": ids[-1], "measurements": {"reward": -0.5}})
        assert said.status_code == 200, said.text
    return ids


def samples(text: str) -> dict[str, float]:
    """Return the sums of what is exposed, by name."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            found[each.name] = found.get(each.name, 0.0) + each.value
    return found


def test_a_service_is_scraped(tmp_path: Path) -> None:
    with up(tmp_path) as (url, _), httpx.Client(base_url=url) as client:
        decide_and_report(client, 20)
        time.sleep(5.1)  # gauges are read anew at most every five seconds
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = samples(answer.text)
        for name in ("decisions_total", "outcomes_total", "outcomes_learned_total", "decision_latency_seconds_count"):
            assert found[f"steersman_{name}"] == 20, name
        assert found["steersman_reward_ratio_count"] == 20
        assert found["steersman_reward_ratio_sum"] == pytest.approx(20 * 0.25)
        assert found["steersman_log_writing"] == 1
        assert found["steersman_states_seen"] == 1
        assert found["steersman_http_request_duration_seconds_count"] >= 40
        for family in text_string_to_metric_families(answer.text):
            definition = BY_NAME.get(family.name) or BY_NAME[f"{family.name}_total"]
            assert family.documentation == definition.help
        if PROMTOOL is not None:
            done = subprocess.run(
                [PROMTOOL, "check", "metrics"], input=answer.text, capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_metrics_need_a_key_that_may_view_and_show_one_tenant(tmp_path: Path) -> None:
    store = str(tmp_path / "log.db")
    main = make_key(store, "view", "decide", "report")
    other = make_key(store, "view", tenant="other")
    none = make_key(store, "decide")
    with up(tmp_path) as (url, _), httpx.Client(base_url=url) as client:
        client.headers.update(bearer(main))
        decide_and_report(client, 3)
        assert samples(client.get("/metrics").text)["steersman_decisions_total"] == 3
        assert "lab/small" not in client.get("/metrics", headers=bearer(other)).text
        assert client.get("/metrics", headers=bearer(none)).status_code == 403
        assert httpx.get(f"{url}/metrics").status_code == 401


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """Start a collector of OTLP over HTTP; give its address, and what it was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_is_traced_until_it_was_learned(tmp_path: Path) -> None:
    with (
        collector() as (endpoint, bodies),
        up(tmp_path, env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}) as (url, process),
        httpx.Client(base_url=url) as client,
    ):
        (decision,) = decide_and_report(client, 1, traceparent=CALLER)
        row = client.get(f"/v1/decisions/{decision}").json()["decision"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_S) == 0  # what is left is sent
    parts = [part for each in bodies for part in ExportTraceServiceRequest.FromString(each).resource_spans]
    spans = {span.name: span for part in parts for scope in part.scope_spans for span in scope.spans}
    assert set(spans) == {"steersman.decide", "steersman.report", "steersman.learn"}
    assert {each.trace_id.hex() for each in spans.values()} == {CALLER.split("-")[1]}
    decide = spans["steersman.decide"]
    assert decide.parent_span_id.hex() == CALLER.split("-")[2]
    assert row["trace_id"] == f"00-{CALLER.split('-')[1]}-{decide.span_id.hex()}-01"
    assert {spans["steersman.report"].parent_span_id, spans["steersman.learn"].parent_span_id} == {decide.span_id}
    assert b"47112583" not in b"".join(bodies)


def test_logs_hold_neither_secrets_nor_states(tmp_path: Path) -> None:
    store = str(tmp_path / "log.db")
    key = make_key(store, "decide", "report", "view")
    with up(tmp_path, "--log-format", "json") as (url, process), httpx.Client(base_url=url) as client:
        client.headers.update(bearer(key))
        decide_and_report(client, 2)
        hostile: list[Any] = [
            {"agent": "lab/small", "state": {**SECRET_STATE, "load": "patient-47112583"}},
            {"agent": "patient-47112583", "state": SECRET_STATE},
            "patient-47112583",
        ]
        for body in hostile:
            assert client.post("/v1/decisions", json=body).status_code in (400, 404)
        client.get("/v1/agents", params={"q": "patient-47112583"})
        client.get("/v1/agents", headers={"authorization": "Bearer steer_0123456789ab_patient47112583"})
        process.send_signal(signal.SIGTERM)
        _, written = process.communicate(timeout=END_S)
    told = (key, key.rpartition("_")[2], "47112583", "41.47112", "backlog")
    assert [each for each in told if each in written] == []
    for line in written.splitlines():
        assert json.loads(line)["event"]


def test_the_command_line_writes_rules_and_dashboards(command: Callable[..., Any], tmp_path: Path) -> None:
    done = command("telemetry", "rules", "--out", "rules", "--runbooks", "https://wiki.example.org/runbooks", "--json")
    assert done.code == 0, done.err
    assert [Path(each).name for each in done.json["files"]] == sorted(
        (each.name for each in (tmp_path / "rules").iterdir()), key=[Path(each).name for each in done.json["files"]].index
    )
    rules = json.loads((tmp_path / "rules" / "steersman-rules.yml").read_text())
    urls = {rule["annotations"]["runbook_url"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    assert all(each.startswith("https://wiki.example.org/runbooks#") for each in urls)
    assert command("telemetry", "dashboards", "--out", "boards").code == 0
    assert {each.name for each in (tmp_path / "boards").iterdir()} == {
        "steersman-executive.json",
        "steersman-on-call.json",
        "steersman-debug.json",
        "steersman-releases.json",
    }
    assert set(command("telemetry", "dashboards").json) == {each.name for each in (tmp_path / "boards").iterdir()}
    assert command("telemetry", "rules").json["groups"][0]["name"] == "steersman-latency"


def test_a_folder_that_cannot_be_written_to_is_told(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = command("telemetry", "rules", "--out", "file")
    assert done.code == 5
    assert "Name another folder with --out" in done.err
