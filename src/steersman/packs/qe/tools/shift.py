"""A pytest plugin for the project's own interpreter: runs tests under another clock, under load, or each one alone.

It stands alone (standard library and pytest only) because that interpreter may not have Steersman. The environment
variable STEERSMAN_SHIFT names a JSON object:

    clock_s  seconds by which the clock of `time` and `datetime` is ahead, or null for the clock as it is
    load     how many processes compete with the tests for one core
    alone    whether each test runs in a process of its own, forked after collection
"""

import contextlib
import datetime as _datetime
import json
import os
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

_real = (time.time, time.time_ns, time.localtime, time.gmtime, time.strftime)


class _Clock:
    """What the shifted clock is ahead by."""

    ahead_s = 0.0


def _now() -> float:
    return _real[0]() + _Clock.ahead_s


class _Same(type):
    """Makes real dates and times pass for shifted ones, as C code and earlier imports go on making real ones."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.__mro__[1])

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, cls.__mro__[1])


class ShiftedDate(_datetime.date, metaclass=_Same):
    """A date whose today is ahead."""

    @classmethod
    def today(cls) -> Any:
        """Return the date by the shifted clock."""
        return cls.fromtimestamp(_now())


class ShiftedDatetime(_datetime.datetime, metaclass=_Same):
    """A time whose now is ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        """Return the time by the shifted clock."""
        return cls.fromtimestamp(_now(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        """Return the time in UTC by the shifted clock, without a zone."""
        return cls.fromtimestamp(_now(), _datetime.timezone.utc).replace(tzinfo=None)  # noqa: UP017 - runs on older Pythons

    @classmethod
    def today(cls) -> Any:
        """Return the time by the shifted clock."""
        return cls.fromtimestamp(_now())


def shift_clock(ahead_s: float) -> None:
    """Replace the clock for all that is imported from here on."""
    _Clock.ahead_s = ahead_s
    replaced = {
        "time": _now,
        "time_ns": lambda: _real[1]() + int(_Clock.ahead_s * 1e9),
        "localtime": lambda seconds=None: _real[2](_now() if seconds is None else seconds),
        "gmtime": lambda seconds=None: _real[3](_now() if seconds is None else seconds),
        "strftime": lambda form, *when: _real[4](form, *(when or (time.localtime(),))),
    }
    for name, function in replaced.items():
        setattr(time, name, function)
    for name, shifted in (("date", ShiftedDate), ("datetime", ShiftedDatetime)):
        setattr(_datetime, name, shifted)


class Alone:
    """Runs each test in a process of its own, so that none sees what another one left behind."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Fork, run the test there, and log here what it reports."""
        del nextitem
        reading, writing = os.pipe()
        child = _fork()
        if not child:
            os.close(reading)
            _child(item, writing)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as stream:
            told = stream.read()
        os.waitpid(child, 0)
        for each in json.loads(told) if told else [_crashed(item)]:
            report = item.config.hook.pytest_report_from_serializable(config=item.config, data=each)
            item.ihook.pytest_runtest_logreport(report=report)
        return True


def _fork() -> int:
    """Fork, also where the tests' warnings are errors: Python warns of it where threads run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def _child(item: pytest.Item, writing: int) -> None:
    """Run a test as the only one and write its reports; does not return."""
    try:
        reports = runtestprotocol(item, log=False, nextitem=None)
        hook = item.config.hook.pytest_report_to_serializable
        told = json.dumps([hook(config=item.config, report=each) for each in reports], default=str)
        with os.fdopen(writing, "w", encoding="utf-8") as stream:
            stream.write(told)
    finally:
        os._exit(0)


def _crashed(item: pytest.Item) -> dict[str, Any]:
    report = pytest.TestReport(item.nodeid, item.location, {}, "failed", "the process ended", "teardown")
    data = item.config.hook.pytest_report_to_serializable(config=item.config, report=report)
    return dict(data)


class Load:
    """Lets processes that do nothing but count compete with the tests."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.children: list[int] = []

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtestloop(self) -> Iterator[None]:
        """Load one core and run there; in the end the load is gone."""
        before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        many = self.count if before else self.count * (os.cpu_count() or 1)
        if before:
            os.sched_setaffinity(0, {max(before)})
        me = os.getpid()
        self.children = [_fork() or _count(me) for _ in range(many)]
        yield
        for child in self.children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
        if before:
            os.sched_setaffinity(0, before)


def _count(parent: int) -> int:
    """Keep a core busy for as long as the parent lives; does not return."""
    while os.getppid() == parent:
        for _ in range(100_000):
            pass
    os._exit(0)


def pytest_configure(config: pytest.Config) -> None:
    """Read what is asked for and join the session."""
    if _PLAN.get("alone"):
        config.pluginmanager.register(Alone(), "steersman-alone")
    if _PLAN.get("load"):
        config.pluginmanager.register(Load(int(_PLAN["load"])), "steersman-load")


# The clock has to be another one before the tests and what they test are imported, so at once.
_PLAN: dict[str, Any] = {}
if "STEERSMAN_SHIFT" in os.environ:
    _PLAN = json.loads(Path(os.environ["STEERSMAN_SHIFT"]).read_text(encoding="utf-8"))
    if _PLAN.get("clock_s") is not None:
        shift_clock(float(_PLAN["clock_s"]))
