"""qe/test-data-architect: which data is worth making for a project's records?

Rows are made for its dataclasses, pydantic models and JSON Schemas, and really built. What they are worth is measured
beside them on a record type that is planted into the copy: the same type with a defect in one check takes or refuses some
row otherwise, or the data did not notice. Records of invented people are planted too; nothing of them may come through.
"""

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import NotFound
from steersman.core.guards import Refusal
from steersman.core.kinship import Kinship
from steersman.core.reward import Component, Measurement, Measurements, Reward
from steersman.core.state import Number, StateSchema, StateValues
from steersman.packs.qe.fleet.findings import Finding
from steersman.packs.qe.fleet.learning import lowest, rule, single_step
from steersman.packs.qe.fleet.site import Site
from steersman.packs.qe.fleet.skill import Worked
from steersman.packs.qe.plants.records import PlantedRecords, plant_records
from steersman.packs.qe.tools.building import Building, Built, build
from steersman.packs.qe.tools.data_making import Maker, Record, Row, fits, records_in
from steersman.packs.qe.tools.run import has
from steersman.packs.qe.tools.schemas import Model, class_model, models_of

ROWS, DEFECTS = 15, 5
LEAK = -25.0

STATE = StateSchema(
    name="test-data-architect",
    fields=(
        Number(name="fields", low=0, high=10_000, edges=(5, 30), unit="fields of all records"),
        Number(name="relations", low=0, high=10_000, edges=(1,), unit="fields that hold another record"),
        Number(name="personal", low=0, high=10_000, edges=(1,), unit="fields named like a person's data"),
        Number(name="bounded", low=0, high=10_000, edges=(1,), unit="fields with limits"),
        Number(name="records", low=0, high=1_000_000, edges=(1,), unit="old records that fit a model"),
        Number(name="models", low=0, high=10_000),
        Number(name="has_faker", low=0, high=1),
        Number(name="has_hypothesis", low=0, high=1),
    ),
)
ACTIONS = ActionSpace.flat("synthetic", "edge-heavy", "anonymised", "boundary", "replay")


def baseline(state: StateValues) -> str:
    """Everyday rows by Faker, as most projects have them; rows at the limits where it is missing."""
    return "synthetic" if state["has_faker"] else "boundary"


def _passed(m: Measurements) -> float:
    """Return the share of rows that were taken or refused as the known constraints say, 0–100."""
    return 100.0 * m["as_expected"] / m["built"] if m["built"] else 0.0


def _defects(m: Measurements) -> float:
    """Return the share of planted defects that some row showed, 0–100."""
    return 100.0 * m["defects_shown"] / max(m["defects_planted"], 1.0)


def _privacy(m: Measurements) -> float:
    """Return −25 for each planted person of whom something came through."""
    return LEAK * m["people_shown"]


REWARD = Reward(
    measurements=(
        Measurement(name="built", low=0.0, unit="rows"),
        Measurement(name="as_expected", low=0.0, unit="rows"),
        Measurement(name="defects_planted", low=0.0),
        Measurement(name="defects_shown", low=0.0),
        Measurement(name="people_shown", low=0.0),
        Measurement(name="cpu_s", unit="s", low=0.0),
    ),
    components=(
        Component(name="passed", low=0.0, high=100.0, weight=0.35, value=_passed),
        Component(name="defects", low=0.0, high=100.0, weight=0.35, value=_defects),
        Component(name="privacy", low=-50.0, high=0.0, weight=0.30, value=_privacy),
    ),
    low=-50.0,
    high=100.0,
    failure=lambda m: -50.0 if m["built"] < 1.0 else None,
)


def _missing_tools(state: StateValues) -> Iterable[Refusal]:
    """Refuse what needs a package that Steersman's interpreter does not have."""
    needs = {"synthetic": "faker", "anonymised": "faker", "edge-heavy": "hypothesis"}
    for choice, tool in needs.items():
        if not state[f"has_{tool}"]:
            yield Refusal(where={"action": choice}, reason=f"{choice} needs {tool}: pip install {tool}")


def _no_records(state: StateValues) -> Iterable[Refusal]:
    """Refuse to take up old data where there is none."""
    if float(state["records"]) < 1.0:
        for each in ("replay", "anonymised"):
            reason = f"{each} needs old records that fit a model, in a .json or .csv file of the project"
            yield Refusal(where={"action": each}, reason=reason)


PROBE: StateValues = lowest(STATE)


def _shared(state: StateValues) -> dict[str, float]:
    return {"size": min(float(state["fields"]) / 100.0, 1.0), "risk": 1.0 if float(state["personal"]) >= 1.0 else 0.0}


agent = AgentSpec(
    name="qe/test-data-architect",
    description="Decides which test data is made for a project's records.",
    state=STATE,
    actions=ACTIONS,
    reward=REWARD,
    baseline=baseline,
    safe_action="boundary",
    guards=(
        rule("tools", _missing_tools, PROBE),
        rule("records", _no_records, PROBE),
    ),
    settings=single_step(),
    kinship=Kinship(
        category="advanced-testing",
        group="test-generation",
        project=_shared,
        roles={
            "action=synthetic": "synthetic",
            "action=edge-heavy": "edge-heavy",
            "action=anonymised": "anonymised",
            "action=boundary": "boundary",
            "action=replay": "replay",
        },
    ),
    cost="cpu_s",
)


@dataclass(frozen=True, kw_only=True)
class _Planted:
    """What was planted: the records, the right model and the wrong ones."""

    records: PlantedRecords
    file: str
    right: Model
    wrong: tuple[Model, ...]


class TestDataArchitect:
    """Makes rows for the project's records, and for a planted type whose defects and people are known."""

    __test__ = False
    needs_tests = False

    def __init__(self) -> None:
        self._models: tuple[Model, ...] = ()
        self._records: list[Record] = []
        self._planted: _Planted | None = None

    def look(self, site: Site) -> dict[str, float]:
        """Read the project's records once, plant anew, and return what they are like."""
        if not self._models:
            self._models = models_of(site.sandbox)
            if not self._models:
                raise NotFound(
                    f"{site.project.name} has no dataclass, pydantic model or JSON Schema whose fields are understood, so "
                    "there is no data to make. Give a project with records."
                )
            every = records_in(site.sandbox.root)
            self._records = [each for each in every if any(fits(model, each) for model in self._models)]
        self._planted = _plant(site)
        fields = [field for model in self._models for field in model.fields]
        return {
            "fields": float(len(fields)),
            "relations": float(sum(bool(each.model) for each in fields)),
            "personal": float(sum(each.personal for each in fields)),
            "bounded": float(sum(each.bounded for each in fields)),
            "records": float(len(self._records)),
            "models": float(len(self._models)),
            "has_faker": float(has("faker")),
            "has_hypothesis": float(has("hypothesis")),
        }

    def work(self, site: Site, action: Action) -> Worked:
        """Make rows, build them all, and compare what was taken of them with what had to be."""
        planted = self._planted or _plant(site)
        name = str(action["action"])
        maker = Maker((*self._models, planted.right), site.generator, site.sandbox.scratch, _faker(site))
        mine = [row for model in self._models for row in _rows(maker, name, model, self._records)]
        probes = _rows(maker, name, planted.right, planted.records.records)
        twins = [replace(row, model=wrong) for wrong in planted.wrong for row in probes]
        models = (*self._models, planted.right, *planted.wrong)
        with site.changed({planted.file: planted.records.text}):
            done = build(site, models, [*mine, *probes, *twins])
            extra = Building(built=(), cpu_s=0.0)
            if name == "synthetic":
                extra = build(site, self._models, [], factory=ROWS, seed=int(site.generator.integers(2**31)))
        return self._told(planted, done, extra, probes)

    def _told(self, planted: _Planted, done: Building, extra: Building, probes: Sequence[Row]) -> Worked:
        own = {each.name for each in self._models}
        counted = [each for each in (*done.built, *extra.built) if each.model.name in {*own, planted.right.name}]
        shown = _defects_shown(planted, done.built)
        leaked = _people_shown(planted.records, probes)
        good = [each for each in counted if each.row is None or each.row.valid == (each.status == "taken")]
        measured = {
            "built": float(len(counted)),
            "as_expected": float(sum(each.status != "crash" for each in good)),
            "defects_planted": float(len(planted.wrong)),
            "defects_shown": float(shown),
            "people_shown": float(leaked),
            "cpu_s": done.cpu_s + extra.cpu_s,
        }
        note = f"{len(good)} of {len(counted)} rows taken or refused as they should be, {shown} of {len(planted.wrong)} "
        note += f"planted defects shown, {leaked} people came through"
        files = {} if leaked else _files([each for each in done.built if each.model.name in own])
        return Worked(measurements=measured, findings=tuple(_crashes(done.built, own)), files=files, notes=(note,))


def _plant(site: Site) -> _Planted:
    records = plant_records(site.generator, defects=DEFECTS)
    root = site.project.source_root
    file = f"{root}/{records.name}.py" if root else f"{records.name}.py"
    found = {name: class_model(records.text, name, file, records.name) for name in (records.right, *records.wrong)}
    models = {name: each for name, each in found.items() if each is not None}
    return _Planted(
        records=records, file=file, right=models[records.right], wrong=tuple(models[name] for name in records.wrong)
    )


def _faker(site: Site) -> Any:
    """Return a seeded Faker; None where it is missing."""
    if not has("faker"):
        return None
    faker = importlib.import_module("faker").Faker()
    faker.seed_instance(int(site.generator.integers(2**31)))
    return faker


def _rows(maker: Maker, name: str, model: Model, records: Iterable[Record]) -> list[Row]:
    match name:
        case "replay":
            return maker.replayed(model, records)
        case "anonymised":
            return maker.anonymised(model, records)
        case "boundary":
            return maker.boundary(model, ROWS)
        case "edge-heavy":
            return maker.edge_heavy(model, ROWS)
        case _:
            return maker.synthetic(model, ROWS)


def _defects_shown(planted: _Planted, built: Sequence[Built]) -> int:
    """Return for how many wrong types some row is taken or refused otherwise than by the right one."""
    outcomes: dict[str, list[str]] = {}
    for each in built:
        outcomes.setdefault(each.model.name, []).append(each.status)
    right = outcomes.get(planted.right.name, [])
    return sum(outcomes.get(each.name, []) != right for each in planted.wrong)


def _people_shown(records: PlantedRecords, rows: Sequence[Row]) -> int:
    """Return of how many planted people a name or an address stands anywhere in the rows."""
    text = "\n".join(repr(dict(each.values)) for each in rows)
    return sum(any(word in text for word in personal) for personal in records.personal)


def _files(built: Sequence[Built]) -> Mapping[str, str]:
    """Return one JSON file for each record, of the rows that were taken; rows that JSON cannot hold are left out."""
    found: dict[str, list[Any]] = {}
    for each in built:
        if each.row is not None and each.status == "taken" and "$model" not in repr(each.row.values):
            try:
                json.dumps(each.row.values)
            except (TypeError, ValueError):
                continue
            stem = each.model.name.rsplit("/", 1)[-1].split(".")[0].lower()
            found.setdefault(f"tests/data/generated_{stem}.json", []).append(dict(each.row.values))
    return {file: json.dumps(rows, indent=1, ensure_ascii=True) + "\n" for file, rows in found.items()}


def _crashes(built: Sequence[Built], own: set[str]) -> Iterable[Finding]:
    seen = set()
    for each in built:
        key = each.model.name, each.error
        if each.status == "crash" and each.model.name in own and each.row is not None and key not in seen:
            seen.add(key)
            yield Finding(
                tool="test-data-architect",
                rule=each.error,
                severity="low",
                file=each.model.file,
                line=0,
                message=f"{each.model.name} neither takes nor refuses a record, it ends with {each.error}",
                confirmed=True,
            )


skill = TestDataArchitect
