"""Compute by name: processes of this machine, or a Ray cluster."""

from steersman.core.compute import Compute
from steersman.core.errors import InvalidInput, NotFound


def open_compute(name: str = "local") -> Compute:
    """Return where workers run: to be closed after use, as a context manager closes it.

    name: "local" (processes of this machine, as many as it has CPUs), "local:4" (so many), "ray" (a Ray cluster on this
    machine, for as long as it is open), "ray:HOST:PORT" or "ray:auto" (one that runs, from one of its machines). Raises
    InvalidInput for a name that is none, and NotFound where the extra `ray` is not installed or no cluster answers.
    """
    kind, _, rest = name.partition(":")
    if kind == "local":
        return _local(name, rest)
    if kind != "ray" or name == "ray:" or rest.startswith("//"):
        raise InvalidInput(f"compute {name!r} is none. Use local, local:2, ray, ray:HOST:PORT or ray:auto.")
    from steersman.backends.compute.ray import RayCompute

    try:
        return RayCompute(rest or None)
    except ImportError as error:
        raise NotFound(f"compute {name!r} needs an extra: pip install 'steersman[ray]' ({error}).") from error


def _local(name: str, slots: str) -> Compute:
    from steersman.backends.compute.local import LocalCompute

    if slots and not (slots.isdecimal() and int(slots)):
        raise InvalidInput(f"compute {name!r}: {slots!r} is no number of processes. Use local:2, say.")
    return LocalCompute(int(slots) if slots else None)
