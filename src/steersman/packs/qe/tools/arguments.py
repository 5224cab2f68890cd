"""The arguments of calls: kinds that fit a function, found by annotation, in tests or by trying, and values of them."""

import ast
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from steersman.packs.qe.tools.expressions import CALLABLE, Written, needs_of
from steersman.packs.qe.tools.functions import IT, OPERATORS, Module, Target
from steersman.packs.qe.tools.heard import Heard, HeardCall
from steersman.packs.qe.tools.recording import Call, Recorded
from steersman.packs.qe.tools.values import GUESSES, Kind, Source, kind_of_value, plain

_GUESSES = 48
_APPLIED_TO, _LIKELIER = 3, 3
_BY_NAME = 0.4
_MOST_STEPS = 3
_UNFIT = ("TypeError", "AttributeError")
_LONGEST = 400
_NAMES: tuple[tuple[frozenset[str], Kind], ...] = (
    (frozenset({"f", "fn", "fun", "func", "function", "key", "predicate", "pred", "op", "method", "callback"}), CALLABLE),
    (
        frozenset(
            {"seq", "sequence", "iterable", "iter", "item", "list", "value", "row", "array", "arr", "element", "coll"}
        ),
        Kind(name="list", parts=(plain("int"),)),
    ),
    (frozenset({"n", "k", "i", "j", "count", "size", "maxsize", "index", "num", "width", "prec", "length"}), plain("int")),
    (frozenset({"name", "text", "string", "str", "line", "word", "path", "fmt", "format"}), plain("str")),
    (
        frozenset({"d", "dict", "dic", "mapping", "map", "data", "config", "option"}),
        Kind(name="dict", parts=(plain("str"), plain("int"))),
    ),
)

Kinds = tuple[Kind, ...]
Record = Callable[[Sequence[Call]], tuple[Recorded, ...]]


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How calls are drawn: share with an extreme value, from those in tests or anew, with so many steps before."""

    edges: float
    reuse: bool
    steps: int


class Caller:
    """Draws calls of what is in a module. heard: the calls of its tests."""

    def __init__(
        self,
        module: Module,
        heard: Heard,
        generator: np.random.Generator,
        fitting: dict[Target, list[Kinds]] | None = None,
    ) -> None:
        self._module, self._heard, self._rng = module, heard, generator
        self.fitting = {} if fitting is None else fitting

    def fit(self, targets: Sequence[Target], record: Record) -> None:
        """Find the kinds that each target takes; first those of the constructors, because objects are built by them."""
        owners = {each.owner for each in targets if each.on_object}
        builds = [each for each in self._module.targets if each.how == "constructor" and each.owner in owners]
        changes = [each for each in self._module.targets if each.on_object and each.owner in owners]
        for group in (builds, [*targets, *changes]):
            left = [each for each in dict.fromkeys(group) if each not in self.fitting]
            trials = [(target, kinds) for target in left for kinds in self._options(target)]
            source = Source(self._rng)
            made = [(self._call(target, tuple(map(source.typical, kinds))), kinds) for target, kinds in trials]
            kinds_of = {call: kinds for call, kinds in made if call is not None}
            self.fitting |= {call.target: [] for call in kinds_of}
            recorded = record([*kinds_of])
            returned = [each for each in recorded if each.status in ("value", "skip")]
            refused = [each for each in recorded if each.status == "raises" and each.text not in _UNFIT]
            answering = {each.call.target for each in returned}  # of these, what raises says little of its kinds
            for each in [*returned, *(each for each in refused if each.call.target not in answering)]:
                self.fitting[each.call.target].append(kinds_of[each.call])

    def calls(self, target: Target, count: int, manner: Manner) -> list[Call]:
        """Return up to so many different calls of a target."""
        source = Source(self._rng, target.constants)
        heard = self._heard.of(target) if manner.reuse else ()
        found: dict[Call, None] = {}
        for number in range(4 * count):
            if len(found) >= count or not (heard or self.fitting.get(target)):
                break
            edge = bool(self._rng.random() < manner.edges)
            call = self._again(heard, target, source, number, edge) if heard else self._anew(target, source, manner, edge)
            if call is not None:
                found.setdefault(call)
        return list(found)

    def applied(self, parent: Recorded) -> list[Call]:
        """Return calls of what a call came back with, where that is something to call: a decorator, a curried function."""
        found: dict[Call, None] = {}
        for kind in (CALLABLE, *GUESSES) if parent.makes_callable else ():
            given = Source(self._rng).typical(kind)
            text, needs = f"{parent.call.text}({given!r})", parent.call.needs | needs_of(given)
            if text.isprintable() and len(text) <= _LONGEST:
                found.setdefault(replace(parent.call, text=text, needs=needs))
        return [list(found)[int(each)] for each in self._rng.permutation(len(found))[:_APPLIED_TO]]

    def varied(self, parent: Call) -> Call | None:
        """Return a call with arguments near those of another, of the same object."""
        source = Source(self._rng, parent.target.constants)
        values = tuple(map(source.vary, parent.values))
        named = tuple((name, source.vary(value)) for name, value in parent.named)
        return _made(parent.target, values, named=named, like=parent)

    def _again(
        self, heard: Sequence[HeardCall], target: Target, source: Source, number: int, edge: bool
    ) -> Call | None:  # fmt: skip
        """Return a call of a test, at first as it was, then with other arguments."""
        given = heard[number % len(heard)]
        values = given.values if number < len(heard) else tuple(map(source.vary, given.values))
        edge = edge and number >= len(heard) and bool(values)
        values = _one_edge(source, values) if edge else values
        return _made(target, values, receiver=given.receiver, named=given.named, edge=edge, reused=True)

    def _anew(self, target: Target, source: Source, manner: Manner, edge: bool) -> Call | None:
        kinds = self.fitting[target][int(self._rng.integers(len(self.fitting[target])))]
        required = min(target.required, len(kinds))
        by_name = bool(target.options) and self._rng.random() < _BY_NAME
        kinds = kinds[: required if by_name else int(self._rng.integers(required, len(kinds) + 1))]
        named = tuple(self._named(target, source)) if by_name else ()
        values = tuple(source.edge(each) if edge and self._rng.random() < 0.6 else source.typical(each) for each in kinds)
        return self._call(target, values, named=named, edge=edge and bool(values), steps=manner.steps)

    def _named(self, target: Target, source: Source) -> Iterator[tuple[str, Any]]:
        """Yield one or two of the arguments that may be given by name."""
        for index in self._rng.permutation(len(target.options))[: int(self._rng.integers(1, 3))]:
            name, kind = target.options[int(index)]
            likely = _likely(name)
            yield name, source.typical(likely[int(self._rng.integers(len(likely)))] if kind is None else kind)

    def _call(
        self,
        target: Target,
        values: tuple[Any, ...],
        *,
        named: tuple[tuple[str, Any], ...] = (),
        edge: bool = False,
        steps: int = 0,
    ) -> Call | None:
        if not target.on_object:
            return _made(target, values, named=named, edge=edge)
        receiver = self._receiver(target.owner)
        if receiver is None:
            return None
        done = tuple(self._steps(target.owner, int(self._rng.integers(steps + 1)), values))
        return _made(target, values, named=named, receiver=receiver, steps=done, edge=edge)

    def _receiver(self, owner: str) -> Written | None:
        """Return an object of a class: one of the tests, or one that is built."""
        own = [each for each in self._module.targets if each.owner == owner]
        seen = [each.receiver for target in own for each in self._heard.of(target) if target.on_object and each.receiver]
        built = [(each, kinds) for each in own if each.how == "constructor" for kinds in self.fitting.get(each, ())]
        if seen and (not built or self._rng.random() < 0.5):
            return seen[int(self._rng.integers(len(seen)))]
        source = Source(self._rng)
        if built:
            target, kinds = built[int(self._rng.integers(len(built)))]
            values = tuple(map(source.typical, kinds))
            return Written(text=target.called(values), needs=target.needs | needs_of(values))
        kind = self._module.kinds.get(owner)
        made = source.typical(kind) if kind is not None else None
        return made if isinstance(made, Written) else None

    def _steps(self, owner: str, count: int, asked: Sequence[Any]) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
        """Yield things to do with an object before it is asked something, often with the same values as it is asked with."""
        others = [
            each
            for each, fit in self.fitting.items()
            if fit and each.owner == owner and each.how == "method" and _may_change(each)
        ]
        for _ in range(count if others else 0):
            target = others[int(self._rng.integers(len(others)))]
            kinds = self.fitting[target][int(self._rng.integers(len(self.fitting[target])))]
            drawn = map(Source(self._rng, target.constants).typical, kinds[: max(target.required, 1)])
            values = tuple(self._known(each, asked) for each in drawn)
            yield target.called(values), needs_of(values)

    def _known(self, value: Any, others: Sequence[Any]) -> Any:
        """Return one of the others that is of the same type, half of the time."""
        like = [each for each in others if type(each) is type(value)]
        return like[int(self._rng.integers(len(like)))] if like and self._rng.random() < 0.5 else value

    def _options(self, target: Target) -> list[Kinds]:
        """Return the kinds to try: those annotated, those seen in tests, or guesses."""
        if target.typed:
            return [tuple(each for each in target.kinds if each is not None)]
        seen = [tuple(map(kind_of_value, each.values)) for each in self._heard.every(target) if not each.named]
        whole = [tuple(each for each in kinds if each is not None) for kinds in seen if None not in kinds]
        if whole:
            return list(dict.fromkeys(whole))
        short = self._guessed(target, target.required, _GUESSES // 2) if target.required < len(target.kinds) else []
        return list(dict.fromkeys([*short, *self._guessed(target, len(target.kinds), _GUESSES - len(short))]))

    def _guessed(self, target: Target, count: int, most: int) -> list[Kinds]:
        """Return kinds of the first parameters, by guesses where they are unsaid: what their names say is likelier."""
        named = itertools.zip_longest(target.kinds[:count], target.parameters[:count], fillvalue="")
        options = [[kind] if isinstance(kind, Kind) else _likely(str(name)) for kind, name in named]
        drawn = (tuple(each[int(self._rng.integers(len(each)))] for each in options) for _ in range(most))
        return list(dict.fromkeys([tuple(each[0] for each in options), *drawn]))


def _likely(parameter: str) -> list[Kind]:
    """Return what to try for a parameter, first and more often what it is usually given in Python under this name."""
    usual = next((kind for names, kind in _NAMES if parameter.rstrip("s0123456789_") in names), None)
    return [*([usual] * _LIKELIER if usual is not None else []), *GUESSES, CALLABLE]


def _may_change(target: Target) -> bool:
    return target.name in ("__setitem__", "__delitem__", "__iadd__") or target.name not in OPERATORS


def _made(
    target: Target,
    values: tuple[Any, ...],
    *,
    receiver: Written | None = None,
    steps: Sequence[tuple[str, frozenset[tuple[str, str]]]] = (),
    named: tuple[tuple[str, Any], ...] = (),
    edge: bool = False,
    reused: bool = False,
    like: Call | None = None,
) -> Call | None:
    """Return a call, `like` another in all but its arguments; None where no text says it, as where a name holds `IT`."""
    try:
        text = target.called(values, named)
        ast.parse(text)
    except (SyntaxError, IndexError, ValueError):
        return None
    if not text.isprintable() or len(text) > _LONGEST or text.count(IT) > target.on_object:
        return None
    needs = target.needs | needs_of(values) | needs_of([each for _, each in named])
    if like is not None:
        return Call(target=target, text=text, setup=like.setup, steps=like.steps, needs=needs | like.needs,
                    values=values, named=named, edge=like.edge, reused=like.reused)  # fmt: skip
    return Call(
        target=target,
        text=text,
        setup=repr(receiver) if receiver is not None else "",
        steps=tuple(each for each, _ in steps),
        needs=needs.union(needs_of(receiver), *(each for _, each in steps)),
        values=values,
        named=named,
        edge=edge,
        reused=reused,
    )


def _one_edge(source: Source, values: tuple[Any, ...]) -> tuple[Any, ...]:
    index = int(source.generator.integers(len(values)))
    kind = kind_of_value(values[index])
    return values if kind is None else (*values[:index], source.edge(kind), *values[index + 1 :])
