"""Start the project's own web application on a free port of this machine, and ask it what its description promises.

It runs in the copy, by the project's interpreter, for a limited time, and is killed with its children. schemathesis asks.
"""

import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from steersman.core.errors import DeadlineExceeded, InvalidInput
from steersman.packs.qe.project.discovery import module_name
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.project.strays import kill_group
from steersman.packs.qe.tools.run import run_tool

_APP = re.compile(r"^(\w+)\s*(?::[^=\n]+)?=\s*(?:fastapi\.)?FastAPI\(", re.MULTILINE)
_START_S, _POLL_S = 20.0, 0.05
_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def find_app(sources: Mapping[str, str], source_root: str) -> str:
    """Return the application that describes itself, as "module:name"; "" where no source file makes one."""
    for file, text in sorted(sources.items()):
        match = _APP.search(text)
        if match:
            return f"{module_name(file, source_root)}:{match[1]}"
    return ""


def can_serve(interpreter: str) -> bool:
    """Return whether an interpreter has uvicorn, which is what serves the application."""
    asked = [interpreter, "-c", "import uvicorn"]
    answer = subprocess.run(asked, capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    return answer.returncode == 0


@contextmanager
def served(sandbox: Sandbox, app: str) -> Iterator[str]:
    """Serve an application for a while and yield its address. Raises InvalidInput where it does not come up."""
    port = _free_port()
    command = [sandbox.project.tools.interpreter, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port)]
    log = sandbox.scratch / "uvicorn.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--log-level", "warning"],
            cwd=sandbox.root,
            env=sandbox.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, process, log)
            yield address
        finally:
            kill_group(process.pid)
            process.wait()


def described(address: str) -> str:
    """Return the description that a served application gives of itself, as JSON; "" where it gives none."""
    try:
        with _opener().open(f"{address}/openapi.json", timeout=10.0) as answer:
            return str(answer.read().decode())
    except (OSError, urllib.error.URLError, ValueError):
        return ""


def broken_promises(address: str, description: Path, scratch: Path, timeout_s: float) -> frozenset[str]:
    """Return the operations, such as "GET /items", at which schemathesis found a served application break a description.

    Raises DeadlineExceeded over its time, InvalidInput where schemathesis cannot use the description.
    """
    report = scratch / "schemathesis.xml"
    report.unlink(missing_ok=True)
    arguments = ["run", str(description), "--url", address, "--report", "junit", "--report-junit-path", str(report)]
    arguments += ["--checks", _CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", "10", "--seed", "0"]
    output = run_tool("schemathesis.cli", arguments, root=scratch, scratch=scratch, timeout_s=timeout_s)
    if not report.exists():
        raise InvalidInput(f"schemathesis ended with {output.exit_code} and said: {output.text.strip()[-400:]}")
    cases = ET.parse(report).getroot().iter("testcase")  # noqa: S314 - written by our own tool
    return frozenset(each.get("name", "") for each in cases if each.find("failure") is not None)


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy: it is this machine


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def _wait(address: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until something answers at an address. Raises InvalidInput where the process ends, DeadlineExceeded in time."""
    host, port = address.removeprefix("http://").split(":")
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise InvalidInput(f"the application did not start: {log.read_text(errors='replace').strip()[-400:]}")
        try:
            with socket.create_connection((host, int(port)), timeout=1.0):
                return
        except OSError:
            time.sleep(_POLL_S)
    raise DeadlineExceeded(f"the application did not answer within {_START_S:.0f} s; it was killed.")
