"""Flaky tests, and look-alikes that are stable, as new test files beside the tests of a project.

Each is made up at random: its names, its rates and its limits. A file's `$victim` is what is planted, flaky or not; what
it needs beside it, to be set up or disturbed by, is `$other`, which is stable in every case.
"""

import string
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatch

import numpy as np

RATES = (0.3, 0.7)
"""How often a test that fails by chance does so, at least and at most."""
_LOOPS = 400_000
_SLACK = 4.0

FLAKY: dict[str, tuple[tuple[str, ...], ...]] = {
    "order": (
        (
            "_known = {}\n\n\ndef $other():\n    _known['$key'] = $number\n    assert _known\n\n\n"
            "def $victim():\n    assert _known['$key'] == $number\n",
        ),
        (
            "_seen = []\n\n\ndef $victim():\n    assert not _seen\n\n\n"
            "def $other():\n    _seen.append($number)\n    assert _seen\n",
        ),
    ),
    "time": (
        ("import time\n\n\ndef $victim():\n    assert time.time() < $expiry\n",),
        ("from datetime import date\n\n\ndef $victim():\n    assert (date.today().weekday() - $weekday) % 7 < $days\n",),
        ("import datetime\n\n\ndef $victim():\n    assert (datetime.datetime.now().hour - $hour) % 24 < 9\n",),
    ),
    "random": (
        ("from random import SystemRandom\n\n\ndef $victim():\n    assert SystemRandom().random() > $rate\n",),
        ("import uuid\n\n\ndef $victim():\n    assert uuid.uuid4().int % 1000 > 1000 * $rate\n",),
        ("def $victim():\n    assert next(iter({'$key', '$word'})) == '$key'\n",),
    ),
    "shared state": (
        (
            "import tempfile\nfrom pathlib import Path\n\n\ndef $victim():\n"
            "    mark = Path(tempfile.gettempdir()) / '$key'\n    assert not mark.exists()\n    mark.write_text('$word')\n",
        ),
        (
            "import os\n\n\ndef $victim():\n    assert os.environ.get('$key') is None\n",
            "import os\n\n\ndef $other():\n    os.environ['$key'] = '$word'\n    assert '$key' in os.environ\n",
        ),
    ),
    "load": (
        (
            "from time import perf_counter\n\n\ndef $victim():\n    begun = perf_counter()\n"
            "    for _ in range($loops):\n        pass\n    assert perf_counter() - begun < $limit\n",
        ),
    ),
}
STABLE: dict[str, tuple[tuple[str, ...], ...]] = {
    "slow": (("import time\n\n\ndef $victim():\n    time.sleep(0.03)\n    assert '$key'\n",),),
    "seeded": (
        (
            "import random\n\n\ndef $victim():\n    drawn = random.Random($number)\n"
            "    assert drawn.random() == random.Random($number).random()\n",
        ),
        (
            "import random\n\n_DRAWN = random.Random($number)\n\n\ndef $victim():\n    _DRAWN.seed($number)\n"
            "    assert _DRAWN.sample(range(9), 3) == random.Random($number).sample(range(9), 3)\n",
        ),
    ),
    "clock": (
        ("import time\n\n\ndef $victim():\n    assert time.time() > 1_600_000_000 + $number\n",),
        (
            "from datetime import datetime, timedelta\n\n\ndef $victim():\n    now = datetime.now()\n"
            "    assert now + timedelta(hours=$hour + 1) > now\n",
        ),
        ("import time\n\n\ndef $victim():\n    begun = time.time()\n    assert time.time() - begun < 60\n",),
    ),
    "own state": (
        ("_seen = []\n\n\ndef $victim():\n    _seen.clear()\n    _seen.append($number)\n    assert len(_seen) == 1\n",),
        (
            "import os\n\n\ndef $victim(monkeypatch):\n"
            "    monkeypatch.setenv('$key', '1')\n    assert '$key' in os.environ\n",
        ),
        (
            "def $victim(tmp_path):\n    (tmp_path / '$key').write_text('$word')\n"
            "    assert len([*tmp_path.iterdir()]) == 1\n",
        ),
    ),
    "sorted set": (("def $victim():\n    assert sorted({'$key', '$word'}) == sorted(['$word', '$key'])\n",),),
}


@dataclass(frozen=True, kw_only=True)
class PlantedTests:
    """The new test files, by path, and the node ids of the tests in them. flaky: each with its kind."""

    texts: Mapping[str, str]
    flaky: Mapping[str, str]
    stable: frozenset[str]


def plant_flaky_tests(
    tests: tuple[str, ...], generator: np.random.Generator, *, flaky: int, stable: int, now: float | None = None
) -> PlantedTests:
    """Return so many flaky and stable tests, each in files of its own in folders of the project's test files.

    Kinds take turns in a random order, so that few plants are of different kinds. `now` (unix seconds; None: by the clock)
    is when those that depend on the time pass. The same generator, project and time give the same files, up to the limit
    of a test that fails under load, which is measured on this machine.
    """
    moment = time.time() if now is None else now
    texts: dict[str, str] = {}
    truth: dict[str, str] = {}
    harmless: set[str] = set()
    for kinds, count in ((FLAKY, flaky), (STABLE, stable)):
        for kind in _turns(generator, [*kinds], count):
            variants = kinds[kind]
            values = _values(generator, moment)
            beside = tests[int(generator.integers(len(tests)))]
            for number, template in enumerate(variants[int(generator.integers(len(variants)))]):
                file = _beside(beside, f"planted_{values['place']}_{number}")
                texts[file] = string.Template(template).substitute(values)
                names = {role: f"{file}::{values[role]}" for role in ("victim", "other") if f"${role}" in template}
                harmless.update(names.values())
                if kinds is FLAKY and "victim" in names:
                    truth[names["victim"]] = kind
    return PlantedTests(texts=texts, flaky=truth, stable=frozenset(harmless - truth.keys()))


def _turns(generator: np.random.Generator, kinds: list[str], count: int) -> list[str]:
    order = [kinds[int(each)] for each in generator.permutation(len(kinds))]
    return [order[index % len(order)] for index in range(count)]


def _values(generator: np.random.Generator, moment: float) -> dict[str, str]:
    """Return what a template may ask for."""
    local = datetime.fromtimestamp(moment).astimezone()
    words = ["".join(string.ascii_lowercase[int(each)] for each in generator.integers(0, 26, 8)) for _ in range(5)]
    return {
        "place": words[0],
        "victim": f"test_{words[1]}",
        "other": f"test_{words[2]}",
        "key": words[3],
        "word": words[4],
        "number": str(generator.integers(1, 10_000)),
        "rate": f"{generator.uniform(*RATES):.3f}",
        "expiry": f"{moment + 86_400 * generator.uniform(1, 300):.0f}",
        "hour": str(local.hour),
        "weekday": str(local.weekday()),
        "days": str(generator.integers(3, 6)),
        "loops": str(_LOOPS),
        "limit": f"{_SLACK * _seconds_of_loops():.4f}",
    }


def _seconds_of_loops() -> float:
    """Return how long the loop of a test that fails under load takes here at best; measured once."""
    if not _MEASURED:
        for _ in range(5):
            begun = time.perf_counter()
            for _ in range(_LOOPS):
                pass
            _MEASURED.append(time.perf_counter() - begun)
    return min(_MEASURED)


_MEASURED: list[float] = []


def _beside(test: str, name: str) -> str:
    """Return a path in the folder of a test file, with a name that pytest collects where it collects that file."""
    folder, _, file = test.rpartition("/")
    if fnmatch(file, "test_*.py"):
        new = f"test_{name}.py"
    elif fnmatch(file, "*_test.py"):
        new = f"{name}_test.py"
    else:
        new = f"{file.removesuffix('.py')}_{name}.py"
    return f"{folder}/{new}" if folder else new
