"""A small service whose operations can take some faults and not others, written anew at random each time.

Each operation is asked for "42" and may answer "stale 42" where it has to go on without what it needs. Robust operations
and fragile ones look alike: one bounds its calls by a default that stands elsewhere, another names a limit that is far
too long. Which fault an operation cannot take is known by construction, and only here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ANSWERS = ("42", "stale 42")
"""What an operation may answer: the value, or the last one that it knew."""
CRITICALITIES = ("low", "medium", "high")

_TOP = '''"""A small service, planted by Steersman: one line in, one answer out."""

import contextlib
import fcntl
import http.client
import mmap
import os
import socket
import subprocess
import sys

WORKERS = {}
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}


def ask(connection):
    with contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().read(64).decode()


def command(lock, name, folder):
    return [sys.executable, __file__, "worker", lock, os.path.join(folder, name + ".lock")]


def tell(worker):
    worker.stdin.write("go\\n")
    worker.stdin.flush()
    return worker.stdout.readline().strip()


def serve_as_worker(lock, path):
    if lock == "file":
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    if lock == "kernel":
        held = open(path, "a")
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for _ in sys.stdin:
        print("42", flush=True)
    if lock == "file":
        os.unlink(path)


def last(path):
    if not os.path.exists(path):
        return "42"
    with open(path) as stream:
        return stream.read(64).split()[0]


def large(folder):
    path = os.path.join(folder, "large")
    if not os.path.exists(path):
        with open(path, "ab") as stream:
            stream.truncate(64 * 1024 * 1024)
    return path
'''
_BOTTOM = """

if __name__ == "__main__":
    if sys.argv[1] == "worker":
        serve_as_worker(*sys.argv[2:])
    else:
        for _ in sys.stdin:
            print(globals()[sys.argv[1]](int(sys.argv[2]), sys.argv[3]), flush=True)
"""
_FALL_BACK = '        return "stale 42"\n'
_CALL = 'http.client.HTTPConnection("127.0.0.1", port{options})'
_TRIED = f"    try:\n        return ask({_CALL})\n    except {{errors}}:\n{_FALL_BACK}"
_RECORD = '    record = "42".ljust(8192)\n    path = os.path.join(folder, "{name}")\n    known = last(path)\n'
_WRITE = "with open(path, 'w') as stream:\n        stream.write(record)\n"
_REPLACE = "        with open(path + '.new', 'w') as stream:\n            stream.write(record)\n"
_REPLACE += "        os.replace(path + '.new', path)\n"

_START = 'subprocess.Popen(command("{lock}", "{name}", folder), **PIPES)'
_WORKER = '    worker = WORKERS.get("{name}")\n    if worker is None{dead}:\n'
_WORKER += f'        worker = WORKERS["{{name}}"] = {_START}\n'


def _worker(lock: str, *, dead: str = " or worker.poll() is not None") -> str:
    return _WORKER.replace("{dead}", dead).replace("{lock}", lock) + "    return tell(worker)\n"


KINDS: Mapping[str, Mapping[str, tuple[tuple[str, ...], str]]] = {
    "call": {
        "bounded": ((), _TRIED.format(options=", timeout=0.2", errors="OSError")),
        "bounded elsewhere": ((), "    socket.setdefaulttimeout(0.2)\n" + _TRIED.format(options="", errors="OSError")),
        "unbounded": (("latency",), _TRIED.format(options="", errors="OSError")),
        "bounded too far": (("latency",), _TRIED.format(options=", timeout=60", errors="OSError")),
        "no answer to a late one": (("latency",), _TRIED.format(options=", timeout=0.2", errors="ConnectionError")),
        "no answer to a lost one": (("partition",), _TRIED.format(options=", timeout=0.2", errors="TimeoutError")),
        "naive": (("latency", "partition"), f"    return ask({_CALL})\n".format(options="")),
    },
    "worker": {
        "looked after": ((), _worker("none")),
        "lock of the kernel": ((), _worker("kernel")),
        "started again": (
            (),
            f'    for _ in range(2):\n        worker = WORKERS["{{name}}"] = WORKERS.get("{{name}}") or {_START}\n'.replace(
                "{lock}", "none"
            )
            + "        with contextlib.suppress(OSError):\n"
            "            answer = tell(worker)\n"
            "            if answer:\n                return answer\n"
            '        WORKERS.pop("{name}")\n'
            '    return "stale 42"\n',
        ),
        "not looked after": (("kill",), _worker("none", dead="")),
        "lock left behind": (("kill",), _worker("file")),
    },
    "store": {
        "replaced": (
            (),
            f"{_RECORD}    try:\n{_REPLACE}    except OSError:\n"
            "        with contextlib.suppress(OSError):\n            os.unlink(path + '.new')\n"
            "        return 'stale ' + known\n    return known\n",
        ),
        "appended": (
            (),
            f"{_RECORD}    with contextlib.suppress(OSError), open(path, 'a') as stream:\n"
            "        stream.write(record)\n    return known\n",
        ),
        "written over": (("resource",), f"{_RECORD}    {_WRITE}    return known\n"),
        "swallowed": (
            ("resource",),
            f"{_RECORD}    with contextlib.suppress(OSError), open(path, 'w') as stream:\n"
            "        stream.write(record)\n    return known\n",
        ),
        "left behind": (
            ("resource",),
            f"{_RECORD}    if os.path.exists(path + '.new'):\n        raise RuntimeError('another writer is at work')\n"
            f"    try:\n{_REPLACE}    except OSError:\n        return 'stale ' + known\n    return known\n",
        ),
        "not expected": (("resource",), f"{_RECORD}    if True:\n{_REPLACE}    return known\n"),
    },
    "load": {
        "in pieces": (
            (),
            "    with open(large(folder), 'rb') as stream:\n"
            "        while stream.read(1024 * 1024):\n            pass\n    return '42'\n",
        ),
        "expected": (
            (),
            "    try:\n        with open(large(folder), 'rb') as stream:\n            stream.read()\n"
            "    except MemoryError:\n        return 'stale 42'\n    return '42'\n",
        ),
        "whole": (("resource",), "    with open(large(folder), 'rb') as stream:\n        stream.read()\n    return '42'\n"),
        "mapped": (
            ("resource",),
            "    with open(large(folder), 'rb') as stream:\n"
            "        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ).close()\n    return '42'\n",
        ),
    },
}
"""By kind and variant: the faults that it cannot take, and the body of its function."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One function of the service. weak_to: the faults that it cannot take."""

    name: str
    kind: str
    variant: str
    weak_to: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Service:
    """A planted service: the text of its file, its operations, and what it would matter if it failed (0, 1 or 2)."""

    file: str
    text: str
    operations: tuple[Operation, ...]
    criticality: int

    @property
    def weak(self) -> float:
        """How many operations some fault hurts."""
        return float(sum(bool(each.weak_to) for each in self.operations))

    def weak_to(self, fault: str) -> tuple[Operation, ...]:
        """Return the operations that cannot take a fault."""
        return tuple(each for each in self.operations if fault in each.weak_to)


def plant_service(generator: np.random.Generator, *, operations: int = 8, sick: float = 0.1) -> Service:
    """Return a service of so many operations; each kind is mostly robust or mostly fragile, as teams have their habits.

    sick: the chance that its last operation fails before any fault, so that no experiment may start.
    """
    fragile = {kind: float(generator.choice([0.15, 0.85])) for kind in KINDS}
    kinds = [*KINDS, *(str(each) for each in generator.choice([*KINDS], size=max(operations - len(KINDS), 0)))]
    made = []
    for number, kind in enumerate(kinds[:operations]):
        weak = bool(generator.random() < fragile[kind])
        variants = [name for name, (faults, _) in KINDS[kind].items() if bool(faults) == weak]
        made.append(operation(f"{kind}_{number}", kind, variants[int(generator.integers(len(variants)))]))
    return service(
        made,
        file=f"planted_service_{''.join(chr(97 + int(each)) for each in generator.integers(0, 26, 8))}.py",
        criticality=int(generator.integers(len(CRITICALITIES))),
        sick=bool(generator.random() < sick),
    )


def operation(name: str, kind: str, variant: str) -> Operation:
    """Return an operation of a kind and a variant of `KINDS`."""
    return Operation(name=name, kind=kind, variant=variant, weak_to=frozenset(KINDS[kind][variant][0]))


def service(operations: Sequence[Operation], *, file: str, criticality: int = 0, sick: bool = False) -> Service:
    """Return a service of these operations; where it is sick, the last of them answers nonsense."""
    bodies = [KINDS[each.kind][each.variant][1].replace("{name}", each.name) for each in operations]
    if sick:
        bodies[-1] = "    return 'out of order'\n"
    functions = [f"def {each.name}(port, folder):\n{body}" for each, body in zip(operations, bodies, strict=True)]
    text = "\n\n".join([_TOP, *functions]) + _BOTTOM
    return Service(file=file, text=text, operations=tuple(operations), criticality=criticality)
