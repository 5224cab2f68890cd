"""The text of generated tests: examples that were recorded, and properties that held for all of them."""

import ast
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from steersman.packs.qe.tools.functions import Target
from steersman.packs.qe.tools.recording import Recorded
from steersman.packs.qe.tools.values import Kind, strategy

_EXAMPLES = 50
_LEAST_SEEN = 4
_ABOUT = (
    '"""Tests that Steersman generated for {module} from what its functions really do; read them before you keep them."""'
)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One generated test. imports: (module, name) that it needs. edge: it tries an extreme value. reused: from a test."""

    name: str
    text: str
    imports: frozenset[tuple[str, str]]
    edge: bool = False
    reused: bool = False


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One call and its result as values, for properties to look at."""

    arguments: tuple[Any, ...]
    result: Any


def example(recorded: Recorded) -> Draft:
    """Return a test that states what a recorded call returned or raised."""
    target = recorded.call.target
    call = f"{target.name}({_listed(recorded.call.arguments)})"
    needs = {(target.module, target.name)}
    if recorded.status == "raises":
        needs |= {("", "pytest")} | ({(recorded.origin, recorded.text)} if recorded.origin != "builtins" else set())
        body = f"    with pytest.raises({recorded.text}):\n        {call}\n"
    else:
        given = f"list({call})" if recorded.status == "items" else call
        body = f"    assert {_stated(given, recorded.text)}\n"
    return _draft(target, "", body, needs, edge=recorded.call.edge, reused=recorded.call.reused)


def _listed(arguments: str) -> str:
    """Return the text between the brackets of a tuple."""
    return arguments[1:-1].strip().removesuffix(",")


def _stated(call: str, text: str) -> str:
    return f"{call} is {text}" if text in ("None", "True", "False") else f"{call} == {text}"


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


def properties(target: Target, kinds: Sequence[Kind], seen: Sequence[Recorded], edges: Sequence[str] = ()) -> list[Draft]:
    """Return property tests of a function: what held for all recorded calls, and what only Hypothesis can tell.

    edges: texts of arguments that each test tries as well. No test where too few calls came back to see anything.
    """
    values = [_seen(each) for each in seen if each.status == "value"]
    if len(values) < _LEAST_SEEN:
        return []
    held = [text for holds, text in PROPERTIES.values() if all(_holds(holds, each) for each in values)]
    held += [f"isinstance(result, {name})" for name in _types(values)]
    names = [f"x{index}" for index in range(len(kinds))]
    first, call = names[0], f"{target.name}({', '.join(names)})"
    held += [
        text.format(
            call=call, name=target.name, first=first, second=names[1] if len(names) > 1 else first, rest=_rest(names)
        )
        for key, text in _CALLED.items()
        if key != "either_way_round" or len(names) == 2
    ]
    return [_property(target, kinds, names, text.format(first=first), edges) for text in held]


def _rest(names: Sequence[str]) -> str:
    return "".join(f", {each}" for each in names[1:])


def _property(target: Target, kinds: Sequence[Kind], names: Sequence[str], held: str, edges: Sequence[str]) -> Draft:
    given = ", ".join(f"{name}={strategy(kind)}" for name, kind in zip(names, kinds, strict=True))
    examples = "".join(f"@example({_named(names, each)})\n" for each in edges)
    header = f"{examples}@settings(deadline=None, max_examples={_EXAMPLES}, database=None)\n@given({given})\n"
    body = f"    result = {target.name}({', '.join(names)})\n    assert {held}\n"
    needs = {(target.module, target.name), ("hypothesis", "given"), ("hypothesis", "settings")}
    needs |= {("hypothesis", "example")} if edges else set()
    return _draft(target, header, body, needs, parameters=", ".join(names), edge=bool(edges))


def _named(names: Sequence[str], arguments: str) -> str:
    values = ast.literal_eval(arguments)
    return ", ".join(f"{name}={value!r}" for name, value in zip(names, values, strict=True))


def _draft(
    target: Target,
    header: str,
    body: str,
    needs: Iterable[tuple[str, str]],
    *,
    parameters: str = "",
    edge: bool = False,
    reused: bool = False,
) -> Draft:
    digest = hashlib.sha256((header + body).encode(errors="backslashreplace")).hexdigest()[:6]
    name = f"test_{target.name}_{digest}"
    text = f"{header}def {name}({parameters}):\n{body}"
    return Draft(name=name, text=text, imports=frozenset(needs), edge=edge, reused=reused)


def write_file(module: str, drafts: Sequence[Draft]) -> str:
    """Return a pytest file of some tests."""
    needs = {each for draft in drafts for each in draft.imports}
    named: dict[str, list[str]] = {}
    for source, name in sorted(needs):
        if source:
            named.setdefault(source, []).append(name)
    lines = ["import pytest"] if ("", "pytest") in needs else []
    ours = named.pop("hypothesis", [])
    lines += [f"from hypothesis import {', '.join(ours)}", "from hypothesis import strategies as st"] if ours else []
    lines += [f"from {source} import {', '.join(names)}" for source, names in named.items()]
    return "\n".join([_ABOUT.format(module=module), "", *lines, "", *(f"\n{each.text}" for each in drafts)])


def _seen(recorded: Recorded) -> Seen:
    return Seen(arguments=ast.literal_eval(recorded.call.arguments), result=ast.literal_eval(recorded.text))


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
