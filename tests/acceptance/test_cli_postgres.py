"""The command line on a store in PostgreSQL: every command that takes a store, its exit codes, what it says of failures."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from steersman.app import Steersman
from steersman.backends.sql.postgres import PostgresLog
from steersman.backends.sql.postgres.connect import target

AGENT = """
from steersman import ActionSpace, AgentSpec, Flag, Number, Reward, StateSchema

mine = AgentSpec(
    name="mine/backup",
    description="Decides when a backup is made.",
    state=StateSchema(name="backup", fields=(Number(name="load", low=0, high=100, edges=(50,)), Flag(name="night"))),
    actions=ActionSpace.flat("now", "later"),
    reward=Reward.plain(-1.0, 1.0),
    baseline=lambda state: "now" if state["night"] else "later",
    safe_action="later",
    settings={"learning": {"gamma": 0.0}},
)
"""
STATE = '{"load": 10, "night": true}'

Run = Callable[..., Any]


@pytest.fixture
def run(command: Run, new_store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command line where STEERSMAN_STORE names a store in PostgreSQL."""
    (tmp_path / "mine.py").write_text(AGENT)
    (tmp_path / "steersman.toml").write_text('agent_files = ["mine.py"]\n')
    monkeypatch.setenv("STEERSMAN_STORE", new_store_url)
    return command


def decided(run: Run) -> str:
    made = run("decide", "mine/backup", STATE, "--json")
    assert made.code == 0, made.err
    name: str = made.json["id"]
    return name


def test_the_whole_loop(run: Run) -> None:
    name = decided(run)
    assert run("report", name, '{"reward": 0.5}').code == 0
    assert run("report", name, '{"reward": 0.5}').code == 0  # again: harmless
    clash = run("report", name, '{"reward": 0.6}')
    assert clash.code == 7
    assert "already has another outcome" in clash.err
    assert run("report", name, '{"reward": 0.6}', "--correct", "--json").json["revision"] == 1
    explained = run("explain", name)
    assert explained.code == 0, explained.err
    for word in ("mine/backup", "propensity", "night", "Outcome", "0.6"):
        assert word in explained.out
    replayed = run("replay", name, "--json")
    assert (replayed.code, replayed.json["identical"]) == (0, True), replayed.json
    assert run("audit", "--json").json[0]["event"] == "outcome refused"
    listed = {each["agent"]: each for each in run("agents", "--json").json}
    assert listed["mine/backup"]["decisions"] == 1
    assert "qe/test-executor" in listed
    assert run("report", name, "--withdraw", "--json").json["kind"] == "withdrawn"


def test_what_is_reported_by_one_command_is_learned_before_the_next_decides(run: Run) -> None:
    for _ in range(2):
        assert run("report", decided(run), '{"reward": 0.5}').code == 0
    (found,) = run("doctor", "--json").json
    assert (found["decisions"], found["outcomes"], found["updates"]) == (2, 2, 2)


def test_a_log_moves_to_another_store_and_back(run: Run, new_store_url: str) -> None:
    name = decided(run)
    assert run("report", name, '{"reward": 0.5}').code == 0
    exported = run("export").out
    assert run("export", "log.jsonl").code == 0
    assert run("import", "log.jsonl", "--store", "log.db", "--json").json == {"imported": 2}
    assert run("export", "--store", "log.db").out == exported
    with psycopg.connect(target(new_store_url).conninfo, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {target(new_store_url).schema} CASCADE")
    moved = run("import", "log.jsonl", "--json")
    assert (moved.code, moved.json) == (0, {"imported": 2}), moved.err
    assert run("import", "log.jsonl", "--json").json == {"imported": 0}
    assert run("export").out == exported
    assert run("replay", name).code == 0


def test_a_damaged_export_changes_nothing(run: Run) -> None:
    decided(run)
    lines = run("export").out.splitlines()
    done = run("import", "-", stdin="\n".join([lines[0], lines[1].replace('"step":0', '"step":NaN')]))
    assert done.code == 3, done.err
    assert run("export").out.splitlines() == lines


def test_the_kill_switch_stops_the_next_command(run: Run) -> None:
    decided(run)
    assert run("kill", "mine", "--reason", "drill").code == 0
    stopped = run("decide", "mine/backup", STATE, "--json").json
    assert (stopped["arm"], "drill" in stopped["reason"]) == ("safe", True)
    assert "drill" in run("doctor").out
    assert run("kill", "mine", "--off").code == 0
    assert run("decide", "mine/backup", STATE, "--json").json["arm"] != "safe"
    assert [each["event"] for each in run("audit", "--json").json][:2] == ["kill switch off", "kill switch on"]
    mistyped = run("kill", "mine/bakup")
    assert mistyped.code == 2
    assert "Did you mean 'mine/backup'" in mistyped.err


def test_many_processes_use_one_store(cli: Run, run: Run, new_store_url: str, tmp_path: Path) -> None:
    with Steersman.open(new_store_url, settings=tmp_path / "steersman.toml") as steersman:
        agent = steersman.agent("mine/backup")
        name = decided(cli)
        assert cli("report", name, '{"reward": 0.5}').code == 0
        assert agent.replay(name).identical
        told = cli("doctor")
        assert "learner" in told.out
        (found,) = run("doctor", "--json").json
        assert found["learner"] == steersman.log.learner("mine/backup")  # type: ignore[attr-defined]
        assert not any("learns" in each for each in found["findings"])


def test_doctor_says_that_nobody_learns(run: Run) -> None:
    decided(run)
    told = run("doctor")
    assert told.code == 2
    assert "No process learns for it now" in " ".join(told.out.split())
    assert run("doctor", "--json").json[0]["learner"] == ""


def test_doctor_says_that_what_is_learned_is_of_another_definition(run: Run, new_store_url: str, tmp_path: Path) -> None:
    with Steersman.open(new_store_url, settings=tmp_path / "steersman.toml") as steersman:
        agent = steersman.agent("mine/backup")
        agent.report(agent.decide({"load": 10, "night": True}), {"reward": 0.5}).wait(10)
        steersman.log.flush(10)
        deadline = time.monotonic() + 10
        while not agent.diagnose().outcomes:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        told = run("doctor", "--json", env={"STEERSMAN_LEARNING__GAMMA": "0.5"})
        assert told.code == 2
        assert any("another definition" in each for each in told.json[0]["findings"])


def test_agents_of_a_store_that_is_not_there_are_those_of_the_packs(run: Run) -> None:
    listed = run("agents", "--json")
    assert listed.code == 0, listed.err
    assert {each["decisions"] for each in listed.json} == {0}


@pytest.mark.parametrize("line", ["report nothing {}", "explain nothing", "replay nothing"])
def test_a_decision_that_is_not_there_is_told(run: Run, new_store_url: str, line: str) -> None:
    PostgresLog(new_store_url).close()
    done = run(*line.split())
    assert (done.code, "no decision 'nothing'" in done.err) == (6, True), done.err


@pytest.mark.parametrize(
    ("line", "place", "code", "message"),
    [
        ("agents", "postgresql://me:secret@127.0.0.1:1/x", 1, "Check that the server runs"),
        ("decide", "postgresql://me:secret@127.0.0.1:1/x", 1, "cannot use the store postgresql://me@127.0.0.1:1/x"),
        ("kill", "postgresql://me:secret@127.0.0.1:1/x", 1, "Check that the server runs"),
        ("doctor", "postgres://me:secret@here:x/y", 3, "There is no port 'x'"),
        ("audit", "mysql://me@here/y", 3, "no backend for mysql"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_with_the_way_out(
    run: Run, line: str, place: str, code: int, message: str
) -> None:
    more = ("mine/backup", STATE) if line == "decide" else ()
    done = run(line, *more, "--store", place)
    assert message in done.err
    assert done.code == code
    assert "secret" not in done.err


@pytest.mark.parametrize("line", ["doctor", "audit", "export", "kill", "explain x"])
def test_a_store_that_is_not_there_is_not_made_by_looking_for_it(run: Run, new_store_url: str, line: str) -> None:
    done = run(*line.split())
    assert done.code == 6
    assert "no store at postgresql://" in done.err
    with psycopg.connect(target(new_store_url).conninfo) as connection:
        assert connection.execute("SELECT to_regnamespace(%s)", (target(new_store_url).schema,)).fetchone() == (None,)


def test_a_store_of_a_newer_version_is_refused(run: Run, new_store_url: str) -> None:
    decided(run)
    with psycopg.connect(target(new_store_url).conninfo, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    done = run("decide", "mine/backup", STATE, "--json")
    assert done.code == 1
    assert json.loads(done.err)["error"] == "StoreVersionError"
    assert "newer Steersman" in done.err
