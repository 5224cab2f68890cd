"""The arguments of calls: kinds that fit a function, found by annotation, in tests or by trying, and values of them."""

import ast
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from steersman.packs.qe.tools.expressions import CALLABLE, Written, needs_of
from steersman.packs.qe.tools.functions import IT, OPERATORS, Module, Target
from steersman.packs.qe.tools.heard import Heard, HeardCall
from steersman.packs.qe.tools.recording import Call, Recorded
from steersman.packs.qe.tools.values import GUESSES, Kind, Source, kind_of_value

_GUESSES = 49
_MOST_STEPS = 3
_UNFIT = ("TypeError", "AttributeError")
_LONGEST = 400

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

    def __init__(self, module: Module, heard: Heard, generator: np.random.Generator) -> None:
        self._module, self._heard, self._rng = module, heard, generator
        self.fitting: dict[Target, list[Kinds]] = {}

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
            for each in record([*kinds_of]):
                if each.status != "crash" and not (each.status == "raises" and each.text in _UNFIT):
                    self.fitting.setdefault(each.call.target, []).append(kinds_of[each.call])

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

    def varied(self, parent: Call) -> Call | None:
        """Return a call with arguments near those of another, of the same object."""
        source = Source(self._rng, parent.target.constants)
        values = tuple(map(source.vary, parent.values))
        return _made(parent.target, values, like=parent)

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
        kinds = kinds[: int(self._rng.integers(min(target.required, len(kinds)), len(kinds) + 1))]
        values = tuple(source.edge(each) if edge and self._rng.random() < 0.6 else source.typical(each) for each in kinds)
        return self._call(target, values, edge=edge and bool(values), steps=manner.steps)

    def _call(self, target: Target, values: tuple[Any, ...], *, edge: bool = False, steps: int = 0) -> Call | None:
        if not target.on_object:
            return _made(target, values, edge=edge)
        receiver = self._receiver(target.owner)
        if receiver is None:
            return None
        done = tuple(self._steps(target.owner, int(self._rng.integers(steps + 1))))
        return _made(target, values, receiver=receiver, steps=done, edge=edge)

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

    def _steps(self, owner: str, count: int) -> Iterator[tuple[str, frozenset[tuple[str, str]]]]:
        """Yield things to do with an object before it is asked something."""
        others = [each for each in self.fitting if each.owner == owner and each.how == "method" and _may_change(each)]
        for _ in range(count if others else 0):
            target = others[int(self._rng.integers(len(others)))]
            kinds = self.fitting[target][int(self._rng.integers(len(self.fitting[target])))]
            values = tuple(map(Source(self._rng, target.constants).typical, kinds[: max(target.required, 1)]))
            yield target.called(values), needs_of(values)

    def _options(self, target: Target) -> list[Kinds]:
        """Return the kinds to try: those annotated, those seen in tests, or guesses."""
        if target.typed:
            return [tuple(each for each in target.kinds if each is not None)]
        seen = [tuple(map(kind_of_value, each.values)) for each in self._heard.every(target) if not each.named]
        whole = [tuple(each for each in kinds if each is not None) for kinds in seen if None not in kinds]
        if whole:
            return list(dict.fromkeys(whole))
        options = [[kind] if kind is not None else [*GUESSES, CALLABLE] for kind in target.kinds]
        every = list(itertools.islice(itertools.product(*options), 5000))
        return [every[int(each)] for each in self._rng.permutation(len(every))[:_GUESSES]]


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
                    values=values, edge=like.edge, reused=like.reused)  # fmt: skip
    return Call(
        target=target,
        text=text,
        setup=repr(receiver) if receiver is not None else "",
        steps=tuple(each for each, _ in steps),
        needs=needs.union(needs_of(receiver), *(each for _, each in steps)),
        values=values,
        edge=edge,
        reused=reused,
    )


def _one_edge(source: Source, values: tuple[Any, ...]) -> tuple[Any, ...]:
    index = int(source.generator.integers(len(values)))
    kind = kind_of_value(values[index])
    return values if kind is None else (*values[:index], source.edge(kind), *values[index + 1 :])
