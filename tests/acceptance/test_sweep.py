"""A sweep by the command line: what it says is best can be trained with, and gives what it said."""

import shlex
from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]
SWEEP = ("sweep", "gym:steersman/lab-bandit-v1", "--over", "learning_rate=0.001:0.01:log", "--set", "updates=8")
TOO_MUCH = ("--over", "capacity=256,1000000000000")
"""No memory has the larger capacity."""


def test_what_is_best_is_trained_by_the_line_that_is_printed_and_one_that_fails_ends_no_other(command: Run) -> None:
    done = command(*SWEEP, *TOO_MUCH, "--trials", "3", "--steps", "200", "--compute", "local:2")
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines() if line.strip()[:1].isdigit()]
    returns = [float(row[1]) for row in rows if row[1] != "–"]
    assert (len(rows), len(returns)) == (3, 2)  # as seed 0 draws them
    assert returns == sorted(returns, reverse=True)
    assert "Trial 1: JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory" in done.out
    line = next(line for line in done.out.splitlines() if "steersman train" in line)
    trained = command(*shlex.split(line)[1:], "--json").json
    assert trained["settings"]["capacity"] == 256
    assert f"{trained['mean_return']:.4g} {trained['low']:.4g}".split() == rows[0][1:3]


def test_a_sweep_without_a_result_says_why_and_exits_with_1(command: Run) -> None:
    late = command(*SWEEP, "--trials", "1", "--steps", "200", "--budget-s", "0.001", "--json")
    assert (late.code, late.json["train"]) == (1, None)
    assert late.json["trials"][0]["failed"] == "not begun: the budget was used up"
    refused = command("sweep", "qe/test-executor", "--over", "batch=1,2")
    assert (refused.code, "as in gym:CartPole-v1" in refused.err) == (3, True)
