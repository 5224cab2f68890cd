"""P24 and P25: what the service sustains on one core, and what it does when more is asked of it.

    python benchmarks/load.py [--seconds 20] [--rates 500,1000,…] [--overload 2,5] [--stall] [--json]

Arrivals are an open-loop Poisson process: each request has its time beforehand and is timed from that, whether or not
those before it were answered, so that a server that stops for a while cannot hide it (coordinated omission). 60 % are
decisions, 30 % outcomes of earlier ones, 10 % reads; states are Zipf over 10⁵. The server (`steersman up`) is pinned to
one core, with a durable SQLite log, guards and the learner at work; the harness has the other one, and reports its own lag.
Beside it, on the same harness: a server that answers a constant through the same uvicorn (null), and one on bare sockets.
`--stall` stops the server for 250 ms in the middle: the harness must show it.
"""

import argparse
import gc
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from steersman import ActionSpace, AgentSpec, Category, Number, Reward, StateSchema, Steersman
from steersman.core.guards import Guard, Refusal
from steersman.core.state import StateValues
from steersman.core.values import Decision, Outcome

AGENT = "load/router"
STATES = 100_000
ZIPF = 1.1
DECIDE, REPORT, READ = "decide", "report", "read"
MIX = (0.6, 0.3, 0.1)
DECIDE_MS, REPORT_MS = 10.0, 50.0
STALL_S = 0.25
CONNECTIONS = 1_024
AFTER_S = 5.0
GOODPUT = 0.8
SERVERS = ("steersman", "null", "raw")


# the agent: 100 routes × 10 loads × 10 queues × 10 hours, and two guards


def _no_heavy(state: StateValues) -> list[Refusal]:
    return [Refusal(where={"action": "heavy"}, reason="the load is high")] if float(state["load"]) >= 90 else []


def _no_night(state: StateValues) -> list[Refusal]:
    return [Refusal(where={"action": "batch"}, reason="it is day")] if 8 <= float(state["hour"]) < 18 else []


router = AgentSpec(
    name=AGENT,
    description="Decides how a request is served, for the load test.",
    state=StateSchema(
        name="router",
        fields=(
            Category(name="route", options=tuple(f"r{each}" for each in range(100))),
            Number(name="load", low=0, high=100, edges=tuple(range(10, 100, 10))),
            Number(name="queue", low=0, high=100, edges=tuple(range(10, 100, 10))),
            Number(name="hour", low=0, high=24, edges=(3, 6, 8, 10, 12, 14, 16, 18, 21)),
        ),
    ),
    actions=ActionSpace.flat("light", "steady", "heavy", "batch"),
    reward=Reward.plain(-1.0, 1.0),
    baseline=lambda state: "steady",
    safe_action="light",
    guards=(
        Guard(name="load", refuse=_no_heavy, deadline_ms=2_000.0),
        Guard(name="hour", refuse=_no_night, deadline_ms=2_000.0),
    ),
    settings={"learning": {"gamma": 0.0}, "table": {"max_states": STATES}},
)


def states(count: int) -> list[dict[str, Any]]:
    """Return one state of each of the first `count` cells of the table."""
    hours = (1, 4, 7, 9, 11, 13, 15, 17, 19, 22)
    return [
        {
            "route": f"r{cell % 100}",
            "load": 5.0 + 10 * (cell // 100 % 10),
            "queue": 5.0 + 10 * (cell // 1_000 % 10),
            "hour": float(hours[cell // 10_000 % 10]),
        }
        for cell in range(count)
    ]


# the harness: one thread, epoll, requests written beforehand


@dataclass(kw_only=True, slots=True)
class Seen:
    """What came of one request. Times are seconds of the run; `sent` is when it went out. status 0: no answer at all."""

    kind: str
    due: float
    sent: float
    done: float
    status: int


@dataclass(kw_only=True)
class Run:
    """What one run amounted to. rate: requests a second, as asked for. lag_ms: how late the harness itself was, p99."""

    server: str
    rate: float
    seconds: float
    answered: dict[str, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)
    ms: dict[str, dict[str, float]] = field(default_factory=dict)
    unhinted: int = 0
    lag_ms: float = 0.0
    harness_cpu: float = 0.0
    server_cpu: float = 0.0
    rss_mb: tuple[float, float] = (0.0, 0.0)
    decisions: set[str] = field(default_factory=set, repr=False)
    outcomes: set[str] = field(default_factory=set, repr=False)

    @property
    def good(self) -> float:
        """Requests that were answered well, a second."""
        return sum(self.answered.values()) / self.seconds

    @property
    def decided(self) -> float:
        """Decisions a second."""
        return self.answered.get(DECIDE, 0) / self.seconds

    @property
    def held(self) -> bool:
        """Whether it kept the limits of P24, and answered everything."""
        decide, report = (self.ms.get(kind, {}).get("p99", np.inf) for kind in (DECIDE, REPORT))
        whole = set(self.statuses) <= {200} and self.good >= 0.95 * self.rate
        return whole and decide <= DECIDE_MS and report <= REPORT_MS


class Connection:
    """A kept connection with at most one request under way."""

    __slots__ = ("buffer", "due", "kind", "name", "sent", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.buffer = b""
        self.kind = self.name = ""
        self.due = self.sent = 0.0


class Requests:
    """Requests as bytes, made beforehand as far as that goes."""

    def __init__(self, port: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        host = f"host: 127.0.0.1:{port}\r\n"
        self._head = {path: f"POST {path} HTTP/1.1\r\n{host}content-type: application/json\r\n" for path in _PATHS}
        self._decide = [self._post("/v1/decisions", {"agent": AGENT, "state": each}) for each in states(STATES)]
        weights = 1.0 / np.arange(1, STATES + 1) ** ZIPF
        self._cells = rng.choice(STATES, size=200_000, p=weights / weights.sum()).tolist()
        around = [
            self._post("/v1/outcomes", {"decision_id": "#" * 36, "measurements": {"reward": round(reward, 3)}})
            for reward in rng.uniform(-1, 1, 256).tolist()
        ]
        self._outcomes = [each.partition(b"#" * 36)[::2] for each in around]
        self._read = (f"GET /v1/decisions/{'#' * 36} HTTP/1.1\r\n{host}\r\n".encode()).partition(b"#" * 36)[::2]
        self._agents = f"GET /v1/agents HTTP/1.1\r\n{host}\r\n".encode()
        self._number = 0
        self._kinds = rng.choice(3, size=200_000, p=MIX).tolist()
        self._waiting: deque[str] = deque()
        self._last = ""

    def _post(self, path: str, body: object) -> bytes:
        content = json.dumps(body, separators=(",", ":"))
        return f"{self._head[path]}content-length: {len(content)}\r\n\r\n{content}".encode()

    def next(self) -> tuple[str, str, bytes]:
        """Return the kind of the next request, the decision it is about, and its bytes."""
        self._number = number = (self._number + 1) % 200_000
        kind = self._kinds[number]
        if kind == 1 and self._waiting:
            name = self._waiting.popleft()
            before, after = self._outcomes[number % 256]
            return REPORT, name, b"%b#%b".replace(b"#", b"%b") % (before, name.encode(), after)
        if kind == 2 and self._last:
            if number % 2:
                return READ, self._last, self._agents
            before, after = self._read
            return READ, self._last, before + self._last.encode() + after
        return DECIDE, "", self._decide[self._cells[number]]

    def decided(self, name: str) -> None:
        """Take note of a decision: its outcome is due at some time."""
        self._last = name
        self._waiting.append(name)


_PATHS = ("/v1/decisions", "/v1/outcomes")


class Harness:
    """Sends requests when they are due, and takes down when they were answered."""

    def __init__(self, port: int, *, connections: int = CONNECTIONS, seed: int = 0) -> None:
        self._requests = Requests(port, seed)
        self._port = port
        self._poll = select.epoll()
        self._idle: list[Connection] = []
        self._all: dict[int, Connection] = {}
        for _ in range(connections):
            self._connect()
        self.seen: list[Seen] = []
        self.decisions: set[str] = set()
        self.outcomes: set[str] = set()
        self.lags: list[float] = []
        self.unhinted = 0
        self._rng = np.random.default_rng(seed)

    def _connect(self) -> None:
        made = Connection(self._port)
        self._all[made.socket.fileno()] = made
        self._poll.register(made.socket, select.EPOLLIN)
        self._idle.append(made)

    def drive(self, rate: float, seconds: float, tick: Any = None) -> None:
        """Send at a rate for some seconds, then wait for what is under way. tick: called with the time now and then."""
        due = np.cumsum(self._rng.exponential(1 / rate, int(rate * seconds * 1.5) + 100))
        times = deque(due[due < seconds].tolist())
        overdue: deque[float] = deque()
        began = time.perf_counter()
        next_tick = blocked = 0.0
        while times or overdue or len(self._idle) < len(self._all):
            now = time.perf_counter() - began
            if now > seconds + AFTER_S:
                break
            if tick is not None and now >= next_tick:
                tick(now)
                next_tick = now + 0.05
            while times and times[0] <= now:
                overdue.append(times.popleft())
            while overdue and self._idle:
                self._send(overdue.popleft(), began, blocked)
            if overdue:
                blocked = now  # the server has all connections: it is not we who are late
            wait_s = min(times[0] - now if times else 0.05, 0.05)
            for fd, _ in self._poll.poll(0 if wait_s < 0.002 else wait_s - 0.001):
                self._receive(self._all[fd], began)
        self.seen += [Seen(kind=DECIDE, due=each, sent=seconds, done=seconds + AFTER_S, status=0) for each in overdue]
        self._give_up(seconds)

    def _send(self, due: float, began: float, blocked: float) -> None:
        connection = self._idle.pop()
        connection.kind, connection.name, request = self._requests.next()
        connection.due = due
        connection.sent = time.perf_counter() - began
        self.lags.append(connection.sent - max(due, blocked))
        try:
            if connection.socket.send(request) != len(request):
                raise SystemExit("the harness could not write a whole request at once")
        except OSError:
            self._broken(connection)

    def _receive(self, connection: Connection, began: float) -> None:
        try:
            data = connection.socket.recv(262_144)
        except OSError:
            data = b""
        if not data:
            self._broken(connection)
            return
        connection.buffer = buffer = connection.buffer + data if connection.buffer else data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = buffer.find(b"content-length: ", 0, end)
        if at < 0:
            raise SystemExit(f"an answer without its length: {buffer[:end]!r}")
        if len(buffer) < end + 4 + int(buffer[at + 16 : buffer.find(b"\r", at)]):
            return
        connection.buffer = b""
        self._answered(connection, int(buffer[9:12]), buffer, end, time.perf_counter() - began)

    def _answered(self, connection: Connection, status: int, answer: bytes, end: int, now: float) -> None:
        kind = connection.kind
        if status == 200 and kind is DECIDE:
            start = answer.find(b'"id":"', end) + 6
            name = answer[start : start + 36].decode()
            self.decisions.add(name)
            self._requests.decided(name)
        elif status == 200 and kind is REPORT:
            self.outcomes.add(connection.name)
        elif status in (429, 503):
            self.unhinted += b"retry-after" not in answer[:end]
        self.seen.append(Seen(kind=kind, due=connection.due, sent=connection.sent, done=now, status=status))
        if b"connection: close" in answer[:end]:
            self._drop(connection)
            self._connect()
        else:
            self._idle.append(connection)

    def _broken(self, connection: Connection) -> None:
        """The server closed it: one that was idle is opened again, a request under way has got no answer."""
        if connection in self._idle:
            self._idle.remove(connection)
        else:
            self.seen.append(Seen(kind=connection.kind, due=connection.due, sent=connection.sent, done=np.inf, status=0))
        self._drop(connection)
        self._connect()

    def _drop(self, connection: Connection) -> None:
        del self._all[connection.socket.fileno()]
        connection.socket.close()

    def _give_up(self, seconds: float) -> None:
        for each in set(self._all.values()) - set(self._idle):
            self.seen.append(Seen(kind=each.kind, due=each.due, sent=each.sent, done=seconds + AFTER_S, status=0))
            self._drop(each)
            self._connect()

    def close(self) -> None:
        """Close all connections."""
        for each in self._all.values():
            each.socket.close()
        self._poll.close()


# the servers


@contextmanager
def serving(kind: str, folder: Path, core: int) -> Iterator[tuple[int, int]]:
    """Start a server of a kind on one core; yield its port and process id."""
    if kind == "steersman":
        settings = folder / "steersman.toml"
        settings.write_text(f'agent_files = ["{Path(__file__).resolve()}"]\n[service]\nrate_per_s = 0\n')
        command = ["-m", "steersman", "up", "--port", "0", "--store", str(folder / "log.db"), "--settings", str(settings)]
    else:
        command = [__file__, "--serve", kind]
    log = folder / f"{kind}.log"
    with log.open("w") as file:
        server = subprocess.Popen([sys.executable, *command], stdout=file, stderr=subprocess.STDOUT)
    os.sched_setaffinity(server.pid, {core})  # before it has any other thread: they inherit it
    try:
        yield _port(log, server), server.pid
    finally:
        server.terminate()
        server.wait(30)


def _port(log: Path, server: "subprocess.Popen[bytes]") -> int:
    """Return the port that the server says it listens on."""
    until = time.monotonic() + 60.0
    while time.monotonic() < until and server.poll() is None:
        found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise SystemExit(f"the server did not start: {log.read_text()}")


def serve(kind: str) -> None:
    """Be one of the servers that do nothing."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2_048)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    body = b'{"id":"' + b"0" * 36 + b'"}'
    if kind == "null":
        _serve_uvicorn(listener, body)
    else:
        _serve_raw(listener, body)


def _serve_uvicorn(listener: socket.socket, body: bytes) -> None:
    """The same uvicorn and the same way in and out of Starlette, with nothing between."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def answer(request: Request) -> Response:
        await request.body()
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, loop="uvloop", http="httptools", lifespan="off", timeout_keep_alive=75
    )
    uvicorn.Server(config).run(sockets=[listener])


def _serve_raw(listener: socket.socket, body: bytes) -> None:
    """Bare sockets: the floor."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    clients: dict[int, socket.socket] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        for fd, _ in poll.poll():
            if fd == listener.fileno():
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                poll.register(client, select.EPOLLIN)
            elif clients[fd].recv(65_536):
                clients[fd].send(answer)
            else:
                clients.pop(fd).close()


# runs


class _Watch:
    """Looks at the server now and then: its memory, its processor time; and stops it for a moment, if it is to."""

    def __init__(self, pid: int, stall_at: float | None) -> None:
        self._pid = pid
        self._stall_at = stall_at
        self._go_on_at: float | None = None
        self.rss_mb: list[float] = []
        self._cpu = self._cpu_s()
        self._began = time.perf_counter()

    def __call__(self, now: float) -> None:
        if self._stall_at is not None and now >= self._stall_at:
            os.kill(self._pid, signal.SIGSTOP)
            self._stall_at, self._go_on_at = None, now + STALL_S
        if self._go_on_at is not None and now >= self._go_on_at:
            self.go_on()
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
        self.rss_mb.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)

    def go_on(self) -> None:
        """Let a stopped server go on."""
        os.kill(self._pid, signal.SIGCONT)
        self._go_on_at = None

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def cpu(self) -> float:
        """The share of one core that the server had."""
        return (self._cpu_s() - self._cpu) / (time.perf_counter() - self._began)


def run(
    server: str, port: int, pid: int, rate: float, seconds: float, *, stall: bool = False, connections: int = CONNECTIONS
) -> Run:
    """Send requests at a rate for some seconds and say what came of them."""
    harness = Harness(port, connections=connections, seed=int(rate))
    gc.collect()
    gc.disable()
    watch = _Watch(pid, seconds / 2 if stall else None)
    cpu, began = time.process_time(), time.perf_counter()
    try:
        harness.drive(rate, seconds, watch)
        busy = (time.process_time() - cpu) / (time.perf_counter() - began)
    finally:
        watch.go_on()
        gc.enable()
        harness.close()
    return _summed(server, rate, seconds, harness, watch, busy)


def _summed(server: str, rate: float, seconds: float, harness: Harness, watch: _Watch, busy: float) -> Run:
    found = Run(server=server, rate=rate, seconds=seconds, unhinted=harness.unhinted, harness_cpu=busy)
    found.decisions, found.outcomes = harness.decisions, harness.outcomes
    found.statuses = dict(Counter(each.status for each in harness.seen))
    for kind in (DECIDE, REPORT, READ):
        well = [each for each in harness.seen if each.kind == kind and each.status == 200]
        found.answered[kind] = sum(each.done <= seconds for each in well)
        if well:
            found.ms[kind] = _percentiles([each.done - each.due for each in well])
    found.lag_ms = float(np.percentile(harness.lags, 99) * 1e3) if harness.lags else 0.0
    found.server_cpu, found.rss_mb = watch.cpu, (watch.rss_mb[0], max(watch.rss_mb))
    return found


def _percentiles(seconds: list[float]) -> dict[str, float]:
    found = np.array(seconds) * 1e3
    return {
        "p50": float(np.percentile(found, 50)),
        "p99": float(np.percentile(found, 99)),
        "p99.9": float(np.percentile(found, 99.9)),
        "max": float(found.max()),
    }


def in_log(folder: Path, runs: list[Run]) -> dict[str, int]:
    """Hold the log of a stopped server against what it acknowledged: what is missing, and what is there twice."""
    decisions = set[str]().union(*(each.decisions for each in runs))
    outcomes = set[str]().union(*(each.outcomes for each in runs))
    with Steersman.open(folder / "log.db", settings={}, read_only=True) as steersman:
        rows = list(steersman.log.rows(AGENT))
    made = Counter(row.id for row in rows if isinstance(row, Decision))
    said = Counter(row.decision_id for row in rows if isinstance(row, Outcome))
    return {
        "decisions": len(decisions),
        "decisions lost": len(decisions - made.keys()),
        "outcomes": len(outcomes),
        "outcomes lost": len(outcomes - said.keys()),
        "twice": sum(count - 1 for count in (*made.values(), *said.values())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rates", default="500,1000,1500,2000,2500,3000,4000,5000,6000", help="decisions a second")
    parser.add_argument("--servers", default=",".join(SERVERS))
    parser.add_argument("--overload", default="2,5", help="of what was sustained; empty leaves it out")
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    parser.add_argument("--stall", action="store_true", help=f"only stop the server for {STALL_S * 1e3:.0f} ms and show it")
    parser.add_argument("--core", type=int, default=0, help="of the server; the harness takes the next one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=("null", "raw"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("the server and the harness need a core each")
    os.sched_setaffinity(0, {cores[(given.core + 1) % len(cores)]})
    sys.exit(0 if _all(given, cores[given.core]) else 1)


def _all(given: argparse.Namespace, core: int) -> bool:
    shares = MIX[0]
    rates = [float(each) / shares for each in given.rates.split(",")]
    runs: list[Run] = []
    held = True
    for kind in given.servers.split(","):
        with tempfile.TemporaryDirectory() as name:
            with serving(kind, Path(name), core) as (port, pid):
                run(kind, port, pid, rates[0], min(given.seconds, 3.0))  # warm up
                if given.stall:
                    mine = [_told(run(kind, port, pid, rates[0], given.seconds, stall=True))]
                    held &= shows_stall(mine[0])
                else:
                    mine = _steps(kind, port, pid, rates, given.seconds)
                    if kind == "steersman" and given.overload:
                        held &= _overload(port, pid, given, mine)
            if kind == "steersman":
                held &= _recorded(Path(name), mine)
        runs += mine
    if given.json:
        print(json.dumps([{**asdict(each), "decisions": [], "outcomes": []} for each in runs]))
    return held


def _steps(kind: str, port: int, pid: int, rates: list[float], seconds: float) -> list[Run]:
    """Raise the rate until it is no longer held twice in a row."""
    runs: list[Run] = []
    for rate in rates:
        runs.append(_told(run(kind, port, pid, rate, seconds)))
        if len(runs) > 1 and not (runs[-1].held or runs[-2].held):
            break
    best = max((each for each in runs if each.held), key=lambda each: each.rate, default=None)
    print(f"{kind}: {'nothing' if best is None else f'{best.decided:,.0f} decisions/s'} sustained", flush=True)
    return runs


def _overload(port: int, pid: int, given: argparse.Namespace, runs: list[Run]) -> bool:
    """Ask for several times as much as was sustained; return whether goodput and memory held."""
    capacity = max((each.rate for each in runs if each.held), default=runs[0].rate)
    held = True
    for times in (float(each) for each in given.overload.split(",")):
        found = _told(run("steersman", port, pid, capacity * times, given.overload_seconds), f"{times:g}× overload")
        odd = {status for status in found.statuses if status not in (200, 429, 503)}
        good = found.good / capacity
        print(
            f"   {times:g}×: goodput {good:.0%} of {capacity:,.0f} requests/s; other answers {odd or 'none'}; "
            f"turned away without Retry-After {found.unhinted}; memory {found.rss_mb[0]:.0f} → {found.rss_mb[1]:.0f} MB"
        )
        held &= good >= GOODPUT and not odd and not found.unhinted
        runs.append(found)
    return held


def shows_stall(found: Run) -> bool:
    worst = max(each["max"] for each in found.ms.values())
    tail = max(each["p99.9"] for each in found.ms.values())
    print(f"   stopped for {STALL_S * 1e3:.0f} ms: max {worst:.0f} ms, p99.9 {tail:.0f} ms")
    return worst >= 0.9 * STALL_S * 1e3 and tail >= 0.5 * STALL_S * 1e3


def _recorded(folder: Path, runs: list[Run]) -> bool:
    found = in_log(folder, runs)
    print("   in the log:", ", ".join(f"{name} {count:,}" for name, count in found.items()), flush=True)
    return not (found["decisions lost"] or found["outcomes lost"] or found["twice"])


def _told(found: Run, note: str = "") -> Run:
    timings = "  ".join(
        f"{kind} {each['p50']:.1f}/{each['p99']:.1f}/{each['p99.9']:.1f}/{each['max']:.0f}"
        for kind, each in found.ms.items()
    )
    print(
        f"{found.server:<10}{found.rate:>8,.0f} requests/s → {found.good:>8,.0f}, {found.decided:>7,.0f} decisions/s "
        f"{'held' if found.held else 'not held':<9} ms p50/p99/p99.9/max {timings}  lag p99 {found.lag_ms:.1f}  "
        f"core: server {found.server_cpu:.0%}, harness {found.harness_cpu:.0%}  {found.statuses} {note}",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
