"""One agent of the fleet, ready to work: its definition, what it has learned, and what it can do."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.catalog import load
from steersman.core.errors import NotFound, NotPermitted, nearest
from steersman.core.ports import AgentHandle, Receipt
from steersman.core.state import StateValues
from steersman.core.values import Decision
from steersman.packs.qe import pack
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Skill, Worked
from steersman.packs.qe.fleet.upcoming import Next, next_action

_AGENTS = "steersman.packs.qe.agents."
_COMMANDER = "fleet-commander"


@dataclass(frozen=True, kw_only=True)
class Round:
    """One decision and what came of it. reward: None where the outcome is still to come, for `steersman report`."""

    decision_id: str
    arm: str
    action: Mapping[str, Choice]
    reward: float | None
    components: Mapping[str, float]
    measurements: Mapping[str, float]
    notes: tuple[str, ...]

    @property
    def line(self) -> str:
        """The round in one line."""
        earned = "the outcome is still to come" if self.reward is None else f"{self.reward:+.0f}"
        return f"{words(self.action)}: {'; '.join((*self.notes, earned))}"


class Member:
    """An agent at work. `files` holds what it made for the user so far, by path; `state` is what it saw last."""

    def __init__(self, spec: AgentSpec, handle: AgentHandle, skill: Skill, source: str) -> None:
        self.spec, self.handle, self.skill, self._source = spec, handle, skill, source
        self.files: dict[str, str] = {}
        self.state: StateValues = {}
        self.receipt: Receipt | None = None

    @property
    def name(self) -> str:
        """Its name without the pack's."""
        return self.spec.name.removeprefix("qe/")

    @property
    def category(self) -> str:
        """The category that it belongs to; "" for one without kin."""
        return self.spec.kinship.category if self.spec.kinship else ""

    def turn(self, site: Site, rounds: int, turn_s: float = math.inf) -> Iterator[Round]:
        """Yield up to so many rounds, while one more like those before fits into `turn_s` seconds. Raises as `round`."""
        began = time.monotonic()
        for number in range(rounds):
            if number and (time.monotonic() - began) * (number + 1) / number > turn_s:
                return
            site.begin(number)
            yield self.round(site)

    def round(self, site: Site) -> Round:
        """Look, decide, work, report. Raises NotPermitted, with the reasons, where nothing may be done here now."""
        self.state = self.skill.look(site)
        decision = self.handle.decide(self.state)
        if decision.arm == "safe":
            reasons = dict.fromkeys(each.reason for each in decision.refusals)
            raise NotPermitted("; ".join(reasons) or decision.reason)
        worked = self.skill.work(site, decision.action)
        self.files |= worked.files
        site.findings.extend(worked.findings)
        return self._learn(decision, worked)

    def upcoming(self) -> Next:
        """Return what it would do now in the state that it saw last, after a round at least."""
        return next_action(self.spec, self.handle, self.state)

    def _learn(self, decision: Decision, worked: Worked) -> Round:
        reward, components = None, {}
        if worked.measurements is not None:
            self.receipt = self.handle.report(decision, worked.measurements, terminated=True, source=self._source)
            scored = self.spec.reward.score(self.spec.reward.check(worked.measurements))
            reward, components = scored.reward, scored.components
        return Round(
            decision_id=decision.id,
            arm=decision.arm,
            action=dict(decision.action),
            reward=reward,
            components=components,
            measurements=worked.measurements or {},
            notes=tuple(each.replace("DECISION", decision.id) for each in worked.notes),
        )


def roster() -> dict[str, str]:
    """Return where the agents are defined that can be set to work by themselves, by name, in the order of the catalogue."""
    found = {name.removeprefix("qe/"): each for name, each in pack.agents.items() if each.startswith(_AGENTS)}
    return {name: each for name, each in found.items() if name != _COMMANDER}


def commander() -> AgentSpec:
    """Return the agent that says who works next."""
    spec: AgentSpec = load(pack.agents[f"qe/{_COMMANDER}"])
    return spec


def member(name: str, agent: Callable[[str], AgentHandle], source: str) -> Member:
    """Return an agent of the fleet, ready to work.

    source: who reports its outcomes. Raises NotFound for an agent that is not there, naming the nearest.
    """
    short, known = name.removeprefix("qe/"), roster()
    if short not in known:
        raise NotFound(f"no agent {name!r} works by itself.{nearest(short, known)}")
    module = known[short].partition(":")[0]
    return Member(load(known[short]), agent(f"qe/{short}"), load(f"{module}:skill")(), source)


def words(action: Mapping[str, Choice]) -> str:
    """Return an action in a few words."""
    return " ".join(str(each) for each in action.values())
