"""How many of many writers' updates get lost.

    python benchmarks/lost_updates.py [--writers 16] [--each 200]

Writers count to 200 each in one state of a PostgreSQL server. Two patterns in a plain table, with a connection for each
thread: reading and then writing what was computed, and the same in a transaction that locks the row first. Ours: four
processes with a share of the threads, which decide and report to one agent; then SQL says how many visits its table has.
Reading before writing must lose some, or nothing is proved; the script fails then, and where ours loses any.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import psycopg

from steersman import Steersman
from steersman.testing.postgres import PostgresServer
from steersman.testing.specs import small_agent

PROCESSES = 4
CAUGHT_UP_S = 60.0
READ = "SELECT visits FROM plain WHERE id = 1"
WRITE = "UPDATE plain SET visits = %s WHERE id = 1"
Connection = psycopg.Connection[tuple[int]]


def connect(server: PostgresServer) -> Connection:
    """Return a connection on which each statement is a transaction of its own unless one is begun."""
    return psycopg.connect(server.url().partition("?")[0], autocommit=True)


def number(connection: Connection, query: str) -> int:
    """Return the one number that a query finds; 0 for nothing."""
    return (connection.execute(query).fetchone() or (0,))[0]


def count_naively(connection: Connection) -> None:
    """Read, compute, and write what was computed: what another wrote meanwhile is gone."""
    connection.execute(WRITE, (number(connection, READ) + 1,))


def count_locked(connection: Connection) -> None:
    """Do the same while nobody else can."""
    with connection.transaction():
        connection.execute(WRITE, (number(connection, f"{READ} FOR UPDATE") + 1,))


def repeat(work: Callable[[], object], times: int) -> None:
    """Do something again and again."""
    for _ in range(times):
        work()


def counted_in_table(server: PostgresServer, count: Callable[[Connection], None], writers: int, each: int) -> int:
    """Return how far writers get in a plain table."""
    with connect(server) as connection:
        connection.execute("DROP TABLE IF EXISTS plain")
        connection.execute("CREATE TABLE plain (id bigint PRIMARY KEY, visits bigint NOT NULL)")
        connection.execute("INSERT INTO plain VALUES (1, 0)")
        with ExitStack() as stack, ThreadPoolExecutor(writers) as pool:
            connections = [stack.enter_context(connect(server)) for _ in range(writers)]
            list(pool.map(lambda mine: repeat(partial(count, mine), each), connections))
        return number(connection, READ)


def report_in_process(url: str, threads: int, each: int) -> None:
    """Report one process' share of outcomes from its threads, and wait for each."""
    spec = small_agent()
    with Steersman.open(url, agents=[spec], settings={}) as steersman, ThreadPoolExecutor(threads) as pool:
        agent = steersman.agent(spec.name)
        state = {"load": 10, "backlog": 5, "weekend": False}

        def work() -> None:
            agent.report(agent.decide(state), {"reward": 0.5}).wait()

        for started in [pool.submit(repeat, work, each) for _ in range(threads)]:
            started.result()


def counted_by_processes(server: PostgresServer, writers: int, each: int) -> int:
    """Return how many visits the learned table has after all processes have reported."""
    url, spec = server.url("lost"), small_agent()
    with Steersman.open(url, agents=[spec], settings={}) as steersman, connect(server) as connection:
        steersman.agent(spec.name)  # so that somebody goes on learning when the processes are gone
        work = partial(report_in_process, threads=writers // PROCESSES, each=each)
        with ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(work, [url] * PROCESSES))
        await_learner(connection)
        return number(connection, "SELECT COALESCE(sum(visits), 0)::bigint FROM lost.entries")


def await_learner(connection: Connection) -> None:
    """Return once the last outcome in the log was learned, by whichever process; give up after a minute."""
    last, learned = "SELECT max(position) FROM lost.outcomes", "SELECT max(position) FROM lost.learned"
    deadline = time.monotonic() + CAUGHT_UP_S
    while number(connection, last) != number(connection, learned) and time.monotonic() < deadline:
        time.sleep(0.05)


def main() -> None:
    """Count and print; fail where an update of ours was lost, or none where some must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=16, help="a multiple of four")
    parser.add_argument("--each", type=int, default=200)
    options = parser.parse_args()
    writers, each = options.writers // PROCESSES * PROCESSES, options.each
    server = PostgresServer(durable=True)
    try:
        naive = counted_in_table(server, count_naively, writers, each)
        locked = counted_in_table(server, count_locked, writers, each)
        ours = counted_by_processes(server, writers, each)
    finally:
        server.close()
    due = writers * each
    print(f"{f'{writers} writers, {each} updates each, of one state':56} {'counted':>9} {'lost':>9}")
    for name, counted in (
        ("read, then write", naive),
        ("row locks: SELECT … FOR UPDATE, then write", locked),
        (f"ours: {PROCESSES} processes that decide and report", ours),
    ):
        print(f"{name:56} {counted:9,} {due - counted:9,}")
    if naive == due:
        print("reading before writing lost nothing, so this proves nothing")
    sys.exit(not (naive < due == locked == ours))


if __name__ == "__main__":
    main()
