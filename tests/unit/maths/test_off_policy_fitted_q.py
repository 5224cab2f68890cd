"""Fitted Q evaluation finds known values, and a fold's values never saw that fold."""

import numpy as np
import pytest

from steersman.core.errors import InvalidInput
from steersman.maths.off_policy.fitted_q import Transitions, crossfit, fitted_q

PRIOR = 1e-9
"""So small that cells with rows are those of their rows alone."""


def _rows(*rows: tuple[int, int, float, int, bool]) -> Transitions:
    state, action, reward, after, ended = zip(*rows, strict=True)
    return Transitions(
        state=np.array(state),
        action=np.array(action),
        reward=np.array(reward, dtype=float),
        next_state=np.array(after),
        terminated=np.array(ended),
    )


CHAIN = _rows((0, 0, 0.0, 1, False), (0, 1, 1.0, 0, True), (1, 0, 2.0, 0, True), (1, 1, 0.0, 0, False))


def test_without_discount_a_cell_is_the_mean_of_its_rewards() -> None:
    rows = _rows((0, 0, 1.0, -1, True), (0, 0, 0.0, -1, True), (0, 1, 0.25, -1, True))
    assert fitted_q(rows, np.full((1, 2), 0.5), prior=PRIOR) == pytest.approx(np.array([[0.5, 0.25]]))


def test_cells_lean_on_their_action_and_actions_on_all_as_worked_out_by_hand() -> None:
    rows = _rows((0, 0, 1.0, -1, True), (1, 0, 0.0, -1, True), (1, 1, 2.0, -1, True))
    found = fitted_q(rows, np.full((2, 2), 0.5), prior=1.0)
    first, second = (1.0 + 1.0) / 3.0, (2.0 + 1.0) / 2.0  # the mean of all is 1
    assert found == pytest.approx(np.array([[(1 + first) / 2, second], [first / 2, (2 + second) / 2]]))


def test_values_of_a_chain_follow_a_hand_computed_case() -> None:
    first_always = np.array([[1.0, 0.0], [1.0, 0.0]])
    found = fitted_q(CHAIN, first_always, gamma=0.5, prior=PRIOR)
    # Q(1, 0) = 2, Q(0, 0) = 0.5·2 = 1, Q(1, 1) = 0.5·Q(0, 0)
    assert found == pytest.approx(np.array([[1.0, 1.0], [2.0, 0.5]]), abs=1e-5)


def test_an_episode_that_was_cut_off_goes_on_and_one_that_ended_does_not() -> None:
    onward = _rows((0, 0, 1.0, 0, False))
    ended = _rows((0, 0, 1.0, 0, True))
    unknown = _rows((0, 0, 1.0, -1, False))
    policy = np.ones((1, 1))
    assert fitted_q(onward, policy, gamma=0.9, prior=PRIOR)[0, 0] == pytest.approx(10.0, abs=1e-4)
    assert fitted_q(ended, policy, gamma=0.9, prior=PRIOR)[0, 0] == pytest.approx(1.0)
    assert fitted_q(unknown, policy, gamma=0.9, prior=PRIOR)[0, 0] == pytest.approx(1.0)


def test_a_weight_of_two_is_a_row_seen_twice() -> None:
    rows = _rows((0, 0, 1.0, -1, True), (0, 0, 0.0, -1, True))
    twice = _rows((0, 0, 1.0, -1, True), (0, 0, 1.0, -1, True), (0, 0, 0.0, -1, True))
    policy = np.ones((1, 1))
    weighted = fitted_q(rows, policy, weights=np.array([2.0, 1.0]))
    assert weighted == pytest.approx(fitted_q(twice, policy))


def test_many_rows_of_a_known_process_give_its_exact_values() -> None:
    rng = np.random.default_rng(0)
    moves, chances = rng.dirichlet(np.ones(4), (4, 2)), rng.uniform(size=(4, 2))
    state, action = rng.integers(0, 4, 200_000), rng.integers(0, 2, 200_000)
    after = (moves[state, action].cumsum(axis=1) < rng.random((200_000, 1))).sum(axis=1)
    rows = Transitions(
        state=state,
        action=action,
        reward=(rng.random(200_000) < chances[state, action]).astype(float),
        next_state=np.minimum(after, 3),
        terminated=rng.random(200_000) < 0.3,
    )
    policy = rng.dirichlet(np.ones(2), 4)
    onward = 0.7 * 0.9 * np.einsum("sa,sat->st", policy, moves)
    exact = np.linalg.solve(np.eye(4) - onward, (policy * chances).sum(axis=1))
    assert (policy * fitted_q(rows, policy, gamma=0.9)).sum(axis=1) == pytest.approx(exact, abs=0.02)


def test_the_values_of_a_fold_do_not_change_with_its_own_rewards() -> None:
    fold = np.array([0, 1, 0, 1])
    policy = np.full((2, 2), 0.5)
    changed = Transitions(
        state=CHAIN.state,
        action=CHAIN.action,
        reward=np.where(fold == 0, 99.0, CHAIN.reward),
        next_state=CHAIN.next_state,
        terminated=CHAIN.terminated,
    )
    before, after = (crossfit(rows, policy, fold, gamma=0.5) for rows in (CHAIN, changed))
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_what_cannot_be_fitted_is_refused() -> None:
    policy = np.full((2, 2), 0.5)
    with pytest.raises(InvalidInput, match="γ in"):
        fitted_q(CHAIN, policy, gamma=1.5)
    with pytest.raises(InvalidInput, match="prior"):
        fitted_q(CHAIN, policy, prior=0.0)
    with pytest.raises(InvalidInput, match="2 folds"):
        crossfit(CHAIN, policy, np.zeros(4, dtype=np.int64))
