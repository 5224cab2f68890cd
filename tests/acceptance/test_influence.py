"""The influence of what was learned, set from another process while a service works: followed within a second, audited."""

import getpass
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from steersman.app import Steersman
from steersman.core.values import Decision
from steersman.testing.specs import small_agent

STATE = {"load": 10, "backlog": 5, "weekend": False}
ASKED = {"agent": "lab/small", "state": STATE}
FOLLOWED_S = 1.0
END_S = 30.0


@contextmanager
def up(folder: Path) -> Iterator[str]:
    """Start a service on a store in a folder; give its address."""
    (folder / "agents.py").write_text("from steersman.testing.specs import small_agent\n\nsmall = small_agent()\n")
    (folder / "steersman.toml").write_text('agent_files = ["agents.py"]\n\n[service]\nrate_per_s = 0\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "steersman", "up", "--port", "0", "--json", "--store", "log.db"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CI": "1"},
    )
    try:
        line = process.stdout.readline()  # type: ignore[union-attr]  # it is a pipe
        assert line, process.stderr.read()  # type: ignore[union-attr]  # it is a pipe
        yield json.loads(line)["address"]
    finally:
        process.terminate()
        process.communicate(timeout=END_S)


class Load:
    """Threads that ask for decisions and report outcomes, some hundred a second, until the block ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(4)]
        self.made = 0

    def _work(self) -> None:
        with httpx.Client(base_url=self._url, timeout=END_S) as client:
            while not self._ending.wait(0.02):
                made = client.post("/v1/decisions", json=ASKED).json()
                client.post("/v1/outcomes", json={"decision_id": made["id"], "measurements": {"reward": 0.5}})
                self.made += 1

    def wait(self) -> float:
        """Return the time, after so many more decisions that some were asked for after the word must be followed."""
        said_at = time.time()
        while time.time() < said_at + FOLLOWED_S:
            time.sleep(0.05)
        before = self.made
        while self.made < before + 40:
            time.sleep(0.02)
        return said_at

    def __enter__(self) -> "Load":
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        for each in self._threads:
            each.join(END_S)


def by_command(folder: Path, *words: str) -> None:
    """Say something in a process of its own."""
    line = [sys.executable, "-m", "steersman", *words, "--store", "log.db"]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=120.0)
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_modes_and_the_kill_switch_are_followed_under_load_within_a_second(tmp_path: Path) -> None:
    spans: list[tuple[str, float, float]] = []

    def say(what: str, *words: str) -> None:
        by_command(tmp_path, *words)
        followed_from = load.wait() + FOLLOWED_S
        spans.append((what, followed_from, time.time()))

    with up(tmp_path) as url, Load(url) as load, httpx.Client(base_url=url) as client:
        say("live", "mode", "lab/small", "live", "--reason", "it has shown itself")
        say("shadow", "mode", "lab/small", "shadow")
        say("live", "mode", "lab/small", "live")
        say("killed", "kill", "lab", "--reason", "it smokes")
        say("live", "kill", "lab", "--off")
        said = client.post("/v1/controls", json={"kind": "mode", "scope": "lab/small", "choices": {"mode": "advisory"}})
        assert said.status_code == 200, said.text
        answer = client.post("/v1/decisions", json=ASKED).json()
        assert (answer["mode"], answer["arm"]) == ("advisory", "baseline"), "in its own process from the next decision on"
        assert set(answer["shadow"]) == {"action"}
        assert "learned policies advise" in client.get("/agents/lab/small").text
        counted = client.get("/metrics").text
        assert 'steersman_influence_total{agent="lab/small",mode="shadow",reason="shadow",tenant="default"}' in counted
        assert 'mode="live",reason="kill"' in counted
    with Steersman.open(tmp_path / "log.db", agents=[small_agent()], settings={}) as steersman:
        rows = [row for row in steersman.log.rows("lab/small") if isinstance(row, Decision)]
        for what, begin, end in spans:
            inside = [each for each in rows if begin <= each.decided_at <= end]
            assert len(inside) > 10
            assert Counter(map(told, inside)) == {what: len(inside)}
            assert steersman.agent("lab/small").replay(inside[0].id).identical
        said_of = [(each.event, each.subject) for each in steersman.log.audit(50) if each.event != "settings in force"]
        assert said_of[::-1] == [
            *[("mode on", "lab/small")] * 3,
            ("kill switch on", "lab"),
            ("kill switch off", "lab"),
            ("mode on", "lab/small"),
        ]


def told(made: Decision) -> str:
    """Return what held when a decision was made, by what it did."""
    if made.arm == "safe":
        return "killed" if made.reason.startswith("kill switch") else made.reason
    if made.mode != "live":
        return made.mode if (made.arm, made.action_probability) == ("baseline", 1.0) else "not the rule"
    return "live"


def test_a_mode_from_the_command_line(command: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "agents.py").write_text("from steersman.testing.specs import small_agent\n\nsmall = small_agent()\n")
    (tmp_path / "steersman.toml").write_text('agent_files = ["agents.py"]\n\n[influence]\nmode = "off"\nstale_s = 60\n')
    state = json.dumps(STATE)

    def asked(*options: str) -> Any:
        return command("decide", "lab/small", state, "--json", *options).json

    assert "These are the modes of the settings" in command("mode", "lab").err, "there is no store yet"
    assert (asked()["mode"], asked()["arm"]) == ("off", "baseline")
    assert command("mode", "lab", "--json").json == [
        {"agent": "lab/small", "mode": "off", "by": "the settings (influence.mode)"}
    ]
    told = command("mode", "lab", "advisory", "--hours", "2", "--reason", "one day with eyes on it")
    assert told.out.startswith("Mode of 'lab' is advisory until "), told.out
    assert (asked()["mode"], asked()["shadow"]) == ("advisory", {"action": "light"}), "in a cold state it advises the rule"
    assert "advice" in command("decide", "lab/small", state).out
    assert "advice" in command("explain", asked()["id"]).out
    assert command("mode", "*", "live").code == 0
    (held,) = [each for each in command("mode", "*", "--json").json if each["agent"] == "lab/small"]
    assert held["mode"] == "advisory", "the narrowest word counts"
    assert held["by"].startswith(f"{getpass.getuser()}, of 'lab' until ")
    assert held["by"].endswith(": one day with eyes on it")
    assert command("mode", "*", "--off").code == 0
    assert command("mode", "lab", "live").code == 0
    assert asked("--observed-at", str(time.time() - 61.0))["reason"].startswith("influence stale: observed 61")
    assert asked("--observed-at", str(time.time()))["mode"] == "live"
    assert "Mode of 'lab' is released" in command("mode", "lab", "--off").out
    assert asked()["mode"] == "off", "the settings say again"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mode", "lab", "turbo"), "'turbo' is no mode: say off, shadow, advisory or live."),
        (("mode", "lab", "live", "--hours", "-3"), "--hours -3: say how long it is to hold"),
        (("pause", "lab", "--hours", "nan"), "--hours nan: say how long it is to hold"),
    ],
)
def test_a_mode_that_is_none_is_refused(command: Callable[..., Any], words: tuple[str, ...], message: str) -> None:
    command("decide", "lab/small", json.dumps(STATE))
    done = command(*words)
    assert (done.code, message in done.err) == (3, True), done.err


def test_the_mode_of_a_scope_that_nobody_knows_names_the_nearest(command: Callable[..., Any]) -> None:
    done = command("mode", "tradign")
    assert (done.code, "Did you mean 'trading'?" in done.err) == (6, True), done.err
