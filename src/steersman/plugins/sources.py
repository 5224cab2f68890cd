"""The state of the code, as git knows it: the commit, what differs from it, and which files changed since another one."""

import contextlib
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from steersman.core.errors import InvalidInput, NotFound

_LIMIT_S = 20.0


class Sources:
    """A folder in git. besides: a folder that is none of the sources, such as the store of runs."""

    def __init__(self, root: Path, besides: Path) -> None:
        self.root = root
        self._all = (".", *_exclusion(root, besides))

    def commit(self) -> str:
        """Return the commit that is checked out. Raises NotFound where there is no git, or no commit."""
        return self._git("rev-parse", "--verify", "HEAD").strip()

    def fingerprint(self, commit: str) -> str:
        """Return a word for the code and the interpreter: alike for two runs only where both are the same."""
        mark = hashlib.sha256(f"{commit} {sys.platform} {platform.python_version()}".encode())
        mark.update(self._bytes("diff", "--no-ext-diff", "--binary", "HEAD", "--", *self._all))
        for file in self.untracked():
            if file.endswith(".py"):
                mark.update(os.fsencode(file) + b"\0" + (self.root / file).read_bytes())
        return mark.hexdigest()[:24]

    def changed(self, revision: str) -> list[str]:
        """Return the files, relative to the root, that differ from where a revision and HEAD parted, and untracked ones.

        Raises InvalidInput where there is no such revision.
        """
        base = self._commit_of(revision)
        with contextlib.suppress(NotFound):  # a shallow clone does not know; then the revision itself is compared
            base = self._git("merge-base", base, "HEAD").strip()
        differing = self._git("diff", "--no-ext-diff", "--name-only", "--relative", "-z", base, "--", *self._all)
        return sorted({*_split(differing), *self.untracked()})

    def untracked(self) -> list[str]:
        """Return the files that are new to git and not ignored."""
        return _split(self._git("ls-files", "--others", "--exclude-standard", "-z", "--", *self._all))

    def python_files(self) -> list[str]:
        """Return the Python files that are there, of git's and new ones."""
        listed = self._git("ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *self._all)
        return [file for file in sorted({*_split(listed)}) if file.endswith(".py") and (self.root / file).is_file()]

    def _commit_of(self, revision: str) -> str:
        try:
            return self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").strip()
        except NotFound as error:
            raise InvalidInput(f"git knows no revision {revision!r}; write --steersman-changed=REV before paths") from error

    def _git(self, *arguments: str) -> str:
        return os.fsdecode(self._bytes(*arguments))

    def _bytes(self, *arguments: str) -> bytes:
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=self.root, env=environment, capture_output=True, timeout=_LIMIT_S, check=True
            )
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()
            raise NotFound(f"git {arguments[0]} says: {said[0] if said else f'exit status {error.returncode}'}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotFound(f"git cannot be asked: {error}") from error
        return done.stdout


def _exclusion(root: Path, besides: Path) -> Sequence[str]:
    try:
        inside = besides.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return ()
    return () if inside == "." else (f":(exclude){inside}",)


def _split(text: str) -> list[str]:
    return [file for file in text.split("\0") if file]
