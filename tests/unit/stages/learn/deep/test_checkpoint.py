"""A checkpoint goes on to the bit, and one that was changed, or made up, is refused with nothing of it used."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import msgspec
import numpy as np
import pytest

from steersman.core.errors import InvalidInput, SteersmanError, StoreError
from steersman.core.versions import address
from steersman.policies import tensors
from steersman.policies.deep.architecture import Architecture
from steersman.stages.learn.deep import incremental, q_learning
from steersman.stages.learn.deep.batch import Batch
from steersman.stages.learn.deep.checkpoint import Job, pack, unpack
from steersman.stages.learn.deep.incremental import LOOK, Run, Task
from steersman.stages.learn.deep.q_learning import Ewc, QSettings

NET = Architecture(features=3, groups=(2,), hidden=(8,), stream=4)
SETTINGS = QSettings(batch=8, gamma=0.9)
JOB = Job(
    agent="lab/a",
    schema="s@1",
    features=("x", "y", "z"),
    actions="0" * 16,
    net=NET,
    settings=SETTINGS,
    since=0,
    position=9,
    outcomes=60,
    updates=2 * LOOK,
)


def experience(count: int, seed: int) -> Batch:
    rng = np.random.default_rng(seed)
    states = rng.random((count, 3), dtype=np.float32)
    return Batch(
        states=states,
        actions=rng.integers(2, size=count).astype(np.int32),
        rewards=states[:, 0],
        next_states=states[::-1].copy(),
        next_allowed=np.ones((count, 2), dtype=np.bool_),
        discounts=np.full(count, 0.9, dtype=np.float32),
        weights=np.ones(count, dtype=np.float32),
        allowed=np.ones((count, 2), dtype=np.bool_),
    )


TASK = Task(
    net=NET,
    settings=SETTINGS,
    incidence=np.eye(2, dtype=np.float32),
    learned=experience(50, 0),
    held=experience(10, 1),
    patience=5,
)


def begun() -> Run:
    rng = np.random.default_rng(3)
    state = q_learning.begin(NET, SETTINGS, rng)
    found = incremental.fisher(NET, TASK.incidence, state.weights, TASK.learned, rng)
    return incremental.begin(state, rng, Ewc(10.0, found, state.weights))


def go_on(run: Run, updates: int) -> Run:
    return incremental.train(TASK, run, updates, lambda _: None)


def arrays(run: Run) -> list[Any]:
    return jax.tree.leaves((run.state, dict(run.best), run.ewc))


def test_a_run_that_goes_on_from_a_checkpoint_is_the_same_to_the_bit() -> None:
    whole = go_on(begun(), 2 * LOOK)
    packed = pack(JOB, go_on(begun(), LOOK))
    job, half = unpack(packed, address(packed))
    resumed = go_on(half, 2 * LOOK)
    assert (job, resumed.updates) == (JOB, 2 * LOOK)
    assert all(np.array_equal(one, other) for one, other in zip(arrays(whole), arrays(resumed), strict=True))
    assert pack(JOB, resumed) == pack(JOB, whole)


def test_a_checkpoint_of_a_run_that_knows_no_loss_yet_is_one_too() -> None:
    packed = pack(JOB, begun())
    assert pack(*unpack(packed, address(packed))) == packed


def test_what_was_changed_is_not_looked_at() -> None:
    packed = pack(JOB, begun())
    with pytest.raises(StoreError, match="was changed"):
        unpack(packed[:-1] + b"x", address(packed))


Arrays = dict[str, np.ndarray[Any, Any]]


def hostile(change: Callable[[Arrays, dict[str, Any]], None]) -> bytes:
    """Return a checkpoint with something wrong in it, whose name is right all the same."""
    packed = pack(JOB, begun())
    held, text = tensors.read(packed, address(packed))
    copies: Arrays = {name: each.copy() for name, each in held.items()}
    content = msgspec.json.decode(text)
    change(copies, content)
    from safetensors.numpy import save

    return save(copies, {"steersman": msgspec.json.encode(content).decode()})


def faults() -> Iterator[tuple[str, Callable[[Arrays, dict[str, Any]], None]]]:
    def change(name: str, value: Any) -> Callable[[Arrays, dict[str, Any]], None]:
        return lambda held, _: held.update({name: value})

    def say(*path: str, value: Any) -> Callable[[Arrays, dict[str, Any]], None]:
        def set_in(_: Arrays, content: dict[str, Any]) -> None:
            for each in path[:-1]:
                content = content[each]
            content[path[-1]] = value

        return set_in

    yield "another shape", change("target.hidden.0.kernel", np.zeros((3, 9), np.float32))
    yield "no numbers", change("best.hidden.0.bias", np.full(8, np.nan, np.float32))
    yield "another type", change("weights.hidden.0.bias", np.zeros(8))
    yield "information below 0", change("fisher.hidden.0.bias", np.full(8, -1.0, np.float32))
    yield "an optimiser of another shape", change("optimiser.1", np.zeros(3, np.float32))
    yield "an array too many", change("more", np.zeros(3, np.float32))
    yield "an array too few", lambda held, _: held.__delitem__("optimiser.2")
    yield "a network that is none", say("job", "net", "features", value=0)
    yield "a network too large", say("job", "net", "hidden", value=[100_000, 100_000])
    yield "settings out of range", say("job", "settings", "gamma", value=2.0)
    yield "a generator that is none", say("generator", "state", value="-1")
    yield "a generator of words", say("generator", "inc", value="os.system")
    yield "a field too many", say("job", "run", value="rm")
    yield "another format", say("format", value="pickle")
    yield "a count that is none", say("updates", value=2**40)


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in faults()])
def test_what_was_made_up_is_refused_and_says_what_to_do(change: Callable[[Arrays, dict[str, Any]], None]) -> None:
    packed = hostile(change)
    with pytest.raises(InvalidInput, match=r"(?s)cannot be gone on from.*train anew"):
        unpack(packed, address(packed))


@pytest.mark.parametrize("content", [b"", b"\x80\x04\x95pickle", b"\xff" * 64])
def test_bytes_of_another_kind_are_refused(content: bytes) -> None:
    with pytest.raises(SteersmanError):
        unpack(content, address(content))
