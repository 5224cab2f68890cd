"""Rows are really built, by the project's interpreter in the sandbox copy, and each is taken or refused."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steersman.core.errors import InvalidInput
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.project.process import run_group
from steersman.packs.qe.tools.data_making import Row
from steersman.packs.qe.tools.recording import install
from steersman.packs.qe.tools.schemas import Model

_MEMORY_MB = 2048.0
_LIMIT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Built:
    """What came of one row: taken, refused or crash, with the error's name. row: None for one that polyfactory made."""

    row: Row | None
    model: Model
    status: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Building:
    """What came of the rows, and the processor's seconds."""

    built: tuple[Built, ...]
    cpu_s: float


def build(site: Site, models: Sequence[Model], rows: Sequence[Row], *, factory: int = 0, seed: int = 0) -> Building:
    """Build rows of models in one process; `factory` more of each model are made by polyfactory where it is installed.

    Raises InvalidInput, with the last that was said, where no row at all came to be built: they cannot be imported.
    """
    install(site)
    scratch = site.sandbox.scratch
    shutil.copyfile(Path(__file__).with_name("builder.py"), scratch / "steersman_builder.py")
    job, out = scratch / "builder.json", scratch / "built.jsonl"
    out.unlink(missing_ok=True)
    index = {each.name: number for number, each in enumerate(models)}
    wanted = {
        "models": [{"module": each.module, "name": each.name, "kind": each.kind} for each in models],
        "rows": [(index[each.model.name], repr(dict(each.values))) for each in rows],
        "factory": factory,
        "seed": seed,
        "out": str(out),
    }
    job.write_text(json.dumps(wanted), encoding="utf-8")
    finished = run_group(
        [site.project.tools.interpreter, "-m", "steersman_builder", str(job)],
        cwd=site.sandbox.root,
        env=site.sandbox.environment(),
        timeout_s=min(site.timeout_s, _LIMIT_S),
        log=scratch / "builder.log",
        memory_mb=_MEMORY_MB,
    )
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    entries = [json.loads(each) for each in lines if each.endswith("}")]
    if rows and not entries:
        said = (scratch / "builder.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise InvalidInput(f"the project's records could not be built: {said[-1] if said else 'nothing was said'}.")
    built = tuple(
        Built(
            row=rows[each["i"]] if each["i"] >= 0 else None,
            model=models[each["model"]],
            status=each["status"],
            error=each["text"],
        )
        for each in entries
    )
    return Building(built=built, cpu_s=finished.cpu_s)
