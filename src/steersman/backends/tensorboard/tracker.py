"""A run is a folder of event files below the folder of its agent; what is no number in TensorBoard is a text there."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.core.errors import NotFound, StoreError
from steersman.core.tracking import Begun, Ended, Logged, file_name

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter  # type: ignore[import-untyped]


class TensorboardTracker:
    """Writes runs for TensorBoard: `tensorboard --logdir FOLDER`. Raises NotFound where tensorboardX is not installed.

    One process writes a run at a time. A run that goes on gets a further event file, as TensorBoard has it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        try:
            import tensorboardX
        except ModuleNotFoundError as error:
            raise NotFound("TensorBoard's writer is not installed. Run: pip install 'steersman[tensorboard]'.") from error
        self._made = tensorboardX.SummaryWriter
        self._open: dict[str, SummaryWriter] = {}

    def begin(self, run: Begun) -> None:
        """Begin a run. To begin it again changes nothing."""
        place = self.place(run.id)
        if not place.exists():
            place.mkdir(parents=True)
            about = {"name": run.name, "agent": run.agent, "step": run.unit, **run.params}
            self._writer(run.id).add_text("run", _as_json(about), 0, walltime=run.at)
            self._writer(run.id).flush()

    def log(self, run: str, logged: Logged) -> None:
        """Log metrics at a step. Raises NotFound for a run that nobody began."""
        writer = self._writer(run)
        for name, value in logged.values.items():
            writer.add_scalar(name, value, logged.step, walltime=logged.at)
        for name, said in logged.odd.items():
            writer.add_text(f"not a finite number/{name}", said, logged.step, walltime=logged.at)
        writer.flush()

    def artefact(self, run: str, name: str, data: bytes) -> None:
        """Keep a file beside the event files. Raises InvalidInput for a name that is more than a file's."""
        self._writer(run)
        (self.place(run) / file_name(name)).write_bytes(data)

    def alias(self, run: str, alias: str) -> None:
        """Give a run an alias, as a text."""
        self._text(run, "alias", alias)

    def end(self, run: str, ended: Ended) -> None:
        """End a run, and let its file go."""
        self._text(run, "end", ended.reason or "done")
        self._open.pop(run).close()

    def place(self, run: str) -> Path:
        """Return the folder of a run."""
        return self.folder / file_name(run)

    def _text(self, run: str, tag: str, text: str) -> None:
        writer = self._writer(run)
        writer.add_text(tag, text, 0)
        writer.flush()

    def _writer(self, run: str) -> "SummaryWriter":
        if run not in self._open:
            if not self.place(run).exists():
                raise NotFound(f"there is no training run {run} in {self.folder}. Begin it first.")
            earlier = len(list(self.place(run).glob("events.*")))  # else one of the same second is written over
            try:
                self._open[run] = self._made(str(self.place(run)), flush_secs=5, filename_suffix=f".{earlier:04d}")
            except OSError as error:
                raise StoreError(f"cannot write TensorBoard's files in {self.place(run)}: {error.strerror}.") from error
        return self._open[run]


def _as_json(values: dict[str, str | int | float | bool]) -> str:
    return json.dumps(values, ensure_ascii=False, sort_keys=True)
