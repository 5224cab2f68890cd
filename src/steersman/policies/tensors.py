"""Tensors: a file of safetensors, named by its hash, with one line of JSON; nothing in it can be run."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from steersman.core.errors import InvalidInput, StoreError
from steersman.core.versions import address, short

_MOST_HEADER = 1 << 20
_TYPES = {"I64": "<i8", "U8": "u1", "F64": "<f8", "F32": "<f4"}


class _Metadata(msgspec.Struct, forbid_unknown_fields=True):
    steersman: str


class _Header(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name="__metadata__")


class _Format(msgspec.Struct):
    format: int | str


def no_artefact(name: str, why: str) -> InvalidInput:
    """Return the error for bytes that are no artefact."""
    return InvalidInput(
        f"version {short(name)}: this is no artefact that can be read: {why}. Nothing of it was used; take a file that "
        "Steersman wrote, or cut the version anew."
    )


def write(arrays: dict[str, NDArray[Any]], content: msgspec.Struct) -> bytes:
    """Return arrays and their JSON as one file; the same content gives the same bytes on any machine."""
    from safetensors.numpy import save

    # one key alone: the order of several is another one in each process
    return save(arrays, {"steersman": msgspec.json.encode(content, order="sorted").decode()})


def read(artefact: bytes, name: str) -> tuple[dict[str, NDArray[Any]], str]:
    """Return the arrays and the JSON of a file; nothing is looked at before its hash is known to be `name`.

    Raises StoreError where the hash is another, and InvalidInput for bytes that are no such file. Memory is bounded by a
    few times the bytes given.
    """
    if (found := address(artefact)) != name:
        raise StoreError(
            f"version {short(name)}: its artefact was changed, the hash is {found[:12]}…. Nothing of it was used; restore "
            "the store from a backup, or roll back to another version."
        )
    return _parsed(artefact, name)


def _parsed(artefact: bytes, name: str) -> tuple[dict[str, NDArray[Any]], str]:
    from safetensors import SafetensorError, deserialize

    length = int.from_bytes(artefact[:8], "little")
    if len(artefact) < 8 or length > min(_MOST_HEADER, len(artefact) - 8):
        raise no_artefact(name, f"a header of {length} bytes in a file of {len(artefact)}")
    try:
        tensors = dict(deserialize(artefact))  # type: ignore[no-untyped-call]  # it has no stubs
        header = msgspec.json.decode(artefact[8 : 8 + length], type=_Header)
    except (SafetensorError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise no_artefact(name, str(error)) from error
    unknown = {each["dtype"] for each in tensors.values()} - set(_TYPES)
    if unknown:
        raise no_artefact(name, f"arrays of {sorted(unknown)}")
    arrays = {
        each: np.frombuffer(found["data"], _TYPES[found["dtype"]]).reshape(found["shape"]) for each, found in tensors.items()
    }
    return arrays, header.metadata.steersman


def format_of(text: str, name: str) -> int | str:
    """Return what kind of content the JSON of a file says that it is. Raises InvalidInput where it does not."""
    try:
        return msgspec.json.decode(text, type=_Format).format
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise no_artefact(name, str(error)) from error
