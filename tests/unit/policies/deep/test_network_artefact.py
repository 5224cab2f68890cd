"""The artefact of a network: the same content is the same bytes, and what does not fit, or was changed, is refused."""

import dataclasses
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save

from steersman.core.errors import InvalidInput, SteersmanError, StoreError
from steersman.core.settings import Settings
from steersman.core.versions import address
from steersman.policies import artefact as tables
from steersman.policies import content
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.artefact import FrozenNetwork, check_fits, of_agent, pack, unpack
from steersman.policies.deep.network import QNetwork
from steersman.policies.encoding import Encoder
from steersman.policies.tabular import QTable
from steersman.testing.specs import small_agent

SPEC = small_agent()
STATE, _ = SPEC.state.check({"load": 0.5, "backlog": 3, "weekend": False})


def frozen(**changes: Any) -> FrozenNetwork:
    fields = of_agent(SPEC, Settings())
    count = len(fields["features"])
    net = Architecture(features=count, groups=(len(SPEC.actions),), hidden=(8,), stream=4)
    made = FrozenNetwork(
        **fields,
        epsilon=0.05,
        bounds=(-20.0, 20.0),
        net=net,
        weights=net.initial(np.random.default_rng(3)),
        visits=np.full(net.width, 40),
        td_variance=np.full(net.width, 0.25),
        seen_low=np.zeros(count, np.float32),
        seen_high=np.ones(count, np.float32),
    )
    return dataclasses.replace(made, **changes)


def test_the_same_content_is_the_same_bytes_and_comes_back_whole() -> None:
    packed = pack(frozen())
    assert packed == pack(frozen())
    found = unpack(packed, address(packed))
    assert pack(found) == packed
    assert (found.net, found.features, found.kind) == (frozen().net, frozen().features, "value")
    assert isinstance(content.unpack(packed, address(packed)), FrozenNetwork)


def test_a_table_is_told_from_a_network_by_what_its_artefact_says() -> None:
    table = tables.freeze(SPEC, Settings(), QTable(SPEC.actions, bounds=(-1.0, 1.0)), 0.1)
    packed = content.pack(table)
    assert isinstance(content.unpack(packed, address(packed)), tables.Frozen)
    with pytest.raises(InvalidInput, match="no artefact that can be read"):
        unpack(packed, address(packed))
    network = pack(frozen())
    with pytest.raises(InvalidInput, match="no artefact that can be read"):
        tables.unpack(network, address(network))


def test_what_was_changed_is_refused_by_its_hash() -> None:
    packed = bytearray(pack(frozen()))
    name = address(bytes(packed))
    packed[-1] ^= 1
    with pytest.raises(StoreError, match="its artefact was changed"):
        unpack(bytes(packed), name)


WEIGHTS = frozen().weights


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"weights": {**WEIGHTS, "head.bias": np.zeros(2, np.float32)}}, "missing or unknown"),
        ({"weights": {**WEIGHTS, "hidden.0.bias": np.full(8, np.nan, np.float32)}}, "not finite"),
        ({"weights": {**WEIGHTS, "hidden.0.bias": np.zeros(7, np.float32)}}, "has shape"),
        ({"visits": np.full(1, 3)}, "visits of shape"),
        ({"td_variance": np.full(frozen().net.width, -1.0)}, "below 0"),
        ({"td_variance": np.full(frozen().net.width, np.inf)}, "not finite"),
        ({"seen_low": np.full(frozen().net.features, 2.0, np.float32)}, "empty range"),
        ({"epsilon": 1.5}, "an epsilon of 1.5"),
        ({"bounds": (1.0, -1.0)}, "bounds"),
        ({"features": ("load",) * frozen().net.features}, "with 1 names"),
        ({"actions": {"action": ("go", "stay", "wait", "run", "hide")}}, "dimensions of"),
        ({"settings": {"learning": {"alpah": 0.1}}}, "alpah"),
    ],
)
def test_what_cannot_decide_is_never_packed(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        pack(frozen(**changes))


def test_bytes_from_an_enemy_are_refused() -> None:
    packed = pack(frozen())
    _, header = packed[:8], packed[8 : 8 + int.from_bytes(packed[:8], "little")]
    text = msgspec.json.decode(header)["__metadata__"]["steersman"]
    arrays = {"visits": np.zeros(3, np.float32)}
    for bad in (
        save(arrays, {"steersman": text}),
        save(arrays, {"steersman": text.replace("network-1", "network-2")}),
        save({"visits": np.zeros(3, np.float16)}, {"steersman": text}),
        packed[:-4],
        b"",
        b"\xff" * 40,
    ):
        with pytest.raises(SteersmanError, match=r"Nothing of it was used|missing or unknown"):
            content.unpack(bad, address(bad))


def test_a_network_of_another_definition_is_refused_by_name() -> None:
    check_fits(frozen(), SPEC)
    for changes, complaint in (
        ({"agent": "lab/other"}, "agent 'lab/other'"),
        ({"schema": "other@1"}, "schema 'other@1'"),
        ({"features": ("a",)}, "features"),
        ({"actions": {"action": ("x", "y")}}, "the actions"),
    ):
        with pytest.raises(InvalidInput, match=complaint):
            check_fits(frozen(**changes), SPEC)


def test_a_state_outside_of_what_was_seen_has_no_place() -> None:
    vector = Encoder(SPEC.state).vector(STATE)
    network = QNetwork(frozen(), SPEC.state, SPEC.actions)
    place = network.place("", STATE)
    assert place == vector.tobytes()
    assert network.visited(place, 40)
    assert network.evidence(place, 0) == (40, 0.25)
    narrow = QNetwork(frozen(seen_high=np.full(len(vector), 0.001, np.float32)), SPEC.state, SPEC.actions)
    assert narrow.place("", STATE) is None
    assert not narrow.slot_values(None).any()


def test_values_of_actions_stay_inside_their_bounds() -> None:
    network = QNetwork(frozen(bounds=(-0.001, 0.001)), SPEC.state, SPEC.actions)
    slots = network.slot_values(network.place("", STATE))
    assert np.abs(slots).max() > 0.001
    assert np.abs(network.action_values(slots)).max() == 0.001


def test_a_network_is_served_without_jax() -> None:
    network = QNetwork(frozen(), SPEC.state, SPEC.actions)
    place = network.place("", STATE)
    code = (
        f"import sys; packed, place = {pack(frozen())!r}, {place!r}; from steersman.core.versions import address;"
        "from steersman.policies import content; from steersman.testing.specs import small_agent;"
        "network = content.values(content.unpack(packed, address(packed)), small_agent());"
        "print(float(network.slot_values(place).sum()), [each for each in ('jax', 'optax') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"{float(network.slot_values(place).sum())} []"
