"""Requirements with known gaps, such as vague words or numbers that contradict, among others that leave nothing open.

Some of the vague words are in no list of any tool, and some clean sentences hold a word that is vague elsewhere.
"""

import string
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_VAGUE = (
    "must be fast",
    "must be easy to use",
    "must be robust",
    "must answer in a reasonable time",
    "must show some recent entries",
    "must feel snappy",  # the last three are in no list
    "must look professional",
    "must not take ages",
)
_CLEAR = (
    "must answer within {n} ms, otherwise it says so",
    "must list every entry of the last {n} days",
    "must weigh {n} g",
)
_NAMES = ("must offer the switch `fast`", 'must be called "Simple Start"', "must be on the Quick Start page")
_NOUNS = ("export", "basket", "report", "search", "calendar", "upload", "archive", "invoice", "payment", "password")
_RISKY = ("invoice", "payment", "password")
_ROLES = ("clerk", "guest", "manager", "driver")
THEMES = ("ambiguous", "criteria", "limits", "scenarios", "clean")
_GAPS = {"ambiguous": ("vague", "contradiction"), "criteria": ("no criteria",), "limits": ("open limit",)} | {
    "scenarios": ("no outcome", "no scenario"),
    "clean": (),
}


@dataclass(frozen=True, kw_only=True)
class PlantedRequirement:
    """One planted requirement: its lines in a file, both included; kind: "" where it leaves nothing open."""

    kind: str
    file: str
    first: int
    last: int
    worth: float

    def is_in(self, found: Mapping[str, frozenset[int]]) -> bool:
        """Return whether some of the lines that were found, by file, is one of its own."""
        return any(self.first <= line <= self.last for line in found.get(self.file, ()))


@dataclass(frozen=True, kw_only=True)
class PlantedRequirements:
    """The files with what was planted, and the plants; theme: what kind of gap there may be."""

    theme: str
    texts: Mapping[str, str]
    plants: tuple[PlantedRequirement, ...]


def plant_requirements(generator: np.random.Generator, *, count: int, gap_rate: float = 0.6) -> PlantedRequirements:
    """Return new files of so many requirements on one theme, of which about `gap_rate` have a gap; none in a clean one."""
    theme = THEMES[int(generator.integers(len(THEMES)))]
    suffix = "feature" if theme == "scenarios" else "md"
    file = f"docs/planted_{_word(generator)}.{suffix}"
    text = "Feature: planted\n" if theme == "scenarios" else "# Planted requirements\n"
    plants = []
    for _ in range(count):
        kinds = _GAPS[theme]
        gap = bool(kinds) and generator.random() < gap_rate
        kind = kinds[int(generator.integers(len(kinds)))] if gap else ""
        noun = _NOUNS[int(generator.integers(len(_NOUNS)))]
        written = _scenario(generator, noun, kind) if theme == "scenarios" else _section(generator, noun, kind)
        first = text.count("\n") + 1
        text += written
        worth = 2.0 if noun in _RISKY else 1.0
        plants.append(PlantedRequirement(kind=kind, file=file, first=first, last=text.count("\n"), worth=worth))
    return PlantedRequirements(theme=theme, texts={file: text}, plants=tuple(plants))


def _section(generator: np.random.Generator, noun: str, kind: str) -> str:
    name = f"{noun} {_word(generator)}"
    number = int(generator.integers(2, 60))
    criteria = f"\nAcceptance criteria:\n- given a {noun} and a {_some(generator, _ROLES)}, then it is as said above.\n"
    body = f"The {name} {_clean(generator, number)}."
    if kind == "vague":
        body = f"The {name} {_some(generator, _VAGUE)}."
    elif kind == "contradiction":
        said = f"The {name} must be kept for {{}} days."
        body = f"{said.format(number)}\n{said.format(number + int(generator.integers(1, 9)))}"
    elif kind == "open limit" or (not kind and generator.random() < 0.3):
        body = f"The {name} must hold at most {number} entries."
        body += "" if kind else f" The next one is refused with the {number} that are there."
    elif kind == "no criteria":
        role = _some(generator, _ROLES)
        body, criteria = f"As a {role} I want the {name}, so that I need not ask a {_some(generator, _ROLES)}.", ""
    return f"\n## Planted {name}\n\n{body}\n{criteria}"


def _clean(generator: np.random.Generator, number: int) -> str:
    """Return a sentence that leaves nothing open, in a third of cases with a name that sounds vague."""
    said = _some(generator, _NAMES if generator.random() < 0.3 else _CLEAR)
    return said.format(n=number)


def _scenario(generator: np.random.Generator, noun: str, kind: str) -> str:
    name = f"{noun} {_word(generator)}"
    steps = [f"    Given a {noun} of a {_some(generator, _ROLES)}", f"    When the {noun} is opened"]
    if kind != "no outcome":
        steps.append(f"    Then it shows {int(generator.integers(2, 60))} entries")
    keyword = "Scenaro" if kind == "no scenario" else "Scenario"
    return "\n".join(["", f"  {keyword}: planted {name}", *steps, ""])


def _some(generator: np.random.Generator, items: tuple[str, ...]) -> str:
    return items[int(generator.integers(len(items)))]


def _word(generator: np.random.Generator) -> str:
    return "".join(string.ascii_lowercase[int(each)] for each in generator.integers(0, 26, 6))
