"""The test data architect makes rows that are really built, and is paid for what they show and for whom they keep hidden."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from steersman.core.errors import InvalidInput, NotFound, NotPermitted
from steersman.packs.qe.agents import test_data_architect
from steersman.packs.qe.agents.test_data_architect import REWARD, TestDataArchitect, agent
from steersman.packs.qe.project.discovery import discover
from steersman.packs.qe.project.sandbox import bare_sandbox
from steersman.packs.qe.tools.data_making import Maker
from steersman.packs.qe.tools.schemas import models_of
from tests.unit.packs.qe.agents.conftest import Work

Make = Callable[[Path, Mapping[str, str]], Path]
SHOP = {
    "plain.py": (
        "from dataclasses import dataclass, field\n\n\n@dataclass\nclass Order:\n"
        "    customer_name: str\n    quantity: int\n"
        "    tags: list[str] = field(default_factory=list)\n\n"
        "    def __post_init__(self):\n        if self.quantity < 1:\n"
        "            raise ValueError('quantity')\n        if self.quantity > 99:\n"
        "            raise ValueError('quantity')\n"
    ),
    "rich.py": (
        "from typing import Annotated\nfrom pydantic import BaseModel, Field\n\n\nclass Item(BaseModel):\n"
        "    code: str = Field(min_length=3, max_length=8)\n    price: Annotated[float, Field(ge=0, le=500)]\n\n\n"
        "class Basket(BaseModel):\n    email: str\n    items: list[Item]\n    note: str | None = None\n"
    ),
    "orders.json": json.dumps(
        [
            {"customer_name": "Ilse Kronwald", "quantity": 2},
            {"customer_name": "", "quantity": 3, "tags": ["small"]},
            {"unknown": 1},
        ]
    ),
}


@pytest.fixture
def orders(tmp_path: Path, make: Make) -> Path:
    return make(tmp_path / "orders", SHOP)


def test_rows_at_the_limits_show_more_defects_than_everyday_ones(work: Work, orders: Path) -> None:
    before = {file: file.read_bytes() for file in orders.rglob("*") if file.is_file()}
    shown = {}
    for action in ("synthetic", "boundary"):
        rounds = work(agent, TestDataArchitect(), orders, 2, action=action).rounds
        shown[action] = sum(each.measurements["defects_shown"] for each in rounds)
        assert all(each.components["passed"] > 90.0 for each in rounds), "the limits were read rightly"
    assert shown["boundary"] == 10.0
    assert shown["synthetic"] < shown["boundary"]
    assert {file: file.read_bytes() for file in orders.rglob("*") if file.is_file()} == before


def test_rows_that_hypothesis_draws_are_built_and_offered(work: Work, orders: Path) -> None:
    report = work(agent, TestDataArchitect(), orders, action="edge-heavy")
    assert report.rounds[0].measurements["built"] >= 30.0
    rows = json.loads(report.files["tests/data/generated_order.json"])
    assert all(1 <= each["quantity"] <= 99 for each in rows)


def test_old_records_come_through_without_their_people(work: Work, orders: Path) -> None:
    replayed = work(agent, TestDataArchitect(), orders, action="replay")
    assert json.loads(replayed.files["tests/data/generated_order.json"]) == [
        {"customer_name": "", "quantity": 3, "tags": ["small"]}
    ]
    anonymised = work(agent, TestDataArchitect(), orders, action="anonymised")
    rows = json.loads(anonymised.files["tests/data/generated_order.json"])
    assert [each["quantity"] for each in rows] == [2, 3]
    assert "Kronwald" not in repr(rows)
    for report in (replayed, anonymised):
        assert report.rounds[0].measurements["people_shown"] == 0.0


def test_a_person_who_comes_through_costs_and_nothing_is_offered(
    work: Work, orders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Maker, "_without_person", lambda self, model, record: dict(record))
    report = work(agent, TestDataArchitect(), orders, action="anonymised")
    assert report.rounds[0].measurements["people_shown"] == 4.0
    assert report.rounds[0].components["privacy"] == -50.0
    assert not report.files


def test_records_are_read_with_their_limits_and_relations(orders: Path) -> None:
    with bare_sandbox(discover(orders, tests_needed=False)) as sandbox:
        models = {each.name: each for each in models_of(sandbox)}
    assert {name: each.kind for name, each in models.items()} == {
        "Order": "dataclass",
        "Item": "pydantic",
        "Basket": "pydantic",
    }
    fields = {each.name: each for model in models.values() for each in model.fields}
    assert (fields["quantity"].low, fields["quantity"].high) == (1, 99)
    assert (fields["code"].shortest, fields["code"].longest) == (3, 8)
    assert (fields["price"].low, fields["price"].high) == (0, 500)
    assert (fields["items"].model, fields["items"].many) == ("Item", True)
    assert [each.name for each in fields.values() if each.personal] == ["customer_name", "email"]
    assert not fields["tags"].required


def test_a_json_schema_is_a_record_too(tmp_path: Path, make: Make) -> None:
    schema = {"type": "object", "required": ["age"], "properties": {"age": {"type": "integer", "minimum": 0}}}
    project = make(tmp_path / "api", {"api.py": "x = 1\n", "person.schema.json": json.dumps(schema)})
    with bare_sandbox(discover(project, tests_needed=False)) as sandbox:
        (model,) = models_of(sandbox)
    assert (model.kind, model.fields[0].name, model.fields[0].low) == ("json", "age", 0)


def test_what_is_missing_is_refused(work: Work, orders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(test_data_architect, "has", lambda name: False)
    (orders / "orders.json").unlink()
    with pytest.raises(NotPermitted, match=r"pip install faker.*pip install hypothesis.*replay needs old records"):
        work(agent, TestDataArchitect(), orders, action="synthetic")
    (done,) = work(agent, TestDataArchitect(), orders).rounds
    assert done.action == {"action": "boundary"}


def test_a_project_without_records_is_refused(work: Work, shop_project: Path) -> None:
    with pytest.raises(NotFound, match="no dataclass"):
        work(agent, TestDataArchitect(), shop_project, action="boundary")


def test_records_that_cannot_be_imported_are_told_and_teach_nothing(work: Work, tmp_path: Path, make: Make) -> None:
    files = {"plain.py": "import not_there_at_all\n" + SHOP["plain.py"]}
    with pytest.raises(InvalidInput, match=r"could not be built: .*not_there_at_all"):
        work(agent, TestDataArchitect(), make(tmp_path / "broken", files))


def test_the_reward_by_hand() -> None:
    measured = {"built": 10.0, "as_expected": 8.0, "defects_planted": 4.0, "defects_shown": 1.0, "cpu_s": 1.0}
    score = REWARD.score(REWARD.check({**measured, "people_shown": 1.0}))
    assert score.reward == pytest.approx(0.35 * 80 + 0.35 * 25 - 0.30 * 25)
    assert REWARD.score(REWARD.check({**measured, "people_shown": 0.0, "built": 0.0})).reward == -50.0
