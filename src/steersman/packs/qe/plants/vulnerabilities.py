"""Weak code, secrets, and look-alikes that are neither, appended to files of a copy.

What is planted is made up at random each time, so that nothing real is in here and no scanner can know it by heart.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from steersman.packs.qe.fleet.findings import Finding, Severity

Make = Callable[[str, np.random.Generator], str]
"""(a name that is free, generator) → the text of a function or an assignment."""


@dataclass(frozen=True, kw_only=True)
class Plant:
    """One planted thing: its lines in a file, from 1, both included. severity: "" for a look-alike, which is harmless."""

    kind: str
    file: str
    first: int
    last: int
    severity: Severity | str

    def is_in(self, findings: Sequence[Finding]) -> bool:
        """Return whether some finding points at it."""
        return any(each.file == self.file and self.first <= each.line <= self.last for each in findings)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """The files with what was planted, and the plants themselves."""

    texts: Mapping[str, str]
    plants: tuple[Plant, ...]


def _word(generator: np.random.Generator, length: int, letters: str = string.ascii_letters + string.digits) -> str:
    return "".join(letters[int(each)] for each in generator.integers(0, len(letters), length))


def _function(body: str, argument: str = "value", imports: str = "") -> Make:
    lines = [f"    import {each}" for each in imports.split()] + [f"    {body}"]
    return lambda name, _: f"def {name}({argument}):\n" + "\n".join(lines)


def _secret(make: Callable[[np.random.Generator], str], variable: str = "token") -> Make:
    return lambda name, generator: f'{name}_{variable} = "{make(generator)}"'


CODE: dict[str, tuple[Severity, Make]] = {
    "shell": ("high", _function("return subprocess.call(value, shell=True)", imports="subprocess")),
    "eval": ("medium", _function("return eval(value)")),
    "pickle": ("medium", _function("return pickle.loads(value)", imports="pickle")),
    "weak hash": ("high", _function("return hashlib.md5(value).hexdigest()", imports="hashlib")),
    "sql": ("medium", _function("return cursor.execute(\"SELECT * FROM t WHERE a = '%s'\" % value)", "cursor, value")),
    "temporary file": ("medium", _function("return tempfile.mktemp(value)", imports="tempfile")),
    "no certificate": ("high", _function("return requests.get(value, verify=False, timeout=5)", imports="requests")),
    "open to all": ("medium", _function("return os.chmod(value, 0o777)", imports="os")),
}
SECRETS: dict[str, tuple[Severity, Make]] = {
    "cloud key": ("critical", _secret(lambda rng: "AKIA" + _word(rng, 16, string.ascii_uppercase + string.digits))),
    "forge token": ("critical", _secret(lambda rng: "ghp_" + _word(rng, 36))),
    "random token": ("high", _secret(lambda rng: _word(rng, 44), "api_key")),
}
LOOK_ALIKES: dict[str, Make] = {
    "hash of a file": _function("return hashlib.md5(value, usedforsecurity=False).hexdigest()", imports="hashlib"),
    "list of arguments": _function('return subprocess.run(["true"], check=True)', imports="subprocess"),
    "commit": _secret(lambda rng: _word(rng, 40, "0123456789abcdef"), "commit"),
    "literal": _function('return ast.literal_eval("[1, 2]")', imports="ast"),
    "safe query": _function('return cursor.execute("SELECT a FROM t WHERE b = ?", (value,))', "cursor, value"),
}


def plant_vulnerabilities(
    sources: Mapping[str, str], generator: np.random.Generator, *, code: int, secrets: int, look_alikes: int
) -> Planted:
    """Return the files with so much weak code, secrets and look-alikes at their ends, spread over the files at random."""
    wanted: list[tuple[str, Severity | str, Make]] = []
    for kinds, count in ((CODE, code), (SECRETS, secrets)):
        wanted += [(kind, *kinds[kind]) for kind in _some(generator, [*kinds], count)]
    wanted += [(kind, "", LOOK_ALIKES[kind]) for kind in _some(generator, [*LOOK_ALIKES], look_alikes)]
    texts: dict[str, str] = {}
    plants, files = [], sorted(sources)
    for kind, severity, make in wanted:
        file = files[int(generator.integers(len(files)))]
        before = texts.get(file, sources[file].rstrip("\n") + "\n")
        name = f"planted_{_word(generator, 8, string.ascii_lowercase)}"
        text = f"{before}\n\n{make(name, generator)}\n"
        texts[file] = text
        plants.append(Plant(kind=kind, file=file, first=before.count("\n") + 3, last=text.count("\n"), severity=severity))
    return Planted(texts=texts, plants=tuple(plants))


def _some(generator: np.random.Generator, names: list[str], count: int) -> list[str]:
    return [names[int(each)] for each in generator.integers(0, len(names), count)]
