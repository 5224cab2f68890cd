"""The artefact of a network: its weights and all that deciding by them takes, as bytes that run no code."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.settings import Settings
from steersman.policies import tensors
from steersman.policies.artefact import typed_settings
from steersman.policies.deep.architecture import Architecture
from steersman.policies.encoding import feature_names
from steersman.policies.tensors import no_artefact

Floats = NDArray[np.float32]
FORMAT: Literal["network-1"] = "network-1"
_WEIGHT = "weight."


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenNetwork:
    """A network as it was at one moment, with all that deciding by it takes.

    features: names of the numbers that it reads, in order. actions, settings, epsilon, bounds: as of a table. kind: whether
    it gives values or the logits of a policy. visits: outcomes that it learned from, of each slot, shape (width,).
    td_variance: of its errors on held-out outcomes, of each slot, shape (width,). seen_low, seen_high: between which each
    feature lay in what it learned from, shape (features,); beyond that it knows nothing, and the rule decides.
    """

    agent: str
    schema: str
    features: tuple[str, ...]
    actions: Mapping[str, tuple[Choice, ...]]
    settings: Mapping[str, Mapping[str, Any]]
    epsilon: float
    bounds: tuple[float, float]
    net: Architecture
    weights: Mapping[str, Floats]
    visits: NDArray[np.int64]
    td_variance: NDArray[np.float64]
    seen_low: Floats
    seen_high: Floats
    kind: Literal["value", "policy"] = "value"


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON of a network's artefact; a bound of null is none."""

    format: Literal["network-1"] = FORMAT
    agent: str
    schema: str
    features: tuple[str, ...]
    actions: tuple[tuple[str, tuple[Choice, ...]], ...]
    settings: dict[str, dict[str, bool | int | float | str]]
    epsilon: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
    low: float | None
    high: float | None
    net: Architecture
    kind: Literal["value", "policy"]


def of_agent(spec: AgentSpec, settings: Settings) -> dict[str, Any]:
    """Return what an agent's definition says of each network that decides for it, as fields of `FrozenNetwork`."""
    return {
        "agent": spec.name,
        "schema": spec.state.id,
        "features": feature_names(spec.state),
        "actions": dict(spec.actions.dimensions),
        "settings": settings.plain(),
    }


def pack(frozen: FrozenNetwork) -> bytes:
    """Return the artefact; its name is `core.versions.address` of it. Raises InvalidInput for what `unpack` would refuse."""
    _check(frozen)
    low, high = (float(each) if math.isfinite(each) else None for each in frozen.bounds)
    content = _Content(
        agent=frozen.agent,
        schema=frozen.schema,
        features=tuple(frozen.features),
        actions=tuple(frozen.actions.items()),
        settings=typed_settings(frozen.agent, frozen.settings),
        epsilon=float(frozen.epsilon),
        low=low,
        high=high,
        net=frozen.net,
        kind=frozen.kind,
    )
    held: dict[str, NDArray[Any]] = {f"{_WEIGHT}{name}": _array(each, "<f4") for name, each in frozen.weights.items()}
    held["visits"] = _array(frozen.visits, "<i8")
    held["td_variance"] = _array(frozen.td_variance, "<f8")
    held["seen_low"], held["seen_high"] = _array(frozen.seen_low, "<f4"), _array(frozen.seen_high, "<f4")
    return tensors.write(held, content)


def _array(values: Any, dtype: str) -> NDArray[Any]:
    return np.ascontiguousarray(values, dtype=dtype)


def unpack(artefact: bytes, name: str) -> FrozenNetwork:
    """Return what an artefact holds. Nothing in it is run, and nothing is looked at before its hash is known to be `name`.

    Raises StoreError where the hash is another, and InvalidInput for bytes that are no artefact of this format.
    """
    return thawed(*tensors.read(artefact, name), name)


def thawed(arrays: Mapping[str, NDArray[Any]], text: str, name: str) -> FrozenNetwork:
    """Return what the arrays and the JSON of a file hold that was read already. Raises InvalidInput as `unpack`."""
    try:
        content = msgspec.json.decode(text, type=_Content)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise no_artefact(name, str(error)) from error
    weights = {each.removeprefix(_WEIGHT): found for each, found in arrays.items() if each.startswith(_WEIGHT)}
    others: dict[str, Any] = {each: found for each, found in arrays.items() if not each.startswith(_WEIGHT)}
    if set(others) != {"visits", "td_variance", "seen_low", "seen_high"} or len(dict(content.actions)) != len(
        content.actions
    ):
        raise no_artefact(name, f"arrays {sorted(others)[:5]}, or names of dimensions that repeat")
    frozen = FrozenNetwork(
        agent=content.agent,
        schema=content.schema,
        features=content.features,
        actions=dict(content.actions),
        settings=content.settings,
        epsilon=content.epsilon,
        bounds=(-math.inf if content.low is None else content.low, math.inf if content.high is None else content.high),
        net=content.net,
        kind=content.kind,
        weights=weights,
        **others,
    )
    _check(frozen)
    return frozen


def _check(frozen: FrozenNetwork) -> None:
    """Raise InvalidInput unless names, shapes and numbers are such that states can be valued by them."""
    frozen.net.check()
    frozen.net.check_weights(frozen.weights)
    problem = next(_problems(frozen), None)
    if problem:
        raise InvalidInput(f"network of {frozen.agent!r}: {problem}. Nothing of it was used; train it anew.")
    typed_settings(frozen.agent, frozen.settings)


def _problems(frozen: FrozenNetwork) -> Iterator[str]:
    net, groups = frozen.net, tuple(len(each) for each in frozen.actions.values())
    if any(each.dtype != np.float32 for each in frozen.weights.values()):
        yield "weights that are not 32-bit floats"
    if net.groups != groups:
        yield f"values for dimensions of {net.groups} choices, and there are {groups}"
    if net.features != len(frozen.features) or len(set(frozen.features)) != len(frozen.features):
        yield f"{net.features} features with {len(set(frozen.features))} names"
    if not 0.0 <= frozen.epsilon <= 1.0:
        yield f"an epsilon of {frozen.epsilon}"
    if not frozen.bounds[0] <= frozen.bounds[1]:
        yield f"bounds {frozen.bounds}"
    shapes = {"visits": (net.width,), "td_variance": (net.width,), "seen_low": (net.features,), "seen_high": (net.features,)}
    for name, shape in shapes.items():
        array = getattr(frozen, name)
        if array.shape != shape or array.dtype.kind != ("i" if name == "visits" else "f"):
            yield f"{name} of shape {array.shape}, not {shape}"
        if not np.isfinite(array).all():
            yield f"{name} that are not finite"
    if (frozen.visits < 0).any() or (frozen.td_variance < 0.0).any() or (frozen.seen_low > frozen.seen_high).any():
        yield "visits or variances below 0, or an empty range of a feature"


def check_fits(frozen: FrozenNetwork, spec: AgentSpec) -> None:
    """Raise InvalidInput, naming the difference, for the network of another agent, of other actions or of another state."""
    wanted = of_agent(spec, Settings())
    for what in ("agent", "schema", "features"):
        if getattr(frozen, what) != wanted[what]:
            raise _another(frozen, f"{what} {getattr(frozen, what)!r}, and the agent has {wanted[what]!r}")
    if list(frozen.actions.items()) != list(wanted["actions"].items()):
        raise _another(frozen, f"the actions {dict(frozen.actions)}, and the agent has {wanted['actions']}")


def _another(frozen: FrozenNetwork, difference: str) -> InvalidInput:
    return InvalidInput(
        f"this network of {frozen.agent} was learned with {difference}. Train another one under the present definition, or "
        "restore the definition that it was learned under."
    )
