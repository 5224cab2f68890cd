"""Import: logs of Personalizer become decisions and outcomes of a ranker, once, and it learns from them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from steersman.core.errors import InvalidInput
from steersman.core.values import Decision, Outcome
from steersman.loops.rank import Ranker
from steersman.stages.learn.contextual import SCHEMA, said
from steersman.stages.record import dsjson

_PIECE = 1_000
_BAD_LINES = 100


@dataclass(kw_only=True)
class Imported:
    """What an import did: events taken in, lines left out by reason, and the lines that could not be read.

    bad: (number of the line, why), the first 100; `left_out["bad"]` counts all.
    """

    events: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[int, str]] = field(default_factory=list)


def import_dsjson(ranker: Ranker, lines: Iterable[bytes]) -> Imported:
    """Take in the lines of a log. Events that are known already, by their id, are left out: doing it again is harmless.

    Each piece is durable before the next is read, so that an import that breaks off goes on where it stopped.
    """
    done, piece = Imported(), dict[str, list[Decision | Outcome]]()
    for number, line in enumerate(lines, start=1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip()
        if not text:
            continue
        try:
            found = dsjson.read(text, agent=ranker.name, schema=SCHEMA)
            if not isinstance(found, str):
                said(found.decision)  # what cannot be learned from is told now
        except InvalidInput as error:
            done.left_out["bad"] += 1
            if len(done.bad) < _BAD_LINES:
                done.bad.append((number, str(error)))
            continue
        if isinstance(found, str):
            done.left_out[found] += 1
        elif found.decision.id in piece or ranker.decisions(found.decision.id):
            done.left_out["known already"] += 1
        else:
            piece[found.decision.id] = [found.decision, found.outcome]
        if len(piece) >= _PIECE:
            _take_in(ranker, piece, done)
    _take_in(ranker, piece, done)
    return done


def _take_in(ranker: Ranker, piece: dict[str, list[Decision | Outcome]], done: Imported) -> None:
    if piece:
        ranker.take_in([row for rows in piece.values() for row in rows]).wait()
        done.events += len(piece)
        piece.clear()
