"""The log of a service says when it began and when it ended, so that an operator can tell a stop from a crash."""

import json
import signal
import subprocess
import sys
from pathlib import Path


def test_a_start_and_a_stop_are_in_the_log(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "steersman", "up", "--port", "0", "--json", "--log-format", "json", "--store", "log.db"]
    service = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        address = json.loads(next(iter(service.stdout or ())))["address"]
        service.send_signal(signal.SIGTERM)
        _, errors = service.communicate(timeout=30)
    finally:
        service.kill()
    told = [json.loads(line) for line in errors.splitlines()]
    assert [each["event"] for each in told] == ["started", "stopping", "stopped"]
    assert {each["address"] for each in told} == {address}
    assert service.returncode == 0
