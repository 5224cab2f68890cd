"""Probes: is a guard alive? It is asked about a state in which, as its author declares, it has to refuse something."""

from collections.abc import Callable, Iterable

from steersman.core.guards import Guard
from steersman.core.state import StateValues


def prove(guards: Iterable[Guard], timer: Callable[[], float]) -> dict[str, bool]:
    """Return whether each guard refuses its probe in time, by name; one without a probe proves nothing and is left out.

    A guard that raises or is late denies everything, which is safe, and yet it does not guard: it counts as dead.
    """
    return {each.name: _refuses(each, each.probe, timer) for each in guards if each.probe is not None}


def _refuses(guard: Guard, probe: StateValues, timer: Callable[[], float]) -> bool:
    started = timer()
    try:
        refused = any(True for _ in guard.refuse(probe))
    except Exception:  # noqa: BLE001 - whatever it raises, it does not answer
        return False
    return refused and (timer() - started) * 1000 <= guard.deadline_ms
