"""`qe work`: let one agent of the fleet work on a project for some rounds, and learn from what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.catalog import load
from steersman.core.errors import InvalidInput, NotFound, nearest
from steersman.core.ports import AgentHandle, Progress, Receipt
from steersman.core.values import Decision
from steersman.packs.qe import pack
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.fleet.skill import Skill, Worked
from steersman.packs.qe.fleet.upcoming import Next, next_action
from steersman.packs.qe.project import discover

_AGENTS = "steersman.packs.qe.agents."
_ACKNOWLEDGE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """agent: its name, with or without "qe/". path: the project. rounds: decisions. seed: of what is planted and drawn.

    python: the project's interpreter ("": its own). timeout_s: limit for one run of a tool or of the suite.
    """

    agent: str
    path: str
    rounds: int = 5
    seed: int = 0
    python: str = ""
    timeout_s: float = 300.0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.timeout_s <= 0:
            raise InvalidInput(f"rounds and timeout must be positive, got {self.rounds} and {self.timeout_s}.")


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


@dataclass(frozen=True, kw_only=True)
class WorkReport:
    """What an agent did on a project, what it found there, and what it would do next."""

    agent: str
    project: str
    seed: int
    rounds: tuple[Round, ...]
    findings: tuple[Finding, ...]
    files: Mapping[str, str]
    next: Next


def work(agent: Callable[[str], AgentHandle], options: WorkOptions, progress: Progress) -> WorkReport:
    """Set an agent to work on a copy of a project. Raises what `discover` and its tools do; what was learned stays."""
    spec, skill = of_agent(options.agent)
    return at_work(spec, agent(spec.name), skill, options, progress)


def at_work(spec: AgentSpec, handle: AgentHandle, skill: Skill, options: WorkOptions, progress: Progress) -> WorkReport:
    """Do the rounds of an agent with its skill at a copy of the project. Raises as `work`."""
    progress.phase("reading the project", 1)
    project = discover(options.path, options.python or None, tests_needed=skill.needs_tests)
    progress.step(f"{project.name}: {len(project.sources)} source files, {len(project.tests)} test files")
    with open_site(project, seed=options.seed, timeout_s=options.timeout_s, progress=progress) as site:
        return _Work(spec, handle, skill, site).all_rounds(options)


def of_agent(name: str) -> tuple[AgentSpec, Skill]:
    """Return an agent's definition and what it can do. Raises NotFound for one that does not work by itself."""
    short = name.removeprefix("qe/")
    skilled = {each.removeprefix("qe/"): target for each, target in pack.agents.items() if target.startswith(_AGENTS)}
    if short not in skilled:
        raise NotFound(f"no agent {name!r} works by itself.{nearest(short, skilled)}")
    return load(skilled[short]), load(f"{skilled[short].partition(':')[0]}:skill")()


class _Work:
    """Some rounds of one agent at one site."""

    def __init__(self, spec: AgentSpec, handle: AgentHandle, skill: Skill, site: Site) -> None:
        self._spec, self._handle, self._skill, self._site = spec, handle, skill, site
        self._files: dict[str, str] = {}
        self._receipt: Receipt | None = None

    def all_rounds(self, options: WorkOptions) -> WorkReport:
        self._site.progress.phase(f"{options.rounds} rounds: look, decide, work, learn", options.rounds)
        rounds = [self._round(number) for number in range(options.rounds)]
        if self._receipt is not None:
            self._receipt.wait(_ACKNOWLEDGE_S)
        return WorkReport(
            agent=self._spec.name,
            project=self._site.project.name,
            seed=options.seed,
            rounds=tuple(rounds),
            findings=tuple(self._site.findings),
            files=self._files,
            next=next_action(self._spec, self._handle, self._skill.look(self._site)),
        )

    def _round(self, number: int) -> Round:
        self._site.round = number
        decision = self._handle.decide(self._skill.look(self._site))
        worked = self._skill.work(self._site, decision.action)
        self._files |= worked.files
        made = self._learn(decision, worked)
        earned = "the outcome is still to come" if made.reward is None else f"{made.reward:+.0f}"
        self._site.progress.step(f"{_words(made.action)}: {'; '.join(made.notes)}: {earned}")
        return made

    def _learn(self, decision: Decision, worked: Worked) -> Round:
        reward, components = None, {}
        if worked.measurements is not None:
            self._receipt = self._handle.report(decision, worked.measurements, terminated=True, source="qe work")
            scored = self._spec.reward.score(self._spec.reward.check(worked.measurements))
            reward, components = scored.reward, scored.components
        return Round(
            decision_id=decision.id,
            arm=decision.arm,
            action=dict(decision.action),
            reward=reward,
            components=components,
            measurements=worked.measurements or {},
            notes=worked.notes,
        )


def _words(action: Mapping[str, Choice]) -> str:
    return " ".join(str(each) for each in action.values())
