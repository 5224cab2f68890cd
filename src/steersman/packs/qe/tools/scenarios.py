"""Scenarios in Gherkin: which of them can be run and checked, and drafts for what has none yet."""

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from steersman.packs.qe.tools.requirements_text import Gap, Requirement

_MOST_REFUSED = 20
_KEYWORD = re.compile(r"\s*\w+:")
_KINDS = {"Context": "Given", "Action": "When", "Outcome": "Then"}


def broken_scenarios(features: Mapping[str, str]) -> Iterator[Gap]:
    """Yield features that the parser refuses, and scenarios that do nothing or expect nothing."""
    for file, text in features.items():
        document, problems = _parse(text)
        for line, words in problems.items():
            yield Gap(file=file, line=line, rule="broken scenario", message=words)
        for scenario, background in _scenarios(document):
            kinds = {_KINDS.get(step.get("keywordType", "")) for step in (*background, *scenario["steps"])}
            missing = [each for each in ("When", "Then") if each not in kinds]
            if missing:
                words = f"{scenario['name']!r} has no {' and no '.join(missing)}"
                yield Gap(file=file, line=scenario["location"]["line"], rule="broken scenario", message=words)


def scenario_draft(requirements: Sequence[Requirement]) -> str:
    """Return a feature with one scenario for each requirement, for a person to fill in; "" where there is none.

    What is to be given and done cannot be read from the text, so the draft asks for it.
    """
    if not requirements:
        return ""
    lines = ["Feature: what no test speaks of yet", ""]
    for each in requirements:
        lines += [f"  Scenario: {_one_line(each.text)}", f"    # {each.file}:{each.line}"]
        lines += ["    Given <what holds before>", "    When <what is done>", f"    Then {_one_line(each.text)}", ""]
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:100]


def _parse(text: str) -> tuple[dict[str, Any], dict[int, str]]:
    """Return the document of a feature without the lines that the parser refuses, and why it refuses each of them."""
    refused = importlib.import_module("gherkin.errors").ParserError
    lines, problems = text.splitlines(), dict[int, str]()
    for _ in range(_MOST_REFUSED):
        try:
            return importlib.import_module("gherkin.parser").Parser().parse("\n".join(lines)), problems
        except refused as error:
            found = {_line(each): str(each) for each in getattr(error, "errors", None) or [error]}
        new = {line: words for line, words in found.items() if 1 <= line <= len(lines) and line not in problems}
        problems |= new
        if not new:
            break
        for line in new:
            # a mistyped keyword begins a scenario all the same, or its steps would fall to the one before
            lines[line - 1] = "Scenario: refused" if _KEYWORD.match(lines[line - 1]) else "#"
    return {}, problems or {1: "the parser refuses it"}


def _line(error: Any) -> int:
    return int((getattr(error, "location", None) or {}).get("line", 0))


def _scenarios(document: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yield the scenarios of a document, each with the steps that come before it."""
    background: list[dict[str, Any]] = []
    children = list((document.get("feature") or {}).get("children", ()))
    while children:
        child = children.pop(0)
        if "background" in child:
            background = background + list(child["background"]["steps"])
        elif "rule" in child:
            children = list(child["rule"]["children"]) + children
        elif "scenario" in child:
            yield child["scenario"], background
