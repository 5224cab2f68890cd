"""Rows for tests of a log: whole, plausible and made from few words."""

from collections.abc import Iterable

from steersman.core.ids import TimeOrderedIds
from steersman.core.values import Decision, Entry, EpisodeRecord, Learned, Outcome, Window

AGENT = "qe/tester"

_ids = TimeOrderedIds()


def decision(name: str | None = None, *, agent: str = AGENT, at: float = 1_000.0, episode: str = "") -> Decision:
    """Return a decision with an id of its own unless it is named."""
    made = name or _ids()
    return Decision(
        id=made,
        agent=agent,
        episode=episode or made,
        step=0,
        subject="someone",
        state={"files": 3, "share": 0.25, "quick": True, "kind": "unit"},
        schema="tests@1",
        refusals=(),
        proposed={"workers": 2, "order": "recent"},
        executed={"workers": 2, "order": "recent"},
        propensity=0.5,
        arm="champion",
        arm_probability=0.9,
        reason="the greatest value",
        values=(0.1, 0.2, -0.3),
        confidence=0.4,
        epsilon=0.1,
        policy="q/epsilon-greedy",
        settings_hash="0123456789abcdef",
        table_position=0,
        seed=0,
        draw=7,
        decided_at=at,
        latency_us=31.5,
    )


def outcome(
    of: Decision, *, reward: float | None = 0.5, revision: int = 0, at: float = 1_001.0, source: str = "test"
) -> Outcome:
    """Return an outcome of a decision."""
    return Outcome(
        decision_id=of.id,
        agent=of.agent,
        revision=revision,
        kind="reported",
        measurements={"wall_s": 1.25, "found": 2.0},
        components={"speed": 0.5},
        reward=reward,
        next_state={"files": 4, "share": 0.5, "quick": False, "kind": "unit"},
        next_refusals=({"workers": 4},),
        terminated=True,
        truncated=False,
        executed=None,
        reported_at=at,
        source=source,
    )


def learned(
    entries: dict[tuple[str, int], float] | None = None,
    *,
    agent: str = AGENT,
    removed: Iterable[str] = (),
    episodes: Iterable[EpisodeRecord] = (),
    carry: bytes = b"{}",
    replace: bool = False,
    windows: Iterable[Window] = (),
) -> Learned:
    """Return changes: entries by their values, and the bins of each of their states."""
    made = {place: Entry(value, 1, 0.5, value, 0.25, 1_000.0) for place, value in (entries or {}).items()}
    return Learned(
        agent=agent,
        entries=made,
        states={key: {"files": len(key)} for key, _ in made},
        removed=set(removed),
        episodes={each.episode: each for each in episodes},
        carry=carry,
        replace=replace,
        windows=list(windows),
    )


def window(number: int, *, agent: str = AGENT, reward: float = 0.5) -> Window:
    """Return a window of learning."""
    return Window(
        agent=agent,
        number=number,
        started_at=1_000.0 + 100 * number,
        ended_at=1_099.5 + 100 * number,
        outcomes=100,
        updates=99,
        td_bias=-0.0125,
        td_noise=0.03125,
        td_pairs=321,
        reward_mean=reward,
        reward_m2=12.5,
        noise=0.125,
        successes=61,
        varied=40,
        explored=7.25,
        policy_changes=3,
        states_seen=17,
        epsilon=0.0725,
    )


def episode(name: str, *, agent: str = AGENT, started_at: float = 1_000.0, ended_at: float | None = None) -> EpisodeRecord:
    """Return an episode, open unless it has an end."""
    return EpisodeRecord(
        agent=agent,
        episode=name,
        started_at=started_at,
        ended_at=ended_at,
        steps=2,
        total_reward=1.5,
        total_return=1.25,
        complete=ended_at is not None,
    )
