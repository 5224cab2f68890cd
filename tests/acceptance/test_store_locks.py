"""A store that is open keeps its journal, whoever looks into it from outside meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

from steersman.app import Steersman
from steersman.testing.specs import small_agent

OWNER = """
import os, subprocess, sys
from steersman.app import Steersman
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}
steersman = Steersman.open(sys.argv[1], agents=[small_agent()], settings={})
agent = steersman.agent("lab/small")
agent.report(agent.decide(STATE), {"reward": 0.5}).wait()
agent.release.now  # whatever looks at what is in production must not let the log's locks go
command = [sys.executable, "-m", "steersman", "pause", "--off", "--store", sys.argv[1]]
subprocess.run(command, check=True, capture_output=True)
assert os.path.exists(sys.argv[1] + "-wal"), "the journal is gone"
agent.report(agent.decide(STATE), {"reward": 0.5}).wait()
os._exit(0)
"""


def test_what_is_acknowledged_after_somebody_looked_in_is_there(tmp_path: Path) -> None:
    """A command that comes and goes takes nothing away: both outcomes are there after the owner's sudden end."""
    store = str(tmp_path / "log.db")
    subprocess.run([sys.executable, "-c", OWNER, store], check=True, env={**os.environ}, timeout=120)
    with Steersman.open(store, agents=[small_agent()], settings={}, read_only=True) as steersman:
        assert steersman.log.decision_count("lab/small") == 2
        assert len(list(steersman.log.history("lab/small"))) == 2
