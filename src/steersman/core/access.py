"""Access to the service: keys of 256 random bits, of which only a digest is kept, and what each role may do."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection

from steersman.core.errors import InvalidInput, Unauthenticated, nearest
from steersman.core.values import ApiKey, Role

ROLES: dict[Role, str] = {
    "decide": "ask for decisions",
    "report": "report, correct and withdraw outcomes",
    "view": "see agents, policies, decisions, figures and the audit trail",
    "operate": "what view may, and pull the kill switch, pin, pause and set the mode",
    "admin": "everything, keys and exports included",
}
_IMPLIED: dict[Role, frozenset[Role]] = {
    "admin": frozenset(ROLES),
    "operate": frozenset({"operate", "view"}),
}
_PREFIX = "steer"
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}")
DEFAULT_TENANT = "default"


def issue(
    *, name: str, roles: Collection[str], at: float, tenant: str = DEFAULT_TENANT, expires_at: float | None = None
) -> tuple[ApiKey, str]:
    """Return a new key and its one-time text, "steer_ID_SECRET" with 256 random bits. Raises InvalidInput."""
    for each in roles:
        if each not in ROLES:
            raise InvalidInput(f"role {each!r} is unknown.{nearest(each, ROLES)}")
    if not roles:
        raise InvalidInput(f"a key needs at least one role of {', '.join(ROLES)}.")
    if not _TENANT.fullmatch(tenant):
        raise InvalidInput(f"tenant {tenant!r}: use lower case letters, digits, '-' and '_', at most 41 of them.")
    if not (name and name.isprintable() and len(name) <= 100):
        raise InvalidInput("a key needs a name of at most 100 printable characters, which the audit trail will show.")
    if expires_at is not None and expires_at <= at:
        raise InvalidInput("a key that has expired already is of no use: let it expire later.")
    public, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = ApiKey(
        id=public,
        tenant=tenant,
        name=name,
        roles=tuple(each for each in ROLES if each in roles),
        digest=digest(secret),
        created_at=at,
        expires_at=expires_at,
    )
    return key, f"{_PREFIX}_{public}_{secret}"


def digest(secret: str) -> str:
    """Return the SHA-256 of a secret; with 256 random bits in it, no slower hash is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split(text: str) -> tuple[str, str]:
    """Return the public id and the secret of a key's text. Raises Unauthenticated for what is none."""
    prefix, _, rest = text.partition("_")
    public, _, secret = rest.partition("_")
    if prefix != _PREFIX or not secret or not text.isascii():
        raise Unauthenticated("this is no key. One looks like steer_ID_SECRET; `steersman keys create` makes one.")
    return public, secret


def matches(key: ApiKey, secret: str) -> bool:
    """Return whether a secret is the key's, in a time that does not depend on where they differ."""
    return hmac.compare_digest(key.digest, digest(secret))


def valid(key: ApiKey, now: float) -> bool:
    """Return whether a key is in force at a time (unix seconds)."""
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


def granted(roles: Collection[Role]) -> frozenset[Role]:
    """Return all roles that some roles amount to."""
    return frozenset().union(*(_IMPLIED.get(each, frozenset({each})) for each in roles))
