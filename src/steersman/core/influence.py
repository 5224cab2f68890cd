"""Influence: whether what was learned may decide, and the words in which a decision says that it might not."""

from typing import Literal, get_args

Mode = Literal["off", "shadow", "advisory", "live"]
MODES: tuple[Mode, ...] = get_args(Mode)
"""off: the rule decides. shadow: so, and it is noted what the learned policy would have done. advisory: so, and what it
would do without exploring is the advice. live: the learned policy decides."""

Gate = Literal["off", "shadow", "advisory", "stale", "cooldown", "confidence", "kill"]
GATES: tuple[Gate, ...] = get_args(Gate)
"""What may keep a learned policy from deciding: its mode, one of three limits, or a kill switch."""

_BEGINS = "influence "
KILLED = "kill switch"
"""How the reason of a decision begins that a kill switch made."""


def reason(gate: Gate, why: str) -> str:
    """Return the reason of a decision that a gate kept from the learned policy, as it is logged."""
    return f"{_BEGINS}{gate}: {why}"


def withheld_by(said: str) -> Gate | None:
    """Return the gate that the reason of a decision names; None where the learned policy was not kept from deciding."""
    if said.startswith(KILLED):
        return "kill"
    if not said.startswith(_BEGINS):
        return None
    name = said[len(_BEGINS) :].partition(":")[0]
    return next((each for each in GATES if each == name), None)
