"""What a skill remembers of a project from one run to the next: arrays, in a folder outside the project's tree.

Policies live in the store. This is what a skill's own methods need, such as an order of tests; losing it costs no
more than practice.
"""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PARTIAL = ".partial"


class Memory:
    """Keeps arrays by name. folder: made when something is first kept; "": nothing is kept beyond this run."""

    def __init__(self, folder: Path | str = "") -> None:
        self._folder = Path(folder) if folder else None
        self._kept: dict[str, dict[str, NDArray[Any]]] = {}

    def kept(self, name: str) -> dict[str, NDArray[Any]] | None:
        """Return what was kept under a name; None where nothing was, or where the file cannot be read."""
        if name not in self._kept and self._folder is not None:
            try:
                with (self._folder / f"{name}.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                    self._kept[name] = {each: arrays[each] for each in arrays.files}
            except (OSError, ValueError, EOFError, zipfile.BadZipFile):
                return None
        return self._kept.get(name)

    def keep(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays under a name, in place of what was there. A folder that cannot be written to keeps this run only."""
        self._kept[name] = dict(arrays)
        if self._folder is None:
            return
        partial = self._folder / f"{name}{_PARTIAL}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]  # its flag could bear an array's name
            os.replace(partial, self._folder / f"{name}.npz")
        except OSError:
            return
