"""Values for the parameters of a function: what kind each is, by its annotation, and values of that kind as literals."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

_PLAIN = ("int", "float", "bool", "str", "bytes", "None")
_AS_LIST = {"list", "List", "Sequence", "Iterable", "Collection", "MutableSequence"}
_AS_SET = {"set", "Set", "frozenset", "FrozenSet", "AbstractSet"}
_AS_DICT = {"dict", "Dict", "Mapping", "MutableMapping"}
_LETTERS = "abc XYZ0189-_.,é"
_WORDS = (
    "a",
    "ab",
    "Ada",
    "hello world",
    "x-y_z",
    "42",
    "-1.5",
    "a,b;c",
    "key=value",
    "2024-01-31",
    "ada@example.org",
    "/a/b.txt",
)
EDGES: dict[str, tuple[Any, ...]] = {
    "int": (0, 1, -1, 2**31, -(2**63)),
    "float": (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, 0.1),
    "bool": (False, True),
    "str": ("", " ", "0", "a" * 200, "é\u0000\n", "İ", "-1"),
    "bytes": (b"", b"\x00", b"\xff" * 20),
    "None": (None,),
}


def _letters(rng: np.random.Generator) -> str:
    return "".join(_LETTERS[int(each)] for each in rng.integers(0, len(_LETTERS), int(rng.integers(1, 8))))


_TYPICAL: dict[str, Callable[[np.random.Generator], Any]] = {
    "int": lambda rng: int(rng.integers(-3, 13)) if rng.random() < 0.7 else int(rng.integers(-1000, 1000)),
    "float": lambda rng: round(float(rng.normal(0.0, 20.0)), 2),
    "bool": lambda rng: bool(rng.random() < 0.5),
    "str": lambda rng: _WORDS[int(rng.integers(len(_WORDS)))] if rng.random() < 0.7 else _letters(rng),
    "bytes": lambda rng: rng.bytes(int(rng.integers(1, 8))),
    "None": lambda rng: None,
}
_BUILT: dict[str, Callable[[list[Any]], Any]] = {"list": list, "tuples": tuple, "set": set}
_STRATEGIES = {
    "int": "st.integers(-1000, 1000)",
    "float": "st.floats(-1e6, 1e6)",
    "bool": "st.booleans()",
    "str": "st.text(max_size=12)",
    "bytes": "st.binary(max_size=12)",
    "list": "st.lists({inner}, max_size=6)",
    "tuples": "st.lists({inner}, max_size=6).map(tuple)",
    "set": "st.sets({inner}, max_size=6)",
    "dict": "st.dictionaries({inner}, max_size=4)",
    "tuple": "st.tuples({inner})",
    "union": "st.one_of({inner})",
    "literal": "st.sampled_from({options!r})",
    "object": "st.builds({options[0]}{inner})",
}
_NOTHING: Mapping[str, "Kind"] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of value: a plain name, or list, set, dict, tuple, union of `parts`, or one of the literals in `options`.

    An object is built by the one option, of which `parts` are the parameters.
    """

    name: str
    parts: tuple["Kind", ...] = ()
    options: tuple[Any, ...] = ()


def plain(name: str) -> Kind:
    """Return a kind without parts."""
    return Kind(name=name)


GUESSES: tuple[Kind, ...] = (
    *(plain(each) for each in ("int", "str", "float", "bool")),
    *(Kind(name="list", parts=(plain(each),)) for each in ("int", "str")),
    Kind(name="dict", parts=(plain("str"), plain("int"))),
)
"""What is tried for parameters without an annotation."""


def kind_of(annotation: ast.expr | None, known: Mapping[str, Kind] = _NOTHING) -> Kind | None:
    """Return the kind that an annotation stands for; None for one that is missing or unknown.

    known: the kinds of names that stand for no literal.
    """
    found: Kind | None = None
    match annotation:
        case ast.Constant(value=None):
            found = plain("None")
        case ast.Constant(value=str() as text):
            found = _of_text(text, known)
        case ast.Name(id="object" | "Any" | "Hashable"):
            found = Kind(name="union", parts=(plain("int"), plain("str")))
        case ast.Name(id=name) if name in _PLAIN:
            found = plain(name)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            found = known.get(name) or _container(name, [], known)
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            several = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            found = known.get(name) or _container(name, several, known)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            found = _of_parts("union", [left, right], known)
    return found


def _of_text(text: str, known: Mapping[str, Kind]) -> Kind | None:
    try:
        return kind_of(ast.parse(text, mode="eval").body, known)
    except SyntaxError:
        return None


def _container(name: str, inner: Sequence[ast.expr], known: Mapping[str, Kind]) -> Kind | None:
    found: Kind | None = None
    if name == "Literal":
        found = Kind(name="literal", options=tuple(each.value for each in inner if isinstance(each, ast.Constant)))
    elif name in ("Optional", "Union"):
        found = _of_parts("union", inner, known)
        if found and name == "Optional":
            found = Kind(name="union", parts=(*found.parts, plain("None")))
    elif name in _AS_LIST | _AS_SET:
        kind = "list" if name in _AS_LIST else "set"
        found = _of_parts(kind, inner[:1], known) if inner else Kind(name=kind, parts=(plain("int"),))
    elif name in _AS_DICT:
        found = _of_parts("dict", inner[:2], known) if inner else Kind(name="dict", parts=(plain("str"), plain("int")))
    elif name in ("tuple", "Tuple") and inner:
        many = isinstance(inner[-1], ast.Constant) and inner[-1].value is ...
        found = _of_parts("tuples" if many else "tuple", inner[:1] if many else inner, known)
    return found


def _of_parts(name: str, inner: Sequence[ast.expr], known: Mapping[str, Kind]) -> Kind | None:
    parts = [kind_of(each, known) for each in inner]
    whole = [each for each in parts if each is not None]
    return Kind(name=name, parts=tuple(whole)) if len(whole) == len(parts) else None


class Source:
    """Draws values; `constants` of the code under test and those beside them are drawn as often as others."""

    def __init__(self, generator: np.random.Generator, constants: Sequence[Any] = ()) -> None:
        self.generator = generator
        self._constants = constants

    def typical(self, kind: Kind) -> Any:
        """Return an everyday value of a kind."""
        rng = self.generator
        known = [each for each in self._constants if type(each).__name__ == kind.name]
        if known and rng.random() < 0.5:
            return self._beside(known[int(rng.integers(len(known)))])
        made = _TYPICAL.get(kind.name)
        return made(rng) if made else self._composed(kind)

    def edge(self, kind: Kind) -> Any:
        """Return an extreme value of a kind: the least, the greatest, the empty one, or one just beside a constant."""
        known = [each for each in self._constants if type(each).__name__ == kind.name]
        options = [*EDGES.get(kind.name, ()), *known, *(self._beside(each) for each in known)]
        if options:
            return options[int(self.generator.integers(len(options)))]
        if kind.name in ("list", "set", "dict", "tuples"):
            return self._container_edge(kind)
        if kind.name == "union":
            return self.edge(self._one(kind.parts))
        if kind.name == "tuple":
            return tuple(self.edge(each) for each in kind.parts)
        return self.typical(kind)

    def vary(self, value: Any) -> Any:
        """Return a value near another one, of the same type."""
        rng = self.generator
        varied = value
        match value:
            case bool():
                varied = not value
            case int() | float():
                varied = self._beside(value) if rng.random() < 0.5 else value * 2 if rng.random() < 0.5 else -value
            case str():
                varied = _cut(rng, value)
            case bytes():
                varied = _cut(rng, value.decode("latin-1")).encode("latin-1")
            case list() | tuple() if value:
                index = int(rng.integers(len(value)))
                middle = [self.vary(value[index])] if rng.random() < 0.7 else []
                varied = type(value)([*value[:index], *middle, *value[index + 1 :]])
            case dict() if value:
                varied = {key: self.vary(value[key]) for key in list(value)[int(rng.integers(len(value))) :]}
        return varied

    def _beside(self, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value + int(self.generator.integers(-1, 2))
        return value

    def _container_edge(self, kind: Kind) -> Any:
        count = int(self.generator.integers(0, 3)) if kind.name not in ("set", "dict") or _hashable(kind.parts[0]) else 0
        items = [self.edge(kind.parts[0])] * count
        return {each: self.edge(kind.parts[1]) for each in items} if kind.name == "dict" else _BUILT[kind.name](items)

    def _composed(self, kind: Kind) -> Any:
        if kind.name == "tuple":
            return tuple(map(self.typical, kind.parts))
        if kind.name == "union":
            return self.typical(self._one(kind.parts))
        if kind.name == "object":
            return kind.options[0](self._some(kind))
        if kind.name == "literal":
            return kind.options[int(self.generator.integers(len(kind.options)))]
        count = int(self.generator.integers(1, 5)) if kind.name != "set" or _hashable(kind.parts[0]) else 0
        items = [self.typical(kind.parts[0]) for _ in range(count)]
        return {each: self.typical(kind.parts[1]) for each in items} if kind.name == "dict" else _BUILT[kind.name](items)

    def _some(self, kind: Kind) -> list[Any]:
        """Return values for the parameters of a constructor, for those with a default sometimes."""
        count = int(self.generator.integers(kind.options[0].required, len(kind.parts) + 1))
        return [self.typical(each) for each in kind.parts[:count]]

    def _one(self, parts: Sequence[Kind]) -> Kind:
        return parts[int(self.generator.integers(len(parts)))]


def _hashable(kind: Kind) -> bool:
    return kind.name in (*_PLAIN, "literal", "tuple") and all(_hashable(each) for each in kind.parts)


def _cut(rng: np.random.Generator, text: str) -> str:
    cut = int(rng.integers(len(text) + 1))
    return text[:cut] if rng.random() < 0.5 else text[cut:] + text[: cut + 1]


def strategy(kind: Kind) -> str:
    """Return the text of a Hypothesis strategy for a kind; `st` stands for `hypothesis.strategies`."""
    inner = ", ".join(strategy(each) for each in kind.parts)
    if kind.name == "object" and inner:
        inner = f", {inner}"
    return _STRATEGIES.get(kind.name, "st.none()").format(inner=inner, options=list(kind.options))


def kind_of_value(value: Any) -> Kind | None:
    """Return the kind of a literal, by its type and the type of what is in it first."""
    name = "None" if value is None else type(value).__name__
    if name == "Written":
        return Kind(name="literal", options=(value,))
    if name in _PLAIN:
        return plain(name)
    if name in ("list", "set", "dict") and value:
        inner = [next(iter(value)), *([next(iter(value.values()))] if name == "dict" else [])]
        return _made(name, inner)
    return _made("tuple", value) if name == "tuple" and value else None


def _made(name: str, values: Sequence[Any]) -> Kind | None:
    parts = [kind_of_value(each) for each in values]
    known = [each for each in parts if each is not None]
    return Kind(name=name, parts=tuple(known)) if len(known) == len(parts) else None
