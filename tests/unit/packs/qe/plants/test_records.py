"""Planted record types differ from the right one by one check each, and planted people are where they are said to be."""

import numpy as np

from steersman.packs.qe.plants.records import plant_records


def test_one_seed_plants_the_same_and_another_something_else() -> None:
    first, again, other = (plant_records(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first == again
    assert first.text != other.text
    assert first.personal != other.personal


def test_what_is_personal_stands_in_its_record_and_a_harmless_one_has_none() -> None:
    for seed in range(20):
        planted = plant_records(np.random.default_rng(seed), people=4, harmless=3)
        assert sum(map(bool, planted.personal)) == 4
        for record, personal in zip(planted.records, planted.personal, strict=True):
            assert all(word in repr(record) for word in personal)
            assert personal or (record["name"], record["email"]) == ("", "")


def test_every_wrong_type_takes_the_planted_records_or_differs_only_in_its_check() -> None:
    planted = plant_records(np.random.default_rng(1), defects=15)
    space: dict[str, type] = {}
    exec(compile(planted.text, planted.name, "exec"), space)
    for record in planted.records:
        space[planted.right](**record)
    assert len(set(planted.wrong.values())) == 15
    right = planted.text.split(f"class {planted.right}:")[1].split("@dataclass")[0]
    for name in planted.wrong:
        wrong = planted.text.split(f"class {name}:")[1].split("@dataclass")[0]
        pairs = zip(right.splitlines(), wrong.splitlines(), strict=False)
        assert sum(a.strip() != b.strip() for a, b in pairs) == 1, name
