"""Setting: a field of a section, with a sentence, a unit and a range."""

import math
from dataclasses import field
from typing import Any


def setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    low: float = -math.inf,
    high: float = math.inf,
    options: tuple[str, ...] = (),
) -> Any:
    """Return the field of a section; `doc` is what the reference says of it."""
    return field(default=default, metadata={"doc": doc, "unit": unit, "low": low, "high": high, "options": options})
