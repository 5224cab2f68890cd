"""How often the files of a project changed, and how they were some commits ago, from its git history, which is only read."""

import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

_COMMITS = 500


def churn(root: Path, timeout_s: float) -> Mapping[str, int]:
    """Return in how many of the last 500 commits each Python file below a folder changed; nothing without git."""
    said = _git(root, timeout_s, "log", f"--max-count={_COMMITS}", "--format=", "--name-only", "--relative", "--", "*.py")
    return Counter(each for each in said.splitlines() if each)


def past_commit(root: Path, back: int, timeout_s: float) -> str:
    """Return the commit `back` commits ago among those that changed Python files, or the first one; "" without two."""
    commits = _git(root, timeout_s, "rev-list", "--first-parent", f"--max-count={back + 1}", "HEAD", "--", "*.py").split()
    return commits[-1] if len(commits) > 1 else ""


def text_at(root: Path, commit: str, file: str, timeout_s: float) -> str | None:
    """Return a file's text at a commit; None where it was not there."""
    return _git(root, timeout_s, "show", f"{commit}:./{file}") or None


def _git(root: Path, timeout_s: float, *arguments: str) -> str:
    """Return what git says; "" where there is no git, no repository, or no such thing in it."""
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            errors="replace",
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout if answer.returncode == 0 else ""
