"""P22: the API is robust, against generated requests and against what is no request at all.

    python benchmarks/api_fuzz.py [--examples 300] [--sockets 2000] [--requests 50000]

Schemathesis makes requests from /v1/openapi.json, operation by operation and in sequences in which answers feed later
requests, and checks the answers against the document: all checks but one (that whatever fits the schema is accepted: the
schema of a state is the agent's, which the document cannot know). The document is sharpened with names that exist, so that
requests get past the door; it is run again with other seeds until so many requests were made. Then raw sockets send random
bytes, half requests, slow ones and endless ones, while somebody else asks for decisions. Nothing may be answered with 500,
nothing may hang, and memory must stay bounded.
"""

import argparse
import http.client
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from steersman.testing.specs import small_agent

AGENT = "lab/small"
STATE = {"load": 10.0, "backlog": 10.0, "weekend": False}
REQUEST_WAIT_S = 2.0
HANGS_S = 15.0
NOT_CHECKED = "positive_data_acceptance"
PHASES = "coverage,fuzzing,stateful"
BUG = "FUZZ_BUG"
agent = small_agent()


@dataclass(kw_only=True)
class Found:
    """What came of it: requests made, failures as schemathesis names them, answers by status, what hung, memory in MB."""

    requests: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    hung: int = 0
    slowest_s: float = 0.0
    rss_mb: tuple[float, float] = (0.0, 0.0)
    told: str = ""

    @property
    def held(self) -> bool:
        """Whether nothing failed and nothing hung."""
        return not self.failures and not self.hung and not any(each >= 500 and each != 503 for each in self.statuses)


@dataclass(frozen=True, kw_only=True)
class Server:
    """A service as its own process, with a key to everything."""

    address: str
    key: str
    pid: int

    @property
    def where(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.address)
        return str(parts.hostname), int(parts.port or 0)

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float = 30.0) -> tuple[int, Any]:
        """Return status and content of an answer."""
        line = http.client.HTTPConnection(*self.where, timeout=timeout_s)
        try:
            headers = {"content-type": "application/json", "authorization": f"Bearer {self.key}"}
            line.request(method, path, None if body is None else json.dumps(body), headers)
            answer = line.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            line.close()

    def rss_mb(self) -> float:
        """Return how much memory it has."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def serving(folder: Path, *, bug: bool = False) -> Iterator[Server]:
    """Start `steersman up` on a free port, with a first key. bug: with one that the fuzzer must find."""
    settings, store = folder / "steersman.toml", str(folder / "log.db")
    settings.write_text(
        f'agent_files = ["{Path(__file__).resolve()}"]\n[service]\nrate_per_s = 0\nrequest_wait_s = {REQUEST_WAIT_S}\n'
    )
    command = [sys.executable, "-m", "steersman"]
    made = [*command, "keys", "create", "--name", "fuzz", "--role", "admin", "--store", store, "--json"]
    key = json.loads(subprocess.run(made, check=True, capture_output=True).stdout)["secret"]
    up = [*command, "up", "--port", "0", "--store", store, "--settings", str(settings), "--json"]
    with (
        (folder / "errors").open("w") as errors,
        subprocess.Popen(up, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, BUG: "1" if bug else ""}) as process,
    ):
        try:
            address = json.loads(next(iter(process.stdout or ()), b"{}")).get("address")
            if not address:
                raise SystemExit(f"the service did not start: {(folder / 'errors').read_text()}")
            yield Server(address=address, key=key, pid=process.pid)
        finally:
            process.terminate()


def _plant() -> None:
    """The seeded bug: the service falls over questions for the safe arm. It comes in with this file, as an agent's."""
    from steersman.service import decisions

    correct = decisions.decide

    async def decide(*given: Any, **more: Any) -> Any:
        if more.get("arm") == "safe":
            raise RuntimeError("nobody thought of the safe arm")
        return await correct(*given, **more)

    decisions.decide = decide


if os.environ.get(BUG):
    _plant()


def generated(server: Server, folder: Path, *, examples: int, seed: int, phases: str = PHASES, only: str = "") -> Found:
    """Have schemathesis make requests from the document.

    only: a pattern of the paths; else all but the endless one and those about keys, which might revoke the one in use.
    """
    document = folder / "openapi.json"
    document.write_text(json.dumps(sharpened(server.ask("GET", "/v1/openapi.json")[1], _known(server))))
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "schemathesis"), "run", str(document), "--url", server.address),
            *("--header", f"Authorization: Bearer {server.key}", "--no-color", "--warnings", "off"),
            *("--checks", "all", "--exclude-checks", NOT_CHECKED, "--phases", phases, "--seed", str(seed)),
            *("--max-examples", str(examples), "--request-timeout", str(HANGS_S), "--continue-on-failure"),
            *(("--include-path-regex", only) if only else ("--exclude-path-regex", "^/v1/(keys|events)")),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    found = Found(told=done.stdout, rss_mb=(0.0, server.rss_mb()))
    for count, name in re.findall(r"^  ❌ (ST\d+ [^:]+): (\d+)", done.stdout, re.MULTILINE):
        found.failures[count] += int(name)
    if done.returncode not in (0, 1) or (done.returncode and not found.failures):
        raise SystemExit(f"schemathesis failed: {done.stdout[-3_000:]}{done.stderr[-3_000:]}")
    if not only and server.ask("GET", "/v1/agents")[0] != 200:
        raise SystemExit("the key does not hold any longer: nothing was tested behind it")
    made = re.search(r"([\d,]+) generated", done.stdout)
    found.requests = int(made[1].replace(",", "")) if made else 0
    return found


def _known(server: Server) -> list[str]:
    """Return ids of decisions that exist."""
    body = {"decisions": [{"agent": AGENT, "state": STATE}] * 5}
    return [each["id"] for each in server.ask("POST", "/v1/decisions/batch", body)[1]["results"]]


def sharpened(document: dict[str, Any], ids: list[str]) -> dict[str, Any]:
    """Return the document with names and states that exist among those it allows; what is refused stays refused."""
    schemas = document["components"]["schemas"]
    text = {"type": "string", "minLength": 1, "maxLength": 200}
    decision = schemas["DecisionRequest"]["properties"]
    decision["agent"] = {"anyOf": [{"enum": [AGENT, "qe/test-executor"]}, text]}
    decision["state"] = {
        "anyOf": [
            {
                "type": "object",
                "properties": {
                    "load": {"type": "number", "minimum": 0, "maximum": 100},
                    "backlog": {"type": "number", "minimum": 0, "maximum": 1_000},
                    "weekend": {"type": "boolean"},
                },
                "required": ["load", "backlog", "weekend"],
                "additionalProperties": False,
            },
            decision["state"],
        ]
    }
    outcome = schemas["OutcomeRequest"]["properties"]
    outcome["decision_id"] = {"anyOf": [{"enum": ids}, text]}
    for path in document["paths"].values():
        for operation in path.values():
            for each in operation.get("parameters", ()):
                if each["name"] == "agent":
                    each["schema"] = {"anyOf": [{"enum": [AGENT]}, each["schema"]]}
                elif each["name"] == "id":
                    each["schema"] = {"anyOf": [{"enum": ids}, each["schema"]]}
                elif each["name"] == "version":
                    each["schema"] = {"anyOf": [{"enum": ["v1.1-preview.3"]}, each["schema"]]}
    return document


# what is no request


def _noise(rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 4_096))


def _half(rng: random.Random) -> bytes:
    whole = _whole(rng)
    return whole[: rng.randrange(1, len(whole))]


def _flipped(rng: random.Random) -> bytes:
    whole = bytearray(_whole(rng))
    for _ in range(rng.randrange(1, 8)):
        whole[rng.randrange(len(whole))] = rng.randrange(256)
    return bytes(whole)


def _whole(rng: random.Random) -> bytes:
    body = json.dumps({"agent": AGENT, "state": STATE}).encode()
    path = rng.choice([b"/v1/decisions", b"/v1/outcomes", b"/v1/controls", b"/v1/keys", b"/", b"/login"])
    return b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        path,
        len(body),
        body,
    )


def _odd(rng: random.Random) -> bytes:
    """Requests that are wrong in ways that somebody thought of."""
    start = b"POST /v1/decisions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return rng.choice(
        [
            start + b"content-length: -5\r\n\r\n",
            start + b"content-length: 99999999999999999999\r\n\r\n",
            start + b"content-length: 5\r\ncontent-length: 6\r\n\r\n[1,2]]",
            start + b"transfer-encoding: chunked\r\n\r\nZZ\r\n",
            start + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
            start + b"transfer-encoding: chunked\r\n\r\n" + b"ffffffffffffffff\r\n",
            start + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n",
            start + b"content-length: 400000\r\n\r\n" + b"[" * 400_000,
            start + b"content-length: 2000000\r\n\r\n" + b" " * 2_000_000,
            start + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
            start + b"".join(b"x%d: y\r\n" % each for each in range(5_000)) + b"\r\n",
            b"GET " + b"/" * 70_000 + b" HTTP/1.1\r\n\r\n",
            b"GET /v1/decisions/%ff%fe%00 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
            b"GET http://elsewhere/v1/agents HTTP/1.1\r\nhost: elsewhere\r\n\r\n",
            b"GET /v1/agents HTTP/9.9\r\n\r\n",
            b"GET /v1/agents HTTP/1.0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
            b"GET /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" * 200,
        ]
    )


KINDS: dict[str, Callable[[random.Random], bytes]] = {"noise": _noise, "half": _half, "flipped": _flipped, "odd": _odd}


def sockets(server: Server, count: int, *, seed: int = 0, threads: int = 8, slow: int = 40) -> Found:
    """Open connections that send what is no request, or send it slowly, and see that each comes to its end."""
    found = Found(rss_mb=(server.rss_mb(), 0.0))
    lock = threading.Lock()
    jobs = [(kind, seed + number) for number in range(count // len(KINDS)) for kind in KINDS]

    def work(mine: list[tuple[str, int]]) -> None:
        for kind, number in mine:
            rng = random.Random(number)
            _note(found, lock, *_one(server, KINDS[kind](rng), half_open=rng.random() < 0.3))

    def crawl() -> None:
        _note(found, lock, *_slow(server))

    over = threading.Event()
    workers = [threading.Thread(target=work, args=(jobs[each::threads],)) for each in range(threads)]
    workers += [threading.Thread(target=crawl) for _ in range(slow)]
    witness = threading.Thread(target=_witness, args=(server, found, over))
    for each in (*workers, witness):
        each.start()
    for each in workers:
        each.join()
    over.set()
    witness.join()
    found.rss_mb = (found.rss_mb[0], server.rss_mb())
    return found


def _note(found: Found, lock: threading.Lock, statuses: list[int], seconds: float) -> None:
    with lock:
        found.requests += 1
        found.statuses.update(statuses)
        found.hung += seconds > HANGS_S
        found.slowest_s = max(found.slowest_s, seconds)


def _one(server: Server, raw: bytes, *, half_open: bool) -> tuple[list[int], float]:
    """Send bytes; then say no more (half open) or nothing at all, and wait for the end of the connection."""
    began = time.monotonic()
    answer = b""
    with socket.create_connection(server.where, timeout=HANGS_S + 5.0) as line, suppress(OSError):
        with suppress(OSError):
            line.sendall(raw)
        if half_open:
            line.shutdown(socket.SHUT_WR)
        answer = _read(line, began)
    return _statuses(answer), time.monotonic() - began


def _read(line: socket.socket, began: float) -> bytes:
    """Return what comes until the connection ends, or nothing has come for longer than a request may take."""
    answer = b""
    line.settimeout(REQUEST_WAIT_S + 1.0)
    while time.monotonic() - began < HANGS_S + 5.0:
        try:
            more = line.recv(65_536)
        except TimeoutError:
            if answer:
                return answer  # answered, and kept open for the next request
            continue
        if not more:
            return answer
        answer += more
    return answer


def _slow(server: Server) -> tuple[list[int], float]:
    """Send a request a byte each half second: it must be cut off."""
    began = time.monotonic()
    answer = b""
    with socket.create_connection(server.where, timeout=1.0) as line, suppress(OSError):
        for byte in _whole(random.Random(0)):
            line.sendall(bytes([byte]))
            time.sleep(0.5)
            if time.monotonic() - began > HANGS_S + 5.0:
                break
        answer = line.recv(65_536)
    return _statuses(answer), time.monotonic() - began


def _statuses(answer: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"^HTTP/1\.1 (\d{3})", answer, re.MULTILINE)]


def _witness(server: Server, found: Found, over: threading.Event) -> None:
    """Ask for decisions meanwhile: they must be answered as if nothing was."""
    while not over.is_set():
        began = time.monotonic()
        status, _ = server.ask("POST", "/v1/decisions", {"agent": AGENT, "state": STATE}, HANGS_S + 5.0)
        found.failures["a decision was not answered meanwhile"] += status not in (200, 503)
        found.hung += time.monotonic() - began > HANGS_S
        time.sleep(0.05)
    found.failures = +found.failures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=300, help="for each operation and run")
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--sockets", type=int, default=2_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving(Path(name), bug=True) as server:
        caught = generated(server, Path(name), examples=20, seed=0, phases="coverage", only="^/v1/decisions$")
    print(f"P22 seeded bug (falls over one value of one field): {dict(caught.failures) or 'not caught'}", flush=True)
    total = Found()
    seed = 0
    while total.requests < given.requests:
        seed += 1
        with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
            began = server.rss_mb()
            found = generated(server, Path(name), examples=given.examples, seed=seed)
            about_keys = generated(server, Path(name), examples=given.examples, seed=seed, only="^/v1/keys")
            found.requests += about_keys.requests
            found.failures += about_keys.failures
            found.told += about_keys.told if about_keys.failures else ""
            total.requests += found.requests
            total.failures += found.failures
            print(
                f"seed {seed}: {found.requests:,} requests, failures {dict(found.failures) or 'none'}; memory "
                f"{began:.0f} → {found.rss_mb[1]:.0f} MB",
                flush=True,
            )
            if found.failures:
                print(found.told)
            if not found.requests:
                raise SystemExit("schemathesis made no requests")
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
        raw = sockets(server, given.sockets)
    print(f"P22: {total.requests:,} generated requests, failures: {dict(total.failures) or 'none'}")
    print(
        f"P22: {raw.requests:,} connections with what is no request: answers {dict(sorted(raw.statuses.items()))}, hung "
        f"{raw.hung}, slowest {raw.slowest_s:.1f} s (a request has {REQUEST_WAIT_S:g} s), memory {raw.rss_mb[0]:.0f} → "
        f"{raw.rss_mb[1]:.0f} MB"
    )
    sys.exit(0 if total.held and raw.held and caught.failures else 1)


if __name__ == "__main__":
    main()
