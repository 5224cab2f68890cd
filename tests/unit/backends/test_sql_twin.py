"""Whatever is done to it, in whatever order, the log on SQLite answers as the log in memory does."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from steersman.backends.memory import MemoryLog
from steersman.backends.sql import SqliteLog
from steersman.core.errors import SteersmanError
from steersman.core.ports import Log
from steersman.core.values import AuditEvent, Control, Decision, Learned, Outcome
from steersman.testing.log_rows import decision, episode, learned, outcome

AGENTS = ("a", "b")
NAMES = [f"0000000{digit}-0000-7000-8000-000000000000" for digit in range(6)]

agents = st.sampled_from(AGENTS)
times = st.sampled_from((1.0, 2.0, 3.0))


def made(name: str) -> Decision:
    """Return the one decision of that name."""
    digit = int(name[7])
    return decision(name, agent=AGENTS[digit % 2], at=float(digit * 7 % 5))


decisions = st.sampled_from(NAMES).map(made)
outcomes = st.builds(
    lambda of, revision, reward: outcome(of, revision=revision, reward=reward),
    decisions,
    st.integers(0, 2),
    st.sampled_from((0.0, 0.25, None)),
)
events = st.builds(AuditEvent, at=times, actor=agents, event=agents, subject=agents, detail=agents)
switches = st.builds(Control, scope=agents, active=st.booleans(), actor=agents, reason=agents, at=times)
rows = st.lists(st.one_of(decisions, decisions, outcomes, outcomes, events, switches), max_size=4)
episodes = st.builds(
    lambda agent, name, end: episode(name, agent=agent, ended_at=end), agents, agents, st.sampled_from((None, 5.0))
)
tables = st.builds(
    lambda agent, entries, removed, ended, replace: learned(
        entries,
        agent=agent,
        removed=removed,
        episodes=[each for each in ended if each.agent == agent],
        carry=repr(len(entries)).encode(),
        replace=replace,
    ),
    agents,
    st.dictionaries(st.tuples(st.sampled_from("stu"), st.integers(0, 2)), st.sampled_from((-1.5, 0.1, 1e-300))),
    st.sets(st.sampled_from("stu")),
    st.lists(episodes, max_size=2),
    st.sampled_from((False, False, False, True)),
)
steps = st.one_of(st.tuples(st.just("append"), rows, st.one_of(st.none(), tables)), st.just(("flush",)), st.just(("open",)))


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
    asked: dict[str, Callable[[str], Any]] = {
        "history": lambda agent: list(log.history(agent)),
        "early": lambda agent: list(log.history(agent, until=3)),
        "own": lambda agent: list(log.rows(agent)),
        "recent": lambda agent: log.recent(agent, 3),
        "waiting": lambda agent: log.waiting(agent, 3.0),
        "episodes": log.open_episodes,
        "count": log.decision_count,
        "learned": log.learned,
    }
    return found | {f"{name} {agent}": ask(agent) for name, ask in asked.items() for agent in AGENTS}


def append(log: Log, rows: list[Decision | Outcome | AuditEvent | Control], changes: Learned | None) -> str:
    """Append and return what came of it, in a word."""
    try:
        log.append(rows, changes)
    except SteersmanError as error:
        return type(error).__name__
    return "taken"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=12))
def test_the_log_answers_as_its_twin(taken: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log, twin = SqliteLog(Path(folder) / "log.db", linger_s=0.0), MemoryLog()
        for name, *arguments in taken:
            if name == "append":
                assert append(log, *arguments) == append(twin, *arguments)
                assert answers(log) == answers(twin)
            elif name == "flush":
                log.flush(10)
            else:
                log.close()
                log = SqliteLog(log.path, linger_s=0.0)
        log.close()
        log = SqliteLog(log.path)
        assert answers(log) == answers(twin)
        assert log.trail() == twin.trail()
        assert log.keys() == twin.keys()
        log.close()
