"""Runs as a store would have them, without a pytest run behind each."""

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Protocol

import pytest

from steersman.plugins.runs import FAILED, PASSED, RunFolder, RunStore, first_line, last_line, line_of

_numbers = count()


class Keep(Protocol):
    """Keeps a run in a store, and returns its id."""

    def __call__(
        self,
        tests: Mapping[str, str] | Sequence[str],
        *,
        store: RunStore | None = ...,
        seconds: Sequence[float] = ...,
        reruns: int = ...,
        whole: bool = ...,
        number: int | None = ...,
        **about: object,
    ) -> str: ...


def run_id(number: int) -> str:
    return f"{number:08x}-0000-7000-8000-000000000000"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "runs")


@pytest.fixture
def keep(folder: RunFolder) -> Keep:
    """Runs in the order of the calls, or by their number; tests by name and verdict, or names of tests that passed."""

    def kept(
        tests: Mapping[str, str] | Sequence[str],
        *,
        store: RunStore | None = None,
        seconds: Sequence[float] = (),
        reruns: int = 0,
        whole: bool = True,
        number: int | None = None,
        **about: object,
    ) -> str:
        verdicts = tests if isinstance(tests, Mapping) else dict.fromkeys(tests, PASSED)
        run = run_id(next(_numbers) if number is None else number)
        writer = (store or folder).begin(run)
        writer.write(first_line(about))
        took = seconds or [1.0] * len(verdicts)
        for (test, verdict), each in zip(verdicts.items(), took, strict=True):
            writer.write(line_of(test, each, verdict, reruns))
        writer.write(last_line(1 if FAILED in verdicts.values() else 0, whole=whole))
        writer.close()
        return run

    return kept
