"""The place of work: a copy of the project, what is known of it so far, and how much time there is."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from steersman.core.errors import SteersmanError
from steersman.core.ports import Progress
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.memory import Memory
from steersman.packs.qe.project.discovery import Project
from steersman.packs.qe.project.reference import Reference, measure_reference
from steersman.packs.qe.project.sandbox import Sandbox, open_sandbox
from steersman.packs.qe.project.suite import Suite, cores, memory_available_mb


class Evidence:
    """What the agents of one run know together: what they found, and the suite as it is, which is measured once."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._reference: Reference | None = None
        self._failure: SteersmanError | None = None
        self._lock = threading.Lock()

    @property
    def known_reference(self) -> Reference | None:
        """The suite as it is, if somebody has asked for it; None before."""
        return self._reference

    def reference(self, suite: Suite, *, timeout_s: float, progress: Progress) -> Reference:
        """Return the suite as it is, measured by whoever asks first. Raises what `measure_reference` did, each time."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if self._reference is None:
                try:
                    self._reference = measure_reference(suite, timeout_s=timeout_s, progress=progress)
                except SteersmanError as error:
                    self._failure = error
                    raise
            return self._reference


@dataclass(kw_only=True)
class Site:
    """A project's copy at which agents work one after the other; each leaves it as it was.

    seed: of what is planted and drawn, together with the agent's name and the number of the round. timeout_s: limit for
    one run of anything. evidence: what is known by now; what was planted is not in it. memory: what skills keep from one
    run to the next. workers: how many runs an agent may have side by side.
    """

    sandbox: Sandbox
    suite: Suite
    agent: str
    seed: int
    timeout_s: float
    progress: Progress
    evidence: Evidence = field(default_factory=Evidence)
    memory: Memory = field(default_factory=Memory)
    workers: int = field(default_factory=cores)
    generator: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.begin(0)

    def begin(self, number: int) -> None:
        """Begin a round: what it plants and draws follows from the seed, the agent and the round, not from what was done."""
        self.generator = np.random.default_rng([self.seed, number, *self.agent.encode()])

    @property
    def project(self) -> Project:
        """The project as it was found."""
        return self.sandbox.project

    @property
    def findings(self) -> list[Finding]:
        """What was found so far in the project itself."""
        return self.evidence.findings

    @property
    def reference(self) -> Reference:
        """The suite as it is, with its coverage, measured when first asked for. Raises what `measure_reference` does."""
        return self.evidence.reference(self.suite, timeout_s=self.timeout_s, progress=self.progress)

    @contextmanager
    def changed(self, texts: dict[str, str]) -> Iterator[None]:
        """Replace or add files of the copy for a while; in the end those of the project are back and others are gone."""
        try:
            for file, text in texts.items():
                self.sandbox.write(file, text)
            yield
        finally:
            for file in texts:
                if (self.project.root / file).exists():
                    self.sandbox.restore(file)
                else:
                    (self.sandbox.root / file).unlink(missing_ok=True)


@contextmanager
def open_site(
    project: Project,
    agent: str = "",
    *,
    seed: int,
    timeout_s: float,
    progress: Progress,
    evidence: Evidence | None = None,
    memory: Memory | None = None,
    deadline: float = math.inf,
    workers: int = 0,
) -> Iterator[Site]:
    """Copy a project and yield the place of work of an agent; it is removed in the end. Raises what `open_sandbox` does.

    deadline: by `time.monotonic`; after it no tests are run. workers: 0 stands for as many as there are cores.
    """
    known = evidence.known_reference if evidence else None
    with open_sandbox(project) as sandbox:
        suite = Suite(sandbox, memory_mb=0.75 * memory_available_mb(), deadline=deadline)
        suite.slowest_s = known.slowest_s if known else 0.0
        yield Site(
            sandbox=sandbox,
            suite=suite,
            agent=agent,
            seed=seed,
            timeout_s=timeout_s,
            progress=progress,
            evidence=evidence or Evidence(),
            memory=memory or Memory(),
            workers=workers or cores(),
        )
