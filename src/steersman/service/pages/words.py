"""Numbers and times as a reader wants them: short, aligned, and never more exact than they are."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from steersman.stages.monitor.performance import Difference

NONE = "–"
ARMS = {"champion": "learned", "challenger": "challenger", "baseline": "baseline", "safe": "safe action"}
"""What the arms of a decision are called."""
_STEPS = ((60.0, "s"), (3600.0, "min"), (86_400.0, "h"), (math.inf, "d"))


def number(value: float | None, digits: int = 3) -> str:
    """Return a number with so many significant digits and thousands set apart: 0.123, 12.3, 12,345."""
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0.0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    if abs(value) >= 10.0**-digits:
        decimals = min(decimals, digits)
    return fixed(value, min(max(decimals, 0), 9))


def exact(value: float) -> str:
    """Return a number as it was given, to six digits: 4, 0.25, 12,345."""
    return f"{value:,.6g}".replace("-", "−")


def fixed(value: float, decimals: int) -> str:
    """Return a number with so many decimals."""
    return f"{value + 0.0:,.{decimals}f}".replace("-", "−")


def apart(difference: Difference) -> tuple[str, str, str]:
    """Return a difference, its lower and its upper bound, with signs and no more decimals than its width deserves."""
    return within(difference.mean, difference.low, difference.high)


def within(value: float, low: float, high: float) -> tuple[str, str, str]:
    """Return a value and the ends of its interval, with signs and no more decimals than its width deserves."""
    width = high - low
    known = 0.0 < width < math.inf
    decimals = min(max(1 - math.floor(math.log10(width)), 0), 9) if known else 2
    said, lower, upper = (_signed(each, decimals) for each in (value, low, high))
    return said, lower if math.isfinite(low) else "−∞", upper


def _signed(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return "+∞"
    text = fixed(value, decimals)
    zero = not text.strip("−0.")
    return text.removeprefix("−") if zero else f"+{text}" if value > 0.0 else text


def ends(low: float | None, high: float | None) -> str:
    """Return an interval, with no more decimals than its width deserves: −0.02 to 0.11."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return NONE
    decimals = min(max(1 - math.floor(math.log10(high - low)), 0), 9) if high > low else 3
    return f"{fixed(low, decimals)} to {fixed(high, decimals)}"


def signed(value: float | None, digits: int = 2) -> str:
    """Return a number with its sign: +0.12, −3.4."""
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0.0 and text != NONE else text


def percent(share: float | None, decimals: int = 1) -> str:
    """Return a share as per cent: 12.3 %."""
    if share is None or not math.isfinite(share):
        return NONE
    return f"{fixed(100.0 * share, decimals if share else 0)} %"


def signed_percent(share: float | None, decimals: int = 1) -> str:
    """Return a share as per cent with its sign: +12.3 %."""
    text = percent(share, decimals)
    zero = not text.strip("−0. %")
    return text.removeprefix("−") if zero else f"+{text}" if share is not None and share > 0.0 else text


def whole(count: int | None) -> str:
    """Return a count with thousands set apart."""
    return NONE if count is None else f"{count:,}".replace("-", "−")


def milliseconds(microseconds: float | None) -> str:
    """Return a duration given in microseconds: 0.12 ms."""
    return NONE if microseconds is None else f"{number(microseconds / 1000.0, 2)} ms"


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: 45 s, 12 min, 3 h, 5 d."""
    below = 1.0
    for limit, unit in _STEPS:
        if seconds < limit:
            return f"{max(int(seconds // below), 0)} {unit}"
        below = limit
    return NONE


def ago(at: float, now: float) -> str:
    """Return how long ago something was: just now, 12 min ago."""
    return "just now" if now - at < 5.0 else f"{span(now - at)} ago"


def moment(at: float) -> str:
    """Return a time as "2026-11-28 14:03:09 UTC"."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(at: float) -> str:
    """Return a time for machines."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def action(choices: Mapping[str, object] | None) -> str:
    """Return an action in words: "steady", or "workers 2 · order file" where the dimensions have names of their own."""
    if not choices:
        return "nothing"
    if list(choices) == ["action"]:
        return str(next(iter(choices.values())))
    return " · ".join(f"{name} {choice}" for name, choice in choices.items())


def sentence(text: str) -> str:
    """Return a text with its first letter raised, and the others as they are."""
    return text[:1].upper() + text[1:]


def cut(value: object, most: int = 400) -> str:
    """Return a value as text, of one that is long its beginning and how long it is."""
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
