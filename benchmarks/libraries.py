"""Five real libraries of different sizes, each as a project with its own suite, for the benchmarks of the qe pack.

    python benchmarks/libraries.py FOLDER

puts all of them there. toolz, zict and mpmath are copied from what is installed (requirements-bench.txt), with the tests
that their wheels ship; of zict and mpmath only files of tests that neither sleep nor run for minutes. The source
distributions of cachetools and tabulate are fetched by pip.
"""

import subprocess
import sys
import tarfile
from pathlib import Path

from steersman.packs.qe.bench.demo import build_project

LIBRARIES = ("cachetools", "tabulate", "toolz", "zict", "mpmath")
SDISTS = {"cachetools": "cachetools==5.5.2", "tabulate": "tabulate==0.9.0"}
ONLY = {
    "mpmath": ("bitwise", "division", "trig", "matrices", "linalg", "power", "identify", "rootfinding"),
    "zict": ("buffer", "cache", "common", "file", "func", "lru", "zip"),
}


def fetched(library: str, target: Path) -> Path:
    """Return a project of a library with its tests, under `target`. Raises NotFound where it is not installed."""
    if library not in SDISTS:
        return build_project(target, library, only=ONLY.get(library, ()))
    target.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:", "-d", str(target)]
    subprocess.run([*command, SDISTS[library]], check=True)
    (archive,) = target.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(target, filter="data")
    archive.unlink()
    (root,) = target.iterdir()
    return root


if __name__ == "__main__":
    for each in LIBRARIES:
        print(fetched(each, Path(sys.argv[1]) / each))
