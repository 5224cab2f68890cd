"""What kin have seen makes a new agent better at few outcomes than alone, and strangers do no lasting harm."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from steersman.app import Steersman
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.loops.experience import gather, incidence
from steersman.policies.deep.architecture import Architecture
from steersman.policies.deep.forward import slot_values
from steersman.policies.encoding import Encoder
from steersman.stages.learn.deep import incremental, kin, q_learning
from steersman.stages.learn.deep.batch import Batch
from steersman.stages.learn.deep.q_learning import QSettings
from steersman.stages.learn.deep.quality import Row, experience
from steersman.testing.relatives import Relative

SETTINGS = QSettings(gamma=0.0, batch=32, learning_rate=0.003)
NET = Architecture(features=2, groups=(3,), hidden=(16,), stream=0, layer_norm=False)
FILES = Relative(name="lab/files", size="files", urgency="heat", choices=("1", "2", "4"), most=100.0)
ROWS = Relative(name="lab/rows", size="rows", urgency="rush", choices=("low", "mid", "high"), most=10.0, pay=5.0)
NEW = Relative(name="lab/new", size="pages", urgency="noise", choices=("one", "two", "all"), most=50.0, pay=2.0)
STRANGE = Relative(name="lab/new", size="x", urgency="y", choices=("a", "b", "c"), contrary=True)
FEW = 12

Seen = tuple[AgentSpec, tuple[Row, ...]]


def seen(relative: Relative, outcomes: int, seed: int) -> Seen:
    with Steersman.open("memory:", settings={}, seed=seed) as steersman:
        runtime = relative.work(steersman, outcomes, np.random.default_rng(seed))._runtime
        return runtime.spec, gather(runtime, runtime.log.position).rows


@pytest.fixture(scope="module")
def kinsfolk() -> list[kin.Told]:
    return [kin.tell(*seen(each, 300, seed), 0.0) for seed, each in enumerate((FILES, ROWS))]


def score(relative: Relative, learned: Batch, held: Batch, seed: int) -> float:
    """Train, and return what the greedy policy is worth: 0 for a random one, 1 for the best."""
    space = relative.spec.actions
    task = incremental.Task(
        net=NET, settings=SETTINGS, incidence=incidence(space), learned=learned, held=held, patience=1_000
    )
    rng = np.random.default_rng(seed)
    run = incremental.train(task, incremental.begin(q_learning.begin(NET, SETTINGS, rng), rng), 500, lambda _: None)
    grid = np.linspace(0.05, 0.95, 10)
    states = [relative.state(size, urgency) for size in grid for urgency in grid]
    vectors = np.array([Encoder(relative.spec.state).vector(each) for each in states])
    weights = {name: np.asarray(each) for name, each in run.state.weights.items()}
    worth = np.array([[relative.worth(each, place) for place in range(3)] for each in states])
    chosen = slot_values(NET, weights, vectors).argmax(axis=1)
    mean, best = worth.mean(), worth.max(axis=1).mean()
    return float((worth[np.arange(len(states)), chosen].mean() - mean) / (best - mean))


def alone_and_helped(
    kinsfolk: Sequence[kin.Told], relative: Relative, outcomes: int, seeds: Sequence[int]
) -> tuple[list[float], list[float]]:
    alone, helped = [], []
    for seed in seeds:
        spec, rows = seen(relative, outcomes, 10 + seed)
        rng = np.random.default_rng(seed)
        replay = kin.replay_of([*kinsfolk, kin.tell(spec, rows, 0.0)])
        network = kin.learn(replay, [spec.name], SETTINGS, hidden=(16,), updates=500, rng=rng)[spec.name]
        own = experience(rows, spec, 0.0)
        held = Batch(*(None if each is None else each[: outcomes // 4] for each in own))
        said = kin.pseudo_experience(network, spec, rows, count=50.0, rng=rng)
        alone.append(score(relative, own, held, seed))
        helped.append(score(relative, kin.join([own, said]), held, seed))
    return alone, helped


def test_a_new_agent_is_better_with_what_kin_have_seen_than_alone(kinsfolk: list[kin.Told]) -> None:
    alone, helped = alone_and_helped(kinsfolk, NEW, FEW, range(4))
    assert np.mean(helped) > np.mean(alone) + 0.05
    assert min(helped) > 0.8


def test_strangers_do_no_lasting_harm(kinsfolk: list[kin.Told]) -> None:
    alone, helped = alone_and_helped(kinsfolk, STRANGE, 300, range(2))
    assert np.mean(helped) > np.mean(alone) - 0.05


def test_each_agent_hears_the_others_and_not_itself(kinsfolk: list[kin.Told]) -> None:
    spec, rows = seen(STRANGE, 100, 5)
    replay = kin.replay_of([*kinsfolk, kin.tell(spec, rows, 0.0)])
    asking = [spec.name, FILES.name]
    said = kin.learn(replay, asking, SETTINGS, hidden=(16,), updates=50, rng=np.random.default_rng(0))
    assert said[spec.name].counts.sum() == 600
    assert said[FILES.name].counts.sum() == 400
    assert replay.actions == (frozenset({"few"}), frozenset({"many"}), frozenset({"some"}))
    own = replay.batch.rewards.copy()
    own[replay.source == spec.name] = 1e6  # what it saw itself changes nothing in what it hears
    other = kin.learn(
        kin.SharedReplay(
            names=replay.names,
            roles=replay.roles,
            actions=replay.actions,
            source=replay.source,
            batch=replay.batch._replace(rewards=own),
        ),
        asking,
        SETTINGS,
        hidden=(16,),
        updates=50,
        rng=np.random.default_rng(0),
    )
    for name, each in said[spec.name].weights.items():
        np.testing.assert_array_equal(each, other[spec.name].weights[name])


def test_pseudo_experience_weighs_a_fixed_number_of_outcomes_and_no_more_than_kin_have(kinsfolk: list[kin.Told]) -> None:
    spec, rows = seen(NEW, 200, 7)
    rng = np.random.default_rng(0)
    network = kin.learn(kin.replay_of(kinsfolk), [spec.name], SETTINGS, hidden=(16,), updates=50, rng=rng)[spec.name]
    assert math.isinf(network.trust)  # nothing of its own speaks against it yet
    for count in (5.0, 50.0, 500.0):
        said = kin.pseudo_experience(network, spec, rows, count=count, rng=rng)
        assert said.weights.sum() == pytest.approx(count, rel=1e-4)
        assert not said.discounts.any()
    far = kin.pseudo_experience(network, spec, rows, count=5_000.0, rng=rng)
    for action in range(3):
        assert far.weights[far.actions == action].sum() == pytest.approx(network.counts[[0, 2, 1][action]], rel=1e-4)
    values, _ = kin.prior_values(network, spec, [each.decision.state for each in rows])
    assert np.abs(values).max() > 1.0  # in its own units, of up to 2


@pytest.mark.parametrize(("own", "wanted"), [(1.0, math.inf), (1.9, math.inf), (3.0, 1.0), (12.0, 0.1)])
def test_kin_are_doubted_where_own_outcomes_surely_speak_against_them(own: float, wanted: float) -> None:
    """Of 8 own errors a mean square of up to 1 + 2·√(2/8) = 2 times that of the others may be chance."""
    errors = np.full(8, math.sqrt(own), np.float32)
    assert kin.trust(np.ones(100, np.float32), errors) == pytest.approx(wanted, rel=1e-3)
    assert kin.trust(np.ones(100, np.float32), errors[:0]) == math.inf


def test_what_cannot_be_shared_is_refused(kinsfolk: list[kin.Told]) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match="nobody else"):
        kin.learn(kin.replay_of(kinsfolk[:1]), [FILES.name], SETTINGS, hidden=(4,), updates=1, rng=rng)
    other = kin.Told(source="lab/odd", names=("size",), actions=(), batch=kinsfolk[0].batch)
    with pytest.raises(InvalidInput, match="same features"):
        kin.replay_of([*kinsfolk, other])
    with pytest.raises(InvalidInput, match="outside"):
        kin.shared_features(FILES.spec, [{"files": 200.0, "heat": 1.0}])
