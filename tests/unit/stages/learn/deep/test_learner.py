"""What a learner was is kept as bytes that run nothing, and it goes on from them as if it had never stopped."""

import jax
import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.policies import tensors
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import learner as kept
from steersman.stages.learn.deep.device_replay import Steps
from steersman.stages.learn.deep.learner import Learner
from steersman.stages.learn.deep.q_learning import QSettings, QState, begin

NET = Architecture(features=3, groups=(2,), hidden=(8,), stream=0, layer_norm=False)
SETTINGS = QSettings(batch=8)
ONE_HOT = np.eye(2, dtype=np.float32)


def _steps(rng: np.random.Generator, count: int = 32) -> Steps:
    flags, masks = np.zeros((count, 1), bool), np.ones((count, 1, 2), bool)
    states = rng.random((2, count, 1, 3), dtype=np.float32)
    return Steps(
        states=states[0],
        actions=rng.integers(2, size=(count, 1), dtype=np.int32),
        rewards=rng.random((count, 1), dtype=np.float32),
        next_states=states[1],
        terminated=flags,
        ended=flags,
        allowed=masks,
        next_allowed=masks,
        valid=~flags,
    )


def _learner(state: QState) -> Learner:
    made = Learner.begin(NET, SETTINGS, ONE_HOT, state, capacity=64, environments=1, seed=5)
    made.add(_steps(np.random.default_rng(1)))
    return made


def test_a_learner_goes_on_from_its_bytes_to_the_bit() -> None:
    first = _learner(begin(NET, SETTINGS, np.random.default_rng(0)))
    first.learn(4)
    packed = kept.pack(NET, first.state)
    one, two = (_learner(each) for each in (first.state, kept.unpack(packed, NET, SETTINGS)))
    one.learn(4)
    two.learn(4)
    assert int(two.state.updates) == 8
    assert first.steps == 32
    assert jax.tree.all(jax.tree.map(lambda left, right: bool((left == right).all()), one.state, two.state))


def test_bytes_that_are_no_learner_of_this_network_are_refused() -> None:
    state = begin(NET, SETTINGS, np.random.default_rng(0))
    packed = kept.pack(NET, state)
    with pytest.raises(InvalidInput, match="of another network"):
        kept.unpack(packed, Architecture(features=4, groups=(2,)), SETTINGS)
    with pytest.raises(InvalidInput, match="no artefact"):
        kept.unpack(packed[:-1], NET, SETTINGS)
    with pytest.raises(InvalidInput, match="no state of learning"):
        kept.unpack(tensors.write({}, NET), NET, SETTINGS)
    broken = state._replace(weights={name: each * np.nan for name, each in state.weights.items()})
    with pytest.raises(InvalidInput, match="not finite"):
        kept.unpack(kept.pack(NET, broken), NET, SETTINGS)
