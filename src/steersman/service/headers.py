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


def _text(found: RawHeaders) -> bytes:
    if any(b"\r" in each or b"\n" in each for pair in found for each in pair):
        raise ValueError("a header holds a line end")
    return b"".join(b"%b: %b\r\n" % pair for pair in found)


_JSON = _raw("application/json")
_JSON_TEXT = _text(_JSON)


def headers(media_type: str, own: Mapping[str, str], length: int | None) -> RawHeaders:
    """Return the headers of an answer; its `own` stand above the general ones. length: None where it is streamed."""
    found = _JSON if media_type == "application/json" and not own else _raw(media_type, own)
    return found if length is None else [*found, (b"content-length", b"%d" % length)]


def header_lines(media_type: str, own: Mapping[str, str]) -> bytes:
    """Return the headers of an answer as they are sent; those of most answers are made once."""
    return _JSON_TEXT if media_type == "application/json" and not own else _text(_raw(media_type, own))
