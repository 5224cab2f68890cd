"""Headers that every answer carries, so that a browser does with it what was meant and nothing else."""

from collections.abc import Mapping

RawHeaders = list[tuple[bytes, bytes]]

_EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_DATA = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
_PAGE = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}


def _raw(media_type: str, own: Mapping[str, str] | None = None) -> RawHeaders:
    page = media_type.startswith("text/html")
    chosen = {**_EVERYWHERE, **(_PAGE if page else _DATA), "content-type": media_type}
    chosen |= {name.lower(): value for name, value in (own or {}).items()}
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in chosen.items()]


_JSON = _raw("application/json")


def headers(media_type: str, own: Mapping[str, str], length: int | None) -> RawHeaders:
    """Return the headers of an answer; its `own` stand above the general ones. length: None where it is streamed."""
    found = _JSON if media_type == "application/json" and not own else _raw(media_type, own)
    return found if length is None else [*found, (b"content-length", b"%d" % length)]
