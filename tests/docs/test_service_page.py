"""What the README and the page of the service tell a newcomer to type works as it stands there, against a real server."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
AGENT = re.compile(r"^```python\n(from steersman import ActionSpace.*?)^```$", re.DOTALL | re.MULTILINE)


def shown(page: str) -> list[str]:
    """Return the shell commands of a page that talk to the service."""
    return [body for kind, body in FENCE.findall((ROOT / page).read_text("utf-8")) if kind == "bash"]


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Start the service as a newcomer does, with the agent that the README defines."""
    found = AGENT.search((ROOT / "README.md").read_text("utf-8"))
    assert found is not None
    (tmp_path / "my_agents.py").write_text(found[1])
    (tmp_path / "steersman.toml").write_text('agent_files = ["my_agents.py"]\n')
    command = [sys.executable, "-m", "steersman", "up", "--port", "0", "--json"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("STEERSMAN_")}
    server = subprocess.Popen(command, cwd=tmp_path, env=plain, stdout=subprocess.PIPE)
    try:
        yield json.loads(next(iter(server.stdout or ())))["address"]
    finally:
        server.terminate()
        server.communicate(timeout=20)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
@pytest.mark.parametrize("page", ["README.md", "docs/service.md"])
def test_the_commands_shown_decide_and_report_and_the_page_shows_it_within_a_second(
    page: str, address: str, tmp_path: Path
) -> None:
    for command in shown(page):
        typed = ["bash", "-c", command.replace("http://127.0.0.1:8321", address)]
        done = subprocess.run(typed, cwd=tmp_path, capture_output=True, check=True)
        assert "problem" not in json.loads(done.stdout).get("type", ""), done.stdout
    deadline = time.monotonic() + 1.0
    while "0.76" not in _page(f"{address}/agents/mine/batch"):
        assert time.monotonic() < deadline, "what was reported is not on the page after a second"
        time.sleep(0.05)


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())
