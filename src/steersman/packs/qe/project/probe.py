"""A pytest plugin for the project's own interpreter: orders and selects the tests by a plan and records what happened.

It stands alone (standard library and pytest only) because that interpreter may not have Steersman. The environment
variable STEERSMAN_PROBE names a JSON plan:

    order     node ids, first to last        whole  files whose tests all run, after those in `order`
    rest      whether tests in neither run too, at the end
    out       where results go, one JSON object a line      start  unix seconds at which the run was started
    inside    the sandbox     packages  import names that must come from inside it
    contexts  whether coverage.py records which test ran which line
    without   node ids that do not run       limit_s   seconds after which a test is cut off, and has failed

Each line of the result: id, outcome (passed, failed, skipped), reruns, duration (s), at (s since `start`), cut_off; or
outcome "begun", where a test or another attempt at it begins; or "collect", for a file that could not be collected; or
"end", with the status of the session.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pytest

OUTSIDE = 98
_LAST = 10**9
_CUT_OFF = "Steersman cut this test off after"


class Probe:
    """Carries the plan through one pytest session. Under xdist the workers order, the controller records."""

    def __init__(self, plan: dict[str, Any], *, records: bool) -> None:
        self.plan = plan
        self.rank = {name: index for index, name in enumerate(plan["order"])}
        self.whole, self.without = set(plan["whole"]), set(plan["without"])
        self.out: TextIO | None = Path(plan["out"]).open("a", buffering=1, encoding="utf-8") if records else None  # noqa: SIM115
        self.pending: dict[str, dict[str, Any]] = {}
        self.again: set[str] = set()  # tests of which another attempt follows
        self.limit_s = float(plan["limit_s"])

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the planned tests, in the planned order."""
        kept = [each for each in items if self._is_planned(each.nodeid)]
        if len(kept) < len(items):
            chosen = set(map(id, kept))
            config.hook.pytest_deselected(items=[each for each in items if id(each) not in chosen])
        kept.sort(key=lambda item: self.rank.get(item.nodeid, _LAST))
        items[:] = kept

    def _is_planned(self, name: str) -> bool:
        planned = self.plan["rest"] or name in self.rank or name.split("::", maxsplit=1)[0] in self.whole
        return planned and name not in self.without

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """End the session if a package under test was imported from outside the sandbox."""
        inside = os.path.realpath(self.plan["inside"]) + os.sep
        for name in self.plan["packages"]:
            origin = getattr(sys.modules.get(name), "__file__", None)
            if origin and not os.path.realpath(origin).startswith(inside):
                Path(self.plan["out"] + ".outside").write_text(f"{name} from {origin}", encoding="utf-8")
                pytest.exit(f"{name} was imported from {origin}, not from the sandbox", returncode=OUTSIDE)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that could not be collected."""
        if report.failed and self.out is not None:
            text = str(report.longrepr)[-600:]
            self._write({"id": report.nodeid, "outcome": "collect", "text": text, "at": self._now()})

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Record that a test begins, so that it is known if it never ends."""
        self._write({"id": nodeid, "outcome": "begun", "at": self._now()})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the phases of a test; write its line at the end of the last one."""
        if self.out is None:
            return
        entry = self.pending.setdefault(
            report.nodeid, {"id": report.nodeid, "outcome": "passed", "reruns": 0, "duration": 0.0}
        )
        entry["duration"] += report.duration
        if report.when == "setup":
            self.again.discard(report.nodeid)
        if str(report.outcome) == "rerun":
            entry["reruns"] += 1
            self.again.add(report.nodeid)
            self.pytest_runtest_logstart(report.nodeid)
        elif report.failed:
            entry["outcome"] = "failed"
            entry.setdefault("at", self._now())
            if _CUT_OFF in str(report.longrepr):
                entry["cut_off"] = True
        elif report.skipped and entry["outcome"] == "passed":
            entry["outcome"] = "skipped"
        if report.when == "teardown" and report.nodeid not in self.again:
            entry.setdefault("at", self._now())
            self._write(self.pending.pop(report.nodeid))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Limit the time of a test, and tell coverage.py which one is running."""
        current = _coverage() if self.plan["contexts"] else None
        if current is not None:
            current.switch_context(item.nodeid)
        with _limited(self.limit_s):
            yield
        if current is not None:
            current.switch_context("")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Record the end: where a thread of the tests keeps the process, it is ended, and all is known before."""
        current = _coverage() if self.plan["contexts"] else None
        if current is not None:
            current.save()
        self._write({"outcome": "end", "status": int(exitstatus)})

    def _now(self) -> float:
        return time.time() - float(self.plan["start"])

    def _write(self, entry: dict[str, Any]) -> None:
        if self.out is not None:
            self.out.write(json.dumps(entry) + "\n")


def _coverage() -> Any:
    import coverage

    return coverage.Coverage.current()


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    """Fail what runs longer, and again and again if it goes on, by a signal: where there is none, or a test uses it, not."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def cut_off(*_: object) -> None:
        pytest.fail(f"{_CUT_OFF} {limit_s:.0f} s", pytrace=False)

    before = signal.signal(signal.SIGALRM, cut_off)
    signal.setitimer(signal.ITIMER_REAL, limit_s, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def pytest_configure(config: pytest.Config) -> None:
    """Read the plan and join the session."""
    place = os.environ.get("STEERSMAN_PROBE")
    if place:
        plan = json.loads(Path(place).read_text(encoding="utf-8"))
        config.pluginmanager.register(Probe(plan, records=not hasattr(config, "workerinput")), "steersman-probe-session")
