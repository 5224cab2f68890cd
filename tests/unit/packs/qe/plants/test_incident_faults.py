"""Faults of one function are valid, and do what incidents of their kind do."""

import numpy as np
import pytest

from steersman.packs.qe.plants.incident_faults import load_fault, lost_value, seeded_faults

SOURCE = 'def pay(amount, rate=2):\n    """Pay."""\n    return amount * rate\n\n\ndef one(): return 1\n'


def _pay(text: str, amount: int) -> object:
    scope: dict[str, object] = {}
    exec(compile(text, "shop.py", "exec"), scope)
    return eval(f"pay({amount})", scope)


def test_seeded_faults_change_one_function_and_one_seed_makes_the_same() -> None:
    first, second = (seeded_faults("shop.py", SOURCE, "pay", np.random.default_rng(1), count=3) for _ in range(2))
    assert first == second
    assert first
    for each in first:
        compile(each.text, each.file, "exec")
        assert each.text != SOURCE
        assert each.text.endswith("def one(): return 1\n")


def test_a_lost_value_breaks_a_call_and_a_load_fault_only_some_of_many() -> None:
    lost = lost_value("shop.py", SOURCE, "pay", np.random.default_rng(0))
    assert lost
    with pytest.raises(TypeError):
        _pay(lost.text, 3)
    load = load_fault("shop.py", SOURCE, "pay", np.random.default_rng(0))
    assert load
    scope: dict[str, object] = {}
    exec(compile(load.text, "shop.py", "exec"), scope)
    failures = 0
    for _ in range(60):
        try:
            eval("pay(3)", scope)
        except RuntimeError:
            failures += 1
    assert 1 <= failures <= 4


def test_a_function_on_one_line_or_one_that_is_not_there_gets_none() -> None:
    generator = np.random.default_rng(0)
    assert lost_value("shop.py", SOURCE, "one", generator) is None
    assert load_fault("shop.py", SOURCE, "nothing", generator) is None
