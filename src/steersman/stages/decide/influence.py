"""Influence: whether the learned policy may decide this time; where not, the rule does, inside the guards.

Nothing here looks at what was drawn. So the rule's action is certain where the gate refuses, and what the learned policy
draws keeps its probability where it does not.
"""

from collections.abc import Callable

import numpy as np

from steersman.core.actions import ActionSpace
from steersman.core.influence import Mode, reason
from steersman.core.sections import Influence
from steersman.stages.decide.choose import Mask

_WATCHING = {
    "off": "the rule decides",
    "shadow": "the rule decides, and what the learned policy would have done is noted",
    "advisory": "the rule decides, and the learned policy advises",
}


def refusal(
    mode: Mode,
    limits: Influence,
    *,
    age_s: float | None = None,
    since_s: float | None = None,
    confidence: Callable[[], float] = lambda: 0.0,
) -> str:
    """Return why the learned policy may not decide, beginning with the gate that says so; "" where it may.

    age_s: how old what was observed is; below 0 it is of a time to come; None: of now. since_s: the time since the learned
    policy last decided for the subject; None: it never did. confidence: asked last, and only where it is limited.
    """
    if mode != "live":
        return reason(mode, _WATCHING[mode])
    if limits.stale_s and age_s is not None and not abs(age_s) <= limits.stale_s:
        when = f"{age_s:.6g} s ago" if age_s > 0 else f"{-age_s:.6g} s from now"
        return reason("stale", f"observed {when}, over {limits.stale_s:g} s; the rule decides")
    if limits.cooldown_s and since_s is not None and since_s < limits.cooldown_s:
        why = f"the learned policy decided {since_s:.6g} s ago, under {limits.cooldown_s:g} s; the rule decides"
        return reason("cooldown", why)
    if limits.confidence and not (sure := confidence()) >= limits.confidence:
        return reason("confidence", f"{sure:.3g}, under {limits.confidence:g}; the rule decides, but for exploring")
    return ""


def closest(space: ActionSpace, wanted: int, safe: int, allowed: Mask) -> int:
    """Return an action if it is allowed, else the allowed one that differs from it in the fewest dimensions.

    Of several the one that is closest to the safe action, then the first. Where nothing is allowed, any.
    """
    if allowed[wanted]:
        return wanted
    slots = space.slots
    apart = (slots != slots[wanted]).sum(axis=1) * (slots.shape[1] + 1) + (slots != slots[safe]).sum(axis=1)
    return int(np.where(allowed, apart, np.iinfo(apart.dtype).max).argmin())
