"""The guest in a pytest run: orders and records, and never changes what a run comes to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from steersman.plugins.plan import Plan, Wishes, made, opened
from steersman.plugins.recorder import Recorder
from steersman.plugins.summary import summary


def invite(config: pytest.Config) -> None:
    """Let a guest in that does what the options, the environment and the ini file wish, in this order."""
    config.pluginmanager.register(Guest(config, _wishes(config)), "steersman-guest")


class Guest:
    """The hooks. Each is guarded by the plan's `attempt`: a fault is noted, and the run goes on as if nobody were here."""

    def __init__(self, config: pytest.Config, wishes: Wishes) -> None:
        self._config, self._wishes = config, wishes
        self.plan: Plan = opened(wishes)
        self._recorder: Recorder | None = None
        self._planned = 0
        self._by_group = getattr(config.option, "dist", "no") == "loadgroup"

    def pytest_report_header(self) -> str:
        """Say where runs are kept."""
        return f"steersman: runs in {self.plan.store.name if self.plan.store else 'no store'}"

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Put the tests in order, and take out those that are left out."""
        order = self.arranged([item.nodeid for item in items])
        if order is None:
            return
        stay = set(order)
        left = [item for place, item in enumerate(items) if place not in stay]
        items[:] = [items[place] for place in order]
        if left:
            config.hook.pytest_deselected(items=left)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Give xdist's usual way of sharing tests out our order; other ways keep theirs."""
        made_here: list[Any] = []
        if config.getoption("dist") == "load":
            from steersman.plugins.xdist_order import ordered_load

            self._guarded(lambda: made_here.append(ordered_load(config, log, self.arranged_here)), "xdist's own order")
        else:
            self.plan.troubles.append(
                f"--dist {config.getoption('dist')} shares tests out by itself: the run is recorded, all tests run, "
                "and only --dist load runs them in our order"
            )
            self._guarded(lambda: made(self.plan, ()), "the order is the usual one")
            self._forget_order()
            self._begin(0)
        return made_here[0] if made_here else None

    def arranged(self, names: list[str]) -> list[int] | None:
        """Return the order of the tests that run, as indices; None where nothing is to be changed."""
        self._guarded(lambda: made(self.plan, names), "the order is the usual one")
        self._begin(len(names))
        order = self.plan.order
        return order if order is not None and len(set(order)) == len(order) else None

    def arranged_here(self, names: list[str]) -> list[int] | None:
        """Return the same for xdist, and count what is left out, since no test of it is ever here."""
        order = self.arranged(names)
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if order is not None and reporter is not None:
            stay = set(order)
            left = [name for place, name in enumerate(names) if place not in stay]
            if left:
                reporter.stats.setdefault("deselected", []).extend(left)
        return order

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take a phase of a test in."""
        if self._recorder is not None:
            self._record(lambda recorder: recorder.report(self._named(report)))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Write a test down that is over."""
        if self._recorder is not None:
            self._record(lambda recorder: recorder.finish(self._plain(nodeid)))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Close the run, and let old ones go. That no test is called for by a change is no failure of the run."""
        stopped = bool(session.shouldfail or session.shouldstop)
        whole = int(exitstatus) in (0, 1) and not stopped and not self.plan.left_out
        self._record(lambda recorder: recorder.end(int(exitstatus), whole=whole))
        if self._recorder is not None and self.plan.store is not None:
            store = self.plan.store
            self._guarded(lambda: store.prune(self._wishes.keep), "old runs stay")
        if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and self.plan.left_out == self._planned > 0:
            session.exitstatus = pytest.ExitCode.OK

    def pytest_terminal_summary(self, terminalreporter: "pytest.TerminalReporter") -> None:
        """Say what was done, what the past says, and what went wrong."""
        lines: list[str] = []
        self._guarded(lambda: lines.extend(summary(self.plan, self._recorder)), "there is no more to say")
        lines += [f"warning: {trouble}" for trouble in self.plan.troubles]
        if lines:
            terminalreporter.section("steersman")
            for line in lines:
                terminalreporter.line(line)

    def _begin(self, tests: int) -> None:
        self._planned = tests
        if self.plan.store is not None and not self._config.option.collectonly:
            store, about = self.plan.store, self.plan.about
            self._guarded(lambda: setattr(self, "_recorder", Recorder(store, about)), "this run is not recorded")

    def _record(self, step: Callable[[Recorder], None]) -> None:
        """Let the recorder do something; one that fails is asked for nothing more."""
        recorder, before = self._recorder, len(self.plan.troubles)
        if recorder is None:
            return
        self._guarded(lambda: step(recorder), "this run is not recorded, or not all of it")
        if len(self.plan.troubles) > before:
            self._recorder = None
            recorder.drop()

    def _guarded(self, step: Callable[[], None], otherwise: str) -> None:
        self.plan.attempt(step, otherwise)

    def _forget_order(self) -> None:
        self.plan.order, self.plan.left_out, self.plan.lines = None, 0, []

    def _plain(self, test: str) -> str:
        """Return the name of a test without the group that xdist's loadgroup adds to it."""
        return test.rsplit("@", 1)[0] if self._by_group else test

    def _named(self, report: pytest.TestReport) -> pytest.TestReport:
        if self._by_group:
            report.nodeid = self._plain(report.nodeid)
        return report


def _wishes(config: pytest.Config) -> Wishes:
    import os

    option = config.option
    store = option.steersman_store or os.environ.get("STEERSMAN_PYTEST_STORE") or config.getini("steersman_store")
    keep = option.steersman_keep or int(config.getini("steersman_keep") or 200)
    return Wishes(
        root=Path(config.rootpath),
        store=store or ".steersman/pytest",
        changed=option.steersman_changed or "",
        budget=option.steersman_budget or 1.0,
        keep=keep,
    )
