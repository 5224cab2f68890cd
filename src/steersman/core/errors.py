"""One tree of errors. The docstring of each says when it is raised; `exit_code` is what the command line returns."""

import difflib
from collections.abc import Iterable


class SteersmanError(Exception):
    """Anything that Steersman refuses or cannot do."""

    exit_code = 1


class InvalidInput(SteersmanError):
    """A value, field, name or file from the caller does not fit what was declared."""

    exit_code = 3


class DeadlineExceeded(SteersmanError):
    """Something took longer than its stated limit and was stopped."""

    exit_code = 4


class NotPermitted(SteersmanError):
    """The caller, or the file system, does not allow this."""

    exit_code = 5


class NotFound(SteersmanError):
    """There is no agent, decision, project or file of that name."""

    exit_code = 6


class Conflict(SteersmanError):
    """The request contradicts what is already recorded, or the store belongs to another process."""

    exit_code = 7


class StoreError(SteersmanError):
    """The store cannot be read or written; what was not acknowledged was not recorded."""


class StoreVersionError(StoreError):
    """The store was written by another version of Steersman that this one cannot read."""


class Overloaded(StoreError):
    """The store is behind and the queue in memory is full; report the same outcome again later."""


class Unauthenticated(NotPermitted):
    """The service does not know the caller: no key was given, or one that is unknown, expired or revoked."""


class TooMany(SteersmanError):
    """The caller sends more than its share, or the service more than it can serve; try again later."""


class WorkerLost(SteersmanError):
    """A process that worked for this one ended, or its machine did; the message names it, and what to do."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" or a list of what is known, for the end of an error message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Known: {', '.join(names)}." if names else ""
