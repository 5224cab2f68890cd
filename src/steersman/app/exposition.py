"""Exposition: the metrics of a process that is no service, for Prometheus to fetch."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from steersman.app.steersman import Steersman
from steersman.core.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from steersman.backends.metrics.prometheus import PrometheusMeter


def address(text: str) -> tuple[str, int]:
    """Return the host and the port of "HOST:PORT", or of a port alone on this machine. Raises InvalidInput."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65_535:
        raise InvalidInput(f"metrics: {text!r} is no address. Say PORT, or HOST:PORT, such as 127.0.0.1:9464.")
    return host.strip("[]") or "127.0.0.1", int(port)


@contextmanager
def exposed(meter: "PrometheusMeter", steersman: Steersman, where: tuple[str, int]) -> Iterator[int]:
    """Answer GET /metrics for as long as this lasts, and give the port. Raises Conflict where the port is taken."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            meter.observe(steersman)
            body, kind = meter.exposition(self.headers.get("accept", ""))
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of who asks."""

    try:
        server = ThreadingHTTPServer(where, Answers)
    except OSError as error:
        raise Conflict(
            f"metrics cannot be shown at {where[0]}:{where[1]}: {error.strerror}. Choose another port."
        ) from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True, name="steersman_metrics")
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
