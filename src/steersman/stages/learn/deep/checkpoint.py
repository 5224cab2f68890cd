"""Checkpoint: where a training run stands, as bytes that run no code and are named by their hash."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput, StoreError
from steersman.core.versions import address, short
from steersman.policies import tensors
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import q_learning
from steersman.stages.learn.deep.incremental import Run
from steersman.stages.learn.deep.q_learning import Ewc, QSettings, QState

FORMAT: Literal["training-1"] = "training-1"
_128 = 2**128
_SETS = ("weights", "target", "best", "fisher", "anchor")
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Arrays = dict[str, NDArray[Any]]


class Job(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a run trains, and on what: the log between two positions, of which `outcomes` could be used.

    schema, features, actions: of the agent's definition. updates: how many it was to make. holdout: the share that is held
    out. kin: other agents that it hears, by a network of `kin_updates`. finished: whether it has ended, and a version was
    cut.
    """

    agent: str
    schema: str
    features: tuple[str, ...]
    actions: str
    net: Architecture
    settings: QSettings
    since: Annotated[int, msgspec.Meta(ge=0)]
    position: Annotated[int, msgspec.Meta(ge=0)]
    outcomes: Annotated[int, msgspec.Meta(ge=0)]
    updates: Count
    holdout: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.1
    kin: tuple[str, ...] = ()
    kin_updates: Count = 0
    finished: bool = False


class _Generator(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of PCG64; JSON has no numbers of 128 bits."""

    state: str
    inc: str
    has_uint32: Annotated[int, msgspec.Meta(ge=0, le=1)]
    uinteger: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON of a checkpoint; a loss of null is not known yet."""

    format: Literal["training-1"] = FORMAT
    job: Job
    updates: Count
    generator: _Generator
    fitted: float | None
    held: float | None
    losses: tuple[float | None, float | None]
    stale: Count
    ewc: float | None


def pack(job: Job, run: Run) -> bytes:
    """Return a checkpoint; its name is `core.versions.address` of it."""
    ewc, arrays = run.ewc, state_arrays(run.state) | _named("best", run.best)
    if ewc is not None:
        arrays |= _named("fisher", ewc.fisher) | _named("anchor", ewc.anchor)
    content = _Content(
        job=job,
        updates=run.updates,
        generator=_generator(run.rng),
        fitted=_finite(run.fitted),
        held=_finite(run.held),
        losses=(_finite(run.losses[0]), _finite(run.losses[1])),
        stale=run.stale,
        ewc=None if ewc is None else float(ewc.weight),
    )
    return tensors.write(arrays, content)


def state_arrays(state: QState) -> Arrays:
    """Return the arrays of a state by name, in the byte order of files: weights, target and optimiser."""
    arrays = _named("weights", state.weights) | _named("target", state.target)
    for place, leaf in enumerate(jax.tree.leaves(state.optimiser)):
        kind = "<f4" if jnp.issubdtype(leaf.dtype, jnp.floating) else "<i8"
        arrays[f"optimiser.{place}"] = np.asarray(leaf, kind, order="C")
    return arrays


def state_from(net: Architecture, settings: QSettings, arrays: Arrays, updates: int) -> QState:
    """Return the state of such arrays. Raises InvalidInput unless they fit the network and its optimiser."""
    held = {part: _on_device(_part(net, part, arrays)) for part in _SETS[:2]}
    template = q_learning.resume(settings, held["weights"]).optimiser
    leaves = [_leaf(arrays, place, leaf) for place, leaf in enumerate(jax.tree.leaves(template))]
    optimiser = jax.tree.unflatten(jax.tree.structure(template), leaves)
    return QState(held["weights"], held["target"], optimiser, jnp.int32(updates))


def unpack(packed: bytes, name: str) -> tuple[Job, Run]:
    """Return what a checkpoint holds. Nothing in it is run, and nothing is looked at before its hash is known to be `name`.

    Raises StoreError where the hash is another, and InvalidInput for bytes that are no checkpoint, or whose shapes do not
    fit together.
    """
    if (found := address(packed)) != name:
        raise StoreError(
            f"checkpoint {short(name)}: the file was changed, its hash is {found[:12]}…. Nothing of it was used; delete it "
            "to go on from the one before it, or train anew without --resume."
        )
    try:
        arrays, text = tensors.read(packed, name)
        content = msgspec.json.decode(text, type=_Content)
        return content.job, _run(content, arrays)
    except (InvalidInput, msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise InvalidInput(
            f"checkpoint {short(name)}: this cannot be gone on from: {error} Nothing of it was used; "
            "train anew without --resume."
        ) from error


def _run(content: _Content, arrays: Arrays) -> Run:
    net = content.job.net
    net.check()
    wanted = _SETS if content.ewc is not None else _SETS[:3]
    state = state_from(net, content.job.settings, arrays, content.updates)
    known = len(net.shapes()) * len(wanted) + len(jax.tree.leaves(state.optimiser))
    if len(arrays) != known:
        raise InvalidInput(f"{len(arrays)} arrays, not {known}.")
    held = {part: _on_device(_part(net, part, arrays)) for part in wanted[2:]}
    ewc = None
    if content.ewc is not None:
        ewc = Ewc(content.ewc, held["fisher"], held["anchor"])
    return Run(
        state=state,
        rng=_bits(content.generator),
        best=held["best"],
        fitted=_known(content.fitted),
        held=_known(content.held),
        losses=(_known(content.losses[0]), _known(content.losses[1])),
        stale=content.stale,
        ewc=ewc,
    )


def _named(part: str, held: Mapping[str, Any]) -> Arrays:
    return {f"{part}.{name}": np.asarray(each, "<f4", order="C") for name, each in held.items()}


def _on_device(held: Arrays) -> dict[str, Any]:
    return {name: jnp.asarray(each) for name, each in held.items()}


def _part(net: Architecture, part: str, arrays: Arrays) -> Arrays:
    """Return one set of weights. Raises InvalidInput unless names, shapes, types and numbers are those of the network."""
    found = {name.removeprefix(f"{part}."): each for name, each in arrays.items() if name.startswith(f"{part}.")}
    net.check_weights(found)
    if any(each.dtype != np.float32 for each in found.values()):
        raise InvalidInput(f"{part} that are no 32-bit floats.")
    if part == "fisher" and any((each < 0.0).any() for each in found.values()):
        raise InvalidInput("information below 0.")
    return found


def _leaf(arrays: Arrays, place: int, like: Any) -> Any:
    """Return an array of the optimiser, in the shape and the type that the optimiser has."""
    found = arrays.get(f"optimiser.{place}")
    if found is None or found.shape != like.shape or not np.isfinite(found).all():
        raise InvalidInput(f"array {place} of the optimiser is missing, of another shape, or not finite.")
    return jnp.asarray(found.astype(like.dtype))


def _generator(rng: Mapping[str, Any]) -> _Generator:
    inner = rng["state"]
    return _Generator(
        state=str(inner["state"]), inc=str(inner["inc"]), has_uint32=rng["has_uint32"], uinteger=rng["uinteger"]
    )


def _bits(generator: _Generator) -> dict[str, Any]:
    state, inc = int(generator.state), int(generator.inc)
    if not (0 <= state < _128 and 0 <= inc < _128 and inc % 2):
        raise InvalidInput("a generator in a state that there is not.")
    return {
        "bit_generator": "PCG64",
        "state": {"state": state, "inc": inc},
        "has_uint32": generator.has_uint32,
        "uinteger": generator.uinteger,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _known(value: float | None) -> float:
    return math.inf if value is None else value
