"""A record type with checks, the same with one defect each, and records of people who do not exist; all made up each time.

The module needs the standard library only. What is personal in the records is known, so that it can be looked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

_SYLLABLES = ("ta", "bre", "lin", "mo", "ke", "sa", "vor", "ni", "dul", "hem", "ira", "pol")
_CHECKS = ("quantity <", "quantity >", "price <", "code shorter", "code longer")
_DEFECTS = ("one off", "limit counted", "missing")
_HARMLESS = ("two boxes", "leave at the back door", "fragile", "no hurry")


@dataclass(frozen=True, kw_only=True)
class PlantedRecords:
    """A module with the class `right` and, by their names, `wrong` ones with one defect each; and records for it.

    personal: what of each record belongs to a person; empty for a harmless one.
    """

    name: str
    text: str
    right: str
    wrong: Mapping[str, str]
    records: tuple[Mapping[str, Any], ...]
    personal: tuple[frozenset[str], ...]


def plant_records(generator: np.random.Generator, *, defects: int = 5, people: int = 4, harmless: int = 3) -> PlantedRecords:
    """Return a module with so many defects, and records of so many invented people among harmless ones."""
    low, high = int(generator.integers(1, 20)), int(generator.integers(50, 500))
    shortest, longest = int(generator.integers(2, 5)), int(generator.integers(8, 20))
    limits: dict[str, float] = {
        "quantity <": low,
        "quantity >": high,
        "price <": float(generator.integers(0, 4)),
        "code shorter": shortest,
        "code longer": longest,
    }
    every = [(check, defect) for check in _CHECKS for defect in _DEFECTS]
    chosen = [every[int(each)] for each in generator.permutation(len(every))[:defects]]
    word = _word(generator).capitalize()
    wrong = {f"Planted{word}{index}": f"{check}: {defect}" for index, (check, defect) in enumerate(chosen)}
    classes = [_class(f"Planted{word}", limits, "", "")]
    classes += [_class(name, limits, *each) for name, each in zip(wrong, chosen, strict=True)]
    made = [_person(generator, low) for _ in range(people)]
    made += [
        (_order(generator, low, "", "", _HARMLESS[each % len(_HARMLESS)]), frozenset[str]()) for each in range(harmless)
    ]
    order = [made[int(each)] for each in generator.permutation(len(made))]
    return PlantedRecords(
        name=f"planted_{word.lower()}",
        text="from dataclasses import dataclass\n" + "".join(classes),
        right=f"Planted{word}",
        wrong=wrong,
        records=tuple(record for record, _ in order),
        personal=tuple(personal for _, personal in order),
    )


def _class(name: str, limits: Mapping[str, float], check: str, defect: str) -> str:
    fields = ("name: str", "email: str", "note: str", "quantity: int", "price: float", "code: str")
    checks = [_check(each, limits[each], defect if each == check else "") for each in _CHECKS]
    body = "".join(f"        if {each}:\n            raise ValueError('refused')\n" for each in checks)
    head = "".join(f"    {each}\n" for each in fields)
    return f"\n\n@dataclass\nclass {name}:\n{head}\n    def __post_init__(self):\n{body}"


def _check(check: str, limit: float, defect: str) -> str:
    """Return the condition under which a value is refused."""
    if defect == "missing":
        return "False"
    under = check in ("quantity <", "price <", "code shorter")
    if defect == "one off":
        limit += 1 if under else -1
    sign = ("<" if under else ">") + ("=" if defect == "limit counted" else "")
    field = check.split(maxsplit=1)[0]
    return f"len(self.code) {sign} {limit:g}" if field == "code" else f"self.{field} {sign} {limit!r}"


def _person(generator: np.random.Generator, low: int) -> tuple[dict[str, Any], frozenset[str]]:
    """Return a record with an invented person's name and address: in their fields, in the note as well, or only there."""
    name = f"{_word(generator).capitalize()} {_word(generator).capitalize()}"
    email = f"{_word(generator)}@{_word(generator)}.example"
    personal = frozenset({name, email})
    match int(generator.integers(3)):
        case 0:
            return _order(generator, low, name, email, "two boxes"), personal
        case 1:
            return _order(generator, low, name, email, f"for {name}, who called before"), personal
        case _:
            return _order(generator, low, "", "", f"please ask {name} or write to {email}"), personal


def _order(generator: np.random.Generator, low: int, name: str, email: str, note: str) -> dict[str, Any]:
    quantity = low + int(generator.integers(0, 20))
    price = round(float(generator.uniform(5.0, 90.0)), 2)
    return {"name": name, "email": email, "note": note, "quantity": quantity, "price": price, "code": _word(generator)[:8]}


def _word(generator: np.random.Generator) -> str:
    return "".join(_SYLLABLES[int(each)] for each in generator.integers(0, len(_SYLLABLES), 3))
