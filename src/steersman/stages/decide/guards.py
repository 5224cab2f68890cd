"""Guards narrow the allowed actions, each refusal with its reason. What fails refuses everything."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace, Choice
from steersman.core.guards import Guard
from steersman.core.state import StateValues
from steersman.core.values import Refused

_MASKS = 4_096


@dataclass(frozen=True, kw_only=True, slots=True)
class Narrowed:
    """Which actions are allowed, shape (actions,), and why the others are not."""

    allowed: NDArray[np.bool_]
    refusals: tuple[Refused, ...]


class Guards:
    """The guards of one agent. Limits of several guards combine by the strictest: what one refuses is refused."""

    def __init__(self, guards: Iterable[Guard], space: ActionSpace, timer: Callable[[], float]) -> None:
        self._guards = tuple(guards)
        self._space = space
        self._timer = timer
        self._masks: dict[tuple[tuple[tuple[str, Choice], ...], ...], NDArray[np.bool_]] = {}
        self._all = Narrowed(allowed=self._mask(()), refusals=())

    def narrow(self, state: StateValues) -> Narrowed:
        """Return what is allowed in a checked state. Never raises: a guard that does, or is late, refuses everything."""
        refusals: list[Refused] = []
        for guard in self._guards:
            self._ask(guard, state, refusals)
        if not refusals:
            return self._all
        return Narrowed(allowed=self.allowed([each.where for each in refusals]), refusals=tuple(refusals))

    def allowed(self, refused: Iterable[dict[str, Choice]]) -> NDArray[np.bool_]:
        """Return which actions match none of the refused choices, shape (actions,), read-only."""
        return self._mask(tuple([tuple(where.items()) for where in refused]))

    def _ask(self, guard: Guard, state: StateValues, refusals: list[Refused]) -> None:
        started = self._timer()
        try:
            found = [
                Refused(where=dict(each.where), guard=each.guard or guard.name, reason=each.reason)
                for each in guard.refuse(state)
            ]
            for each in found:
                self._space.mask(each.where)  # an unknown choice is a fault of the guard
        except Exception as error:  # noqa: BLE001 - whatever a guard raises, it denies
            refusals.append(_refuse_all(guard, f"{type(error).__name__}: {error}"))
            return
        elapsed_ms = (self._timer() - started) * 1000
        if elapsed_ms > guard.deadline_ms:
            refusals.append(_refuse_all(guard, f"took {elapsed_ms:.1f} ms, its deadline is {guard.deadline_ms:g} ms"))
        refusals.extend(found)

    def _mask(self, key: tuple[tuple[tuple[str, Choice], ...], ...]) -> NDArray[np.bool_]:
        found = self._masks.get(key)
        if found is None:
            found = self._space.allowed([dict(where) for where in key])
            found.flags.writeable = False
            if len(self._masks) >= _MASKS:
                self._masks.clear()
            self._masks[key] = found
        return found


def _refuse_all(guard: Guard, reason: str) -> Refused:
    return Refused(where={}, guard=guard.name, reason=f"guard failed and denies: {reason}")
