"""Outages of the server never become an acknowledgement, stop no decision, and are over when the server is back (P5, P6)."""

import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace

from steersman import Steersman
from steersman.backends.sql.postgres import PostgresLog, connect
from steersman.backends.sql.postgres.listener import STALE_S
from steersman.core.errors import DeadlineExceeded, InvalidInput, NotFound, StoreError
from steersman.core.ports import Receipt
from steersman.core.values import Decision
from steersman.testing.log_rows import AGENT, decision, learned, outcome
from steersman.testing.postgres import PostgresServer
from steersman.testing.specs import small_agent

RESUMES_S = 5.0
UNKNOWN_S = 1.0
STATE = {"load": 10.0, "backlog": 5, "weekend": False}
_COMMITTED = b"COMMIT\x00"
_numbers = count()

Made = list[tuple[Decision, Receipt]]


def started(*, disk: Path | None = None) -> PostgresServer:
    try:
        return PostgresServer(disk=disk)
    except NotFound as error:
        pytest.skip(f"these tests stop a server of their own: {error}")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this file's own, to be stopped and started."""
    server = started()
    yield server
    server.close()


@pytest.fixture
def url(server: PostgresServer) -> Iterator[str]:
    """The URL of an empty store in it."""
    yield server.url(f"faults_{next(_numbers)}")
    if not server.running:
        server.start()


class Line:
    """A way to a server that can be cut and held: everything that passes, passes through real sockets here."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.cut_at_commit = False
        self.cuts = 0
        self.held = False
        self._closed = False
        self._threads = [threading.Thread(target=self._admit, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        """Cut all."""
        self._closed = True
        self._door.close()
        for each in self._threads:
            each.join()

    def _admit(self) -> None:
        while not self._closed:
            if select.select([self._door], [], [], 0.05)[0] and not self._closed:
                caller, _ = self._door.accept()
                thread = threading.Thread(target=self._carry, args=(caller,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, caller: socket.socket) -> None:
        with suppress(OSError), caller, socket.create_connection(("127.0.0.1", self._port)) as server:
            other = {caller: server, server: caller}
            while not self._closed:
                for each in select.select(list(other), [], [], 0.05)[0] if not self.held else self._rest():
                    said = each.recv(65536)
                    if not said or (each is server and self._is_cut(said)):
                        return
                    other[each].sendall(said)

    def _rest(self) -> list[socket.socket]:
        time.sleep(0.01)
        return []

    def _is_cut(self, answer: bytes) -> bool:
        """Return whether an answer says that something was committed, and is to be lost."""
        if not self.cut_at_commit or _COMMITTED not in answer:
            return False
        self.cut_at_commit = False
        self.cuts += 1
        return True


@pytest.fixture
def line(server: PostgresServer) -> Iterator[Line]:
    line = Line(server.port)
    yield line
    line.close()


def through(line: Line, server: PostgresServer, url: str) -> str:
    return url.replace(f":{server.port}/", f":{line.port}/")


def fill(log: PostgresLog, made: Made, until: Callable[[int], bool]) -> None:
    """Append decisions, each with its outcome and what was learned of it, until so many new ones are enough."""
    deadline, before = time.monotonic() + 20, len(made)
    while not until(len(made) - before):
        assert time.monotonic() < deadline
        each = decision()
        made.append((each, log.append((each, outcome(each)), learned({(each.id, 0): 1.0}))))
        time.sleep(0.001)


def stored(url: str) -> list[str]:
    """Return the ids of all decisions in a store, in their order, without the log's help."""
    with closing(connect.connect(connect.target(url))) as connection:
        return [str(name) for (name,) in connection.execute("SELECT id FROM decisions ORDER BY position")]


def check_whole(log: PostgresLog, url: str, made: Made) -> None:
    """Check that all that was appended is there once, in its order, with all that was learned of it."""
    made[-1][1].wait(RESUMES_S)
    assert all(receipt.done() for _, receipt in made)
    assert log.health() == ""
    log.close()
    assert stored(url) == [each.id for each, _ in made]
    with closing(PostgresLog(url)) as again:
        assert (again.position, again.decision_count(AGENT)) == (2 * len(made), len(made))
        table = again.learned(AGENT)
        assert table is not None
        assert len(table[0].entries) == len(made)


def acknowledged(made: Made) -> set[str]:
    return {each.id for each, receipt in made if receipt.done()}


# the server goes


def test_a_server_that_stops_loses_nothing_and_acknowledges_nothing(server: PostgresServer, url: str) -> None:
    log, made = PostgresLog(url), Made()
    fill(log, made, until=lambda new: new >= 100)
    server.stop(immediate=True)
    fill(log, made, until=lambda new: bool(log.health()))
    fill(log, made, until=lambda new: new >= 100)
    assert "connection" in log.health()
    before = acknowledged(made)
    assert len(before) < len(made) - 100
    with pytest.raises(DeadlineExceeded, match="not durable"):
        made[-1][1].wait(0.1)
    server.start()
    assert before <= set(stored(url))
    check_whole(log, url, made)


def test_decisions_go_on_while_the_server_is_away(server: PostgresServer, url: str) -> None:
    with Steersman.open(url, agents=[small_agent()], settings={}) as steersman:
        agent = steersman.agent("lab/small")
        agent.report(agent.decide(STATE), {"reward": 0.5}).wait(RESUMES_S)
        server.stop(immediate=True)
        made, slowest, stopped = [], 0.0, time.monotonic()
        while time.monotonic() - stopped < 1.5 * UNKNOWN_S:
            began = time.perf_counter()
            made.append(agent.decide(STATE))
            slowest = max(slowest, time.perf_counter() - began)
            receipt = agent.report(made[-1], {"reward": 0.5})
            time.sleep(0.005)
        assert slowest < 0.5, "no decision waits for the store"
        assert made[-1].arm == "safe"
        assert "kill switch unknown" in made[-1].reason
        assert not receipt.done()
        server.start()
        receipt.wait(RESUMES_S)
        assert set(stored(url)) >= {each.id for each in made}
        deadline = time.monotonic() + RESUMES_S
        while agent.decide(STATE).arm == "safe":
            assert time.monotonic() < deadline


def test_an_agent_opens_on_a_store_that_was_slow_for_a_moment(server: PostgresServer, url: str, line: Line) -> None:
    with Steersman.open(through(line, server, url), agents=[small_agent()]) as steersman:
        line.held = True
        time.sleep(2.0 * STALE_S)
        threading.Timer(2.0 * STALE_S, setattr, (line, "held", False)).start()
        assert steersman.agent("lab/small").decide(STATE).arm != "safe"


def test_connections_that_are_ended_in_the_middle_are_made_anew(server: PostgresServer, url: str) -> None:
    log, made, ended = PostgresLog(url), Made(), 0
    with psycopg.connect(server.url().partition("?")[0], autocommit=True) as master:
        for _ in range(8):
            fill(log, made, until=lambda new: new > 0 and made[-new][1].done())
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'steersman'"
            ended += len(master.execute(others).fetchall())
    assert ended >= 8
    check_whole(log, url, made)


def test_rows_whose_commit_was_not_answered_are_there_once(server: PostgresServer, url: str, line: Line) -> None:
    log, made = PostgresLog(through(line, server, url)), Made()
    for _ in range(5):
        line.cut_at_commit = True
        fill(log, made, until=lambda new: not line.cut_at_commit)
        made[-1][1].wait(RESUMES_S)
    assert line.cuts == 5
    assert set(stored(url)) == {each.id for each, _ in made}
    check_whole(log, url, made)


def test_a_rival_that_holds_the_head_delays_and_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "LOCK_MS", 50)
    log, made = PostgresLog(url), Made()
    with psycopg.connect(connect.target(url).conninfo) as rival:
        rival.execute("SELECT position FROM log_head FOR UPDATE")
        fill(log, made, until=lambda new: bool(log.health()))
        assert "lock timeout" in log.health()
        assert not acknowledged(made)
        rival.rollback()
        check_whole(log, url, made)


def test_closing_without_the_server_says_how_many_rows_are_lost(server: PostgresServer, url: str) -> None:
    log = PostgresLog(url)
    server.stop(immediate=True)
    receipt = log.append([decision() for _ in range(7)])
    with pytest.raises(StoreError, match=r"7 rows could not be stored in postgresql://.*\w\. Mend the server and report"):
        log.close()
    with pytest.raises(StoreError, match="not stored"):
        receipt.wait(1)
    assert not receipt.done()
    server.start()
    assert stored(url) == []


def test_reading_without_the_server_fails_at_once_and_says_why(server: PostgresServer, url: str) -> None:
    with closing(PostgresLog(url)) as log:
        log.append((decision(),)).wait(RESUMES_S)
        server.stop(immediate=True)
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"postgresql://.*(refused|closed|terminat)"):
            log.agents()
        assert time.monotonic() - began < 1.0
        server.start()
        deadline = time.monotonic() + RESUMES_S
        found: list[str] = []
        while not found and time.monotonic() < deadline:
            with suppress(StoreError):
                found = log.agents()
        assert found == [AGENT]


# kill switches


def test_controls_that_were_read_too_long_ago_are_unknown(server: PostgresServer, url: str, line: Line) -> None:
    with Steersman.open(through(line, server, url), agents=[small_agent()], settings={}) as steersman:
        agent = steersman.agent("lab/small")
        assert agent.decide(STATE).arm != "safe"
        line.held = True  # nothing is closed and nothing answers, as when a network falls apart
        began = time.monotonic()
        while (made := agent.decide(STATE)).arm != "safe":
            assert time.monotonic() - began < UNKNOWN_S + 0.25
            time.sleep(0.01)
        assert "was last read" in made.reason
        with pytest.raises(StoreError, match="was last read"):
            steersman.log.controls()
        line.held = False
        began = time.monotonic()
        while agent.decide(STATE).arm == "safe":
            assert time.monotonic() - began < RESUMES_S
            time.sleep(0.01)


# forks


def test_a_forked_child_neither_writes_nor_harms_and_may_open_its_own(url: str) -> None:
    with closing(PostgresLog(url)) as log:
        log.append((decision(),)).wait(RESUMES_S)
        child = os.fork()
        if not child:
            os._exit(_in_child(log, url))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        log.append((decision(),)).wait(RESUMES_S)
        assert (log.head(), log.health()) == (3, "")


def _in_child(log: PostgresLog, url: str) -> int:
    """Return 0 if the parent's log is refused in a child, and one of its own works."""
    try:
        for use in (lambda: log.append((decision(),)), log.agents):
            with pytest.raises(StoreError, match=r"forked|closed"):
                use()
        with closing(PostgresLog(url)) as own:
            own.append((decision(),)).wait(RESUMES_S)
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
        return 1
    return 0


# the disk


@pytest.fixture
def small_disk() -> Iterator[Path]:
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    disk = Path(tempfile.mkdtemp(prefix="steersman-disk-"))
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True, check=False)
    if made.returncode:
        disk.rmdir()
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.decode().strip()}")
    disk.chmod(0o755)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
    disk.rmdir()


def test_a_full_disk_is_never_taken_for_an_acknowledgement(small_disk: Path) -> None:
    server = started(disk=small_disk)
    try:
        url = server.url()
        log, made, ballast = PostgresLog(url), Made(), small_disk / "ballast"
        fill(log, made, until=lambda new: new >= 20)
        free = shutil.disk_usage(small_disk).free
        ballast.write_bytes(bytes(free - 300_000))
        fill(log, made, until=lambda new: bool(log.health()))
        before = acknowledged(made)
        assert len(before) < len(made)
        with pytest.raises(DeadlineExceeded):
            made[-1][1].wait(0.3)
        ballast.unlink()
        if not server.running:
            server.stop()
            server.start()
        made[-1][1].wait(RESUMES_S)
        assert before <= set(stored(url))
        check_whole(log, url, made)
    finally:
        server.close()


def test_a_row_that_the_store_cannot_keep_is_refused_and_stops_nobody(store_url: str) -> None:
    with closing(PostgresLog(store_url)) as log:
        before, late, endless, after = (
            decision(),
            decision(at=1e18),
            replace(decision(), episode=os.urandom(9_000).hex()),
            decision(),
        )
        receipts = [log.append((each,)) for each in (before, late, endless, after)]
        for good in (receipts[0], receipts[3]):
            good.wait(RESUMES_S)
        for bad in receipts[1:3]:
            with pytest.raises(InvalidInput, match="cannot keep"):
                bad.wait(RESUMES_S)
        assert list(log.rows()) == [before, after]
        assert (log.position, log.health()) == (2, "")
