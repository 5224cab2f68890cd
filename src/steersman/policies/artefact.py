"""Artefacts: what a policy version holds, as bytes that are named by their hash and run no code.

One file of safetensors: five arrays and one line of JSON. The same content gives the same bytes on any machine.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace, Choice
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.settings import Settings
from steersman.core.state import Category, Number, StateSchema
from steersman.policies import tensors
from steersman.policies.tabular import QTable
from steersman.policies.tensors import no_artefact

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Marks = tuple[Choice, ...]
"""What makes up the bins of a field: the edges of a number, the options of a category, nothing for a flag."""

_MOST_VISITS = 1 << 40
_ROUNDING = 1e-9
_TYPES = {"bins": "<i8", "keys": "u1", "td_variance": "<f8", "value": "<f8", "visits": "<i8"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Frozen:
    """A working table as it was at one moment, with all that deciding by it takes.

    schema: id of the state. fields: its keyed fields with their marks. actions: the choices by dimension, in the order of
    the slots. settings: values by section, as `Settings.plain` gives them. bounds: in which values lie (±inf: none).
    keys: of the states, in rising order. bins: shape (states, fields). value, visits, td_variance: shape
    (states, estimators · width), where `width` counts the slots.
    """

    agent: str
    schema: str
    fields: Mapping[str, Marks]
    actions: Mapping[str, tuple[Choice, ...]]
    settings: Mapping[str, Mapping[str, Any]]
    epsilon: float
    estimators: int
    initial_value: float
    bounds: tuple[float, float]
    keys: tuple[str, ...]
    bins: Ints
    value: Floats
    visits: Ints
    td_variance: Floats


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON of an artefact. Mappings whose order matters are lists of pairs; a bound of null is none."""

    format: Literal[1] = 1
    agent: str
    schema: str
    fields: tuple[tuple[str, Marks], ...]
    actions: tuple[tuple[str, tuple[Choice, ...]], ...]
    settings: dict[str, dict[str, bool | int | float | str]]
    epsilon: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
    estimators: Annotated[int, msgspec.Meta(ge=1, le=16)]
    initial_value: float
    low: float | None
    high: float | None


def freeze(spec: AgentSpec, settings: Settings, table: QTable, epsilon: float) -> Frozen:
    """Return what a table holds, copied; whoever learns must not do so meanwhile."""
    keys, fields = tuple(sorted(table.rows)), marks(spec.state)
    rows = [table.rows[key] for key in keys]
    bins = [[table.bins[key][name] for name in fields] for key in keys]
    return Frozen(
        agent=spec.name,
        schema=spec.state.id,
        fields=fields,
        actions=dict(spec.actions.dimensions),
        settings=settings.plain(),
        epsilon=epsilon,
        estimators=table.estimators,
        initial_value=settings.learning.initial_value,
        bounds=table.bounds,
        keys=keys,
        bins=np.array(bins, dtype=np.int64).reshape(len(keys), len(fields)),
        value=table.value[rows],
        visits=table.visits[rows],
        td_variance=table.td_variance[rows],
    )


def marks(schema: StateSchema) -> dict[str, Marks]:
    """Return what makes up the bins of each keyed field."""
    return {each.name: _marks(each) for each in schema.keyed}


def _marks(field: object) -> Marks:
    match field:
        case Number(edges=edges):
            return tuple(float(edge) for edge in edges)
        case Category(options=options):
            return options
    return ()


def actions_digest(space: ActionSpace) -> str:
    """Return 16 hexadecimal digits that change whenever a dimension, a choice or their order does."""
    return hashlib.sha256(msgspec.json.encode(list(space.dimensions.items()))).hexdigest()[:16]


def pack(frozen: Frozen) -> bytes:
    """Return the artefact; its name is `core.versions.address` of it. Raises InvalidInput for what `unpack` would refuse."""
    _check(frozen)
    low, high = (float(each) if math.isfinite(each) else None for each in frozen.bounds)
    content = _Content(
        agent=frozen.agent,
        schema=frozen.schema,
        fields=tuple(frozen.fields.items()),
        actions=tuple(frozen.actions.items()),
        settings=typed_settings(frozen.agent, frozen.settings),
        epsilon=float(frozen.epsilon),
        estimators=frozen.estimators,
        initial_value=float(frozen.initial_value),
        low=low,
        high=high,
    )
    arrays = {"value": frozen.value, "visits": frozen.visits, "td_variance": frozen.td_variance, "bins": frozen.bins}
    held = {name: np.ascontiguousarray(each, dtype=_TYPES[name]) for name, each in arrays.items()}
    held["keys"] = np.frombuffer(msgspec.json.encode(frozen.keys), dtype=np.uint8)
    return tensors.write(held, content)


def unpack(artefact: bytes, name: str) -> Frozen:
    """Return what an artefact holds. Nothing in it is run, and nothing is looked at before its hash is known to be `name`.

    Raises StoreError where the hash is another, and InvalidInput for bytes that are no artefact of this format. Memory is
    bounded by a few times the bytes given.
    """
    return thawed(*tensors.read(artefact, name), name)


def thawed(arrays: Mapping[str, NDArray[Any]], text: str, name: str) -> Frozen:
    """Return what the arrays and the JSON of a file hold that was read already. Raises InvalidInput as `unpack`."""
    found = {each: arrays[each].dtype.str for each in sorted(arrays)}
    if found != {each: np.dtype(dtype).str for each, dtype in _TYPES.items()}:
        raise no_artefact(name, f"arrays {str(found)[:200]}")
    try:
        content = msgspec.json.decode(text, type=_Content)
        keys = msgspec.json.decode(arrays["keys"].tobytes(), type=tuple[str, ...])
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise no_artefact(name, str(error)) from error
    frozen = Frozen(
        agent=content.agent,
        schema=content.schema,
        fields=dict(content.fields),
        actions=dict(content.actions),
        settings=content.settings,
        epsilon=content.epsilon,
        estimators=content.estimators,
        initial_value=content.initial_value,
        bounds=(-math.inf if content.low is None else content.low, math.inf if content.high is None else content.high),
        keys=keys,
        bins=arrays["bins"],
        value=arrays["value"],
        visits=arrays["visits"],
        td_variance=arrays["td_variance"],
    )
    if len(frozen.fields) != len(content.fields) or len(frozen.actions) != len(content.actions):
        raise no_artefact(name, "names of fields or dimensions repeat")
    _check(frozen)
    return frozen


def _check(frozen: Frozen) -> None:
    """Raise InvalidInput unless names, shapes and numbers are such that a table can be made of them."""
    problem = next(_problems(frozen), None)
    if problem:
        raise InvalidInput(f"policy of {frozen.agent!r}: {problem}. Nothing of it was used; cut the version anew.")


def _problems(frozen: Frozen) -> Iterator[str]:
    """Yield what is wrong, in an order in which each check may rely on those before."""
    width, states = sum(map(len, frozen.actions.values())), len(frozen.keys)
    shape = (states, frozen.estimators * width)
    if not frozen.actions or not all(frozen.actions.values()):
        yield "a dimension without choices"
    if not 0.0 <= frozen.epsilon <= 1.0:
        yield f"an epsilon of {frozen.epsilon}"
    if frozen.bins.shape != (states, len(frozen.fields)):
        yield f"bins of shape {frozen.bins.shape}, not {(states, len(frozen.fields))}"
    for name in ("value", "visits", "td_variance"):
        array = getattr(frozen, name)
        if array.shape != shape:
            yield f"{name} of shape {array.shape}, not {shape}"
        if not np.isfinite(array).all():
            yield f"{name} that are not finite"
    if any(first >= second for first, second in zip(frozen.keys, frozen.keys[1:], strict=False)):
        yield "states that repeat or are out of order"
    if (frozen.bins < 0).any():
        yield "bins below 0"
    if (frozen.visits < 0).any() or (frozen.visits > _MOST_VISITS).any():
        yield f"visits outside [0, {_MOST_VISITS}]"
    if (frozen.td_variance < 0.0).any():
        yield "variances below 0"
    yield from _outside(frozen)
    typed_settings(frozen.agent, frozen.settings)


def typed_settings(agent: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return settings in the types that are due: 0 and 0.0 are the same. Raises InvalidInput as `Settings` does."""
    typed = Settings().with_values(settings, f"policy of {agent!r}")
    return {section: {name: getattr(getattr(typed, section), name) for name in each} for section, each in settings.items()}


def _outside(frozen: Frozen) -> Iterator[str]:
    low, high = (float(each) for each in frozen.bounds)
    if not (low <= frozen.initial_value <= high and math.isfinite(frozen.initial_value)):
        yield f"bounds [{low}, {high}] without the initial value {frozen.initial_value}"
    if len(frozen.actions) == 1 and frozen.value.size:  # of a factored action, the sum is kept inside them
        slack = _ROUNDING * max(abs(low), abs(high)) if math.isfinite(low) and math.isfinite(high) else 0.0
        if frozen.value.min() < low - slack or frozen.value.max() > high + slack:
            yield f"values outside [{low}, {high}]"


def table(frozen: Frozen, space: ActionSpace) -> QTable:
    """Return the table to decide by. Raises InvalidInput where the action space is another."""
    _check_actions(frozen, space)
    made = QTable(space, initial_value=frozen.initial_value, estimators=frozen.estimators, bounds=frozen.bounds)
    names = tuple(frozen.fields)
    states = {key: dict(zip(names, row, strict=True)) for key, row in zip(frozen.keys, frozen.bins.tolist(), strict=True)}
    made.put(states, frozen.value, frozen.visits, frozen.td_variance)
    return made


def check_fits(frozen: Frozen, spec: AgentSpec) -> None:
    """Raise InvalidInput, naming the difference, for the policy of another agent, of other actions or of another state."""
    if frozen.agent != spec.name:
        raise InvalidInput(f"this version is a policy of {frozen.agent!r}, not of {spec.name!r}. Choose one of its own.")
    _check_actions(frozen, spec.actions)
    if frozen.schema != spec.state.id:
        raise _another(frozen, f"the state {frozen.schema}, and the agent has {spec.state.id}")
    known = marks(spec.state)
    if list(frozen.fields) != list(known):
        raise _another(frozen, f"the keyed fields {list(frozen.fields)}, and the agent has {list(known)}")
    for column, field in enumerate(spec.state.keyed):
        theirs, ours = frozen.fields[field.name], known[field.name]
        if theirs != ours:
            raise _another(frozen, f"{field.name} in bins by {list(theirs)}, and the agent has {list(ours)}")
        if frozen.bins[:, column].max(initial=0) >= field.bins:
            raise _another(frozen, f"bins of {field.name} beyond the {field.bins} that there are")


def _check_actions(frozen: Frozen, space: ActionSpace) -> None:
    if list(frozen.actions.items()) != list(space.dimensions.items()):
        raise _another(frozen, f"the actions {dict(frozen.actions)}, and the agent has {space.dimensions}")


def _another(frozen: Frozen, difference: str) -> InvalidInput:
    return InvalidInput(
        f"this version of {frozen.agent} was learned with {difference}. Cut a new version under the present definition, or "
        "restore the definition that it was learned under."
    )
