"""The example in JavaScript runs against a real service, and does without one."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from steersman.testing.serving import serving
from steersman.testing.specs import small_agent

EXAMPLE = Path(__file__).parents[2] / "examples" / "http.mjs"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node to run it with")


def run(address: str) -> "subprocess.CompletedProcess[str]":
    assert NODE is not None
    return subprocess.run([NODE, str(EXAMPLE), address], capture_output=True, text=True, timeout=60, check=False)


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 80


def test_it_decides_and_reports_and_is_told_what_is_wrong(tmp_path: Path) -> None:
    with serving(str(tmp_path / "log.db"), agents=[small_agent()]) as running:
        done = run(running.url)
    assert done.returncode == 0, done.stderr
    decided, first, again, refused = done.stdout.splitlines()
    assert decided.startswith("decided: { action: '")
    assert (first, again) == ("reported, first: 0.5 as revision 0", "reported, again: 0.5 as revision 0")
    assert refused.startswith("refused: ")
    assert "backlog" in refused or "load" in refused


def test_it_does_without_a_service() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = run(f"http://127.0.0.1:{port}")
    assert done.returncode == 0, done.stderr
    assert "decided: { action: 'light' } (baseline:" in done.stdout
