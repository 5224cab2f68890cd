"""The text of property tests: what held for all recorded calls of a function, and what only Hypothesis can tell."""

import ast
import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.packs.qe.tools.expressions import Bare, kind_needs
from steersman.packs.qe.tools.functions import Target
from steersman.packs.qe.tools.recording import Call, Recorded
from steersman.packs.qe.tools.test_writing import Draft
from steersman.packs.qe.tools.values import Kind, strategy

_EXAMPLES = 50
_LEAST_SEEN = 4


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One call and its result as values, for properties to look at."""

    arguments: tuple[Any, ...]
    result: Any


PROPERTIES: Mapping[str, tuple[Callable[[Seen], bool], str]] = {
    "keeps_length": (lambda s: _length(s.result) == _length(s.arguments[0]) >= 0, "len(result) == len({first})"),
    "no_longer": (lambda s: 0 <= _length(s.result) <= _length(s.arguments[0]), "len(result) <= len({first})"),
    "not_negative": (lambda s: _number(s.result) and s.result >= 0, "result >= 0"),
    "at_most": (lambda s: _both(s) and s.result <= s.arguments[0], "result <= {first}"),
    "at_least": (lambda s: _both(s) and s.result >= s.arguments[0], "result >= {first}"),
    "same_items": (lambda s: _items(s) and sorted(s.result) == sorted(s.arguments[0]), "sorted(result) == sorted({first})"),
    "in_order": (lambda s: _items(s) and s.result == sorted(s.result), "result == sorted(result)"),
    "subset": (
        lambda s: _items(s) and all(each in s.arguments[0] for each in s.result),
        "all(each in {first} for each in result)",
    ),
}
"""What is tried on the recorded calls, and how it is stated of `result` and the first argument. Likely invariants, after
Ernst, Cockrell, Griswold and Notkin, "Dynamically discovering likely program invariants", 1999."""
_CALLED = {
    "again_the_same": "{call} == result",
    "twice_as_once": "{name}(result{rest}) == result",
    "either_way_round": "{name}({second}, {first}) == result",
}


def properties(target: Target, kinds: Sequence[Kind], seen: Sequence[Recorded], edges: Sequence[Call] = ()) -> list[Draft]:
    """Return property tests of a function: what held for all recorded calls, and what only Hypothesis can tell.

    edges: calls whose arguments each test tries as well. No test where too few calls came back to see anything.
    """
    values = [each for each in map(_seen, seen) if each is not None]
    if len(values) < _LEAST_SEEN or not kinds:
        return []
    names = _parameters(target, len(kinds))
    held = {key: text for key, (holds, text) in PROPERTIES.items() if all(_holds(holds, each) for each in values)}
    held |= {f"is_a_{name}": f"isinstance(result, {name})" for name in _types(values)}
    held |= {key: text for key, text in _CALLED.items() if key != "either_way_round" or len(names) == 2}
    terms = {
        "call": target.called([Bare(each) for each in names]),
        "name": target.name,
        "first": names[0],
        "second": names[-1],
        "rest": "".join(f", {each}" for each in names[1:]),
    }
    return [_property(target, kinds, f"test_{target.name}_{key}", text.format(**terms), edges) for key, text in held.items()]


def _parameters(target: Target, count: int) -> list[str]:
    """Return the names of the first parameters; with a line after those that mean something else in a test."""
    taken = {"result", "st", "given", "settings", "example", target.name, *dir(builtins)}
    return [f"{each}_" if each in taken else each for each in target.parameters[:count]]


def _property(target: Target, kinds: Sequence[Kind], name: str, held: str, edges: Sequence[Call]) -> Draft:
    names = _parameters(target, len(kinds))
    given = ", ".join(f"{each}={strategy(kind)}" for each, kind in zip(names, kinds, strict=True))
    examples = "".join(
        f"@example({', '.join(f'{each}={value!r}' for each, value in zip(names, call.values, strict=True))})\n"
        for call in edges
    )
    header = f"{examples}@settings(deadline=None, max_examples={_EXAMPLES}, database=None)\n@given({given})\n"
    body = f"    result = {target.called([Bare(each) for each in names])}\n    assert {held}\n"
    needs = target.needs.union({("hypothesis", "given"), ("hypothesis", "settings")}, *map(kind_needs, kinds))
    needs = needs.union({("hypothesis", "example")} if edges else set(), *(call.needs for call in edges))
    text = f"{header}def {name}({', '.join(names)}):\n{body}"
    return Draft(name=name, text=text, imports=needs, edge=bool(edges))


def _seen(recorded: Recorded) -> Seen | None:
    """Return a call as values; None where its arguments or its result are no literals."""
    call = recorded.call
    if (
        recorded.status != "value"
        or recorded.form != "{}"
        or call.target.called(call.values) != call.text
        or not call.values
    ):
        return None
    try:
        return Seen(arguments=ast.literal_eval(repr(call.values)), result=ast.literal_eval(recorded.text))
    except (ValueError, SyntaxError):
        return None


def _holds(holds: Callable[[Seen], bool], seen: Seen) -> bool:
    try:
        return bool(holds(seen))
    except TypeError:
        return False


def _types(values: Sequence[Seen]) -> Iterable[str]:
    """Return the type of all results, if it is one that has a name."""
    names = {type(each.result).__name__ for each in values} - {"NoneType"}
    return names if len(names) == 1 and all(each.result is not None for each in values) else ()


def _length(value: object) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple | dict | set) else -1


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _both(seen: Seen) -> bool:
    return _number(seen.result) and _number(seen.arguments[0])


def _items(seen: Seen) -> bool:
    return isinstance(seen.result, list) and isinstance(seen.arguments[0], list | tuple)
