"""`steersman trade paper` from the command line: over a real Redis as in one process, through crashes and kill switches."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import httpx
import pytest

from steersman.app import Steersman
from steersman.core.errors import NotFound, StoreError
from steersman.core.values import Decision, Outcome
from steersman.packs.trading.backtest.data import Market
from steersman.packs.trading.backtest.files import PRICES
from steersman.packs.trading.backtest.synthetic import switching
from steersman.testing.redis import RedisServer

if TYPE_CHECKING:
    from tests.acceptance.conftest import Done

SIZING = "trading/position-sizing"
TERMS = ("--train", "200", "--embargo", "5", "--run", "main", "--patience", "60", "--json")
_WAIT_S = 60.0


def write(market: Market, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["symbol", "date", *PRICES])
        for column, symbol in enumerate(market.symbols):
            for bar, at in enumerate(market.at):
                prices = (float(getattr(market, name)[bar, column]) for name in PRICES)
                rows.writerow([symbol, f"{datetime.fromtimestamp(float(at), UTC):%Y-%m-%d}", *prices])


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "prices.csv"
    write(switching(3, 260, seed=5), path)
    return path


@pytest.fixture
def server() -> Iterator[RedisServer]:
    made = RedisServer()
    yield made
    made.close()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []
    env = {name: value for name, value in os.environ.items() if not name.startswith("STEERSMAN_")}

    def begin(*words: str, stderr: IO[str] | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "steersman", *words]
        running.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True))
        return running[-1]

    yield begin
    for each in running:
        if each.poll() is None:
            each.kill()
        each.communicate()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    text, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(text)
    return found


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def rows_of(store: Path) -> list[Decision | Outcome]:
    with Steersman.open(store, settings={}, read_only=True) as steersman:
        return list(steersman.log.rows())


def count(store: Path, agent: str) -> int:
    try:
        with Steersman.open(store, settings={}, read_only=True) as steersman:
            return steersman.log.decision_count(agent)
    except (NotFound, StoreError):  # it is not there yet, or being made
        return 0


def test_over_redis_with_a_consumer_that_is_killed_the_trades_are_those_of_one_process(
    start: Start, prices: Path, server: RedisServer, tmp_path: Path
) -> None:
    here = said(start("trade", "paper", str(prices), "--speed", "0", "--store", "here.db", *TERMS))
    assert here["whole"]
    assert len(here["trades"]) > 10
    bus = ("--url", server.url, "--streams", "paper", "--out", "paper.answers", "--pack", "trading", "--store", "there.db")
    store = tmp_path / "there.db"
    (tmp_path / "steersman.toml").write_text("[bus]\nidle_s = 1.0\n", encoding="utf-8")
    first = start("bus", "run", *bus)
    market = start("trade", "paper", str(prices), "--speed", "0", "--no-consumer", "--url", server.url, *TERMS)
    until(lambda: count(store, SIZING) >= 10)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = count(store, SIZING)
    second = start("bus", "run", *bus)
    there = said(market)
    assert count(store, SIZING) > before
    second.send_signal(signal.SIGTERM)
    second.wait(_WAIT_S)
    assert there["trades"] == here["trades"]
    assert sum(there["withheld"].values()) == sum(here["withheld"].values())  # by guards only where the log is at hand
    assert [each["final"] for each in there["arms"]] == [each["final"] for each in here["arms"]]
    rows = rows_of(store)
    outcomes = [each for each in rows if isinstance(each, Outcome)]
    assert len(outcomes) == len({each.decision_id for each in outcomes}) == 2 * len(there["trades"])
    positions = [(each.agent, each.episode) for each in rows if isinstance(each, Decision)]
    assert len(positions) == len(set(positions))


def test_a_kill_switch_from_another_process_stops_new_positions_within_a_second(
    start: Start, prices: Path, tmp_path: Path
) -> None:
    store = tmp_path / "log.db"
    market = start("trade", "paper", str(prices), "--speed", "3", "--mode", "live", "--store", "log.db", *TERMS)
    until(lambda: count(store, SIZING) >= 4)
    assert start("kill", "trading", "--reason", "a drill", "--store", "log.db").wait(_WAIT_S) == 0
    killed_at = time.time()
    report = said(market)
    assert report["withheld"]["kill switch"] > 0
    later = [each for each in rows_of(store) if isinstance(each, Decision) and each.decided_at > killed_at + 1.0]
    assert later
    assert {each.arm for each in later} == {"safe"}
    assert report["open"] == []


def test_with_serve_the_pages_stand_beside_the_run_on_the_same_store_until_it_is_told_to_end(
    start: Start, prices: Path, tmp_path: Path
) -> None:
    process = start("trade", "paper", str(prices), "--speed", "60", "--serve", "0", "--store", "log.db", *TERMS)
    assert process.stdout is not None
    where = json.loads(process.stdout.readline())["page"]
    with httpx.Client(timeout=30.0, headers={"accept": "text/html"}) as client:
        until(lambda: 'id="closed-' in client.get(where).text)
        assert "Account main" in client.get(where).text
        process.send_signal(signal.SIGTERM)
        report = said(process)
    assert report["account"] == "main"
    assert len(report["trades"]) >= 1


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Return what was printed up to a line with these words."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


PLAIN = TERMS[:-1]


def test_with_serve_the_report_comes_when_the_series_is_over_and_the_pages_stay(start: Start, prices: Path) -> None:
    process = start("trade", "paper", str(prices), "--speed", "0", "--serve", "0", "--store", "log.db", *PLAIN)
    text = read_until(process, "The series is over.")
    assert "Run main of S0, S1, S2: 60 bars" in text
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=_WAIT_S)
    assert (process.returncode, "Run main" in rest) == (0, False)


def test_a_series_that_is_broken_off_is_not_called_over(start: Start, prices: Path, tmp_path: Path) -> None:
    process = start("trade", "paper", str(prices), "--speed", "4", "--serve", "0", "--store", "log.db", *PLAIN)
    until(lambda: count(tmp_path / "log.db", SIZING) >= 1)
    process.send_signal(signal.SIGTERM)
    text, _ = process.communicate(timeout=_WAIT_S)
    assert process.returncode == 0
    assert "The series is over" not in text
    assert "Broken off. To go on with it: steersman trade paper" in text


def test_a_run_that_was_played_is_answered_from_the_log_and_goes_on_with_nothing_else(
    start: Start, command: Callable[..., Done], prices: Path, tmp_path: Path
) -> None:
    store = str(tmp_path / "log.db")
    words = ("trade", "paper", str(prices), "--speed", "0", "--store", store, "--quiet", *PLAIN)
    first, again = command(*words), command(*words, "--mode", "live")
    assert (first.code, "came from the log" in first.out) == (0, False)
    assert "All answers came from the log" in again.out
    assert "--mode live changed nothing" in again.out
    other = command(*words, "--account", "defensive", "--slippage", "3")
    assert other.code == 7
    assert "account normal, not defensive; slippage_bps 2.0, not 3.0" in other.err
    write(switching(3, 260, seed=6), tmp_path / "others.csv")
    other = command("trade", "paper", str(tmp_path / "others.csv"), "--store", store, *PLAIN)
    assert (other.code, "other prices" in other.err) == (7, True)


def test_where_nobody_answers_it_is_said_with_the_command_that_would(
    start: Start, prices: Path, server: RedisServer, tmp_path: Path
) -> None:
    words = ("trade", "paper", str(prices), "--no-consumer", "--url", server.url, "--train", "200", "--patience", "0.2")
    with (tmp_path / "err").open("w") as file:
        process = start(*words, stderr=file)
        until(lambda: "nobody answers" in (tmp_path / "err").read_text(encoding="utf-8"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=_WAIT_S)
    assert f"--streams paper --out paper.answers --url {server.url}`" in (tmp_path / "err").read_text(encoding="utf-8")
    assert process.returncode == 0


def test_ended_before_the_first_bar_there_is_one_line_and_no_table(start: Start, prices: Path, tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as file:
        process = start("trade", "paper", str(prices), "--store", "log.db", *PLAIN, stderr=file)
        until(lambda: "training models" in (tmp_path / "err").read_text(encoding="utf-8"))
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=_WAIT_S)
    assert text.startswith("Run main: ended before its first bar.\nBroken off. To go on with it: ")
    assert process.returncode == 0


def test_a_port_for_the_pages_that_is_taken_is_told_by_the_option_that_named_it(
    command: Callable[..., Done], prices: Path
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        done = command("trade", "paper", str(prices), "--store", "memory:", "--train", "200", "--serve", port)
    assert (done.code, "--serve" in done.err, "--port" in done.err) == (7, True, False)


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (("--no-consumer",), "--url redis://"),
        (("--no-consumer", "--mode", "live", "--url", "redis://127.0.0.1:1/0"), "whoever decides"),
        (("--mode", "lively"), "'live'"),
        (("--symbols", "S9"), "no symbol 'S9'"),
        (("--train", "400"), "--train N"),
        (("--run", "a/b"), "without '/'"),
        (("--account", "rich"), "account mode 'rich'"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_way_out(
    command: Callable[..., Done], prices: Path, words: tuple[str, ...], way_out: str
) -> None:
    done = command("trade", "paper", str(prices), "--store", "memory:", "--train", "200", *words)
    assert (done.code, way_out in done.err) == (3, True), done.err
