"""Networks: what they say of a state depends on nothing else, and numpy and JAX say the same."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values

NETS = {
    "plain": Architecture(features=6, groups=(3,), hidden=(8,), stream=0, layer_norm=False),
    "tanh": Architecture(features=6, groups=(3,), hidden=(8, 8), stream=0, layer_norm=False, activation="tanh"),
    "dueling": Architecture(features=6, groups=(3,), hidden=(16, 8), stream=8),
    "factored": Architecture(features=6, groups=(3, 2), hidden=(16, 8), stream=8),
    "attention": Architecture(features=6, groups=(3,), encoder="attention", embed=8, heads=2, hidden=(8,), stream=8),
    "lstm": Architecture(features=6, groups=(3,), encoder="lstm", shape=(3, 2), embed=5, hidden=(8,), stream=8),
    "cnn": Architecture(features=24, groups=(3,), encoder="cnn", shape=(4, 3, 2), embed=5, hidden=(8,), stream=8),
}


def states(net: Architecture, count: int = 7) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(1).standard_normal((count, net.features)).astype(np.float32)


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> Architecture:
    return NETS[request.param]


def test_numpy_and_jax_say_the_same(net: Architecture) -> None:
    weights, x = net.initial(np.random.default_rng(0)), states(net)
    learned = jax.jit(lambda w, s: slot_values(net, w, s, jnp))(weights, x)
    np.testing.assert_allclose(slot_values(net, weights, x), np.asarray(learned), atol=1e-5)


def test_what_a_state_is_worth_does_not_depend_on_its_neighbours(net: Architecture) -> None:
    weights, x = net.initial(np.random.default_rng(0)), states(net)
    together = slot_values(net, weights, x)
    alone = np.concatenate([slot_values(net, weights, x[i : i + 1]) for i in range(len(x))])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    others = np.concatenate([x[:1], 100.0 * x[1:]])
    np.testing.assert_allclose(slot_values(net, weights, others)[0], together[0], atol=1e-5)
    assert together.shape == (len(x), net.width)
    assert np.abs(together[0] - together[1]).max() > 1e-3  # or nothing would be shown


def test_every_weight_bears_on_what_is_said(net: Architecture) -> None:
    weights, x = net.initial(np.random.default_rng(0)), states(net)
    slope = jax.grad(lambda w: (slot_values(net, w, x, jnp) ** 2).sum())(weights)
    silent = [name for name in net.shapes() if not np.abs(np.asarray(slope[name])).max() > 0.0]
    assert not silent


def test_a_dueling_head_takes_the_mean_advantage_away_in_each_dimension() -> None:
    net = NETS["factored"]
    weights, x = net.initial(np.random.default_rng(0)), states(net)
    before = slot_values(net, weights, x)
    weights["advantage.1.bias"] = weights["advantage.1.bias"] + np.array([5, 5, 5, -2, -2], dtype=np.float32)
    np.testing.assert_allclose(slot_values(net, weights, x), before, atol=1e-5)
    weights["value.1.bias"] = weights["value.1.bias"] + 4.0
    np.testing.assert_allclose(slot_values(net, weights, x), before + 2.0, atol=1e-5)  # one half for each dimension


def test_the_hidden_layer_of_a_small_network_by_hand() -> None:
    net = Architecture(features=2, groups=(1,), hidden=(2,), stream=0, layer_norm=False)
    weights = {
        "hidden.0.kernel": np.array([[1.0, -1.0], [2.0, 0.0]], dtype=np.float32),
        "hidden.0.bias": np.array([0.5, 0.0], dtype=np.float32),
        "head.kernel": np.array([[3.0], [7.0]], dtype=np.float32),
        "head.bias": np.array([1.0], dtype=np.float32),
    }
    # relu([1·1 + 2·2 + 0.5, −1]) = [5.5, 0]; 3 · 5.5 + 1
    assert slot_values(net, weights, np.array([[1.0, 2.0]], dtype=np.float32)).tolist() == [[17.5]]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"groups": ()}, "sizes must be positive"),
        ({"hidden": (0,)}, "sizes must be positive"),
        ({"stream": -1}, "sizes must be positive"),
        ({"encoder": "lstm", "shape": (4, 2)}, "by a shape of 2 numbers"),
        ({"encoder": "cnn", "shape": (6, 1)}, "by a shape of 3 numbers"),
        ({"encoder": "cnn", "shape": (2, 3, 1)}, "at least 3 rows"),
        ({"encoder": "attention", "embed": 10, "heads": 4}, "do not divide"),
        ({"hidden": (100_000, 100_000)}, "more than 50,000,000 weights"),
    ],
)
def test_what_no_network_can_be_made_of_is_refused(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        Architecture(**{"features": 6, "groups": (3,), **changes}).check()


def test_weights_that_do_not_fit_are_refused(net: Architecture) -> None:
    good = net.initial(np.random.default_rng(0))
    net.check()
    net.check_weights(good)
    name = next(iter(good))
    for bad in ({**good, "more": good[name]}, {**good, name: good[name][:1]}, {**good, name: good[name] * np.nan}):
        with pytest.raises(InvalidInput, match="network:"):
            net.check_weights(bad)


def test_the_same_seed_gives_the_same_weights(net: Architecture) -> None:
    first, second = (net.initial(np.random.default_rng(7)) for _ in range(2))
    assert all((first[name] == second[name]).all() for name in first)
    assert any((first[name] != net.initial(np.random.default_rng(8))[name]).any() for name in first)
