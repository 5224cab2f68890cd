"""A pytest plugin for the project's own interpreter: orders and selects the tests by a plan and records what happened.

It stands alone (standard library and pytest only) because that interpreter may not have Steersman. The environment
variable STEERSMAN_PROBE names a JSON plan:

    order     node ids, first to last        whole  files whose tests all run, after those in `order`
    rest      whether tests in neither run too, at the end
    out       where results go, one JSON object a line      start  unix seconds at which the run was started
    inside    the sandbox     packages  import names that must come from inside it
    contexts  whether coverage.py records which test ran which line

Each line of the result: id, outcome (passed, failed, skipped), reruns, duration (s), at (s since `start`).
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

OUTSIDE = 98
_LAST = 10**9


class Probe:
    """Carries the plan through one pytest session. Under xdist the workers order, the controller records."""

    def __init__(self, plan: dict[str, Any], *, records: bool) -> None:
        self.plan = plan
        self.rank = {name: index for index, name in enumerate(plan["order"])}
        self.whole = set(plan["whole"])
        self.out: TextIO | None = Path(plan["out"]).open("a", buffering=1, encoding="utf-8") if records else None  # noqa: SIM115
        self.pending: dict[str, dict[str, Any]] = {}
        self.again: set[str] = set()  # tests of which another attempt follows

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep the planned tests, in the planned order."""
        rest = self.plan["rest"]
        kept = [each for each in items if rest or each.nodeid in self.rank or each.nodeid.split("::")[0] in self.whole]
        if len(kept) < len(items):
            chosen = set(map(id, kept))
            config.hook.pytest_deselected(items=[each for each in items if id(each) not in chosen])
        kept.sort(key=lambda item: self.rank.get(item.nodeid, _LAST))
        items[:] = kept

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
        elif report.failed:
            entry["outcome"] = "failed"
            entry.setdefault("at", self._now())
        elif report.skipped and entry["outcome"] == "passed":
            entry["outcome"] = "skipped"
        if report.when == "teardown" and report.nodeid not in self.again:
            entry.setdefault("at", self._now())
            self._write(self.pending.pop(report.nodeid))

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Tell coverage.py which test is running."""
        if self.plan.get("contexts"):
            import coverage

            current = coverage.Coverage.current()
            if current is not None:
                current.switch_context(item.nodeid)
                yield
                current.switch_context("")
                return
        yield

    def _now(self) -> float:
        return time.time() - float(self.plan["start"])

    def _write(self, entry: dict[str, Any]) -> None:
        if self.out is not None:
            self.out.write(json.dumps(entry) + "\n")


def pytest_configure(config: pytest.Config) -> None:
    """Read the plan and join the session."""
    place = os.environ.get("STEERSMAN_PROBE")
    if place:
        plan = json.loads(Path(place).read_text(encoding="utf-8"))
        config.pluginmanager.register(Probe(plan, records=not hasattr(config, "workerinput")), "steersman-probe-session")
