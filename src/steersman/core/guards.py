"""Guards: what may not be done now. They narrow the actions before the policy chooses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.state import StateValues

DEADLINE_MS = 25.0
"""How long a guard may take, if it does not say otherwise."""
PINNED = "pinned"
"""What stands in the place of a guard's name where a person's pin refused a choice; no guard may be called so."""


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Every action that makes all the choices in `where` is refused; an empty `where` refuses all actions."""

    where: Mapping[str, Choice]
    reason: str
    guard: str = ""


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A named rule: from the state to the refusals that hold in it.

    A guard that raises, or runs over `deadline_ms`, refuses everything (fail closed). One that may block or hold the
    interpreter says `blocking=True` and runs in a process of its own, which is killed at the deadline; its function
    must then be importable (a function at the top of a module). `probe` is a state in which it has to refuse something:
    with it monitors can prove that the guard is alive.
    """

    name: str
    refuse: Callable[[StateValues], Iterable[Refusal]]
    deadline_ms: float = DEADLINE_MS
    blocking: bool = False
    probe: StateValues | None = None


def limit(
    name: str,
    dimension: str,
    choices: Iterable[Choice],
    allowed: Callable[[StateValues], float],
    unit: str,
    *,
    deadline_ms: float = DEADLINE_MS,
    probe: StateValues | None = None,
) -> Guard:
    """Return a guard that refuses the choices of a numeric dimension above what `allowed` says for the state."""
    ordered = tuple(choices)

    def refuse(state: StateValues) -> list[Refusal]:
        most = allowed(state)
        return [
            Refusal(where={dimension: each}, reason=f"{dimension} {each} is over the limit of {most:g} {unit}")
            for each in ordered
            if float(each) > most
        ]

    return Guard(name=name, refuse=refuse, deadline_ms=deadline_ms, probe=probe)
