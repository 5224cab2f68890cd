"""Events on a real Redis server, worked on by the command line as its users run it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.app.buses import open_bus
from steersman.backends.sql.sqlite import owner
from steersman.core.events import Event, encode
from steersman.testing.redis import RedisServer

Cli = Callable[..., Any]
SOON_S = 60.0
AGENTS = """
from dataclasses import replace

from steersman.testing.specs import small_agent

agent = replace(small_agent(), name="own/small")
"""
SETTINGS = """
agent_files = ["agents.py"]

[bus]
streams = "jobs"
out = "choices"
announce = "news"
idle_s = 1.0
attempts = 2

[[bus.routes]]
on = "job.queued"
do = "decide"
agent = "own/small"
state = { load = "load", backlog = 5, weekend = false }
emit = "decision.made"

[[bus.routes]]
on = "job.done"
do = "report"
agent = "own/small"
decision_of = "job"
measurements = { reward = "reward" }
"""


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    """The URL of an empty server."""
    import redis

    with closing(redis.Redis.from_url(redis_server.url)) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agents.py").write_text(AGENTS)
    (tmp_path / "steersman.toml").write_text(SETTINGS)
    return tmp_path


def publish(url: str, *events: Event | bytes) -> None:
    with closing(open_bus(url)) as bus:
        bus.publish("jobs", [("ada", each if isinstance(each, bytes) else encode(each)) for each in events])


def job(number: int, **data: Any) -> Event:
    return Event(id=f"q{number}", type="job.queued", at=1.0, subject="ada", data={"load": 10.0 * number, **data})


def done(number: int, reward: float = 0.5) -> Event:
    return Event(id=f"d{number}", type="job.done", at=2.0, subject="ada", data={"job": f"q{number}", "reward": reward})


def streamed(url: str, stream: str) -> list[dict[str, Any]]:
    with closing(open_bus(url, [stream], group="reader")) as bus:
        found = bus.take(1_000, 2.0)
        bus.done(found)
    return [json.loads(each.body) for each in found]


def test_events_are_decided_learned_answered_and_announced(cli: Cli, folder: Path, url: str) -> None:
    publish(url, job(1), done(1), job(2), done(2, reward=-0.5), job(1))
    ran = cli("bus", "run", "--url", url, "--drain")
    assert ran.code == 0, ran.err
    assert "Taking from jobs; answers go to choices." in ran.out
    answers = streamed(url, "choices")
    assert {each["data"]["cause"] for each in answers} == {"q1", "q2"}
    news = sorted(each["type"] for each in streamed(url, "news"))
    assert news == ["decision.made", "decision.made", "outcome.recorded", "outcome.recorded"]
    exported = [json.loads(line) for line in cli("export").out.splitlines()[1:]]
    assert len(exported) == 4
    status = cli("bus", "status", "--url", url, "--json")
    assert status.code == 0
    assert status.json["waiting"] == {"jobs": 0}
    assert status.json["dead"] == {"jobs": 0}
    assert [each["agent"] for each in status.json["last"]] == ["own/small"] * 2


def test_dead_letters_are_shown_and_put_back(command: Cli, folder: Path, url: str) -> None:
    publish(url, b"nonsense", job(1, load="much"), done(7), job(2))
    ran = command("bus", "run", "--url", url, "--drain", "--json")
    assert ran.code == 0, ran.err
    tally = json.loads(ran.out.splitlines()[1])
    assert tally["dead"] == {"unreadable": 1, "refused": 1, "unmatched": 1}
    status = command("bus", "status", "--url", url)
    assert status.code == 2
    for word in ("unreadable", "refused", "unmatched", "steersman bus dead"):
        assert word in status.out
    letters = command("bus", "dead", "--url", url, "--json").json
    assert {each["fault"] for each in letters} == {"unreadable", "refused", "unmatched"}
    assert "nonsense" in command("bus", "dead", "--url", url).out
    publish(url, job(7))
    assert command("bus", "run", "--url", url, "--drain").code == 0
    assert "3 put back." in command("bus", "dead", "--url", url, "--retry").out
    ran = command("bus", "run", "--url", url, "--drain", "--json")
    assert json.loads(ran.out.splitlines()[1])["dead"] == {"unreadable": 1, "refused": 1}
    assert {each["fault"] for each in command("bus", "dead", "--url", url, "--json").json} == {"unreadable", "refused"}


def test_dead_letters_stand_by_the_time_of_their_events_whatever_their_partition(
    command: Cli, folder: Path, url: str
) -> None:
    late, early, odd = (Event(id=f"e{at:g}", type="job.lost", at=at, data={}) for at in (3.0, 2.0, 1e18))
    with closing(open_bus(url)) as bus:
        for number, each in enumerate([b"nonsense", encode(odd), encode(late), encode(early)]):
            bus.publish("jobs.dead", [(f"k{number}", each)])
    letters = command("bus", "dead", "--url", url, "--json").json
    assert [each["at"] for each in letters] == [2.0, 3.0, 1e18, None]
    shown = command("bus", "dead", "--url", url).out
    assert shown.index("1970-01-01 00:00:02") < shown.index("1970-01-01 00:00:03") < shown.index("1e+18")


def test_the_status_shows_the_last_decision_of_each_agent_by_its_whole_name(command: Cli, folder: Path, url: str) -> None:
    long = "own/agent-with-a-long-name"
    (folder / "agents.py").write_text(AGENTS.replace("own/small", long))
    (folder / "steersman.toml").write_text(SETTINGS.replace("own/small", long))
    publish(url, *(job(number) for number in range(1, 4)))
    assert command("bus", "run", "--url", url, "--drain").code == 0
    lines = [line for line in command("bus", "status", "--url", url).out.splitlines() if long in line]
    assert len(lines) == 1, "one row for each agent, and its name in one piece"


@pytest.mark.parametrize(("options", "user"), [({"appendonly": "no"}, ""), ({}, "nobody:wrong@")])
def test_a_server_that_waiting_cannot_mend_ends_the_consumer_at_once(
    cli: Cli, folder: Path, options: dict[str, str], user: str
) -> None:
    (folder / "steersman.toml").write_text(SETTINGS.replace('announce = "news"\n', ""))
    with closing(RedisServer(options)) as server:
        ran = cli("bus", "run", "--url", server.url.replace("//", f"//{user}"), timeout_s=SOON_S)
    assert ran.code == 1
    assert ("cannot be reached" if user else "add ?durable=no to its URL") in ran.err
    assert "Taking from" not in ran.out


def test_a_stream_that_is_not_there_is_told_from_one_that_is_worked_off(command: Cli, folder: Path, url: str) -> None:
    publish(url, job(1))
    assert command("bus", "run", "--url", url, "--drain").code == 0
    for _ in range(2):
        status = command("bus", "status", "--url", url, "--streams", "jobs,jbos")
        assert "There is no stream 'jbos' there" in status.out
        assert "'jobs' there" not in status.out
    assert command("bus", "status", "--url", url, "--streams", "jbos", "--json").json["missing"] == ["jbos"]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_store_in_use_is_told_in_words_of_the_command_line(
    command: Cli, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    monkeypatch.setattr(owner, "WAIT_S", 0.0)
    with Steersman.open(folder / "log.db", settings={}):
        told = command("bus", "run", "--url", url, "--store", str(folder / "log.db"), *form)
    assert told.code == 7
    assert "stop it, or name another with --store." in told.err


def test_a_signal_ends_it_after_the_batch_and_metrics_can_be_fetched(folder: Path, url: str) -> None:
    publish(url, job(1), done(1))
    command = [sys.executable, "-m", "steersman", "bus", "run", "--url", url, "--metrics", "0", "--json"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env={**os.environ, "CI": "1"}) as running:
        try:
            assert running.stdout is not None
            port = json.loads(running.stdout.readline())["metrics"]
            line = 'steersman_bus_events_total{result="done",tenant="default",type="job.done"} 1.0'
            deadline = time.monotonic() + SOON_S
            while line not in (shown := _metrics(port)):
                assert time.monotonic() < deadline, shown
                time.sleep(0.1)
            assert 'steersman_bus_working{tenant="default"} 1.0' in shown
            running.send_signal(signal.SIGTERM)
            said, _ = running.communicate(timeout=SOON_S)
        finally:
            running.kill()
    assert running.returncode == 0
    assert {each["result"] for each in json.loads(said)["events"]} == {"done"}


def _metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=SOON_S) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("bus", "run"), 3, "bus.url is not set"),
        (("bus", "run", "--url", "redis://localhost", "--streams", "a b"), 3, "use letters"),
        (("bus", "run", "--url", "redis://localhost", "--pack", "tradign"), 6, "Did you mean 'trading'?"),
        (("bus", "run", "--url", "amqp://localhost"), 3, "no bus for"),
        (("bus", "run", "--url", "redis://localhost", "--metrics", "here"), 3, "is no address"),
        (("bus", "run", "--url", "memory:"), 3, "nobody else can be on it: --url redis://"),
        (("bus", "dead", "--url", "memory:"), 3, "nobody else can be on it"),
        (("bus", "run", "--url", "redis://localhost", "--out", "jobs"), 3, "Name another --out STREAM."),
        (("bus", "status"), 3, "bus.url is not set"),
        (("bus", "status", "--url", "redis://127.0.0.1:1"), 1, "refused. Start it, or name another one with --url."),
        (("bus", "dead", "--url", "redis://127.0.0.1:1"), 1, "refused. Start it, or name another one with --url."),
    ],
)
def test_what_cannot_begin_says_the_way_out(
    command: Cli, folder: Path, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    (folder / "steersman.toml").write_text(SETTINGS.replace('announce = "news"\n', ""))
    found = command(*arguments)
    assert (found.code, complaint in found.err) == (code, True), found.err


def test_what_a_route_names_wrongly_is_told_before_anything_is_taken(command: Cli, folder: Path) -> None:
    (folder / "steersman.toml").write_text(SETTINGS.replace('load = "load"', 'laod = "load"'))
    found = command("bus", "run", "--url", "redis://localhost")
    assert found.code == 3
    assert "knows no 'laod'. Did you mean 'load'?" in found.err
