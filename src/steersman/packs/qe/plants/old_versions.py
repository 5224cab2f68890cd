"""Requirements of versions that are publicly known to be vulnerable, and of such that are not, added to a copy's own."""

from collections.abc import Sequence

import numpy as np

from steersman.packs.qe.plants.vulnerabilities import Plant, Planted

KNOWN = {
    "jinja2": "2.4.1",  # CVE-2014-0012
    "urllib3": "1.24.1",  # CVE-2019-11324
    "pyyaml": "5.3",  # CVE-2020-1747
    "requests": "2.19.1",  # CVE-2018-18074
    "flask": "0.12.2",  # CVE-2018-1000656
    "lxml": "4.6.2",  # CVE-2021-28957
}
HARMLESS = {"six": "1.16.0", "toolz": "0.12.1", "sortedcontainers": "2.4.0", "more-itertools": "10.2.0", "attrs": "23.2.0"}


def plant_versions(
    file: str, text: str, taken: Sequence[str], generator: np.random.Generator, *, known: int, harmless: int
) -> Planted:
    """Return a requirement file with so many more lines of both; `taken` are the names that the project has anyway."""
    wanted = [("high", name, KNOWN[name]) for name in _some(generator, [*KNOWN], taken, known)]
    wanted += [("", name, HARMLESS[name]) for name in _some(generator, [*HARMLESS], taken, harmless)]
    plants = []
    text = text.rstrip("\n") + "\n" if text.strip() else ""
    for index in generator.permutation(len(wanted)):
        severity, name, version = wanted[int(index)]
        text += f"{name}=={version}\n"
        line = text.count("\n")
        plants.append(Plant(kind="old version", file=file, first=line, last=line, severity=severity))
    return Planted(texts={file: text}, plants=tuple(plants))


def _some(generator: np.random.Generator, names: Sequence[str], taken: Sequence[str], count: int) -> list[str]:
    free = [each for each in names if each not in taken]
    return [free[int(each)] for each in generator.permutation(len(free))[:count]]
