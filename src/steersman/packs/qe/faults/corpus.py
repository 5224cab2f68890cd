"""Faults drawn from a project by a seed, or read back from a file in which they were kept."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from steersman.core.errors import InvalidInput, NotFound
from steersman.packs.qe.faults.equivalence import Standing, standings
from steersman.packs.qe.faults.mutation import Fault, candidates, sample
from steersman.packs.qe.project.sandbox import Sandbox

_WAY_OUT = "Draw new faults without --faults, or go back to the sources for which the file was written."
_NAMES = tuple(each.name for each in fields(Fault))


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Faults with what the compiler says of each. digests: SHA-256 of each file that has one, without it."""

    standings: Mapping[Fault, Standing]
    digests: Mapping[str, str]


def draw(sandbox: Sandbox, *, count: int, seed: int) -> Corpus:
    """Return up to `count` faults that compile, with those drawn on the way that do not or change nothing.

    They are drawn from all lines of the functions of a project, spread over the operators. The same seed and count give
    the same faults as long as the sources are the same, whatever the tests are. Raises InvalidInput where there are none.
    """
    texts = _texts(sandbox)
    found = [each for file, text in texts.items() for each in candidates(file, text)]
    drawn = sample(np.random.default_rng([seed, 22]), found, 2 * count)
    kept: dict[Fault, Standing] = {}
    for fault, standing in zip(drawn, standings(sandbox, drawn, texts), strict=True):
        kept[fault] = standing
        count -= standing == "other"
        if not count:
            break
    if not kept:
        raise InvalidInput(
            f"{sandbox.project.root} has no line in a function that could be changed, so no fault can be planted. "
            "Give a project with functions that compute something."
        )
    return Corpus(standings=kept, digests=_digests(kept, texts))


def read(sandbox: Sandbox, path: str) -> Corpus:
    """Return the faults of a JSON report. Raises NotFound, or InvalidInput where it does not fit the sources as they are."""
    entries, kept = _entries(path)
    texts = _texts(sandbox)
    try:
        faults = [Fault(**{name: each["fault"][name] for name in _NAMES}) for each in entries]
    except (KeyError, TypeError) as error:
        raise _no_report(path, f"a fault in it lacks one of {', '.join(_NAMES)}") from error
    unfit = sorted(
        {each.file for each in faults if each.file not in texts or kept.get(each.file) != _digest(texts[each.file])}
    )
    wrong = [each.name for each in faults if each.file not in unfit and not _fits(each, texts[each.file])]
    if unfit or wrong:
        names = ", ".join(unfit or wrong)
        raise InvalidInput(f"{path} has faults of files that are not as they were: {names}. {_WAY_OUT}")
    told = standings(sandbox, faults, texts)
    return Corpus(standings=dict(zip(faults, told, strict=True)), digests=_digests(faults, texts))


def _entries(path: str) -> tuple[list[Any], Mapping[str, str]]:
    try:
        document = json.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}. Write it by `steersman bench faults PATH --json`.") from error
    except ValueError as error:
        raise _no_report(path, f"it is no JSON ({error})") from error
    found = document if isinstance(document, dict) else {}
    entries, digests = found.get("faults"), found.get("digests")
    if not isinstance(entries, list) or not isinstance(digests, dict):
        raise _no_report(path, "it has no list of faults, or no digests of their files")
    return entries, digests


def _no_report(path: str, why: str) -> InvalidInput:
    return InvalidInput(f"{path} is no report of the fault bench, as `steersman bench faults PATH --json` prints it: {why}.")


def _fits(fault: Fault, text: str) -> bool:
    """Return whether the change of a fault stays within its line."""
    try:
        return fault.start >= 0 and fault.apply(text).count("\n") == text.count("\n")
    except (ValueError, TypeError):
        return False


def _texts(sandbox: Sandbox) -> dict[str, str]:
    return {file: sandbox.read(file) for file in sandbox.project.sources}


def _digests(faults: Iterable[Fault], texts: Mapping[str, str]) -> dict[str, str]:
    return {file: _digest(texts[file]) for file in sorted({each.file for each in faults})}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
