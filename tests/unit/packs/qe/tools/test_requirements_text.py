"""What is a requirement, and which rule sees which gap in it."""

import pytest

from steersman.packs.qe.tools import requirements_text as rules
from steersman.packs.qe.tools.requirements_text import read_docstrings, read_requirements
from steersman.packs.qe.tools.scenarios import broken_scenarios, scenario_draft


def _of(text: str) -> tuple[rules.Requirement, ...]:
    return read_requirements({"a.md": text})


def test_sentences_that_ask_for_something_are_read_with_their_section_and_code_is_not() -> None:
    text = (
        "# A\nIt must work.\n```\nx must not count\n```\n## B\nNothing.\n- It shall stop.\nAcceptance criteria: it stops.\n"
    )
    first, second = _of(text)
    assert (first.line, first.text) == (2, "It must work.")
    assert (second.line, second.text) == (8, "It shall stop.")
    assert "Acceptance" in second.section
    assert "Acceptance" not in first.section


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("It must be fast.", "ambiguous"),
        ("It must be `fast`.", ""),
        ("It must answer in 3 ms.", ""),
        ("It must last 3 days.\nIt must last 4 days.", "contradiction"),
        ("It must last 3 days.\nIt must last 3 days.", ""),
        ("It must last 3 days.\nShe must last 4 days.", ""),
    ],
)
def test_questions_about_words_and_numbers(text: str, rule: str) -> None:
    found = {each.rule for each in (*rules.ambiguities(_of(text)), *rules.contradictions(_of(text)))}
    assert found == ({rule} if rule else set())


def test_invest_wants_criteria_independence_and_small_ones() -> None:
    assert [each.rule for each in rules.invest(_of("It must work."))] == ["no criteria"]
    assert not list(rules.invest(_of("It must work.\n\nAcceptance criteria:\n- it works\n")))
    text = f"It depends on R-1 and must {'work ' * 50}.\nGiven a then b\n"
    assert {each.rule for each in rules.invest(_of(text))} == {"depends", "too large"}


def test_a_limit_needs_a_beyond() -> None:
    assert [each.rule for each in rules.open_limits(_of("It must hold at most 3 items."))] == ["open limit"]
    assert not list(rules.open_limits(_of("It must hold at most 3 items. A fourth is refused.")))


def test_tests_are_linked_by_words() -> None:
    asked = _of("The rebate must follow the total.\nThe invoice must be printed.")
    (silent,) = rules.untested(asked, ["def test_rebate_of_total(): ..."])
    assert "invoice" in silent.message
    assert {each.rule for each in rules.untested(asked, [])} == {"untested"}


def test_docstrings_of_public_names_stand_for_requirements() -> None:
    source = 'def pay():\n    """Pay it.\n\n    More.\n    """\n\n\ndef _own():\n    """Not this."""\n'
    (only,) = read_docstrings({"a.py": source}, "")
    assert (only.text, only.line) == ("Pay it.", 2)


def test_the_parser_names_each_scenario_that_cannot_be_checked() -> None:
    text = (
        "Feature: a\n  Scenario: good\n    When x\n    Then y\n  Scenario: no end\n    When x\n"
        "  Scenaro: typo\n    When x\n  Scenario: nothing\n    Given x\n  Scenaro: typo\n"
    )
    assert {each.line for each in broken_scenarios({"a.feature": text})} == {5, 7, 9, 11}
    assert [each.line for each in broken_scenarios({"a.feature": "no feature at all"})] == [1]


def test_a_draft_is_parsed_and_nothing_needs_none() -> None:
    assert scenario_draft(()) == ""
    assert not list(broken_scenarios({"a.feature": scenario_draft(_of("It must work.\nIt must stop."))}))
