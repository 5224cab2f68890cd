"""Values that are no literals, as the text of an expression and what it imports: dates, paths, members of enums, objects."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.packs.qe.tools.values import Kind

Need = tuple[str, str]
"""(module, name) to import; ("", module) for a module as a whole."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """An expression; its repr is its text, so that it can stand in a list or a tuple that is written out."""

    text: str
    needs: frozenset[Need] = frozenset()

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True)
class Constructor:
    """A class that is built from values. required: how many of its parameters have no default."""

    name: str
    needs: frozenset[Need]
    required: int

    def __repr__(self) -> str:
        return self.name

    def __call__(self, values: Sequence[Any]) -> Written:
        """Return the expression that builds an object."""
        text = f"{self.name}({', '.join(map(repr, values))})"
        return Written(text=text, needs=self.needs | needs_of(values))


class Bare(str):
    """A name that stands in a call as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def needs_of(value: Any) -> frozenset[Need]:
    """Return what has to be imported for a value, and all that is in it."""
    if isinstance(value, Written):
        return value.needs
    if isinstance(value, Mapping):
        return needs_of([*value, *value.values()])
    if isinstance(value, list | tuple | set | frozenset):
        return frozenset().union(*map(needs_of, value))
    return frozenset()


def kind_needs(kind: Kind) -> frozenset[Need]:
    """Return what has to be imported for the strategy of a kind."""
    own = (each.needs if isinstance(each, Constructor) else needs_of(each) for each in kind.options)
    return frozenset().union(*own, *map(kind_needs, kind.parts))


def one_of(texts: Iterable[str], *needs: Need) -> Kind:
    """Return the kind of a few expressions."""
    return Kind(name="literal", options=tuple(Written(text=each, needs=frozenset(needs)) for each in texts))


_DATES = (("2024", "2", "29"), ("2023", "12", "31"), ("1970", "1", "1"), ("2025", "7", "4"))
STANDARD: Mapping[str, Kind] = {
    "date": one_of((f"date({', '.join(each)})" for each in _DATES), ("datetime", "date")),
    "datetime": one_of((f"datetime({', '.join(each)}, 12, 30)" for each in _DATES), ("datetime", "datetime")),
    "time": one_of(("time(0, 0)", "time(12, 30)", "time(23, 59, 59)"), ("datetime", "time")),
    "timedelta": one_of(("timedelta(0)", "timedelta(days=1)", "timedelta(hours=-2)"), ("datetime", "timedelta")),
    "Path": one_of(("Path('a.txt')", "Path('folder/b.tar.gz')", "Path('')"), ("pathlib", "Path")),
    "Decimal": one_of(("Decimal('0')", "Decimal('1.10')", "Decimal('-3.5')"), ("decimal", "Decimal")),
    "Fraction": one_of(("Fraction(1, 3)", "Fraction(-2, 1)"), ("fractions", "Fraction")),
    "UUID": one_of(("UUID(int=0)", "UUID(int=12345)"), ("uuid", "UUID")),
    "Callable": one_of(("str", "len", "abs", "bool", "int")),
}
"""What annotations of the standard library stand for."""
CALLABLE = STANDARD["Callable"]
