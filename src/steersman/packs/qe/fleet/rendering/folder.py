"""A run in all its forms, as files of one folder."""

from pathlib import Path

import msgspec

from steersman.core.errors import NotPermitted
from steersman.packs.qe.fleet.rendering.junit import junit
from steersman.packs.qe.fleet.rendering.markdown import markdown
from steersman.packs.qe.fleet.rendering.page import page
from steersman.packs.qe.fleet.rendering.patch import patch
from steersman.packs.qe.fleet.rendering.sarif import sarif
from steersman.packs.qe.fleet.report import FleetReport


def write_report(report: FleetReport, folder: Path) -> tuple[Path, ...]:
    """Write the report below a folder and return the files. Raises NotPermitted where nothing can be written there."""
    made = patch(Path(report.path), report.files)
    texts = {
        "fleet.md": markdown(report),
        "fleet.html": page(report),
        "fleet.junit.xml": junit(report),
        "fleet.sarif": msgspec.json.format(msgspec.json.encode(sarif(report)), indent=2).decode(),
        **({"fleet.patch": made} if made else {}),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotPermitted(
            f"the report cannot be written to {folder}: {error}. Give another folder with --report."
        ) from error
    return tuple(folder / name for name in texts)
