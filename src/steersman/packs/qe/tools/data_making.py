"""Rows for a project's records: everyday ones, extreme ones, ones at the limits, and old ones with or without persons."""

import csv
import datetime
import io
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from steersman.packs.qe.project.discovery import project_files
from steersman.packs.qe.tools.schemas import Field, Model, read_json
from steersman.packs.qe.tools.values import Kind, Source, plain

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
_PHONE = re.compile(r"\+?\d[\d ()/-]{7,}\d")
_FULL_NAME = re.compile(r"\b[A-Z][a-zà-ÿ]+ [A-Z][a-zà-ÿ]+\b")
_FAKER = {
    "email": "email",
    "mail": "email",
    "phone": "phone_number",
    "street": "street_address",
    "address": "street_address",
} | {
    "city": "city",
    "country": "country",
    "company": "company",
    "url": "url",
    "birth": "date",
    "iban": "iban",
    "contact": "email",
    "name": "name",
    "note": "sentence",
    "text": "sentence",
    "description": "sentence",
}
_MOST_RECORDS = 200
_ODD = "aZ09 '\"\\%<&;\n\t\0éİß漢\u202e\ufeff\U0001f642"
Record = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One record to build. valid: whether it keeps to the known constraints, so that it should be taken."""

    model: Model
    values: Record
    valid: bool = True


class Maker:
    """Makes rows of models. scratch: a folder for Hypothesis. faker: for everyday values by the names of fields, or None."""

    def __init__(self, models: Sequence[Model], generator: np.random.Generator, scratch: Path, faker: Any = None) -> None:
        self._named = {each.name: each for each in models}
        self._rng, self._scratch, self._faker = generator, scratch, faker

    def synthetic(self, model: Model, count: int) -> list[Row]:
        """Return everyday rows."""
        return [Row(model=model, values=self._record(model)) for _ in range(count)]

    def boundary(self, model: Model, count: int) -> list[Row]:
        """Return rows with one field at, just inside and just outside each of its limits; outside ones must be refused."""
        found: list[Row] = []
        for field in model.fields:
            for value, valid in _limits(field):
                found.append(Row(model=model, values={**self._record(model), field.name: value}, valid=valid))
        return found[: 4 * count] or self.synthetic(model, 2)

    def edge_heavy(self, model: Model, count: int) -> list[Row]:
        """Return what Hypothesis draws for the fields within their limits: it likes extremes, zeros and odd texts."""
        fields = [each for each in model.fields if each.kind is not None]
        drawn = _drawn(fields, count, int(self._rng.integers(2**32)), self._scratch)
        return [Row(model=model, values={**self._record(model), **each}) for each in drawn]

    def replayed(self, model: Model, records: Iterable[Record]) -> list[Row]:
        """Return the records that fit a model and show nothing of a person."""
        return [Row(model=model, values=each) for each in records if fits(model, each) and not _is_personal(model, each)]

    def anonymised(self, model: Model, records: Iterable[Record]) -> list[Row]:
        """Return the records that fit a model, with what belongs to a person replaced wherever it stands."""
        return [Row(model=model, values=self._without_person(model, each)) for each in records if fits(model, each)]

    def _record(self, model: Model, depth: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field in model.fields:
            if field.model and field.required and depth < 3:
                inner = {"$model": field.model, "row": self._record(self._named[field.model], depth + 1)}
                found[field.name] = [inner] if field.many else inner
            elif field.kind is not None and (field.required or self._rng.random() < 0.7):
                found[field.name] = self._value(field, field.kind)
        return found

    def _value(self, field: Field, kind: Kind) -> Any:
        rng = self._rng
        match kind.name:
            case "int":
                least, most = int(max(field.low, -1000)), int(min(field.high, 1000 + max(field.low, 0)))
                return int(rng.integers(least, max(least, most) + 1))
            case "float":
                low, high = max(field.low, -1000.0), min(field.high, 1000.0 + max(field.low, 0.0))
                return round(float(rng.uniform(low, max(low, high))), 2)
            case "str":
                return _fitting(field, self._text(field))
            case name if name in _FORMS:
                return _FORMS[name](rng)
            case _:
                return Source(rng).typical(kind)

    def _text(self, field: Field) -> str:
        provider = next((_FAKER[each] for each in _FAKER if each in field.name.lower()), "word")
        return str(getattr(self._faker, provider)()) if self._faker else str(Source(self._rng).typical(plain("str")))

    def _without_person(self, model: Model, record: Record) -> dict[str, Any]:
        fields = {each.name: each for each in model.fields}
        swaps = {
            value: _fitting(fields[name], self._text(fields[name]))
            for name, value in record.items()
            if isinstance(value, str) and value and name in fields and fields[name].personal
        }
        return {name: _swapped(value, swaps) for name, value in record.items()}


_FORMS: dict[str, Any] = {
    "email": lambda rng: f"user{int(rng.integers(10_000))}@example.org",
    "date": lambda rng: (datetime.date(2000, 1, 1) + datetime.timedelta(days=int(rng.integers(12_000)))).isoformat(),
    "datetime": lambda rng: f"20{int(rng.integers(10, 30))}-02-28T23:59:59+00:00",
    "uuid": lambda rng: str(uuid.UUID(bytes=rng.bytes(16), version=4)),
    "decimal": lambda rng: f"{rng.uniform(0, 1000):.2f}",
}


def records_in(root: Path) -> list[Record]:
    """Return the records in the JSON and CSV files of a folder: old data, at most some hundred from each file."""
    found: list[Record] = []
    for path in sorted(each for each in project_files(root) if each.suffix in (".json", ".csv")):
        document = read_json(path) if path.suffix == ".json" else _csv(path)
        rows = document if isinstance(document, list) else []
        found += [each for each in rows if isinstance(each, dict)][:_MOST_RECORDS]
    return found


def _csv(path: Path) -> list[Record]:
    """Return the rows of a table; what reads as a number is one."""
    try:
        text = path.read_text(encoding="utf-8")[: _MOST_RECORDS * 1000]
    except (OSError, UnicodeDecodeError):
        return []
    return [{key: _number(each) for key, each in row.items() if key} for row in csv.DictReader(io.StringIO(text))]


def _number(text: Any) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except (ValueError, TypeError):
            continue
    return text


def fits(model: Model, record: Record) -> bool:
    """Return whether a record has all that a model requires and nothing that it does not know."""
    known = {each.name: each for each in model.fields}
    return all(each in known for each in record) and all(each in record for each in known if known[each].required)


def _is_personal(model: Model, record: Record) -> bool:
    personal = {each.name for each in model.fields if each.personal}
    return any(isinstance(each, str) and each and (name in personal or _shows_person(each)) for name, each in record.items())


def _shows_person(text: str) -> bool:
    return any(pattern.search(text) for pattern in (_EMAIL, _PHONE, _FULL_NAME))


def _swapped(value: Any, swaps: Mapping[str, str]) -> Any:
    """Return a text without the known persons, and without what looks like an address, a number or a full name."""
    if not isinstance(value, str):
        return value
    if value in swaps:
        return swaps[value]
    for old in sorted(swaps, key=len, reverse=True):
        value = value.replace(old, swaps[old])
    for pattern, new in ((_EMAIL, "somebody@example.org"), (_PHONE, "+00 000 000"), (_FULL_NAME, "Some Body")):
        value = pattern.sub(new, value)
    return value


def _fitting(field: Field, text: str) -> str:
    return text[: field.longest].ljust(field.shortest, "x")


def _limits(field: Field) -> Iterator[tuple[Any, bool]]:
    """Yield values at the limits of a field, and whether each is allowed."""
    name = field.kind.name if field.kind else ""
    if name in ("int", "float"):
        number, step = (int, 1) if name == "int" else (float, 0.01)
        for limit, out in ((field.low, -step), (field.high, step)):
            if abs(limit) < 1e300:
                yield number(limit), True
                yield number(limit - out), field.low <= limit - out <= field.high
                yield number(limit + out), False
    elif name == "str" and field.bounded:
        for length in {field.shortest - 1, field.shortest, field.shortest + 1, field.longest, field.longest + 1} - {-1}:
            yield "x" * length, field.shortest <= length <= field.longest


def _drawn(fields: Sequence[Field], count: int, seed: int, scratch: Path) -> list[dict[str, Any]]:
    """Return dicts of values that Hypothesis draws; what it writes (tables of characters) goes to `scratch`."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded
    from hypothesis import strategies as st
    from hypothesis.configuration import set_hypothesis_home_dir

    found: list[dict[str, Any]] = []

    @seeded(seed)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.fixed_dictionaries({each.name: _strategy(each, each.kind) for each in fields if each.kind}))
    def collect(value: dict[str, Any]) -> None:
        found.append(value)

    set_hypothesis_home_dir(scratch)
    try:
        collect()
    finally:
        set_hypothesis_home_dir(None)
    return found


def _strategy(field: Field, kind: Kind) -> Any:
    from hypothesis import strategies as st

    low, high = (None if abs(each) > 1e300 else each for each in (field.low, field.high))
    text = st.sampled_from(_ODD)  # few on purpose: the table of all characters takes seconds to make
    made: dict[str, Any] = {
        "int": lambda: st.integers(None if low is None else int(low), None if high is None else int(high)),
        "float": lambda: st.floats(low, high, allow_nan=False, allow_infinity=False),
        "str": lambda: st.text(text, min_size=field.shortest, max_size=field.longest),
        "bool": st.booleans,
        "bytes": lambda: st.binary(max_size=20),
        "None": st.none,
        "literal": lambda: st.sampled_from(kind.options),
        "list": lambda: st.lists(_strategy(field, kind.parts[0]), max_size=4),
        "tuples": lambda: st.lists(_strategy(field, kind.parts[0]), max_size=4).map(tuple),
        "tuple": lambda: st.tuples(*(_strategy(field, each) for each in kind.parts)),
        "set": lambda: st.sets(_strategy(field, kind.parts[0]), max_size=4),
        "dict": lambda: st.dictionaries(_strategy(field, kind.parts[0]), _strategy(field, kind.parts[1]), max_size=4),
        "union": lambda: st.one_of(*(_strategy(field, each) for each in kind.parts)),
        "email": lambda: st.just("a.b+c@example.org"),
        "date": lambda: st.dates().map(str),
        "datetime": lambda: st.datetimes().map(lambda each: each.isoformat()),
        "uuid": lambda: st.uuids().map(str),
        "decimal": lambda: st.decimals(-1000, 1000, places=2).map(str),
    }
    return made[kind.name]()
