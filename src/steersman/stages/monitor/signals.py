"""Signals: what monitoring tells people and rules, in one form whatever found it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["drift", "reward shift", "reward hacking", "reward anomaly", "error budget"]
Level = Literal["warn", "act"]


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Something that somebody should know of an agent, or do.

    level: "warn" is worth a look, "act" should not wait. subject: the feature, action or metric. figure, threshold: what
    was measured, and the limit that it passed. since: when it was first seen without a break (unix seconds); None where
    that is not known. sentence: what happened. what_to_do: the next step.
    """

    agent: str
    kind: Kind
    level: Level
    subject: str
    figure: float
    threshold: float
    since: float | None
    sentence: str
    what_to_do: str
