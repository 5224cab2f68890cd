"""Search spaces: values lie where they were asked for, and what is typed wrongly is told with the way out."""

import numpy as np
import pytest

from steersman.app.search_space import assigned, axes, draw
from steersman.core.errors import InvalidInput

SPACE = ("learning_rate=1e-4:1e-2:log", "tau=0.001:0.1", "batch=16:256", "updates=1:8:log", "hidden=[64,64],[32]")


def test_what_is_drawn_lies_in_the_space_and_a_seed_gives_it_again() -> None:
    space = axes(SPACE)
    drawn = draw(space, 2_000, np.random.default_rng(0))
    assert drawn == draw(space, 2_000, np.random.default_rng(0)) != draw(space, 2_000, np.random.default_rng(1))
    rates = np.array([each["learning_rate"] for each in drawn])
    assert rates.min() >= 1e-4
    assert rates.max() <= 1e-2
    assert 0.45 < np.mean(rates < 1e-3) < 0.55  # as many below the middle order of magnitude as above
    batches = np.array([each["batch"] for each in drawn])
    assert (batches.min(), batches.max(), batches.dtype.kind) == (16, 256, "i")
    assert {each["updates"] for each in drawn} == set(range(1, 9))
    assert {str(each["hidden"]) for each in drawn} == {"[64, 64]", "[32]"}
    taus = np.array([each["tau"] for each in drawn])
    assert 0.04 < np.median(taus) < 0.06


def test_values_are_typed_as_they_read() -> None:
    said = assigned(["learning_rate=0.001", "double=false", "hidden=[64, 64]", "encoder=attention", "batch = 64"])
    assert said == {"learning_rate": 0.001, "double": False, "hidden": [64, 64], "encoder": "attention", "batch": 64}
    assert axes(["encoder=mlp,attention"])[0].values == ("mlp", "attention")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("learning_rate", "gives no value"),
        ("=3", "gives no value"),
        ("batch=64", "two values or more"),
        ("batch=64,64", "each once"),
        ("tau=0.1:0.01", "the lower end first"),
        ("tau=0:0.1:log", "above 0"),
        ("tau=low:high", "have to be numbers"),
        ("tau=false:true", "have to be numbers"),
        ("tau=0.1:0.2:lag", "'lag' is no scale"),
        ("tau=1:2:3:4", "no scale"),
    ],
)
def test_what_is_no_space_is_refused_with_the_forms_there_are(typed: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        axes([typed])


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="batch is given twice"):
        axes(["batch=1,2", "batch=3,4"])
