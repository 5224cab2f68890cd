"""Hashing: the same numbers everywhere, spread evenly, with signs that cancel."""

import numpy as np

from steersman.maths.hashing import crossed, mixed, name_hash, placed


def test_a_name_has_the_same_number_in_every_process_and_release() -> None:
    assert name_hash("context\x1fuser=new") == 14_373_675_121_294_249_480
    assert name_hash("x" * 10_000) == name_hash("x" * 10_000)


def test_splitmix_gives_its_known_answers() -> None:
    states = np.array([0x9E3779B97F4A7C15, 0x3C6EF372FE94F82A], dtype=np.uint64)
    assert mixed(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4]


def test_a_pair_depends_on_both_and_on_their_order() -> None:
    a, b = np.array([1], dtype=np.uint64), np.array([2], dtype=np.uint64)
    assert len({int(crossed(x, y)[0]) for x in (a, b) for y in (a, b)}) == 4


def test_places_and_signs_are_spread_evenly() -> None:
    hashes = mixed(np.arange(1, 65_537, dtype=np.uint64))
    places, values = placed(hashes, np.ones(65_536), 8)
    counts = np.bincount(places, minlength=256)
    assert abs(((counts - 256.0) ** 2 / 256.0).sum() - 255.0) < 4 * np.sqrt(2 * 255.0)
    assert abs(values.sum()) < 4 * 256


def test_an_inner_product_survives_hashing() -> None:
    rng = np.random.default_rng(0)
    products = []
    for salt in range(200):
        hashes = mixed(rng.integers(1, 2**63, 60, dtype=np.uint64) + np.uint64(salt))
        one, other = rng.normal(size=60), rng.normal(size=60)
        left, right = np.zeros(256), np.zeros(256)
        np.add.at(left, *placed(hashes, one, 8))
        np.add.at(right, *placed(hashes, other, 8))
        products.append(left @ right - one @ other)
    assert abs(np.mean(products)) < 4 * np.std(products) / np.sqrt(200)
