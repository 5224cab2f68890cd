"""Checkpoints in files beside the store, named by their hash; or in memory, for a store that is there."""

import os
import tempfile
from pathlib import Path

from steersman.app.stores import beside
from steersman.core.errors import StoreError
from steersman.core.training import Checkpoints, Slot
from steersman.core.versions import address


def checkpoints_of(url: str | os.PathLike[str] | None) -> Checkpoints:
    """Return those of a store: beside its file in FILE.training, of a shared one here below .steersman, else in memory."""
    folder = beside(url, "training")
    return MemoryCheckpoints() if folder is None else FileCheckpoints(folder)


class MemoryCheckpoints:
    """Checkpoints for as long as the process lives."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, Slot], bytes] = {}

    def keep(self, agent: str, slot: Slot, content: bytes) -> None:
        """Keep a checkpoint."""
        self._kept[agent, slot] = content

    def last(self, agent: str, slot: Slot) -> tuple[str, bytes] | None:
        """Return the name and the content; None if there is none."""
        found = self._kept.get((agent, slot))
        return None if found is None else (address(found), found)

    def drop(self, agent: str, slot: Slot) -> None:
        """Let it go."""
        self._kept.pop((agent, slot), None)


class FileCheckpoints:
    """Checkpoints in a folder, `AGENT/SLOT-HASH.safetensors`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, agent: str, slot: Slot, content: bytes) -> None:
        """Keep a checkpoint whole or not at all; the one before it goes after that. Raises StoreError."""
        try:
            folder = self._folder / agent
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{slot}-{address(content)}.safetensors"
            _write(file, content)
            for each in self._files(agent, slot):
                if each != file:
                    each.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot keep a checkpoint in {self._folder}: {error.strerror}. Make room, or allow it."
            ) from error

    def last(self, agent: str, slot: Slot) -> tuple[str, bytes] | None:
        """Return the newest, by the name that its hash has to be; None if there is none. Raises StoreError."""
        try:
            found = max(self._files(agent, slot), key=lambda each: each.stat().st_mtime_ns, default=None)
            return None if found is None else (found.stem.removeprefix(f"{slot}-"), found.read_bytes())
        except OSError as error:
            raise StoreError(f"cannot read a checkpoint in {self._folder}: {error.strerror}.") from error

    def drop(self, agent: str, slot: Slot) -> None:
        """Let what is in a slot go."""
        for each in self._files(agent, slot):
            each.unlink(missing_ok=True)

    def _files(self, agent: str, slot: Slot) -> list[Path]:
        return list((self._folder / agent).glob(f"{slot}-*.safetensors"))


def _write(file: Path, content: bytes) -> None:
    """Write a file under another name first, so that it is there whole, also after a power cut, or not at all."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".being-written-")
    try:
        with os.fdopen(descriptor, "wb") as made:
            made.write(content)
            made.flush()
            os.fsync(made.fileno())
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
