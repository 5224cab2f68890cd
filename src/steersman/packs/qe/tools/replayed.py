"""Runs in the project's interpreter, not in ours: call functions as they were called once, and write down what came of it.

`python replayed.py calls.json` writes the outcomes and a log of what a service would have logged. Standard library only.
"""

import ast
import copy
import importlib
import json
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any


def main(path: str) -> None:
    """Make the calls of a file and write their outcomes to another."""
    plan = json.loads(Path(path).read_text(encoding="utf-8"))
    lines: list[str] = []
    outcomes = [_outcome(call, plan["told"], lines) for call in plan["calls"]]
    said = json.dumps({"outcomes": outcomes, "log": "\n".join(lines) + "\n"})
    Path(plan["out"]).write_text(said, encoding="utf-8")


def _outcome(call: dict[str, Any], told: str, lines: list[str]) -> dict[str, Any]:
    """Make one call as often as is wanted. The first failure counts; all of them are logged."""
    found: dict[str, Any] = {"raised": "", "value": "", "literal": False, "failures": 0}
    said = call["name"] + (f"({call['shown']})" if told == "call" else "")
    for number in range(call["times"]):
        moment = f"2026-01-01 00:{number // 60:02d}:{number % 60:02d}"
        signal.setitimer(signal.ITIMER_REAL, 2.0)
        try:
            module, function = call["name"].rsplit(".", 1)
            value = getattr(importlib.import_module(module), function)(**copy.deepcopy(ast.literal_eval(call["arguments"])))
            found["value"] = repr(value)[:2000]
            found["literal"] = _is_literal(value, found["value"])
            lines.append(f"{moment} INFO {said} done")
        except Exception as error:  # noqa: BLE001 - whatever the project raises is the answer
            signal.setitimer(signal.ITIMER_REAL, 0.0)
            found["raised"] = found["raised"] or type(error).__name__
            found["failures"] += 1
            lines.append(f"{moment} ERROR {said} failed")
            lines.append(_traceback(error, told))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    return found


def _traceback(error: Exception, told: str) -> str:
    """Return the traceback without the frame of this file; with the locals of each frame where the log tells them."""
    bare = error.__traceback__.tb_next if error.__traceback__ else None
    full = traceback.TracebackException(type(error), error, bare, capture_locals=told == "locals")
    return "".join(full.format()).rstrip()


def _is_literal(value: Any, text: str) -> bool:
    try:
        return bool(ast.literal_eval(text) == value)
    except (ValueError, SyntaxError, TypeError):
        return False


def _late(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("the call took more than two seconds")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, _late)
    main(sys.argv[1])
