"""Tests that run on a fault: it is in the copy for as long as that takes."""

from steersman.core.errors import InvalidInput
from steersman.packs.qe.faults.mutation import Fault
from steersman.packs.qe.project.suite import Plan, RunResult, Suite

NOT_STARTED = "pytest itself"
"""What has failed where a fault keeps the suite from starting."""
_GRACE_S, _PATIENCE = 10.0, 3.0


def limit_s(usual_s: float) -> float:
    """Return the seconds after which tests hang that usually take `usual_s` seconds: 10 s and three times that."""
    return _GRACE_S + _PATIENCE * usual_s


def run_with(fault: Fault, suite: Suite, plan: Plan, *, timeout_s: float) -> RunResult:
    """Run a plan with a fault in the copy, and put the file back. Raises DeadlineExceeded as `Suite.run` does."""
    source = suite.sandbox.read(fault.file)
    suite.sandbox.write(fault.file, fault.apply(source))
    try:
        return suite.run(plan, timeout_s=timeout_s)
    except InvalidInput as error:  # the suite could start before, so it is the fault that keeps it from starting
        return RunResult(tests={}, uncollected={NOT_STARTED: str(error)})
    finally:
        suite.sandbox.write(fault.file, source)
