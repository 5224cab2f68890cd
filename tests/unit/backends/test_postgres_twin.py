"""Whatever is done to it, in whatever order, the log on PostgreSQL answers as the log in memory does."""

from contextlib import closing
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from steersman.backends.memory import MemoryLog
from steersman.backends.sql.postgres import PostgresLog
from steersman.backends.sql.postgres.connect import target
from steersman.backends.sql.schema import metadata
from steersman.core.errors import Conflict, NotFound
from steersman.core.ports import Log
from steersman.core.values import AuditEvent, Contribution, Control, Decision, Learned
from steersman.testing.log_rows import decision, episode, learned, outcome, window

AGENTS = ("a", "b")
NAMES = [f"0000000{digit}-0000-7000-8000-000000000000" for digit in range(6)]

agents = st.sampled_from(AGENTS)
times = st.sampled_from((1.0, 2.0, 3.0))


def made(name: str) -> Decision:
    """Return the one decision of that name; the odd ones of each agent are of a named episode."""
    digit = int(name[7])
    agent = AGENTS[digit % 2]
    return decision(name, agent=agent, at=float(digit * 7 % 5), episode=f"of {agent}" if digit > 3 else "")


decisions = st.sampled_from(NAMES).map(made)
outcomes = st.builds(
    lambda of, revision, reward: outcome(of, revision=revision, reward=reward),
    decisions,
    st.integers(0, 2),
    st.sampled_from((0.0, 0.25, None)),
)
events = st.builds(AuditEvent, at=times, actor=agents, event=agents, subject=agents, detail=agents)
switches = st.builds(Control, scope=agents, active=st.booleans(), actor=agents, reason=agents, at=times)
contributions = st.builds(
    Contribution,
    pool=agents,
    source=agents,
    key=agents,
    role=st.just("r"),
    value=times,
    count=st.sampled_from((0.0, 2.5)),
    variance=times,
    updated_at=times,
)
rows = st.lists(st.one_of(decisions, decisions, outcomes, outcomes, events, switches, contributions), max_size=4)
episodes = st.builds(
    lambda agent, name, end: episode(name, agent=agent, ended_at=end), agents, agents, st.sampled_from((None, 5.0))
)
tables = st.builds(
    lambda agent, entries, removed, ended, numbers, replace: learned(
        entries,
        agent=agent,
        removed=removed,
        episodes=[each for each in ended if each.agent == agent],
        carry=repr(len(entries)).encode(),
        windows=[window(number, agent=agent) for number in numbers],
        replace=replace,
    ),
    agents,
    st.dictionaries(st.tuples(st.sampled_from("stu"), st.integers(0, 2)), st.sampled_from((-1.5, 0.1, 1e-300))),
    st.sets(st.sampled_from("stu")),
    st.lists(episodes, max_size=2),
    st.sets(st.integers(0, 2)),
    st.sampled_from((False, False, False, True)),
)
steps = st.one_of(st.tuples(st.just("append"), rows, st.one_of(st.none(), tables)), st.just(("open",)))


def answers(log: Log) -> dict[str, Any]:
    """Return all that a log can be asked."""
    found: dict[str, Any] = {
        "position": log.position,
        "rows": list(log.rows()),
        "agents": log.agents(),
        "audit": [replace(each, number=0, digest="") for each in log.audit()],
        "switches": log.controls(),
        "decisions": [log.decision(name) for name in NAMES],
        "outcomes": [log.outcomes(name) for name in NAMES],
    }
    for agent in AGENTS:
        found[agent] = {
            "history": list(log.history(agent)),
            "part": list(log.history(agent, until=4, after=1)),
            "own": list(log.rows(agent)),
            "recent": log.recent(agent, 3),
            "episode": log.of_episode(agent, f"of {agent}"),
            "waiting": log.waiting(agent, 3.0),
            "open": log.open_episodes(agent),
            "count": (log.decision_count(agent), log.decision_count(agent, 0), log.decision_count(agent, 1)),
            "learned": log.learned(agent),
            "windows": log.windows(agent, 2),
            "pool": log.contributions(agent),
        }
    return found


def append(log: Log, rows: list[Any], changes: Learned | None) -> str:
    """Append, wait, and return what came of it, in a word: a shared log may refuse only then.

    Of rows that are refused for two reasons, each log names the one that it saw first.
    """
    try:
        log.append(rows, changes).wait(10)
    except (Conflict, NotFound):
        return "refused"
    return "taken"


@pytest.fixture(scope="module")
def module_url(postgres: str, worker_id: str) -> str:
    """The URL of a store that each example empties."""
    url = f"{postgres}?schema=twin_{worker_id}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS twin_{worker_id} CASCADE")
    PostgresLog(url).close()
    return url


def emptied(url: str) -> PostgresLog:
    names = ", ".join(each.name for each in metadata.sorted_tables if each.name != "log_head")
    with closing(psycopg.connect(target(url).conninfo, autocommit=True)) as connection:
        connection.execute(f"TRUNCATE {names}")
        connection.execute("UPDATE log_head SET position = 0, commits = 0")
    return PostgresLog(url, linger_s=0.0)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=8))
def test_the_shared_log_answers_as_its_twin(module_url: str, taken: list[tuple[Any, ...]]) -> None:
    log, twin = emptied(module_url), MemoryLog()
    try:
        for name, *arguments in taken:
            if name == "append":
                assert append(log, *arguments) == append(twin, *arguments)
                assert answers(log) == answers(twin)
            else:
                log.close()
                log = PostgresLog(module_url, linger_s=0.0)
        log.close()
        log = PostgresLog(module_url)
        assert answers(log) == answers(twin)
    finally:
        log.close()
