"""What a commander's choice means: who works in the next batch, and how many at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steersman.packs.qe.fleet.member import Member

CATEGORIES = ("core-testing", "performance-security", "advanced-testing", "specialized", "strategic")
MODES = ("sequential", "parallel", "hybrid")
ALONE = frozenset({"performance-tester", "visual-tester", "chaos-engineer", "flaky-test-hunter", "test-executor"})
"""Who measures time, so that work beside it would be measured as well: hybrid lets them work alone."""


def field_of(category: str) -> str:
    """Return the name of the field of a commander's state that counts who of a category has still to work."""
    return f"waiting_{category.replace('-', '_')}"


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Who works next, and how many of them at a time."""

    members: tuple[Member, ...]
    at_once: int

    @property
    def side_by_side(self) -> int:
        """How many of them really work at a time."""
        return min(self.at_once, len(self.members))


def next_batch(mode: str, waiting: Sequence[Member], cores: int) -> Batch:
    """Return the batch for a mode or a category; never an empty one where somebody waits.

    sequential: the next one. parallel: as many as there are cores. hybrid: the next one if it has to be alone, else the
    next ones that need not. A category: all of its own, one after the other.
    """
    if mode == "sequential":
        return Batch(members=tuple(waiting[:1]), at_once=1)
    if mode == "parallel":
        return Batch(members=tuple(waiting[:cores]), at_once=cores)
    if mode == "hybrid":
        if waiting[0].name in ALONE:
            return Batch(members=tuple(waiting[:1]), at_once=1)
        together = [each for each in waiting if each.name not in ALONE]
        return Batch(members=tuple(together[:cores]), at_once=cores)
    own = tuple(each for each in waiting if each.category == mode)
    return Batch(members=own or tuple(waiting[:1]), at_once=1)


def by_category(waiting: Sequence[Member]) -> Mapping[str, int]:
    """Return how many of each category have still to work."""
    counts: dict[str, int] = {}
    for each in waiting:
        counts[each.category] = counts.get(each.category, 0) + 1
    return counts
