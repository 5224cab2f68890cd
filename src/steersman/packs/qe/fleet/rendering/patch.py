"""What the fleet made for the project, as a patch that `git apply` or `patch -p1` takes."""

import difflib
from collections.abc import Mapping
from pathlib import Path


def patch(root: Path, files: Mapping[str, str]) -> str:
    """Return a unified diff from the project to what it would be with the files; "" where nothing changes."""
    return "".join(_diff(root, file, text) for file, text in sorted(files.items()))


def _diff(root: Path, file: str, text: str) -> str:
    path = root / file
    before = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    after = text.splitlines(keepends=True)
    source = f"a/{file}" if before else "/dev/null"
    lines = difflib.unified_diff(before, after, fromfile=source, tofile=f"b/{file}")
    return "".join(each if each.endswith("\n") else f"{each}\n\\ No newline at end of file\n" for each in lines)
