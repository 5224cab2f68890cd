"""An agent's turn: rounds while time allows, and nothing of what was done is lost where it has to stop."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steersman import Steersman
from steersman.core.errors import NotPermitted
from steersman.core.ports import Progress
from steersman.packs.qe.agents.requirements_validator import RequirementsValidator, agent
from steersman.packs.qe.fleet.member import Member
from steersman.packs.qe.fleet.site import Site, open_site
from steersman.packs.qe.fleet.work import WorkOptions, at_work
from steersman.packs.qe.project.discovery import discover


class Tiring(RequirementsValidator):
    """A validator that has enough at its third look."""

    looks = 0

    def look(self, site: Site) -> dict[str, float]:
        self.looks += 1
        if self.looks > 2:
            raise NotPermitted("enough is enough")
        return super().look(site)


@pytest.fixture
def tiring() -> Iterator[Member]:
    with Steersman.open("memory:", settings={}) as steersman:
        yield Member(agent, steersman.agent(agent), Tiring(), "test")


def test_what_was_done_before_a_stop_is_in_the_report(tiring: Member, shop: Path, progress: Progress) -> None:
    report = at_work(tiring, WorkOptions(agent=agent.name, path=str(shop), rounds=5), progress)
    assert (len(report.rounds), report.stopped) == (2, "enough is enough")


def test_a_stop_before_any_round_is_an_error(tiring: Member, shop: Path, progress: Progress) -> None:
    assert isinstance(tiring.skill, Tiring)
    tiring.skill.looks = 2
    with pytest.raises(NotPermitted, match="enough is enough"):
        at_work(tiring, WorkOptions(agent=agent.name, path=str(shop), rounds=5), progress)


def test_a_turn_without_time_is_one_round(tiring: Member, shop: Path, progress: Progress) -> None:
    with open_site(discover(str(shop)), "a", seed=0, timeout_s=10.0, progress=progress) as site:
        assert len(list(tiring.turn(site, 2, turn_s=0.0))) == 1


def test_each_round_plants_something_new_and_the_same_by_the_same_seed(shop: Path, progress: Progress) -> None:
    def drawn(seed: int, number: int) -> float:
        with open_site(discover(str(shop)), "a", seed=seed, timeout_s=10.0, progress=progress) as site:
            site.begin(number)
            return float(site.generator.random())

    assert drawn(1, 2) == drawn(1, 2)
    assert len({drawn(1, 2), drawn(1, 3), drawn(2, 2)}) == 3
