"""Access: who asks, by key or by session, and whether a browser was made to ask by another site."""

import base64
import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from steersman.core.access import DEFAULT_TENANT, ROLES, granted, matches, split, valid
from steersman.core.errors import NotPermitted, Unauthenticated
from steersman.core.ports import Clock
from steersman.core.values import ApiKey, Role
from steersman.service.operations import Caller, Operation

COOKIE = "steersman_session"
LOCAL = Caller(actor="local", tenant=DEFAULT_TENANT, roles=frozenset(ROLES))
NOBODY = Caller(actor="unknown", tenant=DEFAULT_TENANT, roles=frozenset())
_SAFE_METHODS = ("GET", "HEAD")
_MOST_KNOWN = 10_000
_MOST_ENDED = 100_000
_LONGEST_HOST = 255
_NONCE_BYTES = 12
_PROXIES = (b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via")

Found = Mapping[bytes, bytes]


class Access:
    """The keys of all tenants, as the store said a moment ago, and the sessions made from them.

    Without any key in the store, on loopback, everybody on this machine may do all (`local`), but no other site's page may
    make a browser ask. secret: what sessions are signed with.
    """

    def __init__(self, *, loopback: bool, secret: bytes, session_s: float, clock: Clock = time.time) -> None:
        self._loopback = loopback
        self._secret = secret
        self._session_s = session_s
        self._clock = clock
        self._keys: dict[str, ApiKey] = {}
        self._known: dict[str, tuple[ApiKey, Caller]] = {}
        self._hosts: set[bytes] = set()
        self._ended: OrderedDict[str, float] = OrderedDict()

    def load(self, keys: Iterable[ApiKey]) -> None:
        """Take in what the store says; what was known of a key that changed is forgotten."""
        found = {each.id: each for each in keys}
        if found != self._keys:
            self._keys = found
            self._known = {}

    @property
    def local(self) -> bool:
        """Whether no key is needed."""
        return self._loopback and not self._keys

    @property
    def usable(self) -> bool:
        """Whether anybody may ask for anything: by a key, or because this is reached from this machine alone."""
        return self._loopback or bool(self._keys)

    def keys(self, tenant: str) -> list[ApiKey]:
        """Return the keys of one tenant."""
        return [each for each in self._keys.values() if each.tenant == tenant]

    def caller(self, operation: Operation, method: str, found: Found) -> Caller:
        """Return who asks for an operation. Raises Unauthenticated, or NotPermitted for another site's page."""
        if operation.role is not None:
            return self._known_caller(method, found)
        if method not in _SAFE_METHODS:
            self._check_origin(found)
        return NOBODY

    @staticmethod
    def check_role(operation: Operation, caller: Caller) -> None:
        """Raise NotPermitted for a caller without the role that an operation needs."""
        if operation.role is not None and operation.role not in caller.roles:
            raise NotPermitted(
                f"this needs the role {operation.role!r}, and {caller.actor!r} has {_listed(caller.roles)}. Ask who makes "
                "the keys."
            )

    def _known_caller(self, method: str, found: Found) -> Caller:
        text = _key_text(found)
        if text is not None and not self.local:
            return self._by_key(text)
        if self.local:
            self._check_local(method, found)
            return LOCAL
        session = session_of(found)
        if session is None:
            raise Unauthenticated(
                "this needs a key: send 'Authorization: Bearer steer_…'. `steersman keys create` makes one; on the pages, "
                "log in."
            )
        if method not in _SAFE_METHODS:
            self._check_origin(found)
        return self._by_session(session)

    def _by_key(self, text: str) -> Caller:
        known = self._known.get(text)
        if known is None:
            public, secret = split(text)
            key = self._keys.get(public)
            if key is None or not matches(key, secret):
                raise Unauthenticated("this key is not known here. Check that it was copied whole, or ask for another one.")
            if len(self._known) > _MOST_KNOWN:
                self._known = {}
            known = self._known[text] = (key, _caller(key))
        key, caller = known
        if not valid(key, self._clock()):
            raise Unauthenticated(f"the key {key.id} was revoked or has expired. Ask for another one.")
        return caller

    def now(self) -> float:
        """Return the time, in unix seconds."""
        return self._clock()

    def holds(self, caller: Caller) -> bool:
        """Return whether a caller who was let in would still be."""
        if not caller.key_id:
            return caller is NOBODY or self.local
        key = self._keys.get(caller.key_id)
        return key is not None and valid(key, self._clock())

    # sessions

    def sign_in(self, text: str) -> tuple[Caller, str]:
        """Return who has a key, and a session of its own. Raises Unauthenticated."""
        caller = self._by_key(text)
        content = f"{caller.key_id}.{int(self._clock() + self._session_s)}.{secrets.token_hex(_NONCE_BYTES)}"
        return caller, f"{content}.{self._signature(content)}"

    def sign_out(self, session: str) -> Caller:
        """End a session: whoever has a copy of it is let in no more. Raises Unauthenticated for one that does not hold.

        This process remembers that until the session would have ended by itself.
        """
        caller = self._by_session(session)
        _, expires, nonce, _ = session.split(".")
        now = self._clock()
        while self._ended and (next(iter(self._ended.values())) <= now or len(self._ended) >= _MOST_ENDED):
            self._ended.popitem(last=False)
        self._ended[nonce] = float(expires)
        return caller

    def set_cookie(self, session: str, *, secure: bool = False) -> str:
        """Return the value of a Set-Cookie header; an empty session takes the cookie back.

        Off this machine, or where the browser came by TLS (`secure`), it is sent over TLS alone.
        """
        age = int(self._session_s) if session else 0
        ending = "; Secure" if secure or not self._loopback else ""
        return f"{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{ending}"

    def _by_session(self, session: str) -> Caller:
        content, _, signature = session.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(content).encode()):
            raise Unauthenticated("this session is not one of ours. Log in again.")
        name, expires, nonce = content.split(".")
        key = self._keys.get(name)
        now = self._clock()
        if key is None or now >= float(expires) or nonce in self._ended or not valid(key, now):
            raise Unauthenticated("the session is over. Log in again.")
        return _caller(key)

    def _signature(self, content: str) -> str:
        digest = hmac.digest(self._secret, content.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    # browsers

    def _check_local(self, method: str, found: Found) -> None:
        """Refuse what another site's page, or a name that was pointed at this machine, makes a browser ask."""
        host = found.get(b"host", b"")
        if host not in self._hosts and not self._is_own(host):
            raise NotPermitted(
                "without keys this answers only to localhost, 127.0.0.1 and [::1]. Use one of these names, or make a key: "
                "`steersman keys create`."
            )
        if any(each in found for each in _PROXIES):
            raise NotPermitted(
                "this came through a proxy, so others may be able to ask, and there is no key yet. Make one: "
                "`steersman keys create`."
            )
        if b"origin" in found or b"sec-fetch-site" in found:
            self._check_origin(found, may_navigate=method in _SAFE_METHODS)

    def _is_own(self, host: bytes) -> bool:
        """Return whether a Host is a name of this machine; those that are, and only those, are known from then on."""
        if len(host) > _LONGEST_HOST or not is_loopback(_without_port(host.decode("latin-1"))):
            return False
        if len(self._hosts) < _MOST_KNOWN:
            self._hosts.add(host)
        return True

    def _check_origin(self, found: Found, *, may_navigate: bool = False) -> None:
        if may_navigate and found.get(b"sec-fetch-mode") == b"navigate":
            return  # a link to a page; what it answers cannot be read by the other site
        site, origin = found.get(b"sec-fetch-site"), found.get(b"origin")
        if site is not None:  # a page cannot set it, and Origin is "null" where a page tells no referrer
            own = site in (b"none", b"same-origin")
        else:
            own = origin is None or origin.partition(b"://")[2] == found.get(b"host")
        if not own:
            raise NotPermitted("another site's page asked for this. Ask from the service's own pages, or with a key.")


def is_loopback(host: str) -> bool:
    """Return whether a host's name or address is this machine's own, and cannot be anything else."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _without_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return name if name and port.isdecimal() else host


def _key_text(found: Found) -> str | None:
    said = found.get(b"authorization")
    if said is not None:
        scheme, _, text = said.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("send the key as 'Authorization: Bearer steer_…'.")
        return text.strip()
    said = found.get(b"ocp-apim-subscription-key")
    return None if said is None else said.decode("latin-1").strip()


def session_of(found: Found) -> str | None:
    """Return the session that a browser sends; None where there is none."""
    for each in found.get(b"cookie", b"").decode("latin-1").split(";"):
        name, _, value = each.strip().partition("=")
        if name == COOKIE:
            return value
    return None


def _caller(key: ApiKey) -> Caller:
    return Caller(actor=f"{key.name} ({key.id})", tenant=key.tenant, roles=granted(key.roles), key_id=key.id)


def _listed(roles: Iterable[Role]) -> str:
    return ", ".join(each for each in ROLES if each in roles) or "none"
