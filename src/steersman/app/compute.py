"""Compute by name: processes of this machine, or a Ray cluster."""

from steersman.core.compute import Compute
from steersman.core.errors import InvalidInput, NotFound


def check_compute(name: str) -> None:
    """Raise InvalidInput for a name that `open_compute` would refuse, whatever is installed or answers."""
    kind, _, rest = name.partition(":")
    if kind == "local":
        if name != "local" and not (rest.isdecimal() and int(rest)):
            raise InvalidInput(f"compute {name!r}: {rest!r} is no number of processes. Use local:2, say.")
    elif kind != "ray" or name == "ray:" or rest.startswith("//"):
        raise InvalidInput(f"compute {name!r} is none. Use local, local:2, ray, ray:HOST:PORT or ray:auto.")


def open_compute(name: str = "local") -> Compute:
    """Return where workers run: to be closed after use, as a context manager closes it.

    name: "local" (processes of this machine, as many as it has CPUs), "local:4" (so many), "ray" (a Ray cluster on this
    machine, for as long as it is open), "ray:HOST:PORT" or "ray:auto" (one that runs, from one of its machines). Raises
    InvalidInput for a name that is none, NotFound where the extra `ray` is not installed or no cluster answers, and Conflict
    where this process has joined another cluster.
    """
    check_compute(name)
    kind, _, rest = name.partition(":")
    if kind == "local":
        from steersman.backends.compute.local import LocalCompute

        return LocalCompute(int(rest) if rest else None)
    from steersman.backends.compute.ray import RayCompute

    try:
        return RayCompute(rest or None)
    except ImportError as error:
        raise NotFound(f"compute {name!r} needs an extra: pip install 'steersman[ray]' ({error}).") from error
