"""bench faults: which faults does a suite show, which does it miss, and of which can nobody tell?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from steersman.app import Steersman
from steersman.cli.output import JsonOption, TerminalProgress, plain, say, say_point, show_json, show_table
from steersman.cli.qe import PythonOption, QuietOption, seconds

_MEANINGS = {
    "killed": "a test that passed fails",
    "timed out": "the tests did not end",
    "witnessed": "no test fails, and the call that is shown would: a test is missing",
    "survived": "no test fails: the suite is too weak, or the fault changes nothing; nobody can tell",
    "uncovered": "no test fails, and none runs the line",
    "equivalent": "proved to change nothing, so it is no fault",
    "invalid": "it does not compile, so it is no fault",
    "not run": "there was no time",
}
_MOST_KILLERS = 2


def faults(
    path: Annotated[Path, typer.Argument(help="A Python project with a pytest suite. It is copied and never changed.")],
    count: Annotated[int, typer.Option(help="Faults to draw, not counting those that prove to be none.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed and count give the same faults.")] = 0,
    git: Annotated[bool, typer.Option("--git/--no-git", help="Look for real bugs in the project's history.")] = True,
    budget: Annotated[str, typer.Option(help="Time for it, once the suite is measured: seconds, or 2m, or 1h.")] = "2m",
    replay: Annotated[
        Path | None,
        typer.Option("--faults", metavar="FILE", help="Run the faults of this report, as --json printed it, again."),
    ] = None,
    python: PythonOption = "",
    timeout: Annotated[float, typer.Option(help="Limit for one run of the suite, in seconds.")] = 300.0,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> None:
    """Plant faults into a copy of the project, run its tests on each, and say which they show.

    Where no test shows a fault, a call is looked for that does. Real bugs come from commits whose tests fail without them.
    """
    options = {
        "path": str(path),
        "count": count,
        "seed": seed,
        "git": git,
        "budget_s": seconds(budget),
        "faults": str(replay or ""),
        "python": python,
        "timeout_s": timeout,
    }
    with Steersman.open("memory:", settings={}) as steersman, TerminalProgress(quiet=quiet or json) as progress:
        report = plain(steersman.command("qe", "faults", options, progress))
    if json:
        show_json(report)
    else:
        _show(report)


def _show(report: Mapping[str, Any]) -> None:
    say("")
    say(
        f"{report['project']}: {report['tests']} tests in {report['suite_s']:.1f} s, {len(report['faults'])} faults, "
        f"seed {report['seed']}; {report['wall_s']:.0f} s, {report['cpu_s']:.0f} s CPU"
    )
    show_table(
        "What became of the faults",
        ("fate", "faults", "what that means"),
        [(fate, number, _MEANINGS[fate]) for fate, number in report["fates"].items() if number],
    )
    say(_score(report["score"]))
    _show_faults("A test is missing: the fault is real, and no test shows it", report, "witnessed")
    _show_faults("No test shows these; nobody can tell whether they are faults", report, "survived", "uncovered")
    _show_faults("Killed", report, "killed", "timed out")
    _show_history(report["history"])
    for each in report["notes"]:
        say_point("•", each)
    say_point("•", "keep these faults with --json > FILE, and run them again with --faults FILE")


def _score(score: Mapping[str, float | None]) -> str:
    low, high = score["low"], score["high"]
    if low is None:
        return "Mutation score of these faults: none, as none of them counts."
    if low == high:
        return f"Mutation score of these faults: {100 * low:.0f} %."
    most = "100 %, as nothing is proved against the suite" if high is None else f"{100 * high:.0f} %"
    return (
        f"Mutation score of these faults: between {100 * low:.0f} % and {most}. "
        "What no test and no call shows speaks against the suite in the first, and counts as no fault in the second."
    )


def _show_faults(title: str, report: Mapping[str, Any], *fates: str) -> None:
    chosen = [each for each in report["faults"] if each["fate"] in fates]
    if chosen:
        rows = [
            (f"{each['fault']['file']}:{each['fault']['line']}", _change(each["fault"]), _shown(each)) for each in chosen
        ]
        show_table(f"{title} ({len(chosen)})", ("where", "change", "shown by"), rows)


def _change(fault: Mapping[str, Any]) -> str:
    after = fault["after"] or "nothing"
    return f"{fault['operator']}: {fault['before'].strip()} → {after}"


def _shown(judged: Mapping[str, Any]) -> str:
    witness = judged["witness"]
    if witness:
        return f"{witness['call']} {witness['without']}; with the fault it {witness['with_fault']}"
    if judged["fate"] != "killed":
        return str(judged["fate"])
    return _few(judged["killers"])


def _few(tests: Sequence[str]) -> str:
    more = f" and {len(tests) - _MOST_KILLERS} more" if len(tests) > _MOST_KILLERS else ""
    return ", ".join(tests[:_MOST_KILLERS]) + more


def _show_history(history: Mapping[str, Any]) -> None:
    if history["reason"]:
        say(f"Real bugs: none looked for: {history['reason']}")
        return
    fixes = history["fixes"]
    rows = [
        (
            each["commit"][:10],
            each["message"] + ("" if each["says_so"] else " (may be new, not mended)"),
            _few(each["killers"]),
        )
        for each in fixes
    ]
    if rows:
        show_table(f"Real bugs, from the history ({len(rows)})", ("mended by", "message", "shown by"), rows)
    left_out = ", ".join(f"{number} {reason}" for reason, number in history["left_out"].items())
    say(f"{history['commits']} commits change sources and tests; {len(fixes)} mended a bug that their tests show.")
    if left_out:
        say_point("•", f"the others: {left_out}")
