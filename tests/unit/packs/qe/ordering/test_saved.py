"""What a learner knows can be kept without pickle and taken up again; what is damaged is refused."""

from io import BytesIO

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.packs.qe.ordering.learner import OrderLearner
from steersman.packs.qe.ordering.past import Past
from steersman.packs.qe.ordering.saved import State, array, said, words

NAMES = [f"test_{place}" for place in range(12)]


def taught(cycles: int = 25, *, budget: float = 1.0) -> OrderLearner:
    learner, rng = OrderLearner(seed=3, budget=budget), np.random.default_rng(1)
    for _ in range(cycles):
        learner.learn(NAMES, rng.random(12), rng.random(12) < 0.2)
    return learner


def kept(state: State) -> State:
    """Return the state after it has been in a file."""
    file = BytesIO()
    np.savez(file, **state)  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as found:
        return dict(found)


@pytest.mark.parametrize("budget", [1.0, 0.3])
@pytest.mark.parametrize("cycles", [0, 1, 25])
def test_a_learner_goes_on_as_if_it_had_never_been_put_away(cycles: int, budget: float) -> None:
    learner, other = taught(cycles, budget=budget), OrderLearner(seed=9, budget=budget)
    other.restore(kept(learner.state()))
    names = [*NAMES[::-1], "a new one"]
    for _ in range(3):
        assert other.rank(names).tolist() == learner.rank(names).tolist()
        for each in (learner, other):
            each.learn(names, np.arange(13.0), np.arange(13) == 4)
    assert other.say == learner.say
    assert other.past.cycle == learner.past.cycle == cycles + 3


def test_a_state_is_a_copy() -> None:
    learner, other, again = taught(), OrderLearner(), OrderLearner()
    state = learner.state()
    other.restore(state)
    before = taught().rank(NAMES).tolist()
    for each in (learner, other):
        each.learn(NAMES, np.ones(12), np.arange(12) == 0)
    again.restore(state)
    assert again.rank(NAMES).tolist() == before


@pytest.mark.parametrize("name", sorted(OrderLearner().state()))
def test_whatever_is_missing_or_of_another_shape_is_refused(name: str) -> None:
    state = taught().state()
    with pytest.raises(InvalidInput, match=r"no '|damaged"):
        OrderLearner().restore({key: each for key, each in state.items() if key != name})
    with pytest.raises(InvalidInput, match=r"should be|damaged|no JSON"):
        OrderLearner().restore(state | {name: np.concatenate([state[name], state[name][:1], state[name]])[:, None]})


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("pairs 0.weights", np.full(19, np.nan), "not a number"),
        ("pairs 1.lengths", np.array([-1, 1]), "below 0"),
        ("pairs 1.lengths", np.ones(301, dtype=np.int64), "do not fit 300"),
        ("past.names", words({"a": 1}), "no list of words"),
        ("past.names", words([1, 2]), "no list of words"),
        ("past.names", words(["a", "a"]), "should be"),
        ("past.names", np.frombuffer(b"[1", dtype=np.uint8), "no JSON"),
        ("learner", words([]), "damaged"),
        ("learner", words({"budget": 1.0, "earned": {}, "generator": {"bit_generator": "Other"}}), "damaged"),
    ],
)
def test_damage_is_refused_with_its_reason(name: str, value: np.ndarray, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        OrderLearner().restore(taught().state() | {name: value})


def test_another_budget_is_another_learner() -> None:
    with pytest.raises(InvalidInput, match=r"a budget of 0\.5, not 1\.0"):
        OrderLearner().restore(taught(budget=0.5).state())


def test_a_past_without_tests_is_one_too() -> None:
    past = Past()
    past.restore(kept(Past().state()))
    assert past.places(["a"]).tolist() == [0]


def test_what_json_says_comes_back() -> None:
    assert said({"a": words({"b": [1, 2.5, None]})}, "a") == {"b": [1, 2.5, None]}
    assert array({"a": np.ones((2, 3))}, "a", float, (None, 3)).shape == (2, 3)
