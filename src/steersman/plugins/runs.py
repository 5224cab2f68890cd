"""Runs of a test suite: each is a small file of JSON lines, named by a time-ordered id, so that folders merge by copying.

The first line says what ran, the lines between are `[test, seconds, verdict, reruns]`, written when each test is over,
and the last says how it ended. What a crash left is read as far as it goes.
"""

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from steersman.core.errors import InvalidInput

FORMAT = 1
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
_RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that is over, or broke off: the tests in the order in which they ended, n of each.

    about: the first line. reruns: how often a test was run again. whole: it ended by itself, and nothing was left out.
    """

    id: str
    about: Mapping[str, Any]
    tests: tuple[str, ...]
    seconds: tuple[float, ...]
    verdicts: tuple[str, ...]
    reruns: tuple[int, ...]
    whole: bool

    @property
    def failed(self) -> frozenset[str]:
        """The tests that failed in the end."""
        return frozenset(test for test, verdict in zip(self.tests, self.verdicts, strict=True) if verdict == FAILED)

    @property
    def passed(self) -> frozenset[str]:
        """The tests that passed in the end."""
        return frozenset(test for test, verdict in zip(self.tests, self.verdicts, strict=True) if verdict == PASSED)


class RunWriter(Protocol):
    """A run that goes on."""

    def write(self, line: str, /) -> object:
        """Append a line."""

    def close(self) -> None:
        """Let go of what is open."""


class RunStore(Protocol):
    """Where runs are kept. name: for messages. cache: the folder of what can be made again from them."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the class says it

    @property
    def cache(self) -> Path: ...  # noqa: D102 - the class says it

    def sizes(self) -> dict[str, int]:
        """Return the runs that are there, oldest first, with the size of each."""

    def read(self, run: str) -> Run:
        """Return a run. Raises InvalidInput where it is none, and OSError where it is gone."""

    def begin(self, run: str) -> RunWriter:
        """Begin a run."""

    def prune(self, keep: int) -> None:
        """Let go of all but the newest runs."""


class RunFolder:
    """Runs as files of a folder. It keeps itself out of git, as pytest's own cache does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name, self.cache = str(folder), folder

    def sizes(self) -> dict[str, int]:
        """Return the runs that are there, oldest first, with the size of each."""
        try:
            with os.scandir(self.folder) as entries:
                found = {each.name.removesuffix(".jsonl"): each.stat().st_size for each in entries if _is_run(each.name)}
        except FileNotFoundError:
            return {}
        return dict(sorted(found.items()))

    def read(self, run: str) -> Run:
        """Return a run. Raises InvalidInput where it is none, and OSError where it is gone."""
        return parsed(run, (self.folder / f"{run}.jsonl").read_bytes())

    def begin(self, run: str) -> RunWriter:
        """Begin a run; each line is in the file as soon as it is written."""
        prepared(self.folder)
        return (self.folder / f"{run}.jsonl").open("x", encoding="utf-8", buffering=1)

    def prune(self, keep: int) -> None:
        """Let go of all but the newest runs. Whoever was faster did the same."""
        for run in [*self.sizes()][:-keep]:
            with contextlib.suppress(FileNotFoundError):
                (self.folder / f"{run}.jsonl").unlink()


def prepared(folder: Path) -> Path:
    """Return the folder, there and kept out of git."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("# Written by Steersman.\n*\n")
    return folder


def first_line(about: Mapping[str, Any]) -> str:
    """Return the line that begins a run."""
    return json.dumps({"format": FORMAT, **about}) + "\n"


def line_of(test: str, seconds: float, verdict: str, reruns: int) -> str:
    """Return the line of a test that is over."""
    return json.dumps([test, round(seconds, 6), verdict, reruns] if reruns else [test, round(seconds, 6), verdict]) + "\n"


def last_line(exit_status: int, *, whole: bool) -> str:
    """Return the line that ends a run."""
    return json.dumps({"exit": exit_status, "whole": whole}) + "\n"


def parsed(run: str, text: bytes) -> Run:
    """Return the run of these lines. A line that is damaged is left out; without a first one, raises InvalidInput."""
    lines = _lines(text)
    about = next(lines, None)
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InvalidInput(f"run {run} is damaged, or of another version: it begins with {text[:40]!r}.")
    rows: list[tuple[str, float, str, int]] = []
    whole = False
    for line in lines:
        if isinstance(line, dict):
            whole = line.get("whole") is True
        elif (row := _row(line)) is not None:
            rows.append(row)
    tests, seconds, verdicts, reruns = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Run(id=run, about=about, tests=tests, seconds=seconds, verdicts=verdicts, reruns=reruns, whole=whole)


def _lines(text: bytes) -> Iterator[Any]:
    """Return what the lines say: all at once where they are whole, which is four times as fast."""
    lines = [line for line in text.split(b"\n") if line]
    try:
        yield from json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError:
        for line in lines:
            with contextlib.suppress(ValueError):
                yield json.loads(line)


def _row(line: Any) -> tuple[str, float, str, int] | None:
    if not isinstance(line, list) or len(line) not in (3, 4):
        return None
    test, seconds, verdict, reruns = line if len(line) == 4 else (*line, 0)
    right = isinstance(test, str) and verdict in (PASSED, FAILED, SKIPPED) and isinstance(reruns, int)
    if not right or not isinstance(seconds, int | float) or not math.isfinite(seconds) or seconds < 0.0:
        return None
    return test, float(seconds), verdict, reruns


def _is_run(name: str) -> bool:
    return name.endswith(".jsonl") and _RUN.fullmatch(name.removesuffix(".jsonl")) is not None
