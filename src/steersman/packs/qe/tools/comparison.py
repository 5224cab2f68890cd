"""Compare changed pages with what they were: by pixels, by structure, by accessibility, or by all at two sizes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from steersman.packs.qe.plants.visual_changes import Changes
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.tools.images import pixel_difference, read_picture, structural_difference
from steersman.packs.qe.tools.screenshots import DESK, PHONE, Looked, Shot, look_at

_SHARE = 0.002
"""From this share of a picture on, a difference is one."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a comparison uses."""

    sizes: tuple[tuple[int, int], ...] = (DESK,)
    pixel: bool = False
    structure: bool = False
    checks: bool = False


MEANS: Mapping[str, Means] = {
    "pixel": Means(pixel=True),
    "ssim": Means(structure=True),
    "accessibility": Means(checks=True),
    "full": Means(sizes=(DESK, PHONE), pixel=True, structure=True, checks=True),
}


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The changed files that differ from what they were, and what the comparison took in seconds."""

    shown: frozenset[str]
    wall_s: float
    cpu_s: float


def compare(changes: Changes, name: str, sandbox: Sandbox, timeout_s: float) -> Compared:
    """Compare each variant with its page by the means of a name. Raises what `look_at` does."""
    means = MEANS[name]
    pairs = {each.file: changes.before[each.page][0] for each in changes.variants}
    files = sorted({*pairs, *pairs.values()})
    shots = [_shot(sandbox, file, size) for file in files for size in means.sizes]
    pictures = means.pixel or means.structure
    looked = look_at(
        shots, root=sandbox.root, scratch=sandbox.scratch, timeout_s=timeout_s, pictures=pictures, checks=means.checks
    )
    shown = {
        file
        for file, before in pairs.items()
        if (means.checks and _lost(looked, sandbox.root / before, sandbox.root / file))
        or any(
            _differ(means, _shot(sandbox, before, size).picture, _shot(sandbox, file, size).picture) for size in means.sizes
        )
    }
    for each in shots:
        each.picture.unlink(missing_ok=True)
    return Compared(shown=frozenset(shown), wall_s=looked.wall_s, cpu_s=looked.cpu_s)


def _shot(sandbox: Sandbox, file: str, size: tuple[int, int]) -> Shot:
    picture = sandbox.scratch / f"{file.replace('/', '-')}-{size[0]}.png"
    return Shot(file=sandbox.root / file, size=size, picture=picture)


def _lost(looked: Looked, before: Path, after: Path) -> bool:
    """Return whether a page breaks more rules than it did."""
    return len(looked.issues[after]) > len(looked.issues[before])


def _differ(means: Means, before: Path, after: Path) -> bool:
    if not (means.pixel or means.structure):
        return False
    one, other = read_picture(before), read_picture(after)
    by_pixel = means.pixel and pixel_difference(one, other) > _SHARE
    return by_pixel or (means.structure and structural_difference(one, other) > _SHARE)
