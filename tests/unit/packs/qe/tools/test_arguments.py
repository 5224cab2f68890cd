"""Calls are drawn so that their text can be put into a test: the place of the object in it is never mistaken."""

import numpy as np
import pytest

from steersman.packs.qe.tools.arguments import Caller, Manner
from steersman.packs.qe.tools.functions import Module, Target
from steersman.packs.qe.tools.heard import Heard
from steersman.packs.qe.tools.values import Kind


def function(name: str) -> Target:
    return Target(
        file="calc.py",
        module="calc",
        name=name,
        kinds=(Kind(name="int"),),
        required=1,
        line=1,
        end=2,
        branches=0,
        constants=(),
        calls=frozenset(),
    )


@pytest.mark.parametrize(("name", "drawn"), [("do_all", True), ("do_it_now", False)])
def test_a_function_whose_name_holds_the_mark_of_the_object_is_not_called(name: str, drawn: bool) -> None:
    target = function(name)
    module = Module(file="calc.py", name="calc", targets=(target,), lines=2, functions=1, branches=0, complexity=1)
    caller = Caller(module, Heard(), np.random.default_rng(0))
    caller.fitting[target] = [target.kinds]  # type: ignore[list-item]  # all of them are known
    calls = caller.calls(target, 5, Manner(edges=0.0, reuse=False, steps=0))
    assert bool(calls) is drawn
    assert all(each.text.startswith(f"{name}(") for each in calls)
