"""A run is a file of JSON lines, one for each word of it; its artefacts lie in a folder of the same name."""

import os
from io import FileIO
from pathlib import Path

import msgspec

from steersman.core.errors import InvalidInput, NotFound, StoreError
from steersman.core.tracking import Begun, Ended, Kept, Line, Logged, Named, Run, file_name, fold

_line: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class MemoryTracker:
    """Keeps runs as long as the process lives."""

    def __init__(self) -> None:
        self._lines: dict[str, list[Line]] = {}
        self._files: dict[tuple[str, str], bytes] = {}

    def begin(self, run: Begun) -> None:
        """Begin a run. To begin it again changes nothing."""
        self._lines.setdefault(run.id, [run])

    def log(self, run: str, logged: Logged) -> None:
        """Log metrics at a step. Raises NotFound for a run that nobody began."""
        self._of(run).append(logged)

    def artefact(self, run: str, name: str, data: bytes) -> None:
        """Keep a file of a run. Raises InvalidInput for a name that is more than a file's."""
        self._of(run).append(Kept(artefact=file_name(name), size=len(data)))
        self._files[run, name] = data

    def alias(self, run: str, alias: str) -> None:
        """Give a run an alias."""
        self._of(run).append(Named(alias=alias))

    def end(self, run: str, ended: Ended) -> None:
        """End a run."""
        self._of(run).append(ended)

    def run(self, run: str) -> Run:
        """Return a run as far as it was told. Raises NotFound."""
        return _folded(run, self._of(run))

    def runs(self, limit: int = 50) -> list[Run]:
        """Return the last runs, newest first."""
        return [self.run(each) for each in sorted(self._lines, reverse=True)[:limit]]

    def kept(self, run: str, name: str) -> bytes:
        """Return an artefact. Raises NotFound."""
        if (run, name) not in self._files:
            raise _no_file(run, name)
        return self._files[run, name]

    def _of(self, run: str) -> list[Line]:
        if run not in self._lines:
            raise _no_run(run)
        return self._lines[run]


class FileTracker:
    """Keeps runs in a folder, which is made with the first of them.

    Each word is written at once and whole. A process that dies in the middle of a line leaves a torn one: it is passed
    over, and whoever goes on begins a line of its own.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._known: dict[str, tuple[tuple[int, int], Run]] = {}

    def begin(self, run: Begun) -> None:
        """Begin a run. To begin it again changes nothing. Raises StoreError where nothing can be written."""
        if not self._file(run.id).exists():
            _made(self.folder)
            self._write(run.id, run)

    def log(self, run: str, logged: Logged) -> None:
        """Log metrics at a step. Raises NotFound for a run that nobody began."""
        self._tell(run, logged)

    def artefact(self, run: str, name: str, data: bytes) -> None:
        """Keep a file of a run. Raises InvalidInput for a name that is more than a file's."""
        place = self.folder / file_name(run) / file_name(name)
        self._tell(run, Kept(artefact=name, size=len(data)))
        _made(place.parent)
        half = place.with_name(f"{name}.half")
        half.write_bytes(data)
        half.replace(place)

    def alias(self, run: str, alias: str) -> None:
        """Give a run an alias."""
        self._tell(run, Named(alias=alias))

    def end(self, run: str, ended: Ended) -> None:
        """End a run."""
        self._tell(run, ended)

    def run(self, run: str) -> Run:
        """Return a run as far as it was told, read again only where that grew. Raises NotFound."""
        file = self._file(run)
        try:
            found = file.stat()
            stamp = (found.st_mtime_ns, found.st_size)
            if run in self._known and self._known[run][0] == stamp:
                return self._known[run][1]
            lines = [line for each in file.read_bytes().split(b"\n") if (line := _read(each)) is not None]
        except FileNotFoundError as error:
            raise _no_run(run) from error
        read = _folded(run, lines)
        self._known[run] = stamp, read
        return read

    def runs(self, limit: int = 50) -> list[Run]:
        """Return the last runs, newest first; a file that is none is passed over."""
        names = sorted((each.stem for each in self.folder.glob("*.jsonl")), reverse=True)[:limit]
        found = []
        for name in names:
            try:
                found.append(self.run(name))
            except (NotFound, InvalidInput):
                continue
        return found

    def kept(self, run: str, name: str) -> bytes:
        """Return an artefact. Raises NotFound."""
        try:
            return (self.folder / file_name(run) / file_name(name)).read_bytes()
        except FileNotFoundError as error:
            raise _no_file(run, name) from error

    def _file(self, run: str) -> Path:
        return self.folder / f"{file_name(run)}.jsonl"

    def _tell(self, run: str, line: Line) -> None:
        if not self._file(run).exists():
            raise _no_run(run)
        self._write(run, line)

    def _write(self, run: str, line: Line) -> None:
        data = msgspec.json.encode(line) + b"\n"
        try:
            with self._file(run).open("ab+", buffering=0) as file:
                file.write(data if _ends_whole(file) else b"\n" + data)
        except OSError as error:
            raise StoreError(f"cannot write {self._file(run)}: {error.strerror}.") from error


def _ends_whole(file: FileIO) -> bool:
    return file.seek(0, os.SEEK_END) == 0 or (file.seek(-1, os.SEEK_END) >= 0 and file.read(1) == b"\n")


def _read(line: bytes) -> Line | None:
    """Return what a line says; None for one that was torn, or that another release wrote."""
    try:
        return _line.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {folder}, where training runs are kept: {error.strerror}.") from error


def _folded(run: str, lines: list[Line]) -> Run:
    found = fold(lines)
    if found is None:
        raise _no_run(run)
    return found


def _no_run(run: str) -> NotFound:
    return NotFound(f"there is no training run {run[:100]!r} here. Choose one that is listed.")


def _no_file(run: str, name: str) -> NotFound:
    return NotFound(f"training run {run} has no artefact {name[:100]!r}.")
