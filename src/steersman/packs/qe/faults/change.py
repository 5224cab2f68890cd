"""A change to the code, and the truth about it that only the world knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ActiveFault:
    """A fault that is in the code now, with the tests that are known to fail because of it."""

    name: str
    killers: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Change:
    """What one cycle changed: the lines of each file (as numbered in the coverage map), and in words.

    `faults` are all that are in the code after the change, whether they came with it or before it. `expected_s` is how
    long the reference run (all tests, file order, one worker) takes to the first test that fails, or to its end where
    none does; `expected_cpu_s` is the CPU time of that run. `known_failing` fail already without any fault.
    `whole_files` are test files that changed themselves; `broad` says that something changed which any test may use.
    """

    cycle: int
    text: str
    lines: Mapping[str, frozenset[int]]
    faults: tuple[ActiveFault, ...]
    expected_s: float
    expected_cpu_s: float
    broad: bool = False
    whole_files: tuple[str, ...] = ()
    known_failing: frozenset[str] = field(default_factory=frozenset)

    @property
    def killers(self) -> frozenset[str]:
        """All tests that fail because of some fault that is in the code."""
        return frozenset().union(*(fault.killers for fault in self.faults))
