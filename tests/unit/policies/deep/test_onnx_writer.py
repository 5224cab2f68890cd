"""A network as an ONNX model says what the network says, in a runtime that is not ours, and tells how it is used."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from steersman.core.actions import ActionSpace, Choice
from steersman.core.errors import InvalidInput
from steersman.core.state import Category, Flag, Number, StateSchema, StateValues
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.artefact import FrozenNetwork
from steersman.policies.deep.network import QNetwork
from steersman.policies.deep.onnx_writer import export
from steersman.policies.encoding import Encoder, feature_names

NETS = {
    "plain": Architecture(features=6, groups=(3,), hidden=(8,), stream=0, layer_norm=False),
    "linear": Architecture(features=6, groups=(3,), hidden=(), stream=0),
    "tanh": Architecture(features=6, groups=(3,), hidden=(8, 8), stream=0, activation="tanh"),
    "dueling": Architecture(features=6, groups=(4,), hidden=(16, 8), stream=8),
    "factored": Architecture(features=6, groups=(3, 1, 2), hidden=(16, 8), stream=8, layer_norm=False),
    "attention": Architecture(features=6, groups=(3,), encoder="attention", embed=8, heads=2, hidden=(8,), stream=8),
    "lstm": Architecture(features=6, groups=(3, 2), encoder="lstm", shape=(3, 2), embed=5, hidden=(8,), stream=0),
    "cnn": Architecture(features=40, groups=(3,), encoder="cnn", shape=(5, 4, 2), embed=5, hidden=(8,), stream=8),
}
Floats = NDArray[np.float32]


@pytest.fixture(params=NETS)
def net(request: pytest.FixtureRequest) -> Architecture:
    return NETS[request.param]


def weighed(net: Architecture, seed: int = 0) -> dict[str, Floats]:
    """Return weights none of which is 0."""
    rng = np.random.default_rng(seed)
    return {name: each + 0.1 * rng.standard_normal(each.shape, np.float32) for name, each in net.initial(rng).items()}


def numbers(count: int) -> StateSchema:
    return StateSchema(name="numbers", fields=tuple(Number(name=f"x{i}", low=0, high=1) for i in range(count)))


def frozen(net: Architecture, schema: StateSchema | None = None, **changes: Any) -> FrozenNetwork:
    schema = schema or numbers(net.features)
    fields: dict[str, Any] = {
        "agent": "lab/small",
        "schema": schema.id,
        "features": feature_names(schema),
        "actions": {f"part{place}": tuple(range(size)) for place, size in enumerate(net.groups)},
        "settings": {},
        "epsilon": 0.1,
        "bounds": (-np.inf, np.inf),
        "net": net,
        "weights": weighed(net),
        "visits": np.ones(net.width, np.int64),
        "td_variance": np.ones(net.width),
        "seen_low": np.zeros(net.features, np.float32),
        "seen_high": np.ones(net.features, np.float32),
    }
    return FrozenNetwork(**{**fields, **changes})


def session(network: FrozenNetwork, schema: StateSchema | None = None) -> Any:
    model = export(network, schema or numbers(network.net.features), "0123")
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def by_runtime(network: FrozenNetwork, x: Floats) -> Floats:
    found: Floats = session(network).run(None, {"states": x})[0]
    return found


def by_numpy(network: FrozenNetwork, x: Floats) -> Floats:
    """Return what serves decisions says of each state."""
    served = QNetwork(network, numbers(network.net.features), ActionSpace(network.actions))
    return np.stack([served.action_values(served.slot_values(each.tobytes())) for each in x])


def states(net: Architecture, count: int) -> Floats:
    return np.random.default_rng(1).random((count, net.features), np.float32)


@pytest.mark.parametrize("count", [1, 300])
def test_a_runtime_that_is_not_ours_says_what_serves_says(net: Architecture, count: int) -> None:
    network, x = frozen(net), states(net, count)
    said = by_runtime(network, x)
    assert said.shape == (count, len(ActionSpace(network.actions)))
    assert said.dtype == np.float32
    np.testing.assert_allclose(said, by_numpy(network, x), rtol=0.0, atol=1e-5)
    assert count == 1 or np.ptp(said, axis=0).min() > 1e-3  # or nothing would be shown


@settings(max_examples=25, deadline=None)
@given(
    encoder=st.sampled_from([("mlp", ()), ("attention", ()), ("lstm", (4, 3)), ("cnn", (4, 3, 1))]),
    groups=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    hidden=st.lists(st.integers(1, 9), max_size=2).map(tuple),
    stream=st.sampled_from([0, 5]),
    layer_norm=st.booleans(),
    activation=st.sampled_from(["relu", "tanh"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_architecture_leaves_as_it_serves(encoder: tuple[Any, tuple[int, ...]], seed: int, **rest: Any) -> None:
    net = Architecture(features=12, encoder=encoder[0], shape=encoder[1], embed=4, heads=2, **rest)
    network, x = frozen(net, weights=weighed(net, seed)), states(net, 5)
    np.testing.assert_allclose(by_runtime(network, x), by_numpy(network, x), rtol=1e-5, atol=1e-5)


def test_each_weight_is_in_the_file(net: Architecture) -> None:
    x, rng = states(net, 50), np.random.default_rng(5)
    before = by_runtime(frozen(net), x)
    for name, weight in weighed(net).items():
        changed = {**weighed(net), name: weight + rng.standard_normal(weight.shape, np.float32)}
        network = frozen(net, weights=changed)
        said = by_runtime(network, x)
        np.testing.assert_allclose(said, by_numpy(network, x), rtol=1e-5, atol=1e-5)
        assert np.abs(said - before).max() > 1e-3, name


def test_values_stay_inside_the_bounds() -> None:
    net = NETS["dueling"]
    network, x = frozen(net, bounds=(-0.25, 0.125)), states(net, 50)
    said = by_runtime(network, x)
    assert (said.min(), said.max()) == (-0.25, 0.125)
    np.testing.assert_allclose(said, by_numpy(network, x), atol=1e-5)


def test_a_policy_gives_logits_and_says_so() -> None:
    network = frozen(NETS["factored"], kind="policy")
    model = session(network)
    assert [each.name for each in model.get_outputs()] == ["action_logits"]
    assert model.get_modelmeta().custom_metadata_map["kind"] == "policy"
    assert [each.name for each in session(frozen(NETS["factored"])).get_outputs()] == ["action_values"]


SHOP = StateSchema(
    name="shop",
    fields=(
        Number(name="stock", low=-10, high=30, unit="items"),
        Flag(name="open"),
        Category(name="day", options=("work", "feast")),
    ),
)


def vector(features: list[Mapping[str, Any]], state: StateValues) -> Floats:
    """Return the vector of a state as somebody makes it who has nothing but the file."""
    made = []
    for each in features:
        value = state[each["field"]]
        if "option" in each:
            made.append(float(value == each["option"]))
        elif "low" in each:
            made.append(min(max((float(value) - each["low"]) / (each["high"] - each["low"]), 0.0), 1.0))
        else:
            made.append(float(value))
    return np.array(made, dtype=np.float32)


def test_the_file_tells_all_that_using_it_takes() -> None:
    net = Architecture(features=4, groups=(2, 2), hidden=(8,), stream=0)
    actions: dict[str, tuple[Choice, ...]] = {"order": ("none", "much"), "days": (1, 2.5)}
    model = session(frozen(net, SHOP, actions=actions, seen_high=np.array([0.5, 1, 1, 0], np.float32)), SHOP)
    told = model.get_modelmeta().custom_metadata_map
    assert (told["agent"], told["version"], told["schema"]) == ("lab/small", "0123", SHOP.id)
    assert msgspec.json.decode(told["actions"]) == list(ActionSpace(actions).actions)
    features = msgspec.json.decode(told["features"])
    assert [each["name"] for each in features] == ["stock", "open", "day=work", "day=feast"]
    assert [(each["seen_low"], each["seen_high"]) for each in features] == [(0, 0.5), (0, 1), (0, 1), (0, 0)]
    states: list[StateValues] = [
        {"stock": 4, "open": True, "day": "feast"},
        {"stock": 99.5, "open": False, "day": "work"},  # more than there can be
    ]
    for state in states:
        checked, _ = SHOP.check(state)
        assert vector(features, state).tobytes() == Encoder(SHOP).vector(checked).tobytes()


def test_the_batch_is_free_and_the_rest_is_not(net: Architecture) -> None:
    model = session(frozen(net))
    assert model.get_inputs()[0].shape == ["n", net.features]
    assert model.get_outputs()[0].shape == ["n", len(ActionSpace(frozen(net).actions))]
    with pytest.raises(Exception, match="invalid dimensions"):
        model.run(None, {"states": np.zeros((2, net.features + 1), np.float32)})


def test_the_same_version_is_the_same_file(net: Architecture) -> None:
    another_order = dict(reversed(weighed(net).items()))  # as reading an artefact may give them
    first, second = (export(frozen(net, weights=each), numbers(net.features), "0") for each in (weighed(net), another_order))
    assert first == second != export(frozen(net), numbers(net.features), "1")


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InvalidInput, match=r"pip install 'steersman\[onnx\]'"):
        export(frozen(NETS["plain"]), numbers(6), "0123")


def test_nothing_is_imported_before_a_model_is_made() -> None:
    code = "import steersman.loops.agent, steersman.policies.deep.onnx_writer, sys; print('onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
