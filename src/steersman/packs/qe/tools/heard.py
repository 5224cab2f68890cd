"""The calls that a project's tests make, with arguments that can be written out: heard while its suite runs."""

import ast
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.tools.expressions import Written
from steersman.packs.qe.tools.functions import Target

_PLUGIN = "steersman_listener"


@dataclass(frozen=True, kw_only=True)
class HeardCall:
    """One call of a test. receiver: the object of which a method was called, None where it cannot be written out."""

    receiver: Written | None
    values: tuple[Any, ...]
    named: tuple[tuple[str, Any], ...]


class Heard:
    """What was heard, by what was called."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, int], tuple[HeardCall, ...]] = {}

    def of(self, target: Target) -> tuple[HeardCall, ...]:
        """Return the calls of a target that a test can make again; of an object, only where the object can be built."""
        calls = self._calls.get((target.file, target.line), ())
        return tuple(each for each in calls if each.receiver is not None or not target.on_object)

    def every(self, target: Target) -> tuple[HeardCall, ...]:
        """Return all calls of a target, whatever their object was."""
        return self._calls.get((target.file, target.line), ())

    @contextmanager
    def listening(self, site: Site, targets: Sequence[Target]) -> Iterator[None]:
        """Listen to the runs of the suite for a while."""
        scratch, root = site.sandbox.scratch, site.sandbox.root
        for name in ("written", "listener"):
            shutil.copyfile(Path(__file__).with_name(f"{name}.py"), scratch / f"steersman_{name}.py")
        out, plan = scratch / "heard.json", scratch / "listen.json"
        out.unlink(missing_ok=True)
        functions = {f"{root / each.file}:{each.line}": (each.module, each.dotted) for each in targets}
        plan.write_text(json.dumps({"functions": functions, "out": str(out)}), encoding="utf-8")
        try:
            with site.suite.under(PYTEST_PLUGINS=_PLUGIN, STEERSMAN_LISTEN=str(plan)):
                yield
        finally:
            self._calls = _read(out, root)


def _read(out: Path, root: Path) -> dict[tuple[str, int], tuple[HeardCall, ...]]:
    try:
        entries: Mapping[str, list[dict[str, Any]]] = json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = {}
    for place, calls in entries.items():
        file, line = place.removeprefix(f"{root}/").rsplit(":", 1)
        found[file, int(line)] = tuple(_call(each) for each in calls)
    return found


def _call(entry: Mapping[str, Any]) -> HeardCall:
    return HeardCall(
        receiver=None if entry["receiver"] is None else _expression(entry["receiver"]),
        values=tuple(_value(each) for each in entry["values"]),
        named=tuple((name, _value(each)) for name, each in sorted(entry["named"].items())),
    )


def _value(entry: Sequence[Any]) -> Any:
    """Return a literal as what it is, anything else as an expression."""
    try:
        return ast.literal_eval(entry[0])
    except (ValueError, SyntaxError, TypeError):
        return _expression(entry)


def _expression(entry: Sequence[Any]) -> Written:
    return Written(text=entry[0], needs=frozenset((module, name) for module, name in entry[1]))
