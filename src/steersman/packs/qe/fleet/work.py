"""`qe work`: let one agent of the fleet work on a project for some rounds, and learn from what came of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from steersman.core.errors import InvalidInput, SteersmanError
from steersman.core.ports import AgentHandle, Progress
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.member import Member, Round, member
from steersman.packs.qe.fleet.memory import Memory
from steersman.packs.qe.fleet.progress import Watched
from steersman.packs.qe.fleet.site import open_site
from steersman.packs.qe.fleet.upcoming import Next
from steersman.packs.qe.project.discovery import discover

_ACKNOWLEDGE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """agent: its name, with or without "qe/". path: the project. rounds: decisions. seed: of what is planted and drawn.

    python: the project's interpreter ("": its own). timeout_s: limit for one run of a tool or of the suite. memory: the
    folder of what its skill keeps from run to run ("": nowhere).
    """

    agent: str
    path: str
    rounds: int = 5
    seed: int = 0
    python: str = ""
    timeout_s: float = 300.0
    memory: str = ""

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.timeout_s <= 0:
            raise InvalidInput(f"rounds and timeout must be positive, got {self.rounds} and {self.timeout_s}.")


@dataclass(frozen=True, kw_only=True)
class WorkReport:
    """What an agent did on a project, what it found there, what it would do next, and why it stopped if it did."""

    agent: str
    project: str
    seed: int
    rounds: tuple[Round, ...]
    findings: tuple[Finding, ...]
    files: Mapping[str, str]
    next: Next
    stopped: str


def work(agent: Callable[[str], AgentHandle], options: WorkOptions, progress: Progress) -> WorkReport:
    """Set an agent to work on a copy of a project. Raises what `discover` and its tools do; what was learned stays."""
    return at_work(member(options.agent, agent, "qe work"), options, progress)


def at_work(worker: Member, options: WorkOptions, progress: Progress) -> WorkReport:
    """Do the rounds of an agent at a copy of the project. Raises as `work`."""
    watched = Watched(progress)
    watched.begin("reading the project", 1)
    project = discover(options.path, options.python or None, tests_needed=worker.skill.needs_tests)
    watched.done(f"{project.name}: {len(project.sources)} source files, {len(project.tests)} test files")
    memory = Memory(options.memory)
    with open_site(
        project, worker.name, seed=options.seed, timeout_s=options.timeout_s, progress=watched, memory=memory
    ) as site:
        watched.begin(f"{options.rounds} rounds: look, decide, work, learn", options.rounds)
        rounds: list[Round] = []
        stopped = ""
        try:
            for made in worker.turn(site, options.rounds):
                rounds.append(made)
                watched.done(made.line)
        except SteersmanError as error:
            if not rounds:
                raise
            stopped = str(error)
        if worker.receipt is not None:
            worker.receipt.wait(_ACKNOWLEDGE_S)
        return WorkReport(
            agent=worker.spec.name,
            project=project.name,
            seed=options.seed,
            rounds=tuple(rounds),
            findings=tuple(site.findings),
            files=worker.files,
            next=worker.upcoming(),
            stopped=stopped,
        )
