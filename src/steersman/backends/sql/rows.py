"""Rows as the tables hold them: a tuple for the columns, and the whole row as JSON in the last one."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from steersman.core.actions import Choice
from steersman.core.chain import chained
from steersman.core.errors import Conflict, InvalidInput
from steersman.core.ports import Row
from steersman.core.values import (
    ApiKey,
    AuditEvent,
    Contribution,
    Control,
    Decision,
    Entry,
    EpisodeRecord,
    Figures,
    Learned,
    Outcome,
    Taken,
    Window,
)
from steersman.core.versions import Deployment

_encoder = msgspec.json.Encoder()
_decision = msgspec.json.Decoder(Decision)
_outcome = msgspec.json.Decoder(Outcome)
_deployment = msgspec.json.Decoder(Deployment)
_LARGEST = 2**63 - 1

Columns = tuple[Any, ...]

_OUTCOME_SUMS = (
    "rewarded",
    "scored",
    "successes",
    "reward",
    "reward_squares",
    "costed",
    "cost",
    "judged",
    "false_blocks",
)


def encode(rows: Sequence[Row]) -> list[Columns]:
    """Return the columns of each row, but for the position. Raises InvalidInput for what would not read back the same."""
    try:
        return [_columns(row) for row in rows]
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"a row cannot be stored: {error}. Use plain numbers, and text that is valid Unicode.") from error


def _columns(row: Row) -> Columns:
    if isinstance(row, Decision):
        _check_whole(row.step)
        body = _body(row, _unknown(row))
        action = text(row.executed)
        drawn = 0.0 < row.arm_probability < 1.0
        place = (row.id, row.agent, row.episode, row.step, row.arm, action, row.decided_at)
        return *place, body, drawn, row.overridden, row.latency_us
    if isinstance(row, Outcome):
        _check_whole(row.revision)
        body = _body(row, _nones(row))
        said = (row.decision_id, row.revision, row.agent, row.kind, row.reward, row.reported_at)
        return *said, body, row.success, row.cost, row.false_block
    _body(row, 0)
    if isinstance(row, ApiKey):
        times = (row.created_at, row.expires_at, row.revoked_at)
        return row.id, row.tenant, row.name, text(row.roles), row.digest, *times
    if isinstance(row, AuditEvent | Contribution | Taken):
        return msgspec.structs.astuple(row)
    word = (row.scope, row.active, row.actor, row.reason, row.at)
    return *word, row.kind, text(row.choices), row.expires_at


def _unknown(row: Decision) -> int:
    given = (row.proposed, row.propensity, row.action_probability, row.shadow, row.shadow_probability)
    return given.count(None)


def _nones(row: Outcome) -> int:
    given = (row.reward, row.next_state, row.executed, row.success, row.cost, row.false_block)
    return given.count(None)


def _body(row: Row, nones: int) -> str:
    """Return a row as JSON. NaN and infinity become null there, so more nulls than Nones ask for a closer look."""
    encoded = _encoder.encode(row)
    if encoded.count(b"null") > nones and not _reads_back(encoded, row):
        raise InvalidInput(f"a row of {_name(row)} holds NaN or infinity, which would poison the log: {row}.")
    return encoded.decode()


def _reads_back(encoded: bytes, row: Row) -> bool:
    try:
        return bool(msgspec.json.decode(encoded, type=type(row)) == row)
    except msgspec.ValidationError:
        return False


def _name(row: Row) -> str:
    return row.agent if isinstance(row, Decision | Outcome) else type(row).__name__


def _check_whole(value: int) -> None:
    if not -_LARGEST <= value <= _LARGEST:
        raise InvalidInput(f"{value} does not fit 64 bits.")


def check_learned(learned: Learned) -> None:
    """Raise InvalidInput if a learned number is not finite: stored once, it would come back for ever."""
    for key, entry in learned.entries.items():
        numbers = (entry.value, entry.td_variance, entry.reward_mean, entry.reward_m2, entry.updated_at)
        if not all(map(math.isfinite, numbers)):
            raise InvalidInput(f"{learned.agent}: the learned entry {key} is not finite: {entry}.")
        _check_whole(entry.visits)


def body_of(learned: Learned) -> bytes:
    """Return what was learned as one value."""
    return msgspec.msgpack.encode(learned)


def learned(body: bytes) -> Learned:
    """Return what was learned from its one value."""
    return msgspec.msgpack.decode(body, type=Learned)


def text(value: object) -> str:
    """Return a value as JSON text."""
    return _encoder.encode(value).decode()


def decision(body: str) -> Decision:
    """Return a decision from its body."""
    return _decision.decode(body)


def outcome(body: str) -> Outcome:
    """Return an outcome from its body."""
    return _outcome.decode(body)


def deployment(body: str) -> Deployment:
    """Return a move from its body."""
    return _deployment.decode(body)


def episode(columns: Columns) -> EpisodeRecord:
    """Return an episode from its columns."""
    agent, name, started_at, ended_at, steps, total_reward, total_return, complete = columns
    return EpisodeRecord(
        agent=agent,
        episode=name,
        started_at=started_at,
        ended_at=ended_at,
        steps=steps,
        total_reward=total_reward,
        total_return=total_return,
        complete=bool(complete),
    )


def audit_event(columns: Columns) -> AuditEvent:
    """Return an audit event from its columns."""
    return AuditEvent(**dict(zip(AuditEvent.__struct_fields__, columns, strict=True)))


def chain_old(connection: Any, sql: Any, audit_key: bytes) -> AuditEvent | None:
    """Chain the events of before there was a chain, as they stand in the store; return the last of them."""
    rows = connection.execute(sql.unchained).fetchall()
    linked = list(chained(audit_key, None, [audit_event(columns) for _, *columns in rows]))
    for (name, *_), each in zip(rows, linked, strict=True):
        connection.execute(sql.chain_event, (each.number, each.digest, name))
    return linked[-1] if linked else None


def control(columns: Columns) -> Control:
    """Return a control from its columns."""
    scope, active, actor, reason, at, kind, choices, expires_at = columns
    return Control(
        scope=scope,
        active=bool(active),
        actor=actor,
        reason=reason,
        at=at,
        kind=kind,
        choices=msgspec.json.decode(choices, type=dict[str, Choice]),
        expires_at=expires_at,
    )


def api_key(columns: Columns) -> ApiKey:
    """Return an API key from its columns."""
    values = dict(zip(ApiKey.__struct_fields__, columns, strict=True))
    return ApiKey(**{**values, "roles": tuple(msgspec.json.decode(values["roles"]))})


def decided(columns: Columns) -> Figures:
    """Return the figures of some decisions from their sums."""
    return _figures(("decisions", "overridden", "latency_us"), columns)


def rewarded(columns: Columns, *, sign: int) -> Figures:
    """Return the figures of some outcomes from their sums, counted or taken back."""
    *place, rewarded, scored, successes, reward, squares, costed, cost, judged, false_blocks = columns
    sums = (rewarded, scored, successes, reward or 0.0, squares or 0.0, costed, cost or 0.0, judged, false_blocks)
    return _figures(_OUTCOME_SUMS, (*place, *(sign * each for each in sums)))


def _figures(names: tuple[str, ...], columns: Columns) -> Figures:
    agent, hour, arm, drawn, *sums = columns
    return Figures(agent=agent, hour=hour, arm=arm, drawn=bool(drawn), **dict(zip(names, sums, strict=True)))


def window(columns: Columns) -> Window:
    """Return a window from its columns."""
    return Window(**dict(zip(Window.__struct_fields__, columns, strict=True)))


def taken(columns: Columns) -> Taken:
    """Return what became of an event from its columns."""
    return Taken(**dict(zip(Taken.__struct_fields__, columns, strict=True)))


def known_event(row: Taken) -> Conflict:
    """Return what to raise for an event that was taken already."""
    return Conflict(f"event {row.event!r} of {row.stream} was taken already; ask the log what it led to. Nothing was taken.")


def contribution(columns: Columns) -> Contribution:
    """Return a contribution from its columns."""
    return Contribution(**dict(zip(Contribution.__struct_fields__, columns, strict=True)))


def episode_columns(records: Iterable[EpisodeRecord]) -> list[Columns]:
    """Return the columns of episodes."""
    return [msgspec.structs.astuple(each) for each in records]


def entry_columns(agent: str, entries: Iterable[tuple[tuple[str, int], Entry]]) -> list[Columns]:
    """Return the columns of entries."""
    return [(agent, *key, *msgspec.structs.astuple(entry)) for key, entry in entries]
