"""Run the command line as its users do, in a process of its own; or in this one, where a process is not what is tested."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from steersman.cli import main


@dataclass(frozen=True, kw_only=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, f"it printed nothing, and ended with {self.code}: {self.err}"
        return json.loads(self.out)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let processes that a test starts hear Ctrl-C; what runs in the background hears none else, and neither do they."""
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, kept)


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


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return the same for this process, where a start of Python would cost a second and show nothing.

    An error that would end the program with a traceback fails the test.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CI", "1")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))

    def run(*arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Done:
        before = signal.getsignal(signal.SIGTERM)
        with monkeypatch.context() as patched:
            for name, value in (env or {}).items():
                patched.setenv(name, value)
            patched.setattr(sys, "argv", ["steersman", *arguments])
            patched.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        signal.signal(signal.SIGTERM, before)
        said = capsys.readouterr()
        return Done(code=int(ended.value.code or 0), out=said.out, err=said.err)

    return run
