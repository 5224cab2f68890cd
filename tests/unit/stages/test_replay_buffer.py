"""The sum tree against a plain reference, what the buffer draws and keeps, and n-step returns worked out by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from steersman.core.errors import InvalidInput
from steersman.stages.learn.replay.buffer import Priorities, ReplayBuffer
from steersman.stages.learn.replay.compiled import CompiledSumTree
from steersman.stages.learn.replay.n_step import LongStep, NStep, Step
from steersman.stages.learn.replay.sum_tree import SumTree

FIELDS: Mapping[str, tuple[tuple[int, ...], Any]] = {"state": ((3,), np.float32), "reward": ((), np.float64)}
TREES = [SumTree, CompiledSumTree]


def _buffer(capacity: int = 8, **options: Any) -> ReplayBuffer:
    return ReplayBuffer(capacity, FIELDS, rng=np.random.default_rng(0), **options)


def _entry(reward: float) -> dict[str, Any]:
    return {"state": np.full(3, reward, dtype=np.float32), "reward": reward}


def _held(buffer: ReplayBuffer) -> list[float]:
    """Return the rewards held, oldest first, as an even draw by rank finds them."""
    ranks = (np.arange(len(buffer)) + 0.5) / max(len(buffer), 1)
    return [float(each) for each in buffer.fields["reward"][buffer.pick(ranks)]] if len(buffer) else []


@pytest.mark.parametrize("kind", TREES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_tree_equals_a_plain_running_sum(kind: type[SumTree], data: st.DataObject) -> None:
    capacity = data.draw(st.sampled_from([1, 15, 16, 17, 300, 9_000, 140_000]))
    tree, plain = kind(capacity), np.zeros(capacity)
    whole = st.integers(0, 1_000).map(float)  # sums of whole numbers have no rounding, so both sides must agree exactly
    for _ in range(data.draw(st.integers(1, 6))):
        entries = data.draw(st.lists(st.tuples(st.integers(0, capacity - 1), whole), min_size=1, max_size=30))
        indices, priorities = np.array([each[0] for each in entries]), np.array([each[1] for each in entries])
        tree.set(indices, priorities)
        for index, priority in entries:
            plain[index] = priority
        if data.draw(st.booleans()):
            start, stop = sorted(data.draw(st.tuples(st.integers(0, capacity), st.integers(0, capacity))))
            tree.fill(start, stop, 2.0)
            plain[start:stop] = 2.0
    assert tree.leaves[:capacity].tolist() == plain.tolist()
    assert tree.total == plain.sum()
    if plain.any():
        shares = (np.arange(64) + 1 / np.pi) / 64  # never on the border between two leaves
        expected = np.cumsum(plain).searchsorted(shares * plain.sum(), side="right")
        assert tree.find(shares).tolist() == expected.tolist()


@given(
    priorities=st.lists(st.floats(0.0, 1e6), min_size=1, max_size=400).filter(lambda each: sum(each) > 1e-300),
    shares=st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=600),
)
@settings(max_examples=60, deadline=None)
def test_both_trees_find_the_same_leaves_never_one_without_priority(priorities: list[float], shares: list[float]) -> None:
    found: list[Any] = []
    for kind in TREES:
        tree = kind(20_000)
        indices = np.arange(len(priorities)) * 47 % 20_000
        tree.set(indices, np.array(priorities))
        found.append(tree.find(np.array(shares)))
        assert (tree.leaves[found[-1]] > 0.0).all()
        found.append(tree.nodes)
    assert found[0].tolist() == found[2].tolist()
    assert found[1].tobytes() == found[3].tobytes()


@pytest.mark.parametrize("kind", TREES)
def test_a_tree_of_zeros_says_that_nothing_can_be_drawn(kind: type[SumTree]) -> None:
    with pytest.raises(InvalidInput, match="every priority is 0"):
        kind(100).find(np.array([0.5]))


@pytest.mark.parametrize("kind", TREES)
def test_a_leaf_outside_the_tree_is_refused(kind: type[SumTree]) -> None:
    with pytest.raises(IndexError):
        kind(16).set(np.array([16]), np.array([1.0]))


def test_draws_follow_priorities() -> None:
    """χ² of independent draws; 2e5 of them would show a relative error of two per cent in any of the 12 entries."""
    tree = SumTree(12)
    tree.set(np.arange(12), np.arange(1.0, 13.0))
    drawn = np.bincount(tree.find(np.random.default_rng(1).random(200_000)), minlength=12)
    expected = 200_000 * np.arange(1.0, 13.0) / 78.0
    assert stats.chisquare(drawn, expected).pvalue > 0.001
    assert stats.chisquare(drawn, np.full(12, 200_000 / 12)).pvalue < 1e-9  # the check can fail


@pytest.mark.parametrize("compiled", [False, True])
def test_a_buffer_draws_in_proportion_to_errors(compiled: bool) -> None:
    buffer = _buffer(5, priorities=Priorities(alpha=0.6), compiled=compiled)
    buffer.extend({"state": np.zeros((5, 3)), "reward": np.arange(5.0)})
    errors = np.array([0.1, 1.0, -2.0, 5.0, 0.0])
    buffer.update(np.arange(5), errors)
    shares = (np.abs(errors) + 1e-6) ** 0.6
    drawn = np.zeros(5)
    for _ in range(2_000):
        drawn += np.bincount(buffer.sample(32).indices, minlength=5)
    assert np.abs(drawn / drawn.sum() - shares / shares.sum()).max() < 0.003


def test_an_even_buffer_draws_evenly_and_weighs_nothing() -> None:
    buffer = _buffer(10)
    buffer.extend({"state": np.zeros((14, 3)), "reward": np.arange(14.0)})
    drawn = np.bincount(buffer.sample(50_000).indices, minlength=10)
    assert stats.chisquare(drawn).pvalue > 0.001
    assert (buffer.sample(4).weights == 1.0).all()
    buffer.update(np.arange(4), np.ones(4))
    assert _held(buffer) == [float(each) for each in range(4, 14)]


def test_importance_weights_are_those_of_the_formula() -> None:
    buffer = _buffer(4, priorities=Priorities(alpha=1.0, beta=0.5, beta_step=0.25, margin=1e-12))
    buffer.extend({"state": np.zeros((4, 3)), "reward": np.arange(4.0)})
    buffer.update(np.arange(4), [1.0, 2.0, 3.0, 4.0])
    indices = np.array([3, 1, 1])
    chance = np.array([0.4, 0.2, 0.2])
    by_hand = (4 * chance) ** -0.5
    assert buffer.weights(indices) == pytest.approx(by_hand / by_hand.max())
    betas = []
    for _ in range(4):
        betas.append(buffer.beta)
        buffer.sample(2)
    assert betas == [0.5, 0.75, 1.0, 1.0]


def test_new_entries_come_with_the_highest_priority_seen() -> None:
    buffer = _buffer(6, priorities=Priorities(alpha=1.0, margin=1e-12))
    buffer.extend({"state": np.zeros((3, 3)), "reward": np.arange(3.0)})
    buffer.update(np.arange(3), [1.0, 7.0, 3.0])
    buffer.add(_entry(3.0))
    buffer.update(np.array([1]), [1.0])  # the highest stays the highest ever seen
    buffer.add(_entry(4.0))
    found = np.bincount(buffer.pick((np.arange(1_900) + 0.5) / 1_900), minlength=6)
    assert found.tolist() == [100, 100, 300, 700, 700, 0]


def test_the_oldest_make_room_and_every_field_stays_with_its_entry() -> None:
    for priorities in (None, Priorities()):
        buffer = _buffer(8, priorities=priorities)
        for reward in range(5):
            buffer.add(_entry(float(reward)))
        buffer.extend({"state": np.repeat(np.arange(5.0, 25.0)[:, None], 3, axis=1), "reward": np.arange(5.0, 25.0)})
        buffer.add(_entry(25.0))
        batch = buffer.sample(100)
        assert set(batch.values["reward"].tolist()) == set(range(18, 26))
        assert (batch.values["state"] == batch.values["reward"][:, None]).all()
        assert len(buffer) == 8


def test_compiled_and_plain_buffers_draw_the_same_batches() -> None:
    drawn = []
    for compiled in (False, True):
        buffer = ReplayBuffer(30_000, FIELDS, rng=np.random.default_rng(3), priorities=Priorities(), compiled=compiled)
        rng = np.random.default_rng(4)
        buffer.extend({"state": rng.random((40_000, 3)), "reward": rng.random(40_000)})
        batches = []
        for _ in range(50):
            batch = buffer.sample(64)
            buffer.update(batch.indices, rng.normal(size=64))
            batches.append((batch.indices.tolist(), batch.weights.tolist()))
        drawn.append(batches)
    assert drawn[0] == drawn[1]


def test_the_same_seed_draws_the_same() -> None:
    def draws() -> list[int]:
        buffer = _buffer(50, priorities=Priorities())
        buffer.extend({"state": np.zeros((50, 3)), "reward": np.arange(50.0)})
        return [int(each) for _ in range(5) for each in buffer.sample(8).indices]

    assert draws() == draws()


def test_an_id_is_never_held_twice_and_may_come_back_when_it_has_left() -> None:
    buffer = _buffer(3, dedupe=True)
    assert [buffer.add(_entry(float(i)), name=name) for i, name in enumerate("abab")] == [True, True, False, False]
    assert buffer.extend({"state": np.zeros((3, 3)), "reward": np.array([4.0, 5.0, 6.0])}, names=["b", "c", "d"]) == 2
    assert _held(buffer) == [1.0, 5.0, 6.0]  # b, c, d: "a" made room
    assert buffer.add(_entry(7.0), name="a")
    assert _held(buffer) == [5.0, 6.0, 7.0]
    with pytest.raises(InvalidInput, match="needs the id"):
        buffer.add(_entry(8.0))


def test_entries_leave_when_they_are_past_the_retention() -> None:
    day = 86_400.0
    buffer = _buffer(10, priorities=Priorities(), retention_s=7 * day, dedupe=True)
    for each in range(6):
        buffer.add(_entry(float(each)), name=each, at=each * day)
    assert buffer.expire(7 * day) == 0  # exactly seven days old is not older
    assert buffer.expire(9.5 * day) == 3
    assert set(buffer.sample(200).values["reward"].tolist()) == {3.0, 4.0, 5.0}
    buffer.update(np.array([0, 1, 2]), [9.0, 9.0, 9.0])  # a late word about entries that are gone
    assert set(buffer.sample(200).values["reward"].tolist()) == {3.0, 4.0, 5.0}
    assert buffer.add(_entry(0.0), name=0, at=9.5 * day)
    buffer.add(_entry(9.0), name=9, at=100 * day)
    assert set(buffer.sample(20).values["reward"].tolist()) == {9.0}


def test_memory_is_that_of_the_arrays_and_five_per_cent() -> None:
    fields: Mapping[str, tuple[tuple[int, ...], Any]] = {"state": ((64,), np.float32)}
    buffer = ReplayBuffer(100_000, fields, rng=np.random.default_rng(0), priorities=Priorities())
    assert buffer.nbytes <= 1.05 * 100_000 * 64 * 4


def test_what_does_not_fit_is_refused_and_leaves_nothing_behind() -> None:
    buffer = _buffer(2, priorities=Priorities())
    with pytest.raises(InvalidInput, match="empty"):
        buffer.sample(1)
    buffer.extend({"state": np.zeros((2, 3)), "reward": np.array([1.0, 2.0])})
    with pytest.raises(InvalidInput, match=r"state \(3,\)"):
        buffer.add({"state": np.zeros(3), "price": 1.0})
    assert set(buffer.sample(20).values["reward"].tolist()) == {2.0}  # the slot that was half written has left
    with pytest.raises(InvalidInput, match="one count for all"):
        buffer.extend({"state": np.zeros((2, 3)), "reward": np.zeros(3)})
    with pytest.raises(InvalidInput, match="NaN or infinite"):
        buffer.update(np.array([1]), [float("nan")])
    with pytest.raises(InvalidInput, match="margin > 0"):
        Priorities(margin=0.0)
    cases: list[dict[str, Any]] = [{"capacity": 0}, {"retention_s": 0.0}]
    for nonsense in cases:
        with pytest.raises(InvalidInput):
            _buffer(**nonsense)


def _step(at: int, reward: float, *, terminated: bool = False, truncated: bool = False) -> Step:
    return Step(state=at, action=at * 10, reward=reward, next_state=at + 1, terminated=terminated, truncated=truncated)


def _numbers(steps: list[LongStep]) -> list[tuple[int, float, int, float, int]]:
    return [(each.state, each.reward, each.next_state, each.discount, each.steps) for each in steps]


def test_three_step_returns_are_those_worked_out_by_hand() -> None:
    joiner = NStep(3, 0.5)
    came: list[LongStep] = []
    for at, reward in enumerate([1.0, 2.0, 4.0, 8.0]):
        came.extend(joiner.push("e", _step(at, reward, terminated=at == 3)))
    # 1 + 2/2 + 4/4 = 3; 2 + 4/2 + 8/4 = 6; 4 + 8/2 = 8; 8. What follows the end is worth nothing.
    assert _numbers(came) == [(0, 3.0, 3, 0.125, 3), (1, 6.0, 4, 0.0, 3), (2, 8.0, 4, 0.0, 2), (3, 8.0, 4, 0.0, 1)]
    assert [each.action for each in came] == [0, 10, 20, 30]


def test_a_truncated_episode_still_looks_at_what_would_have_followed() -> None:
    joiner = NStep(3, 0.5)
    came = [*joiner.push("e", _step(0, 1.0)), *joiner.push("e", _step(1, 2.0, truncated=True))]
    assert _numbers(came) == [(0, 2.0, 2, 0.25, 2), (1, 2.0, 2, 0.5, 1)]
    assert [each.truncated for each in came] == [True, True]


def test_episodes_that_come_in_turns_are_not_mixed() -> None:
    joiner = NStep(2, 1.0)
    came = [
        *joiner.push("a", _step(0, 1.0)),
        *joiner.push("b", _step(5, 100.0)),
        *joiner.push("a", _step(1, 2.0)),
        *joiner.cut("b"),
        *joiner.cut("b"),
    ]
    assert _numbers(came) == [(0, 3.0, 2, 1.0, 2), (5, 100.0, 6, 1.0, 1)]
    with pytest.raises(InvalidInput, match="n-step"):
        NStep(0, 0.9)
