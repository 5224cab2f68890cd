"""The command line from the outside: what it prints, its exit codes, and what it does with bad input."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

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


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(AGENT)
    (tmp_path / "steersman.toml").write_text('agent_files = ["mine.py"]\n')
    return tmp_path


def test_the_whole_loop(command: Callable[..., Any], mine: Path) -> None:
    made = command("decide", "mine/backup", STATE, "--json")
    assert made.code == 0, made.err
    decision = made.json
    assert decision["executed"]["action"] in ("now", "later")
    assert 0 < decision["propensity"] <= 1
    name = decision["id"]

    assert command("report", name, '{"reward": 0.5}').code == 0
    assert command("report", name, '{"reward": 0.5}').code == 0  # again: harmless
    clash = command("report", name, '{"reward": 0.6}')
    assert clash.code == 7
    assert "already has another outcome" in clash.err
    assert command("report", name, '{"reward": 0.6}', "--correct", "--json").json["revision"] == 1

    explained = command("explain", name)
    assert explained.code == 0
    for word in ("mine/backup", "propensity", "night", "Outcome", "0.6"):
        assert word in explained.out
    replayed = command("replay", name, "--json")
    assert (replayed.code, replayed.json["identical"]) == (0, True)

    doctor = command("doctor", "--json")
    assert doctor.code == 2  # too few updates to judge anything
    assert doctor.json[0]["outcomes"] == 1
    assert command("audit", "--json").json[0]["event"] == "outcome refused"
    listed = {each["agent"]: each for each in command("agents", "--json").json}
    assert listed["mine/backup"]["decisions"] == 1
    assert "qe/test-executor" in listed


def test_what_one_process_did_the_next_one_knows(cli: Callable[..., Any], mine: Path) -> None:
    name = cli("decide", "mine/backup", STATE, "--json").json["id"]
    assert cli("report", name, '{"reward": 0.5}').code == 0
    clash = cli("report", name, '{"reward": 0.6}', "--json")
    assert json.loads(clash.err)["exit_code"] == clash.code == 7
    assert cli("import", "-", "--store", "other.db", stdin=cli("export").out).code == 0
    assert cli("replay", name, "--store", "other.db").code == 0
    unread = cli("decide", "--nonsense")
    assert (unread.code, "Traceback" in unread.err) == (3, False), unread.err


def test_a_log_moves_to_another_store(command: Callable[..., Any], mine: Path) -> None:
    for _ in range(3):
        name = command("decide", "mine/backup", STATE, "--json").json["id"]
        assert command("report", name, '{"reward": 0.5}').code == 0
    for file in ("log.jsonl", "log.parquet"):
        assert command("export", file).code == 0
        moved = command("import", file, "--store", f"{file}.db", "--json")
        assert (moved.code, moved.json) == (0, {"imported": 6})
        assert command("import", file, "--store", f"{file}.db", "--json").json == {"imported": 0}
        assert command("replay", name, "--store", f"{file}.db").code == 0
        assert command("export", "--store", f"{file}.db").out == command("export").out


def test_a_damaged_export_changes_nothing(command: Callable[..., Any], mine: Path) -> None:
    command("decide", "mine/backup", STATE)
    lines = command("export").out.splitlines()
    damaged = [
        [*lines[:1], lines[1].replace('"step":0', '"step":NaN')],
        [*lines[:1], lines[1][:-9]],
        ['{"format":"other","version":1}', *lines[1:]],
        lines[1:],
        [*lines[:1], '{"outcome":null}'],
    ]
    for content in damaged:
        done = command("import", "-", "--store", "other.db", stdin="\n".join(content))
        assert done.code == 3, done.err
        assert command("export", "--store", "other.db").out.count("\n") == 1


def test_the_kill_switch_from_the_command_line(command: Callable[..., Any], mine: Path) -> None:
    command("decide", "mine/backup", STATE)
    assert command("kill", "mine", "--reason", "drill").code == 0
    stopped = command("decide", "mine/backup", STATE, "--json").json
    assert stopped["arm"] == "safe"
    assert "drill" in stopped["reason"]
    assert command("kill", "mine", "--off").code == 0
    assert command("decide", "mine/backup", STATE, "--json").json["arm"] != "safe"
    assert [each["event"] for each in command("audit", "--json").json][:2] == ["kill switch off", "kill switch on"]


def test_pins_and_pauses_from_the_command_line(command: Callable[..., Any], mine: Path) -> None:
    command("decide", "mine/backup", STATE)
    missed = command("pin", "mine/backup", "action=nwo")
    assert (missed.code, "Did you mean 'now'" in missed.err) == (3, True), missed.err
    assert "later" in command("pin", "mine/backup", "action=later", "--hours", "2").out
    assert command("pause", "mine").code == 0
    pinned = command("decide", "mine/backup", STATE, "--json").json
    assert (pinned["executed"], pinned["may_explore"]) == ({"action": "later"}, False)
    assert command("pin", "mine/backup", "--off").code == 0
    (mine / "steersman.toml").write_text("this is no TOML")
    assert command("kill", "mine").code == 0, "a kill switch needs nothing but the store"
    (mine / "steersman.toml").unlink()
    told = command("doctor")
    assert "mine/backup is left out" in told.err, "one agent whose definition is not here keeps no other from being told"


def test_the_trail_is_verified_against_its_anchor(command: Callable[..., Any], mine: Path) -> None:
    command("decide", "mine/backup", STATE, "--store", "kept.db")
    command("kill", "--store", "kept.db")
    assert command("audit", "--anchor", "heads.jsonl", "--store", "kept.db").code == 0
    nowhere = command("audit", "--anchor", "no/such/folder/heads.jsonl", "--store", "kept.db")
    assert (nowhere.code, "Name another file" in nowhere.err) == (5, True), nowhere.err
    assert command("audit", "--verify", "--anchor", "heads.jsonl", "--store", "kept.db").code == 0
    with sqlite3.connect(mine / "kept.db") as connection:
        connection.execute("update audit_events set actor = 'somebody else' where event = 'kill switch on'")
    connection.close()
    found = command("audit", "--verify", "--store", "kept.db", "--json")
    assert (found.code, found.json["intact"]) == (1, False)
    assert "was changed" in found.json["faults"][0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("decide", "mine/bakup", STATE), 6, "Did you mean 'mine/backup'"),
        (("decide", "mine/backup", '{"load": 10, "nigt": true}'), 3, "unknown field 'nigt'. Did you mean 'night'?"),
        (("decide", "mine/backup", '{"load": 10, "night": true, "x": 1}'), 3, "unknown field 'x'"),
        (("decide", "mine/backup", '{"load": NaN, "night": true}'), 3, "state"),
        (("decide", "mine/backup", '{"load": 1e999, "night": true}'), 3, "state"),
        (("decide", "mine/backup", '{"load": "nan", "night": true}'), 3, "expected a number"),
        (("decide", "mine/backup", "[1]"), 3, "JSON object"),
        (("report", "nothing", "{}"), 6, "no decision 'nothing'"),
        (("explain", "nothing"), 6, "no decision"),
        (("decide", "mine/backup", STATE, "--store", "mysql://here"), 3, "no backend"),
        (("decide", "mine/backup", STATE, "--store", "no/such/folder/x.db"), 1, "no/such/folder"),
        (("decide", "mine/backup", STATE, "--settings", "none.toml"), 6, "no settings file"),
        (("import", "none.jsonl"), 6, "no file"),
        (("check", "pack", "qee"), 6, "Did you mean 'qe'"),
        (("qe", "run", "no/such/project"), 6, "no/such/project"),
        (("bench", "test-executor", ".", "--cycles", "0"), 3, "cycles"),
        (("nonsense",), 3, "nonsense"),
        (("decide", "--nonsense"), 3, "nonsense"),
    ],
)
def test_bad_input_is_answered_with_the_way_out(
    command: Callable[..., Any], mine: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    command("decide", "mine/backup", STATE)
    done = command(*arguments)
    assert message in done.err
    assert done.code == code


def test_errors_are_json_where_that_is_asked_for(command: Callable[..., Any], mine: Path) -> None:
    done = command("decide", "nobody", STATE, "--json")
    assert json.loads(done.err)["exit_code"] == done.code == 6


def test_a_corrupt_store_and_one_of_a_newer_version_are_refused_untouched(command: Callable[..., Any], mine: Path) -> None:
    command("decide", "mine/backup", STATE, "--store", "good.db")
    (mine / "corrupt.db").write_bytes(b"not a database, but long enough to look like one" * 100)
    before = (mine / "corrupt.db").read_bytes()
    done = command("decide", "mine/backup", STATE, "--store", "corrupt.db")
    assert done.code == 1
    assert "corrupt.db" in done.err
    assert (mine / "corrupt.db").read_bytes() == before
    with sqlite3.connect(mine / "good.db") as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    done = command("decide", "mine/backup", STATE, "--store", "good.db")
    assert done.code == 1
    assert "newer Steersman" in done.err


def test_a_store_has_one_owner(cli: Callable[..., Any], mine: Path) -> None:
    from steersman.app import Steersman

    with Steersman.open(mine / "owned.db", settings={}):
        done = cli("decide", "mine/backup", STATE, "--store", "owned.db")
        assert done.code == 7
        assert "process" in done.err
        assert cli("kill", "*", "--store", "owned.db").code == 0  # a person's hand needs no ownership
        assert cli("agents", "--store", "owned.db").code == 0


def test_packs_are_checked(command: Callable[..., Any], mine: Path) -> None:
    done = command("check", "pack", "qe", "--json")
    assert done.code == 0, done.out
    assert {"qe/test-executor", "qe/security-scanner"} <= {*done.json}
    assert command("check", "pack", "mine.py").code == 0
    (mine / "bad.py").write_text(AGENT.replace('"now" if state["night"] else "later"', '"sometimes"'))
    bad = command("check", "pack", "bad.py")
    assert bad.code == 1
    assert "✗" in bad.out


def test_settings_show_where_they_come_from(command: Callable[..., Any], mine: Path) -> None:
    done = command("settings", "mine/backup", "--json", env={"STEERSMAN_LEARNING__ALPHA": "0.3"})
    rows = {each["setting"]: each for each in done.json}
    assert (rows["learning.alpha"]["value"], rows["learning.alpha"]["from"]) == (0.3, "environment")
    assert rows["learning.gamma"]["from"] == "agent mine/backup"
    wrong = command("settings", env={"STEERSMAN_LEARNING__ALHPA": "0.3"})
    assert wrong.code == 3
    assert "Did you mean 'alpha'" in wrong.err


def test_a_typing_mistake_in_the_kill_switch_is_told(command: Callable[..., Any], mine: Path) -> None:
    command("decide", "mine/backup", STATE)
    done = command("kill", "mine/bakup")
    assert done.code == 2, "the switch is on all the same: it must work before anything is known"
    assert "Did you mean 'mine/backup'" in done.err
    (mine / "steersman.toml").write_text("[broken")
    assert command("kill", "*").code == 0


def test_agents_of_others_are_listed_without_their_definition(command: Callable[..., Any], mine: Path) -> None:
    command("decide", "mine/backup", STATE)
    (mine / "steersman.toml").unlink()
    listed = {each["agent"]: each for each in command("agents", "--json").json}
    assert listed["mine/backup"]["decisions"] == 1
    assert "agent_files" in command("doctor").err


def test_a_report_can_be_taken_back_without_measurements(command: Callable[..., Any], mine: Path) -> None:
    name = command("decide", "mine/backup", STATE, "--json").json["id"]
    assert command("report", name, '{"reward": 0.5}').code == 0
    assert command("report", name, "--withdraw", "--json").json["kind"] == "withdrawn"


def test_mistakes_in_the_settings_file_are_told(command: Callable[..., Any], mine: Path) -> None:
    for content, message in (
        ("[agents.'mine/backup'.learning]\nalhpa = 1\n", "Did you mean 'alpha'"),
        ("agent_file = ['mine.py']\n", "Did you mean 'agent_files'"),
    ):
        (mine / "steersman.toml").write_text(content)
        done = command("settings")
        assert (done.code, message in done.err) == (3, True), done.err


def test_agents_and_doctor_tell_where_learning_stands(command: Callable[..., Any], mine: Path) -> None:
    from steersman.app import Steersman

    with Steersman.open(mine / "log.db", settings=mine / "steersman.toml", clock=iter(range(10**6)).__next__) as steersman:
        agent = steersman.agent("mine/backup")
        for index in range(1_200):
            state = {"load": float(index * 37 % 100), "night": index % 3 == 0}
            decision = agent.decide(state)
            agent.report(decision, {"reward": 0.8 if (decision.choice == "now") == state["night"] else -0.5})
    listed = command("agents", "--store", "log.db")
    assert listed.code == 0
    (line,) = [each for each in listed.out.splitlines() if "mine/backup" in each]
    for word in ("1200", "±", "ready"):
        assert word in line
    told = command("doctor", "mine/backup", "--store", "log.db")
    assert told.code == 0, told.out
    for word in (
        "converged",
        "✓   values",
        "below 0.01",
        "→ Learning has ended with a good policy",
        "• Nothing stands out.",
    ):
        assert word in told.out
    assert max(map(len, told.out.splitlines())) <= 100
    (found,) = command("doctor", "--store", "log.db", "--json").json
    assert found["convergence"]["recommendation"] == "ready"
    assert [each["holds"] for each in found["convergence"]["measures"]] == [True] * 5
    strict = command("doctor", "--store", "log.db", "--json", env={"STEERSMAN_CONVERGENCE__EXPLORATION": "0.001"})
    assert strict.json[0]["convergence"]["recommendation"] == "decay exploration faster"


def test_what_stands_out_is_told_and_exits_with_a_warning(command: Callable[..., Any], mine: Path) -> None:
    (mine / "mine.py").write_text(AGENT.replace('safe_action="later",', 'safe_action="later", irreversible=("now",),'))
    name = command("decide", "mine/backup", STATE, "--json").json["id"]
    assert command("report", name, '{"reward": 0.5}').code == 0
    told = command("doctor")
    assert told.code == 2
    for word in ("not enough data", "0 of 10 windows have closed", "cannot be taken back ('now')", "simulated=True"):
        assert word in told.out
