"""Each agent that plants something is on the yardstick, in its own measurements."""

import pytest

from steersman.core.agent import AgentSpec
from steersman.core.catalog import load
from steersman.packs.qe.fleet.member import roster
from steersman.packs.qe.fleet.report import achievements
from steersman.packs.qe.fleet.tally import Tally, tally

NOTHING_PLANTED = {"test-generator", "code-complexity"}


@pytest.mark.parametrize("name", sorted(roster()))
def test_what_was_planted_and_found_is_read_from_the_measurements_of_each_agent(name: str) -> None:
    spec: AgentSpec = load(roster()[name])
    best = {each.name: 1.0 for each in spec.reward.measurements} | {"escaped": 0.0, "incident": 0.0, "missed": 0.0}
    counted = tally(name, [best, best])
    assert bool(counted.planted) == (name not in NOTHING_PLANTED)
    assert 0.0 <= counted.found <= counted.planted


def test_a_fault_that_escapes_half_is_half_found() -> None:
    assert tally("quality-gate", [{"fault": 1.0, "escaped": 0.5}]) == Tally(planted=1.0, found=0.5)
    assert tally("no such agent", [{}]) == Tally()


def test_what_was_achieved_is_said_in_words_and_nothing_is_said_of_nothing() -> None:
    assert achievements(Tally(planted=3.0, found=2.0), (50.0, 62.5)) == (
        "Of 3 planted faults it found 2",
        "Its tests cover 12.5 % of the branches more (50.0 % to 62.5 %)",
    )
    assert achievements(Tally(), None) == ()
    assert achievements(Tally(), (50.0, 50.0)) == ()
