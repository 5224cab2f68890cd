"""The files behind the pages. Their addresses hold a digest of their content, so a browser keeps them for good."""

import hashlib
from functools import cache
from pathlib import Path

from steersman.core.errors import NotFound
from steersman.service.operations import Call, Operation, Reply

FOLDER = Path(__file__).parent / "static"
_MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_FOR_GOOD = "public, max-age=31536000, immutable"


@cache
def _content(name: str) -> tuple[bytes, str]:
    """Return a file and its digest."""
    if name not in {each.name for each in FOLDER.iterdir()}:
        raise NotFound(f"there is no file {name!r} among the pages' own.")
    content = (FOLDER / name).read_bytes()
    return content, hashlib.sha256(content).hexdigest()[:16]


def address(name: str) -> str:
    """Return the address of a file. Raises NotFound."""
    return f"/static/{_content(name)[1]}/{name}"


async def _file(call: Call) -> Reply:
    content, digest = _content(call.path["name"])
    if digest != call.path["digest"]:
        raise NotFound(f"{call.path['name']} has another content by now. Load the page again.")
    headers = {"Cache-Control": _FOR_GOOD, "ETag": f'"{digest}"'}
    media = _MEDIA[Path(call.path["name"]).suffix]
    if call.headers.get("if-none-match") == headers["ETag"]:
        return Reply(status=304, media_type=media, headers=headers)
    return Reply(body=content, media_type=media, headers=headers)


FILES = Operation(
    method="GET", path="/static/{digest}/{name}", role=None, summary="A file of the pages.", handler=_file, documented=False
)
