"""What the log costs in SQLite and in PostgreSQL, beside a table whose rows are locked one at a time.

    python benchmarks/store.py [--quick] [--seconds 5] [--many 256] [--commit-ms 0]

One run, one PostgreSQL server, made for it with fsync on; it and the SQLite files lie in the system's temporary folder
(TMPDIR names another: a folder in memory flatters everything). How long the disk takes to sync decides most of it, so
that is printed first; `--commit-ms` has the server wait so long before each sync, as a slower disk would (commit_delay,
shared by all that commit together), and leaves SQLite out. Peers come first, ours beside them, floors last.
*Merge*: learned entries that replace stored ones. The row-lock pattern gives each entry a transaction (SELECT … FOR
UPDATE, UPDATE); ours is one `append` of what was learned, waited for. *Ingest*: decisions and outcomes in a stream, until
the last is durable. *Clients*: threads that each wait for their commit. With row locks a client has a connection and does
a TD update there: it locks the values of two states, computes, writes one of them and the outcome, commits. Ours is
`decide` and `report(…).wait()`, and the bare log: one append of a decision with its outcome, and nothing learned.
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np
import psycopg

from steersman import Steersman
from steersman.app import open_log
from steersman.backends.sql.rows import encode
from steersman.core.ports import Log
from steersman.core.values import Decision, Outcome
from steersman.testing.log_rows import decision, learned, outcome
from steersman.testing.postgres import PostgresServer
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

SLOTS = 4
TABLE = 96  # entries of the agent that the clients share: 24 states of 4 actions
CLIENTS = 16
ROUNDS = 6
Work = Callable[[], object]
Connection = psycopg.Connection[tuple[float, int]]


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How many a second, and how long one took at the median where somebody waited for each."""

    name: str
    per_s: float
    p50_ms: float | None = None


def show(title: str, unit: str, rates: Sequence[Rate], *, peers: int = 1) -> None:
    """Print rates, and how many times those of the peers, which come first, they are."""
    against = "".join(f"   × line {number + 1}" for number in range(peers))
    print(f"\n{title:64} {unit:>12}   p50 ms{against}")
    for each in rates:
        p50 = "" if each.p50_ms is None else f"{each.p50_ms:.2f}"
        times = "".join(f"{each.per_s / peer.per_s:11.1f}" for peer in rates[:peers])
        print(f"{each.name:64} {each.per_s:12,.0f} {p50:>8}{times}", flush=True)


def sync_ms(times: int) -> float:
    """Return how long the disk takes to keep a page (8 kB), at the median."""
    took_s = []
    with tempfile.TemporaryFile() as file:
        for _ in range(times):
            began = time.perf_counter()
            os.write(file.fileno(), bytes(8_192))
            os.fdatasync(file.fileno())
            took_s.append(time.perf_counter() - began)
    return 1_000 * statistics.median(took_s)


# the row-lock pattern


def state_key(number: int) -> str:
    """Return the name of a state."""
    return f"state-{number:06}"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where stores can be made. commit_ms: by how much the server's commits are delayed; then there is no SQLite."""

    server: PostgresServer
    folder: Path
    commit_ms: float

    def urls(self, name: str) -> dict[str, str]:
        """Return the URL of a new store of each kind."""
        urls = {"PostgreSQL": self.server.url(name)}
        return urls if self.commit_ms else {**urls, "SQLite": str(self.folder / f"{name}.db")}

    @contextmanager
    def logs(self, name: str) -> Iterator[dict[str, Log]]:
        """Give an empty log of each kind, and close them."""
        with ExitStack() as stack:
            logs = {kind: open_log(url, queue_rows=100_000) for kind, url in self.urls(name).items()}
            for each in logs.values():
                stack.callback(each.close)
            yield logs

    @property
    def plain(self) -> "PlainTable":
        """The table beside the stores."""
        return PlainTable(self.server)


class PlainTable:
    """A table of values that whoever updates one of them locks first, and one of outcomes."""

    def __init__(self, server: PostgresServer) -> None:
        self._conninfo = server.url().partition("?")[0]

    def connect(self) -> Connection:
        """Return a connection on which each statement is a transaction of its own unless one is begun."""
        return psycopg.connect(self._conninfo, autocommit=True)

    def make(self, entries: int) -> None:
        """Make the tables anew, with entries of value 0."""
        columns = "state text, slot bigint, value double precision NOT NULL, visits bigint NOT NULL"
        with self.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS plain, reported")
            connection.execute(f"CREATE TABLE plain ({columns}, PRIMARY KEY (state, slot))")
            connection.execute("CREATE TABLE reported (id text PRIMARY KEY, body text NOT NULL)")
            put_together(connection, entries, 0.0)


def put_together(connection: Connection, entries: int, value: float) -> None:
    """Put entries by one statement: the least that a merge can cost."""
    numbers = range(entries)
    connection.execute(
        "INSERT INTO plain SELECT * FROM unnest(%b::text[], %b::bigint[], %b::float8[], %b::bigint[]) "
        "ON CONFLICT (state, slot) DO UPDATE SET value = excluded.value, visits = excluded.visits",
        (
            [state_key(each // SLOTS) for each in numbers],
            [each % SLOTS for each in numbers],
            [value] * entries,
            [1] * entries,
        ),
    )


def put_locked(connection: Connection, entries: int, value: float) -> None:
    """Put entries, each in a transaction that locks it first."""
    for each in range(entries):
        place = state_key(each // SLOTS), each % SLOTS
        with connection.transaction():
            connection.execute("SELECT value, visits FROM plain WHERE state = %s AND slot = %s FOR UPDATE", place).fetchone()
            connection.execute(
                "UPDATE plain SET value = %s, visits = visits + 1 WHERE state = %s AND slot = %s", (value, *place)
            )


def td_update(connection: Connection, rng: np.random.Generator, entries: int) -> None:
    """Lock two entries in their order, learn one from the other, store the outcome, commit."""
    one, other = (int(each) for each in rng.choice(entries, 2, replace=False))
    places = [(state_key(each // SLOTS), each % SLOTS) for each in sorted((one, other))]
    came = outcome(decision())
    ((*_, body),) = encode([came])
    with connection.transaction():
        locked = connection.execute(
            "SELECT value, visits FROM plain WHERE (state, slot) IN ((%s, %s), (%s, %s)) ORDER BY state, slot FOR UPDATE",
            (*places[0], *places[1]),
        ).fetchall()
        (value, visits), (value_next, _) = locked
        value += 0.1 * (0.5 + 0.9 * value_next - value)
        connection.execute(
            "UPDATE plain SET value = %s, visits = %s WHERE state = %s AND slot = %s", (value, visits + 1, *places[0])
        )
        connection.execute("INSERT INTO reported (id, body) VALUES (%s, %s)", (came.decision_id, body))


# merge


def merge_rate(name: str, entries: int, merges: Sequence[Work]) -> Rate:
    """Return the median rate of several merges; the first, in which entries are new, does not count."""
    took_s = []
    for merge in merges:
        began = time.perf_counter()
        merge()
        took_s.append(time.perf_counter() - began)
    return Rate(name=name, per_s=entries / statistics.median(took_s[1:]))


def appends(log: Log, entries: int) -> list[Work]:
    """Return merges of entries as what was learned, each waited for."""
    places = [(state_key(each // SLOTS), each % SLOTS) for each in range(entries)]
    made = [learned(dict.fromkeys(places, float(value))) for value in range(ROUNDS)]
    return [partial(lambda each: log.append((), each).wait(), each) for each in made]


def measure_merge(at: Places, entries: int, locked: int) -> None:
    """Measure merges of so many entries; with row locks, of the first so many."""
    at.plain.make(entries)
    with at.plain.connect() as connection, at.logs(f"merge_{entries}") as logs:
        one_by_one = [partial(put_locked, connection, locked, float(value)) for value in range(2)]
        together = [partial(put_together, connection, entries, float(value)) for value in range(ROUNDS)]
        rates = [
            merge_rate("PostgreSQL, row locks: a transaction for each", locked, one_by_one),
            *(merge_rate(f"{kind}, ours: one append", entries, appends(log, entries)) for kind, log in logs.items()),
            merge_rate("PostgreSQL, floor: one bare INSERT … ON CONFLICT", entries, together),
        ]
    show(f"merge: {entries:,} learned entries", "entries/s", rates)


# ingest


def stream_rate(name: str, log: Log, rows: Sequence[Decision | Outcome], batch: int) -> Rate:
    """Return the rate of appending in batches, some way ahead of the store, until all is durable."""
    ahead = 50_000 // batch
    began = time.perf_counter()
    receipts = []
    for start in range(0, len(rows), batch):
        receipts.append(log.append(rows[start : start + batch]))
        if len(receipts) > ahead:
            receipts[-ahead].wait()
    log.flush()
    return Rate(name=name, per_s=len(rows) / (time.perf_counter() - began))


def copy_rate(connection: Connection, bodies: Sequence[str]) -> Rate:
    """Return the rate of one COPY into a table without a key."""
    connection.execute("DROP TABLE IF EXISTS copied")
    connection.execute("CREATE TABLE copied (body text NOT NULL)")
    began = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy("COPY copied (body) FROM STDIN") as copy:
        for body in bodies:
            copy.write_row((body,))
    return Rate(name="PostgreSQL, floor: one COPY of the rows' JSON", per_s=len(bodies) / (time.perf_counter() - began))


def single_rate(plain: PlainTable, bodies: Sequence[str]) -> Rate:
    """Return the rate of rows with a commit each."""
    plain.make(SLOTS)
    with plain.connect() as connection:
        began = time.perf_counter()
        for number, body in enumerate(bodies):
            connection.execute("INSERT INTO reported (id, body) VALUES (%s, %s)", (str(number), body))
        return Rate(name="PostgreSQL, a commit for each row", per_s=len(bodies) / (time.perf_counter() - began))


def measure_ingest(at: Places, count: int, batch: int, single: int) -> None:
    """Measure how fast decisions and their outcomes are taken in."""
    decisions = [decision() for _ in range(count // 2)]
    rows: list[Decision | Outcome] = [*decisions, *(outcome(each) for each in decisions)]
    bodies = [str(columns[-1]) for columns in encode(rows)]
    rates = [single_rate(at.plain, bodies[:single])]
    with at.plain.connect() as connection, at.logs("ingest") as logs:
        rates += [stream_rate(f"{kind}, ours: batches of {batch:,}", log, rows, batch) for kind, log in logs.items()]
        rates.append(copy_rate(connection, bodies))
    show(f"ingest: {count:,} decisions and outcomes", "rows/s", rates)


# clients that wait


def waiting_rate(name: str, works: Sequence[Work], seconds: float) -> Rate:
    """Return the rate of threads that each do one update after the other, and wait for it; the beginning does not count."""
    start = threading.Barrier(len(works))

    def client(work: Work) -> list[float]:
        start.wait()
        counts_from = time.perf_counter() + seconds / 5
        took_s = []
        while (began := time.perf_counter()) < counts_from + seconds:
            work()
            if began >= counts_from:
                took_s.append(time.perf_counter() - began)
        return took_s

    with ThreadPoolExecutor(len(works)) as pool:
        took_s = [each for found in pool.map(client, works) for each in found]
    return Rate(name=name, per_s=len(took_s) / seconds, p50_ms=1_000 * statistics.median(took_s))


def row_lock_clients(plain: PlainTable, clients: int, seconds: float, entries: int) -> Rate:
    """Measure clients that do TD updates by row locks, spread over so many entries."""
    plain.make(TABLE)
    with ExitStack() as stack:
        connections = [stack.enter_context(plain.connect()) for _ in range(clients)]
        works = [partial(td_update, each, np.random.default_rng(seed), entries) for seed, each in enumerate(connections)]
        return waiting_rate(f"PostgreSQL, row locks: TD updates of {entries} entries", works, seconds)


def agent_clients(kind: str, url: str, clients: int, seconds: float) -> Rate:
    """Measure clients that decide and report."""
    spec = small_agent()
    rng = np.random.default_rng(0)
    states = [sample_state(spec.state, rng) for _ in range(1_000)]
    with Steersman.open(url, agents=[spec], settings={}) as steersman:
        agent = steersman.agent(spec.name)

        def client(number: int) -> Work:
            coming = cycle(states[number % len(states) :] + states[: number % len(states)])
            return lambda: agent.report(agent.decide(next(coming)), {"reward": 0.5}).wait()

        return waiting_rate(f"{kind}, ours: decide, report, wait", [client(each) for each in range(clients)], seconds)


def log_clients(kind: str, log: Log, clients: int, seconds: float) -> Rate:
    """Measure clients that append a decision with its outcome."""

    def work() -> None:
        decided = decision()
        log.append((decided, outcome(decided))).wait()

    return waiting_rate(f"{kind}, ours: the bare log, nothing learned", [work] * clients, seconds)


def measure_clients(at: Places, clients: int, seconds: float) -> None:
    """Measure updates by clients that wait for each."""
    rates = [row_lock_clients(at.plain, clients, seconds, entries) for entries in (2, TABLE)]
    rates += [agent_clients(kind, url, clients, seconds) for kind, url in at.urls(f"agents_{clients}").items()]
    with at.logs(f"clients_{clients}") as logs:
        rates += [log_clients(kind, log, clients, seconds) for kind, log in logs.items()]
    show(f"{clients} clients that wait for each update", "updates/s", rates, peers=2)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, and no crowd of clients")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long clients are watched")
    parser.add_argument("--many", type=int, default=256, help="size of the crowd of clients; 0 for none")
    parser.add_argument("--commit-ms", type=float, default=0.0, help="delay of the server before each sync")
    options = parser.parse_args()
    shorter = 10 if options.quick else 1
    crowd = 0 if options.quick else options.many
    print(f"a page written and synced: {sync_ms(200):.2f} ms at the median", end="")
    print(f"; each commit of the server {options.commit_ms} ms later" if options.commit_ms else "")
    delay = {"commit_delay": f"{1_000 * options.commit_ms:.0f}", "commit_siblings": "0"}
    server = PostgresServer(durable=True, options={"max_connections": str(max(crowd, CLIENTS) + 50), **delay})
    try:
        with tempfile.TemporaryDirectory() as folder:
            at = Places(server=server, folder=Path(folder), commit_ms=options.commit_ms)
            for entries in (1_000, 10_000):
                measure_merge(at, entries, 1_000 // shorter)
            measure_ingest(at, 100_000 // shorter, 1_000, 1_000 // shorter)
            for clients in filter(None, (CLIENTS, crowd)):
                measure_clients(at, clients, options.seconds / shorter)
    finally:
        server.close()


if __name__ == "__main__":
    main()
