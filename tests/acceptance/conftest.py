"""Run the installed command line as its users do: in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., Done]:
    """Return a function that runs `steersman` in a folder of its own."""

    def run(*arguments: str, stdin: str = "", timeout_s: float = 240.0, env: dict[str, str] | None = None) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "steersman", *arguments],
            cwd=tmp_path,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "CI": "1", "XDG_DATA_HOME": str(tmp_path / "data"), **(env or {})},
        )
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    return run
