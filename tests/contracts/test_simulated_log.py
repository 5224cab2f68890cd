"""What is behind a position in the simulated log is what its disk holds, before a crash and after it."""

from steersman.testing.log_rows import AGENT, decision, outcome
from steersman.testing.simulation.store import SimulatedLog


def test_only_what_was_committed_is_behind_a_position() -> None:
    log = SimulatedLog()
    first, second = decision(), decision()
    log.append((first,))
    assert log.since(AGENT, 0) == []
    log.commit()
    log.append((outcome(first), second))
    assert log.since(AGENT, 0) == [(1, first)]
    log.fill("the disk is full")
    log.commit()
    assert log.since(AGENT, 1) == []
    log.fill("")
    log.commit()
    assert log.since(AGENT, 1) == [(2, outcome(first)), (3, second)]


def test_after_a_crash_what_was_lost_is_behind_no_position() -> None:
    log = SimulatedLog()
    first, torn, lost = decision(), decision(), decision()
    log.append((first,))
    log.commit()
    log.append((torn,))
    log.append((lost,))
    assert log.crashed(torn=1).since(AGENT, 0) == [(1, first), (2, torn)]
    assert log.crashed(torn=0).since(AGENT, 0) == [(1, first)]
