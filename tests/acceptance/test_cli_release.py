"""Releases from the outside: every command in its good and bad cases, alone and beside a service that owns the store."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from steersman.app import Steersman

AGENTS = """
from dataclasses import replace

from steersman import ActionSpace, AgentSpec, Flag, Reward, StateSchema

backup = AgentSpec(
    name="mine/backup",
    description="Decides when a backup is made.",
    state=StateSchema(name="backup", fields=(Flag(name="night"),)),
    actions=ActionSpace.flat("now", "later"),
    reward=Reward.plain(0.0, 1.0),
    baseline=lambda state: "later",
    safe_action="later",
    settings={
        "learning": {"gamma": 0.0, "alpha": 1.0, "alpha_schedule": "visits", "alpha_scale": 1.0},
        "exploration": {"schedule": "constant", "epsilon": 0.2},
    },
)
other = replace(backup, name="mine/other")
"""
MINE = "mine/backup"
OUTCOMES = 1_000
HELD_OUT = 300  # by evaluation.holdout, and enough for the gate
GAP_S = 60.0
SEEN_S = 1.0

Run = Callable[..., Any]


def drive(
    store: str,
    folder: Path,
    outcomes: int,
    *,
    agent: str = MINE,
    ahead: bool = False,
    nights: tuple[bool, ...] = (True, False),
) -> list[str]:
    """Let an agent decide and learn, a decision a minute up to now, or from now on; return the moves that were made.

    By night `now` is right, by day `later`. The open store looks at its releases too, and may make the move that is due.
    """
    now = time.time() - (0 if ahead else outcomes * GAP_S)
    moves: list[str] = []
    with Steersman.open(store, settings=folder / "steersman.toml", clock=lambda: now) as steersman:
        found = steersman.agent(agent)
        seen = found.release.now.number
        for index in range(outcomes):
            now += GAP_S
            night = nights[index % len(nights)]
            decision = found.decide({"night": night}, subject=f"host {now}")
            right = (decision.choice == "now") == night
            found.report(decision, {"reward": (0.8 if right else 0.3) + 0.001 * (index % 100)})
            if ahead and index % 20 == 19:
                steersman.log.flush()
                found.release.tick()
                if found.release.now.number > seen:
                    seen, moves = found.release.now.number, [*moves, found.release.now.move]
    return moves


def write_agents(folder: Path) -> None:
    (folder / "mine.py").write_text(AGENTS)
    (folder / "steersman.toml").write_text('agent_files = ["mine.py"]\n')


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store in which an agent has learned to do better than its rule, and nothing was released."""
    folder = tmp_path_factory.mktemp("learned")
    write_agents(folder)
    drive(str(folder / "log.db"), folder, OUTCOMES)
    drive(str(folder / "log.db"), folder, 3, agent="mine/other")
    return folder


@pytest.fixture
def run(command: Run, learned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs the command line on a copy of that store."""
    shutil.copytree(learned, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("STEERSMAN_STORE", "log.db")
    return command


@pytest.fixture
def begun(run: Run) -> Run:
    """The same, with the rule in production and what was learned on trial."""
    assert run("rollback", MINE, "--to", "baseline", "--reason", "begin with the rule").code == 0
    started = run("release", "start", MINE, "--reason", "it learned enough")
    assert started.code == 0, started.err
    return run


def test_a_version_comes_into_production_by_hand_and_goes_again(run: Run, tmp_path: Path) -> None:
    made = run("cut", MINE, "--reason", "first", "--json").json
    assert (made["states"], made["outcomes"], made["reason"]) == (2, OUTCOMES, "first")
    assert (made["kind"], "table, 2 states" in run("versions", MINE).out) == ("table", True)
    assert run("cut", MINE, "--json").json["id"] == made["id"], "what did not change is the same version"
    early = run("release", "start", MINE, made["id"])
    assert (early.code, "cannot tell" in early.err) == (5, True), "all that there is it has learned from"
    drive(str(tmp_path / "log.db"), tmp_path, HELD_OUT)
    back = run("rollback", MINE, "--to", "baseline")
    assert (back.code, "In production: the baseline rule, for everybody" in back.out) == (0, True), back.err
    started = run("release", "start", MINE, made["id"][:8], "--reason", "better")
    assert (started.code, "asked beside it and not obeyed" in started.out) == (0, True), started.err
    told = run("release", "status", MINE)
    for word in (made["id"][:12], "the baseline rule", "shadow 1h, 1 of 3", "reward", "started", "better"):
        assert word in told.out, told.out
    assert run("rollback", MINE, "--to", made["id"][:8], "--json").json["champion"] == made["id"]
    (listed,) = [each for each in run("versions", MINE, "--json").json if each["id"] == made["id"]]
    assert listed["is"] == "champion"
    assert run("rollback", MINE, "--json").json["champion"] == "baseline", "back to who decided before"
    events = [each["event"] for each in run("audit", "--json").json if each["subject"] == MINE]
    assert events.count("release rolled back") == 3
    assert "release started" in events


def test_a_trial_is_held_resumed_and_ended_by_a_person(begun: Run) -> None:
    assert begun("release", "resume", MINE).code == 7, "it is not held"
    held = begun("release", "hold", MINE, "--reason", "the auditors are here")
    assert (held.code, "Held: the auditors are here" in held.out) == (0, True), held.err
    assert "held:" in begun("release", "status").out
    assert begun("release", "resume", MINE, "--json").json["held"] == ""
    ended = begun("release", "abort", MINE, "--json").json
    assert (ended["move"], ended["champion"], ended["challenger"]) == ("aborted", "baseline", "")
    assert begun("release", "abort", MINE).code == 7


def test_what_was_in_production_at_a_time_is_told(begun: Run) -> None:
    now = begun("release", "status", MINE, "--json").json
    assert [each["move"] for each in now["moves"]] == ["started", "rolled back"]
    between = (now["moves"][0]["at"] + now["moves"][1]["at"]) / 2
    (then,) = begun("release", "status", "--at", str(between), "--json").json
    assert (then["champion"], then["challenger"]) == ("baseline", "")
    assert begun("release", "status", MINE, "--at", "2026-01-31T12:00", "--json").json == []
    unread = begun("release", "status", "--at", "yesterday")
    assert (unread.code, "2026-01-31T12:00" in unread.err) == (3, True)


def test_a_version_is_judged_on_the_log(run: Run) -> None:
    better = run("evaluate", MINE, "--against", "baseline")
    assert better.code == 0, better.out
    for word in (": better", "over the incumbent", "The gate lets it pass", "✓ safety score"):
        assert word in better.out
    judged, (cut,) = run("evaluate", MINE, "--json").json["body"]["evaluation"], run("versions", MINE, "--json").json
    assert judged["outcomes"] == pytest.approx(HELD_OUT, abs=1)
    assert cut["outcomes"] + judged["outcomes"] == OUTCOMES, "what it learned from does not judge it"


def test_what_is_worse_than_production_is_refused_whatever_anybody_says(run: Run, tmp_path: Path) -> None:
    run("rollback", MINE, "--to", run("cut", MINE, "--json").json["id"])
    drive(str(tmp_path / "log.db"), tmp_path, HELD_OUT)
    itself = run("release", "start", MINE, "champion")
    assert (itself.code, "compared with itself" in itself.err) == (3, True), itself.err
    worse = run("evaluate", MINE, "--candidate", "baseline", "--json")
    assert (worse.code, worse.json["verdict"], worse.json["body"]["gate"]["passed"]) == (1, "worse", False)
    refused = run("release", "start", MINE, "baseline", "--despite", "we shall see", "--json")
    assert refused.code == 5
    assert "may not be released: worse" in json.loads(refused.err)["message"]
    assert run("release", "status", MINE, "--json").json["now"]["challenger"] == "", "production is as it was"


def test_where_one_cannot_tell_a_person_may_say_why_it_is_tried(run: Run) -> None:
    (short,) = (run("evaluate", "mine/other", "--json"),)
    assert (short.code, short.json["verdict"]) == (2, "cannot tell")
    assert short.json["body"]["evaluation"]["more"] >= 97
    assert run("rollback", "mine/other", "--to", "baseline").code == 0
    refused = run("release", "start", "mine/other")
    assert (refused.code, "cannot tell" in refused.err, "despite" in refused.err) == (5, True, True)
    tried = run("release", "start", "mine/other", "--despite", "nobody is harmed", "--json")
    assert (tried.code, tried.json["evidence"]["despite"]) == (0, "nobody is harmed"), tried.err


def test_a_log_without_propensities_cannot_tell(run: Run, tmp_path: Path) -> None:
    assert run("kill", "mine/other").code == 0
    drive(str(tmp_path / "log.db"), tmp_path, 150, agent="mine/other")
    found = run("evaluate", "mine/other")
    assert (found.code, "cannot tell" in found.out) == (2, True), found.out
    assert "150 without a propensity" in found.out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("cut mine/bakup", 6, "Did you mean 'mine/backup'"),
        ("versions mine/backup --store none.db", 6, "no store at none.db"),
        ("evaluate mine/backup --candidate 0123", 6, "has no version '0123'"),
        ("evaluate mine/backup --against champ", 6, "has no version 'champ'"),
        ("release start mine/backup 0123", 6, "has no version '0123'"),
        ("release start mine/backup --plan nonsense", 3, "is no step"),
        ("release start mine/backup --plan '50% 1h, 10% 1h'", 3, "shares must rise"),
        ("release start mine/backup --plan '1% 1m'", 3, "cannot reach its evidence"),
        ("release hold mine/backup", 7, "no trial is under way"),
        ("release resume mine/backup", 7, "no trial is under way"),
        ("release abort mine/backup", 7, "no trial is under way"),
        ("rollback mine/backup", 7, "nothing was ever released"),
        ("rollback mine/backup --to 0123", 6, "has no version '0123'"),
        ("quarantine mine/backup 0123", 6, "has no version '0123'"),
        ("quarantine mine/backup baseline", 7, "no version"),
        ("drill mine/other", 3, "the log holds 3 that can be used"),
        ("drill mine/backup --share 0", 3, "a share in (0, 1)"),
        ("ab start mine/backup --share 1.5", 3, "needs a share in (0, 1)"),
        ("ab start mine/backup --hours 0.01", 3, "cannot reach its evidence"),
        ("ab start mine/backup --second champion", 3, "compared with itself"),
        ("ab start mine/backup --second 0123", 6, "has no version '0123'"),
        ("ab stop mine/backup", 7, "no trial is under way"),
        ("release status mine/bakup --at 0", 6, "Did you mean 'mine/backup'"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_way_out_and_moves_nothing(
    run: Run, tmp_path: Path, arguments: str, code: int, message: str
) -> None:
    done = run(*shlex.split(arguments))
    assert message in done.err, done.err
    assert done.code == code
    with Steersman.open(tmp_path / "log.db", settings={}, read_only=True) as steersman:
        assert steersman.production is not None
        assert steersman.production.releases.current() == []


def test_a_second_trial_and_foreign_versions_are_refused(begun: Run) -> None:
    foreign = begun("cut", "mine/other", "--json").json["id"]
    second = begun("release", "start", MINE)
    assert (second.code, "is being tried already" in second.err) == (7, True), second.err
    assert begun("ab", "start", MINE).code == 7
    assert begun("rollback", MINE, "--to", foreign).code == 6
    one = begun("quarantine", MINE, begun("release", "status", MINE, "--json").json["now"]["challenger"])
    assert (one.code, "is in production" in one.err) == (7, True), one.err
    assert begun("ab", "stop", MINE).code == 7, "it is a release, no experiment"


def test_what_a_version_did_is_left_out_of_learning(run: Run, tmp_path: Path) -> None:
    version = run("cut", MINE, "--json").json["id"]
    run("rollback", MINE, "--to", version)
    drive(str(tmp_path / "log.db"), tmp_path, 20)
    run("rollback", MINE, "--to", "learning")
    away = run("quarantine", MINE, version[:8], "--reason", "it saw wrong prices")
    assert (away.code, version[:12] in away.out) == (0, True), away.err
    assert run("versions", MINE, "--json").json[-1]["is"] == "in quarantine"
    assert run("rollback", MINE, "--to", version).code == 7
    assert run("quarantine", MINE, version, "--off", "--json").json["quarantined"] == []


def test_an_experiment_tells_who_wins_and_by_how_much(run: Run, tmp_path: Path) -> None:
    assert "no experiment was made yet" in run("ab", "status", MINE).out
    begun = run("ab", "start", MINE, "--first", "baseline", "--second", "learning", "--hours", "5")
    assert (begun.code, "for 50 % of the subjects" in begun.out) == (0, True), begun.err
    assert "cannot tell" in run("ab", "status", MINE).out
    assert drive(str(tmp_path / "log.db"), tmp_path, 320, ahead=True) == ["concluded"]
    told = run("ab", "status", MINE)
    for word in (
        "concluded",
        "The second wins: the second earns +0.",
        "in reward",
        "Take the challenger",
        "what is being learned",
    ):
        assert word in told.out, told.out
    found = run("ab", "status", MINE, "--json").json[MINE]
    assert (found["report"]["winner"], found["now"]["champion"]) == ("challenger", ""), "who decided before decides again"


def test_an_experiment_on_all_agents_goes_on_where_one_cannot(run: Run) -> None:
    assert run("ab", "start", "mine/other").code == 0
    both = run("ab", "start", "*", "--json")
    assert (both.code, "is being tried already" in both.json["mine/other"]["error"]) == (2, True)
    assert both.json[MINE]["now"]["purpose"] == "experiment"
    assert run("ab", "stop", "*").code == 0
    again = run("ab", "stop", "*")
    assert (again.code, again.err.count("no trial is under way")) == (2, 2)


def test_a_forecast_is_held_against_what_happened(run: Run, tmp_path: Path) -> None:
    assert "No forecast" in run("ledger", MINE).out
    assert run("rollback", MINE, "--to", "baseline").code == 0
    assert run("release", "start", MINE, "--plan", "50% 5h").code == 0
    assert drive(str(tmp_path / "log.db"), tmp_path, 600, ahead=True) == ["promoted"]
    told = run("ledger", MINE)
    assert "1 of 1 forecasts held" in told.out, told.out
    assert run("ledger", MINE, "--json").json["coverage"] == 1.0


def test_a_drill_shows_that_a_bad_version_goes_or_that_it_would_not(run: Run) -> None:
    shown = run("drill", MINE)
    assert (shown.code, "was rolled back after" in shown.out) == (0, True), shown.out
    missed = run("drill", MINE, "--decisions", "100", "--share", "0.01", "--json")
    assert (missed.code, missed.json["passed"], missed.json["detected"]) == (1, False, False)
    assert [each["event"] for each in run("audit", "--json").json[:2]] == ["drill: failed", "drill: passed"]


def test_drift_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    early = run("drift", MINE)
    assert (early.code, "too few decisions" in early.out) == (0, True), early.out
    monkeypatch.setenv("STEERSMAN_MONITORING__DRIFT_REFERENCE", "200")
    monkeypatch.setenv("STEERSMAN_MONITORING__DRIFT_WINDOW", "100")
    drive(str(tmp_path / "log.db"), tmp_path, 200, ahead=True, nights=(True,))
    told = run("drift", MINE)
    assert (told.code, "night" in told.out) == (2, True), told.out
    found = run("drift", MINE, "--json").json
    assert ("night", "act") in {(each["subject"], each["level"]) for each in found["signals"]}


@contextmanager
def up(folder: Path, store: str) -> Iterator[str]:
    """Serve a store in a process of its own, which owns it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "steersman", "up", "--port", "0", "--json", "--store", store],
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
        process.communicate(timeout=30)


def decided(url: str, subject: str) -> dict[str, Any]:
    """Ask a service for a decision, and return its row."""
    body = json.dumps({"agent": MINE, "state": {"night": True}, "subject": subject}).encode()
    request = urllib.request.Request(f"{url}/v1/decisions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        name = json.loads(answer.read())["id"]
    with urllib.request.urlopen(f"{url}/v1/decisions/{name}", timeout=10) as answer:
        found: dict[str, Any] = json.loads(answer.read())["decision"]
    return found


def seen_in_time(url: str, hold: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Return the first decision of which something holds; it must come within a second of now."""
    deadline = time.monotonic() + SEEN_S
    while not hold(found := decided(url, f"host {time.monotonic()}")):
        assert time.monotonic() < deadline, found
    return found


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_service_that_owns_the_store_follows_within_a_second(
    kind: str, run: Run, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = "log.db"
    if kind == "postgres":
        store = request.getfixturevalue("store_url")
        drive(store, tmp_path, OUTCOMES)
        monkeypatch.setenv("STEERSMAN_STORE", store)
    with up(tmp_path, store) as url:
        assert decided(url, "anybody")["version"] == "", "what is being learned decides"
        assert run("rollback", MINE, "--to", "baseline").code == 0
        seen_in_time(url, lambda found: found["version"] == "baseline")
        started = run("release", "start", MINE, "--plan", "50% 24h", "--json")
        assert started.code == 0, started.err
        given = seen_in_time(url, lambda found: found["arm"] == "challenger")
        assert (given["version"], given["release"]) == (started.json["challenger"], started.json["release"])
        assert run("release", "hold", MINE, "--reason", "lunch").code == 0
        seen_in_time(url, lambda found: found["release"] == started.json["release"])
        assert run("rollback", MINE, "--reason", "not now").code == 0
        seen_in_time(url, lambda found: found["release"] == "" and found["version"] == "baseline")
        assert run("drill", MINE).code == 0, "a drill needs nothing but what is in the log"
        assert started.json["challenger"] in [each["id"] for each in run("versions", MINE, "--json").json]
    assert run("audit", "--verify").code == 0, "the trail is whole, whoever wrote into it"


def test_of_several_who_begin_at_once_one_does_and_the_others_are_told(cli: Run, run: Run) -> None:
    assert run("rollback", MINE, "--to", "baseline").code == 0
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(lambda _: cli("release", "start", MINE), range(3)))
    assert sorted(each.code for each in done) == [0, 7, 7], [each.err for each in done]
    moves = run("release", "status", MINE, "--json").json["moves"]
    assert [each["move"] for each in moves] == ["started", "rolled back"]
