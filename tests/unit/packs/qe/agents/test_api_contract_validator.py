"""The contract validator holds real releases back, and is paid for those that would have broken a caller."""

from pathlib import Path

import pytest

from steersman.core.errors import NotPermitted
from steersman.core.state import StateValues
from steersman.packs.qe.agents import api_contract_validator
from steersman.packs.qe.agents.api_contract_validator import ApiContractValidator, agent
from steersman.testing.pack_checker import check_agent
from tests.unit.packs.qe.agents.conftest import Work


@pytest.fixture
def library(shop_project: Path) -> Path:
    """The shop without its tests, with a version and functions to change."""
    (shop_project / "tests" / "test_shop.py").unlink()
    (shop_project / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "1.2.3"\n')
    (shop_project / "money.py").write_text("def pay(amount, rate=2):\n    return amount * rate\n")
    return shop_project


def test_it_passes_the_checks_of_every_agent() -> None:
    assert not [each for each in check_agent(agent) if each.problem]


def test_a_diff_sees_signatures_and_the_reward_falls_where_only_behaviour_changed(work: Work, library: Path) -> None:
    before = {file: file.read_bytes() for file in library.rglob("*") if file.is_file()}
    rounds = work(agent, ApiContractValidator(), library, 30, seed=2, action="diff").rounds
    caught = [each for each in rounds if each.measurements["breaking"]]
    kinds = {each.measurements["caught"] / each.measurements["breaking"]: each for each in caught}
    assert {0.0, 1.0} <= set(kinds), "signatures that changed are seen, values that are returned are not"
    assert kinds[1.0].components["caught"] == 100.0
    assert kinds[0.0].components["caught"] == 0.0
    assert "changed return" in " ".join(kinds[0.0].notes)
    alarmed = [each for each in rounds if each.measurements["false_blocks"]]
    assert alarmed, "a default that moved into the body looks like another default"
    assert all(each.components["false_blocks"] < 0 for each in alarmed)
    assert {file: file.read_bytes() for file in library.rglob("*") if file.is_file()} == before


def test_a_new_major_version_may_break_what_it_likes(work: Work, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_contract_validator, "_ODDS", (0.0, 0.0, 0.0, 1.0))
    report = work(agent, ApiContractValidator(), library, 4, action="diff")
    assert report.next.state["bump"] == "major"
    assert not any(each.measurements["breaking"] or each.measurements["false_blocks"] for each in report.rounds)


def test_tests_of_the_old_release_see_what_a_diff_does_not(work: Work, shop_project: Path) -> None:
    skill = OnlyBodies()
    (done,) = work(agent, skill, shop_project, action="consumer tests").rounds
    assert done.measurements["breaking"] >= 1.0
    assert done.measurements["caught"] == done.measurements["breaking"]
    assert done.measurements["false_blocks"] == 0.0


class OnlyBodies(ApiContractValidator):
    """Looks on until the releases changed what is returned."""

    def look(self, site):  # type: ignore[no-untyped-def]
        """Plant until some release breaks a caller by what it returns."""
        state: StateValues = super().look(site)
        while state["change"] != "body" or state["bump"] == "major" or not any(each.breaking for each in self._releases):
            state = super().look(site)
        return state


def test_without_tests_or_ruff_their_checks_are_refused_with_the_reason(
    work: Work, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotPermitted, match="consumer tests needs tests that pass"):
        work(agent, ApiContractValidator(), library, action="consumer tests")
    monkeypatch.setattr(api_contract_validator, "has", lambda name: False)
    with pytest.raises(NotPermitted, match="lint needs ruff: pip install it"):
        work(agent, ApiContractValidator(), library, action="lint")


def test_a_changed_description_of_the_web_interface_is_held_back(work: Work, library: Path) -> None:
    answer = '{"paths": {"/items": {"get": {"responses": {"200": {"description": "all"}}}}}}'
    (library / "openapi.json").write_text(answer)
    rounds = work(agent, ApiContractValidator(), library, 12, action="diff").rounds
    said = " ".join(note for each in rounds for note in each.notes)
    assert "operation" not in said, "each was judged as it is"
    assert "query parameter" not in said
