"""Which tests a change calls for, and why: by imports, by names, by what broke before; and what is new or failed lately."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman.packs.qe.ordering.past import FEATURES
from steersman.plugins.imports import ImportGraph, for_all, named_after
from steersman.plugins.memory import Memory
from steersman.plugins.sources import Sources

_LATELY = 10.0
"""A test that failed within so many runs is always chosen."""
_NEW = FEATURES.index("new")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """runs: which tests run, (n,). changed: the files. why: how many each reason was the first to choose."""

    runs: NDArray[np.bool_]
    changed: tuple[str, ...]
    why: dict[str, int]


def chosen(names: Sequence[str], memory: Memory, sources: Sources, revision: str) -> Chosen:
    """Return the tests that a change since a revision calls for.

    Raises NotFound where there is no git, and InvalidInput where there is no such revision.
    """
    changed = sources.changed(revision)
    broad = [file for file in changed if for_all(file)]
    if broad:
        return Chosen(runs=np.ones(len(names), dtype=np.bool_), changed=(*changed,), why={f"{broad[0]} changed": len(names)})
    files = np.array([name.split("::", 1)[0] for name in names], dtype=object)
    tests = frozenset(files.tolist())
    dependants = ImportGraph(sources.root, sources.python_files(), changed).dependants(changed) if changed else frozenset()
    named = frozenset[str]().union(*(named_after(file, tests) for file in changed if file.endswith(".py")))
    broken = frozenset[str]().union(*(memory.broken_by(file) for file in changed))
    seen = memory.learner.past.of(memory.learner.past.places(names))
    reasons = {
        "by imports": np.array([file in dependants for file in files], dtype=np.bool_),
        "by name": np.array([file in named for file in files], dtype=np.bool_),
        "broke with these files before": np.array([name in broken for name in names], dtype=np.bool_),
        "failed lately": seen.age <= _LATELY,
        "new": seen.features[:, _NEW] > 0.0,
    }
    runs, why = np.zeros(len(names), dtype=np.bool_), {}
    for reason, each in reasons.items():
        why[reason] = int((each & ~runs).sum())
        runs |= each
    return Chosen(runs=runs, changed=(*changed,), why={reason: count for reason, count in why.items() if count})
