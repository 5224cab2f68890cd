"""Positions: what is open, what was closed and what it earned, each account's curve, and what refused the others, and why.

All of it is read from decisions and outcomes, as a pack says that they are to be read.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.influence import withheld_by
from steersman.core.ports import Log
from steersman.core.positions import Positions, account_of
from steersman.core.values import Decision, Outcome
from steersman.service.ledger import ledger_of
from steersman.service.operations import Call, Reply
from steersman.service.pages.changes import in_force
from steersman.service.pages.shell import holding, html, page, read_up

_RECENT = 400
_OPEN = 50
_ACCOUNTS = 4
_GATES = {
    "off": "the rule decided: mode off",
    "shadow": "the rule decided: mode shadow",
    "advisory": "the rule decided: mode advisory",
    "stale": "the rule decided: what was observed was stale",
    "cooldown": "the rule decided: cooldown",
    "confidence": "the rule decided: confidence too low",
    "kill": "kill switch",
}


@dataclass(frozen=True, kw_only=True)
class Position:
    """A position. choices: by agent, in their order. earned: % of the account; reward: of each agent; None: not closed."""

    decision: Decision
    choices: tuple[Mapping[str, Choice], ...]
    earned: float | None = None
    closed_at: float | None = None
    rewards: tuple[float | None, ...] = ()

    @property
    def account(self) -> str:
        """Whose it is."""
        return account_of(self.decision.episode)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What 1 became in an account, after each closed position: (when, worth). fall: the deepest from its peak, a share."""

    account: str
    points: tuple[tuple[float, float], ...]
    fall: float

    @property
    def worth(self) -> float:
        """What it is now."""
        return self.points[-1][1]


@dataclass(frozen=True, kw_only=True)
class Refusing:
    """What refuses: a guard, a gate or a kill switch. stopped: decisions on which nothing was opened; narrowed: others.

    of: among so many decisions of the agent.
    """

    agent: str
    name: str
    stopped: int
    narrowed: int
    of: int


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The positions of a pack. considered: recent decisions of the agent that opens; opened: on how many it did."""

    said: Positions
    open: tuple[Position, ...]
    open_count: int
    closed: tuple[Position, ...]
    curves: tuple[Curve, ...]
    refusing: tuple[Refusing, ...]
    considered: int
    opened: int

    @property
    def won(self) -> float | None:
        """The share of closed positions that earned something."""
        return sum((each.earned or 0.0) > 0.0 for each in self.closed) / len(self.closed) if self.closed else None

    @property
    def earned(self) -> float | None:
        """What a closed position earned in the mean, in % of its account."""
        return sum(each.earned or 0.0 for each in self.closed) / len(self.closed) if self.closed else None


def seen(call: Call, said: Positions) -> Seen:
    """Return the positions of a pack; made anew only when something was decided or reported."""
    ledger = ledger_of(call.steersman)
    stamp = tuple(ledger.version(each) for each in said.agents)
    return ledger.once(said.opens, "positions", lambda: _seen(call, said), also=stamp)


def _seen(call: Call, said: Positions) -> Seen:
    log = call.steersman.log
    recent = {name: log.recent(name, _RECENT) for name in said.agents}
    sized = [each for each in recent[said.opens] if each.arm != "safe"]
    waiting = [each for each in log.waiting(said.opens, time.time()) if each.arm != "safe"]
    open_now = sorted(waiting, key=lambda each: -each.decided_at)
    over = [(each, told[-1]) for each in sized if (told := log.outcomes(each.id))]
    closed = [_position(log, said, *each) for each in sorted(over, key=lambda each: -each[1].reported_at)]
    return Seen(
        said=said,
        open=tuple(_position(log, said, each) for each in open_now[:_OPEN]),
        open_count=len(open_now),
        closed=tuple(each for each in closed if each.earned is not None),
        curves=_curves(each for each in reversed(closed) if each.earned is not None),
        refusing=tuple(each for name in said.agents for each in _refusing(name, recent[name])),
        considered=len(recent[said.opens]),
        opened=len(sized),
    )


def _position(log: Log, said: Positions, decision: Decision, outcome: Outcome | None = None) -> Position:
    """Return a position, with what other agents decided on it and earned."""
    made = [each for name in said.before for each in log.of_episode(name, decision.episode)[:1]]
    told = [log.outcomes(each.id)[-1:] for each in made]
    return Position(
        decision=decision,
        choices=tuple(each.executed for each in (*made, decision)),
        earned=None if outcome is None else outcome.measurements.get(said.earns),
        closed_at=None if outcome is None else outcome.reported_at,
        rewards=() if outcome is None else (*(each[0].reward if each else None for each in told), outcome.reward),
    )


def _curves(closed: Iterable[Position]) -> tuple[Curve, ...]:
    """Return the curve of each account, the one that closed something last first."""
    points: dict[str, list[tuple[float, float]]] = {}
    for each in closed:
        mine = points.setdefault(each.account, [(each.decision.decided_at, 1.0)])
        mine.append((each.closed_at or 0.0, mine[-1][1] * (1.0 + (each.earned or 0.0) / 100.0)))
    found = [Curve(account=name, points=tuple(each), fall=_fall(each)) for name, each in points.items()]
    return tuple(sorted(found, key=lambda each: -each.points[-1][0])[:_ACCOUNTS])


def _fall(points: Sequence[tuple[float, float]]) -> float:
    peak = deepest = 0.0
    for _, worth in points:
        peak = max(peak, worth)
        deepest = max(deepest, 1.0 - worth / peak)
    return deepest


def _refusing(agent: str, recent: Sequence[Decision]) -> list[Refusing]:
    """Return what refused something in recent decisions of an agent, the most frequent first."""
    stopped: Counter[str] = Counter()
    narrowed: Counter[str] = Counter()
    for each in recent:
        gate = withheld_by(each.reason)
        if gate is not None:
            (stopped if gate == "kill" else narrowed)[_GATES[gate]] += 1
        whole = {f"guard {refused.guard}" for refused in each.refusals if not refused.where}
        parts = {f"guard {refused.guard}" for refused in each.refusals} - whole
        if each.arm == "safe":  # what refuses everything stopped it; where nothing does, all that refuse did so together
            stopped.update(whole or parts)
            parts = parts if whole else set()
        narrowed.update(parts)
    names = sorted(stopped | narrowed, key=lambda name: (-stopped[name], -narrowed[name], name))
    return [
        Refusing(agent=agent, name=name, stopped=stopped[name], narrowed=narrowed[name], of=len(recent)) for name in names
    ]


def _view(call: Call) -> Reply:
    _, reading = read_up(call)
    shown = [seen(call, each) for each in holding(call)] if reading is None else []
    return html(call, "positions.html", active="positions", reading=reading, shown=shown, controls=in_force(call))


PAGE = page("/positions", "What is open, what was closed, and what was refused.", _view)
