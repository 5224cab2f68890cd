"""A sweep by the command line: what it says is best can be trained with, and gives what it said."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]
SWEEP = ("sweep", "gym:steersman/lab-bandit-v1", "--over", "learning_rate=0.001:0.01:log")
PPO = ("--method", "ppo", "--over", "hidden=[8],[100000,100000]", "--set", "epochs=2")
"""No network may have the larger layers."""


@pytest.mark.long
def test_what_is_best_is_trained_by_the_line_that_is_printed_and_one_that_fails_ends_no_other(command: Run) -> None:
    done = command(*SWEEP, *PPO, "--trials", "4", "--steps", "200", "--seed", "1", "--compute", "local:2")
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines() if line.strip()[:1].isdigit()]
    returns = [float(row[1]) for row in rows if row[1] != "–"]
    assert (len(rows), len(returns)) == (4, 2)  # as seed 1 draws them
    assert returns == sorted(returns, reverse=True)
    assert "Trial 1: InvalidInput: network: more than 50,000,000 weights" in done.out
    line = next(line for line in done.out.splitlines() if "steersman train" in line)
    trained = command(*shlex.split(line)[1:], "--json").json
    assert (trained["settings"]["hidden"], trained["seed"]) == ([8], 1)
    assert f"{trained['mean_return']:.4g} {trained['low']:.4g}".split() == rows[0][1:3]


@pytest.mark.usefixtures("interruptible")
def test_what_trials_came_to_is_told_though_one_presses_ctrl_c() -> None:
    asked = (*SWEEP, "--method", "ppo", "--set", "epochs=1", "--steps", "200", "--trials", "9", "--compute", "local:1")
    program = [sys.executable, "-m", "steersman", *asked]
    with subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as going:
        assert going.stderr is not None
        assert any(line.split()[:1] == ["1/9"] for line in going.stderr)
        os.killpg(going.pid, signal.SIGINT)
        out, _ = going.communicate(timeout=200)
    rows = [line.split() for line in out.splitlines() if line.strip()[:1].isdigit()]
    assert (rows[0][0], rows[0][1] != "–", len(rows)) == ("1", True, 9)
    assert "Trial 9: broken off: KeyboardInterrupt" in out
    assert "Best: trial 1." in out
    assert going.returncode == 1


def test_a_sweep_without_a_result_says_why_and_exits_with_1(command: Run) -> None:
    late = command(*SWEEP, "--trials", "1", "--steps", "200", "--budget-s", "0.001", "--json")
    assert (late.code, late.json["train"]) == (1, None)
    assert late.json["trials"][0]["failed"] == "not begun: the budget was used up"
    refused = command("sweep", "qe/test-executor", "--over", "batch=1,2")
    assert (refused.code, "as in gym:CartPole-v1" in refused.err) == (3, True)
