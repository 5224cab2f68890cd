"""What a run will do: which tests, in which order, and what to say about it. Each step may fail, and the next go on."""

import platform
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steersman.core.errors import SteersmanError
from steersman.plugins.runs import RunFolder, RunStore

if TYPE_CHECKING:
    from steersman.plugins.memory import Memory
    from steersman.plugins.sources import Sources

_MOST_FILES = 200
"""Of a change of more files than this none is written down."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What was asked for. store: a folder or a URL. changed: a revision, empty for none. keep: runs."""

    root: Path
    store: str
    changed: str = ""
    budget: float = 1.0
    keep: int = 200

    @property
    def folder(self) -> Path:
        """The folder of the store, or of what is remembered from a store that is none."""
        return self.root / (".steersman/pytest" if "://" in self.store else self.store)


@dataclass(kw_only=True)
class Plan:
    """What was made of the wishes. order: indices of the tests that run; None for the usual order and all of them.

    lines: for the summary. troubles: what went wrong on the way, and what that means. took_s: to make this plan.
    """

    wishes: Wishes
    store: RunStore | None = None
    memory: "Memory | None" = None
    about: dict[str, Any] = field(default_factory=dict)
    order: list[int] | None = None
    left_out: int = 0
    lines: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    took_s: float = 0.0

    def attempt(self, step: Callable[[], None], otherwise: str) -> None:
        """Take a step; where that fails, note why and what happens instead."""
        try:
            step()
        except SteersmanError as error:
            self.troubles.append(f"{otherwise}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever is broken of ours, the tests of others run as ever
            self.troubles.append(f"{otherwise}: {type(error).__name__}: {error}")


def opened(wishes: Wishes) -> Plan:
    """Return a plan with nothing but its store."""
    plan = Plan(wishes=wishes)

    def open_store() -> None:
        if "://" in wishes.store:
            from steersman.plugins.run_table import RunTable

            plan.store = RunTable(wishes.store, wishes.folder)
        else:
            plan.store = RunFolder(wishes.folder)

    plan.attempt(open_store, "nothing is learned or recorded, and the order is the usual one")
    return plan


def made(plan: Plan, names: Sequence[str]) -> None:
    """Fill a plan for these tests: remember, look at the sources, choose, order, and keep within the budget."""
    began = time.perf_counter()
    plan.attempt(lambda: _remember(plan), "the order is the usual one")
    sources = _sources(plan)
    if plan.memory is not None:
        rest = list(range(len(names)))
        if plan.wishes.changed:
            plan.attempt(lambda: _choose(plan, names, sources, rest), "no test is left out for the change")
        plan.attempt(lambda: _arrange(plan, names, rest), "the order is the usual one")
    elif plan.wishes.changed or plan.wishes.budget < 1.0:
        plan.troubles.append("no test is left out, for nothing is known of them")
    plan.took_s = time.perf_counter() - began


def _remember(plan: Plan) -> None:
    if plan.store is not None:
        from steersman.plugins.memory import remembered

        plan.memory = remembered(plan.store, plan.wishes.budget, plan.troubles.append)


def _sources(plan: Plan) -> "Sources":
    """Write down what runs here, and return the sources. Without git that is less, and no trouble."""
    from steersman.plugins.sources import Sources

    sources = Sources(plan.wishes.root, plan.wishes.folder)
    plan.about |= {"started": time.time(), "machine": socket.gethostname(), "python": platform.python_version()}
    plan.about |= {"platform": platform.system(), "budget": plan.wishes.budget}

    def look() -> None:
        commit = sources.commit()
        plan.about |= {"commit": commit, "sources": sources.fingerprint(commit)}
        before = plan.memory.commit if plan.memory is not None else ""
        changed = _changed(sources, before)
        if len(changed) <= _MOST_FILES:
            plan.about["changed"] = changed

    try:
        look()
    except (SteersmanError, OSError) as error:
        plan.about["no_sources"] = str(error)
    return sources


def _changed(sources: "Sources", before: str) -> list[str]:
    """Return what changed since the last run, or in the last commit where that run's is not known here."""
    for revision in (before, "HEAD~1", "HEAD"):
        if revision:
            try:
                return sources.changed(revision)
            except SteersmanError:
                continue
    return []


def _choose(plan: Plan, names: Sequence[str], sources: "Sources", rest: list[int]) -> None:
    from steersman.plugins.selection import chosen

    assert plan.memory is not None  # noqa: S101 - only asked for with one
    choice = chosen(names, plan.memory, sources, plan.wishes.changed)
    rest[:] = [place for place in rest if choice.runs[place]]
    why = ", ".join(f"{count:,} {reason}" for reason, count in choice.why.items())
    files = "1 file" if len(choice.changed) == 1 else f"{len(choice.changed):,} files"
    plan.lines.append(
        f"since {plan.wishes.changed} {files} changed: {len(rest):,} of {len(names):,} tests run"
        f"{f' ({why})' if why else ''}, {len(names) - len(rest):,} left out"
    )
    plan.order, plan.left_out = [*rest], len(names) - len(rest)


def _arrange(plan: Plan, names: Sequence[str], rest: Sequence[int]) -> None:
    from steersman.plugins.order import affordable, arranged, expected_s

    assert plan.memory is not None  # noqa: S101 - only asked for with one
    learner, left = plan.memory.learner, [names[place] for place in rest]
    order = arranged(learner, left)
    runs = plan.memory.learner.past.cycle
    line = f"learned order, from {runs:,} run{'s' * (runs != 1)}" if runs else "nothing learned yet: the usual order"
    lines = [line]
    if plan.wishes.budget < 1.0 and not runs:
        lines.append("the budget does not hold yet: how long the tests take is not known")
    elif plan.wishes.budget < 1.0:
        fits, expected = affordable(learner, left, order, plan.wishes.budget), expected_s(learner, left)
        lines.append(
            f"budget of {100 * plan.wishes.budget:g} %: {int(fits.sum()):,} of {len(left):,} tests run, "
            f"{expected[order[fits]].sum():.2f} s of {expected.sum():.2f} s expected; {int((~fits).sum()):,} left out"
        )
        order = order[fits]
    plan.order, plan.left_out = [rest[place] for place in order], len(names) - len(order)
    plan.lines += lines
