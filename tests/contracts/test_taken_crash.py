"""A process that is killed leaves an event with what it led to, or neither; the next one goes on, and each counts once."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from steersman.app import Steersman
from steersman.core.values import Decision, Outcome

KILLS = 5
EVENTS = 1_500
WORKER = f"""
import sys
from steersman.app import Steersman
from steersman.core.values import Taken
from steersman.testing.specs import small_agent
state = {{"load": 10.0, "backlog": 5.0, "weekend": False}}
with Steersman.open(sys.argv[1], settings={{}}) as steersman:
    agent = steersman.agent(small_agent())
    print("open", flush=True)
    for number in range({EVENTS}):  # as a bus that delivers all of it again after each death
        asked, told = (Taken(stream="s", event=f"{{kind}}{{number}}", position="1") for kind in ("ask ", "tell "))
        if steersman.log.taken("s", asked.event) is None:
            agent.decide(state, subject=asked.event, taken=asked)
        if steersman.log.taken("s", told.event) is None:
            name = steersman.log.taken("s", asked.event).decision_id
            receipt = agent.report(name, {{"reward": 0.5}}, source=told.event, taken=told)
            if number % 20 == 0:
                receipt.wait(10.0)
    print("done", flush=True)
"""


def killed(url: str, after_s: float) -> bool:
    """Let a process work for a while, kill it, and return whether it was done before that."""
    worker = subprocess.Popen([sys.executable, "-c", WORKER, url], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    with worker.stdout as said:
        assert said.readline() == "open\n"
        time.sleep(after_s)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        return "done" in said.read()


def check(url: str) -> int:
    """Check that events and what they led to are there together, and return how many events there are."""
    with Steersman.open(url, settings={}) as steersman:
        log = steersman.log
        rows = list(log.rows())
        made = {row.subject: row for row in rows if isinstance(row, Decision)}
        told = Counter(row.source for row in rows if isinstance(row, Outcome))
        assert len(made) == sum(isinstance(row, Decision) for row in rows), "an event was decided on twice"
        assert set(told.values()) <= {1}, "an event was learned twice"
        for number in range(EVENTS):
            asked, answered = log.taken("s", f"ask {number}"), log.taken("s", f"tell {number}")
            assert (asked is None) == (f"ask {number}" not in made)
            assert (answered is None) == (f"tell {number}" not in told)
            assert asked is None or asked.decision_id == made[f"ask {number}"].id
        return len(made) + len(told)


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_an_event_and_what_it_led_to_survive_a_kill_together_or_not_at_all(
    store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = str(tmp_path / "log.db") if store == "sqlite" else str(request.getfixturevalue("store_url"))
    chance, seen, unfinished = random.Random(5), 0, 0
    for _ in range(KILLS):
        unfinished += not killed(url, chance.uniform(0.01, 0.15))
        now = check(url)
        assert now >= seen
        seen = now
    assert unfinished, "no kill came in mid-work, so nothing was tried"
    assert seen
