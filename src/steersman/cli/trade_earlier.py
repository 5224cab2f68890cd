"""Earlier runs of `trade paper`, as the log knows them: what they were played on, and what they were answered."""

import time
from collections.abc import Callable
from typing import Any

from steersman.app import Steersman, consumers
from steersman.core.values import AuditEvent

_BEGAN, _ACTOR = "paper run begun", "steersman trade paper"
_STORED_S = 30.0


def known(steersman: Steersman, stream: str) -> Callable[[str], bool]:
    """Return what says whether the log has the answer to a question."""
    log = steersman.log
    routes = consumers.routes_of(steersman.catalog, ["trading"], ())
    keys = [each.key for each in routes if each.do == "decide"]

    def answered(question: str) -> bool:
        taken = [found for key in keys if (found := log.taken(stream, key(question))) is not None]
        return any(log.decision(each.decision_id) is not None for each in taken)

    return answered


def begin(steersman: Steersman, series: Any) -> None:
    """Note in the audit trail what a run is played on. Raises Conflict where it was begun on something else."""
    before, after = "", 0
    while (rows := steersman.log.trail(after)) and rows[-1].number > after:
        after = rows[-1].number
        before = next(
            (each.detail for each in reversed(rows) if (each.event, each.subject) == (_BEGAN, series.account)), before
        )
    if before:
        series.check(before)
    if before != series.words:
        row = AuditEvent(at=time.time(), actor=_ACTOR, event=_BEGAN, subject=series.account, detail=series.words)
        steersman.log.append((row,)).wait(_STORED_S)
