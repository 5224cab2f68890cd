"""A fleet that is divided among devices learns what it learns on one."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.stages.learn.deep.sharding import shard

ON_TWO = """
import jax
import numpy as np
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import fleet
from steersman.stages.learn.deep.batch import Batch
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.sharding import shard

NET, SETTINGS = Architecture(features=3, groups=(2,), hidden=(8,), stream=4), QSettings(batch=4, learning_rate=0.01)
rng = np.random.default_rng(0)
batches = Batch(
    states=rng.standard_normal((4, 5, 4, 3), np.float32),
    actions=rng.integers(2, size=(4, 5, 4)).astype(np.int32),
    rewards=rng.random((4, 5, 4), np.float32),
    next_states=rng.standard_normal((4, 5, 4, 3), np.float32),
    next_allowed=rng.random((4, 5, 4, 2)) < 0.7,
    discounts=np.full((4, 5, 4), 0.9, np.float32),
    weights=np.ones((4, 5, 4), np.float32),
)
begun = fleet.begin_fleet(NET, SETTINGS, [np.random.default_rng(seed) for seed in range(4)])


def learned(devices):
    given = NET, SETTINGS, np.eye(2, dtype=np.float32), shard(begun, devices), shard(batches, devices)
    program = fleet.train_fleet.lower(*given).compile()
    assert "all-" not in program.as_text(), "learners have nothing to tell each other"
    states, metrics = program(*given[2:])
    for each in jax.tree.leaves((states, metrics)):
        assert each.sharding.device_set == set(devices), each.sharding
        assert {len(part.data) for part in each.addressable_shards} == {4 // len(devices)}
    return jax.tree.map(np.asarray, (states.weights, states.target, metrics.loss))


assert len(jax.devices()) == 2
for two, one in zip(jax.tree.leaves(learned(jax.devices())), jax.tree.leaves(learned(jax.devices()[:1])), strict=True):
    np.testing.assert_allclose(two, one, atol=1e-6)
print("the same on both")
"""


def test_two_devices_share_the_learners_and_learn_what_one_learns() -> None:
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2", "JAX_PLATFORMS": "cpu"}
    env["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "0"  # what it looks at is the program as it runs in production
    ran = subprocess.run([sys.executable, "-c", ON_TWO], env=env, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.strip()) == (0, "the same on both"), ran.stderr


@pytest.mark.parametrize(("learners", "way_out"), [(3, "Train 2 or 4"), (1, "Train 2,")])
def test_learners_that_cannot_be_divided_evenly_are_refused(learners: int, way_out: str) -> None:
    with pytest.raises(InvalidInput, match=way_out):
        shard(np.zeros((learners, 2)), jax.devices()[:1] * 2)
