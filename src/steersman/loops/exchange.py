"""Exchange: a log as JSON lines, out and in. The first line names the format; each other line holds one row."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from steersman.core.errors import Conflict, InvalidInput
from steersman.core.ports import Log
from steersman.core.values import Decision, Outcome
from steersman.loops.learn import blank

FORMAT = "steersman-log"
VERSION = 1
_PIECE = 5_000


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: str
    version: int


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    decision: Decision | None = None
    outcome: Outcome | None = None


def export_lines(log: Log, agent: str | None = None) -> Iterator[bytes]:
    """Yield the log, or one agent's part of it, as lines without their line ends."""
    encoder = msgspec.json.Encoder()
    yield encoder.encode(_Header(format=FORMAT, version=VERSION))
    for row in log.rows(agent):
        yield encoder.encode(_Line(decision=row) if isinstance(row, Decision) else _Line(outcome=row))


def read_lines(lines: Iterable[bytes]) -> Iterator[Decision | Outcome]:
    """Yield the rows of exported lines. Raises InvalidInput, with the line's number, for anything that is not a row."""
    decoder = msgspec.json.Decoder(_Line)
    numbered = enumerate(lines, start=1)
    _check_header(next(numbered, (1, b""))[1])
    for number, line in numbered:
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise InvalidInput(f"line {number}: {error}. Nothing was imported.") from error
        found = row.decision or row.outcome
        if found is None:
            raise InvalidInput(f"line {number}: neither a decision nor an outcome. Nothing was imported.")
        yield found


def import_rows(
    log: Log, rows: Iterable[Decision | Outcome], check: Callable[[Decision | Outcome], None]
) -> tuple[int, set[str]]:
    """Append rows that the log does not hold yet; return how many, and the agents that they belong to.

    All rows are checked (also by `check`, which raises for what an agent's definition does not allow), then written at
    once; what their agents had learned is marked as out of date with them. Raises Conflict for a row that contradicts
    the log, and InvalidInput for an outcome whose decision is in neither.
    """
    fresh: list[Decision | Outcome] = []
    decisions: dict[str, Decision] = {}
    seen: set[tuple[str, int]] = set()
    for row in rows:
        check(row)
        if isinstance(row, Decision):
            known = decisions.get(row.id) or log.decision(row.id)
            if known is None:
                decisions[row.id] = row
                fresh.append(row)
            elif known != row:
                raise Conflict(f"decision {row.id} is in the log with other content. Nothing was imported.")
        elif (row.decision_id, row.revision) not in seen and _is_new(log, row, decisions):
            seen.add((row.decision_id, row.revision))
            fresh.append(row)
    names = sorted({row.agent for row in fresh})
    if log.shared:  # whoever learns follows the log; an import that breaks off goes on where it stopped
        for start in range(0, len(fresh), _PIECE):
            log.append(fresh[start : start + _PIECE]).wait()
        return len(fresh), set(names)
    for name in names[:-1]:
        log.append((), blank(name))
    if names:
        log.append(fresh, blank(names[-1])).wait()
    return len(fresh), set(names)


def _is_new(log: Log, row: Outcome, decisions: dict[str, Decision]) -> bool:
    if row.decision_id in decisions:
        return True
    if log.decision(row.decision_id) is None:
        raise InvalidInput(f"outcome of {row.decision_id}: no such decision comes before it. Nothing was imported.")
    for known in log.outcomes(row.decision_id):
        if known.revision == row.revision:
            if known != row:
                raise Conflict(f"outcome of {row.decision_id}, revision {row.revision}: the log says otherwise.")
            return False
    return True


def _check_header(line: bytes) -> None:
    try:
        header = msgspec.json.decode(line, type=_Header)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"this is no exported log: {error}. Make one with `steersman export`.") from error
    if header.format != FORMAT or header.version > VERSION:
        raise InvalidInput(f"format {header.format} {header.version} is not {FORMAT} {VERSION}; upgrade Steersman.")
