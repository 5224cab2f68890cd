"""Faults are found in the text as it is run."""

from pathlib import Path

import numpy as np

from steersman.core.ports import Progress
from steersman.packs.qe.faults.seeded_world import build_pool
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.reference import measure_reference
from steersman.packs.qe.project.sandbox import open_sandbox
from steersman.packs.qe.project.suite import Suite


def test_a_file_that_begins_with_a_mark_has_its_faults_where_they_are(shop: Path, progress: Progress) -> None:
    """Some editors begin a file with a byte order mark, which is no character of its text."""
    for file in ("shop.py", "cart.py"):
        (shop / file).write_text("\ufeff" + (shop / file).read_text(encoding="utf-8"), encoding="utf-8")
    project = discover(shop)
    with open_sandbox(project) as sandbox:
        reference = measure_reference(Suite(sandbox), timeout_s=60, progress=progress)
    generator = np.random.default_rng(0)
    pool = build_pool(project, reference, generator, target=2, timeout_s=60, budget_s=120, progress=progress, workers=1)
    assert len(pool.killers) == 2
