"""What callers can rely on is read from sources, and what a change takes from them is named."""

import pytest

from steersman.packs.qe.tools.public_api import compare, public_api

OLD = "def pay(amount, rate=2, *, tax=0) -> int:\n    return amount\n"


def _broken(new: str, old: str = OLD) -> set[str]:
    return {each.rule for each in compare(public_api({"a.py": old}), public_api({"a.py": new}))}


@pytest.mark.parametrize(
    ("new", "rules"),
    [
        (OLD, set()),
        (OLD.replace("amount, rate", "value, rate"), {"position", "parameter", "required"}),
        (OLD.replace("rate=2", "rate=3"), {"default"}),
        (OLD.replace("rate=2, ", ""), {"position", "parameter"}),
        (OLD.replace("tax=0", "tax"), {"default"}),
        (OLD.replace("tax=0", "tax=0, more=1"), set()),
        (OLD.replace("tax=0", "tax=0, more"), {"required"}),
        (OLD.replace("int", "str"), {"return"}),
        (OLD.replace("pay", "_pay"), {"removed"}),
        (OLD.replace("pay", "cash") + "\n\npay = cash\n", set()),
        ("from b import pay\n", set()),
        ("pay = 3\n", {"kind"}),
        ("def pay(*args, **kwargs):\n    pass\n", set()),
        (OLD + "\n\ndef more():\n    pass\n", set()),
    ],
)
def test_each_change_breaks_what_it_breaks(new: str, rules: set[str]) -> None:
    assert _broken(new) == rules


def test_a_class_is_called_by_its_constructor_and_its_methods_without_self() -> None:
    old = "class A:\n    def __init__(self, x):\n        0\n    def f(self, y):\n        0\n    def _g(self):\n        0\n"
    assert _broken(old.replace("self, x", "this, x"), old) == set()
    assert _broken(old.replace("self, x", "self, x, z"), old) == {"required"}
    assert _broken(old.replace("def f", "def h"), old) == {"removed"}
    assert _broken(old.replace("def _g", "def _h"), old) == set()


def test_positional_only_names_are_free_and_a_list_of_names_counts() -> None:
    assert _broken("def f(b, /):\n    pass\n", "def f(a, /):\n    pass\n") == set()
    listed = '__all__ = ["f"]\n\n\ndef f():\n    pass\n\n\ndef g():\n    pass\n'
    assert set(public_api({"a.py": listed})) == {"a.f"}
    assert public_api({"a.py": "def f(:"}) == {}
