"""Assignment: which subjects a trial falls to, by every process and after each restart the same ones."""

import hashlib
import hmac

_SPAN = 2**64


def place(release: str, subject: str) -> float:
    """Return where in [0, 1) a subject lies in a trial: evenly spread, and not to be told from another trial's.

    The first 64 bits of HMAC-SHA256 with the trial's name as key; Krawczyk, Bellare & Canetti (1997), RFC 2104.
    """
    digest = hmac.digest(release.encode(), subject.encode(), hashlib.sha256)
    return int.from_bytes(digest[:8]) / _SPAN


def to_challenger(release: str, subject: str, share: float) -> bool:
    """Return whether a subject is the challenger's. As the share grows, those who are its stay so."""
    return place(release, subject) < share
