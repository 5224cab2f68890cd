"""Shares of sources: by hand, against exact ones, and as a part of the fold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman import Steersman
from steersman.core.errors import InvalidInput
from steersman.core.sections import Episodes
from steersman.core.settings import Settings
from steersman.core.transition import Transition
from steersman.policies.encoding import Encoder
from steersman.stages.learn.fold import Fold
from steersman.stages.learn.sources import KNOWN_APART, Shares
from steersman.stages.record.outcomes import Report, outcome
from steersman.stages.record.transition import Recorder
from steersman.testing.poisoning import spec
from steersman.testing.specs import small_agent


def _fold(**learning: float | str) -> Fold:
    values = {"learning": {"alpha": 0.25, "gamma": 0.0, "source_share": 0.5, **learning}}
    return Fold(spec(), Settings().with_values(values, "test"), lambda count: 0.0)


def _outcome(number: int, source: str, reward: float | None = 1.0, *, key: str = "s0", action: int = 0) -> Transition:
    return Transition(
        decision_id=str(number),
        episode=str(number),
        step=0,
        key=key,
        bins={"cell": 0},
        action=action,
        reward=reward,
        next_key=None,
        next_allowed=None,
        terminated=True,
        truncated=False,
        epsilon=0.0,
        decided_at=float(number),
        at=float(number),
        source=source,
    )


def test_shares_by_hand() -> None:
    shares = Shares(0.625)
    assert shares.take("s", [0], "a", [0.5])  # a: 0.5
    assert not shares.take("s", [0], "a", [0.5])  # would be 0.75
    assert shares.share("s", 0, "a") == 0.5  # and what is refused changes nothing
    assert shares.take("s", [0], "b", [0.5])  # a: 0.25, b: 0.5
    assert shares.take("s", [0], "a", [0.5])  # a: 0.625, just allowed
    assert (shares.share("s", 0, "a"), shares.share("s", 0, "b")) == (0.625, 0.25)


def test_each_entry_has_shares_of_its_own_and_an_update_must_fit_in_all_that_it_touches() -> None:
    shares = Shares(0.5)
    assert shares.take("s", [0, 3], "a", [0.5, 0.25])
    assert not shares.take("s", [0, 4], "a", [0.5, 0.5])
    assert shares.share("s", 4, "a") == 0.0
    assert shares.take("s", [4], "a", [0.5])
    assert shares.take("t", [0], "a", [0.5])
    shares.forget("s")
    assert shares.share("s", 0, "a") == 0.0
    assert shares.share("t", 0, "a") == 0.5


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0.02, 0.1, 0.3])), max_size=200))
def test_nobody_is_taken_for_less_than_its_share_and_memory_is_bounded(said: list[tuple[int, float]]) -> None:
    shares, exact = Shares(0.35), dict.fromkeys(map(str, range(61)), 0.0)
    for number, step in said:
        source = str(number)
        if shares.take("s", [0], source, [step]):
            exact = {name: (1.0 - step) * each + step * (name == source) for name, each in exact.items()}
        assert len(shares) <= KNOWN_APART
        assert all(shares.share("s", 0, name) >= each - 1e-12 for name, each in exact.items())
        assert max(exact.values()) <= 0.35 + 1e-12


def test_a_source_that_is_no_longer_told_apart_keeps_what_it_had() -> None:
    shares = Shares(0.5)
    for source in ("a", *map(str, range(KNOWN_APART))):
        assert shares.take("s", [0], source, [0.25])
    left = 0.25 * 0.75**KNOWN_APART
    assert shares.share("s", 0, "a") == shares.share("s", 0, "nobody yet") == pytest.approx(left)
    assert shares.take("s", [0], "a", [0.25])
    assert shares.share("s", 0, "a") == pytest.approx(0.25 + 0.75 * left)


def test_what_a_source_says_beyond_its_share_counts_as_a_step_and_teaches_nothing() -> None:
    fold = _fold()
    for number in range(10):
        fold.apply(_outcome(number, "a"))
    # 0.25, then 0.4375; a third would make 0.578 of the value a's word
    assert fold.table.value[0, 0] == 0.4375
    assert fold.table.visits[0, 0] == 2
    assert (fold.carry.transitions, fold.carry.updates, fold.carry.quarantined) == (10, 2, 8)
    assert fold.carry.schedule.episodes == 10
    fold.apply(_outcome(10, "b", -1.0))  # 0.4375·0.75 − 0.25, and a has 0.328 left
    fold.apply(_outcome(11, "b", -1.0))  # a: 0.246
    fold.apply(_outcome(12, "a"))
    assert fold.carry.quarantined == 8
    assert fold.table.visits[0, 0] == 5


def test_those_who_give_no_name_are_one_source() -> None:
    fold = _fold()
    for number in range(10):
        fold.apply(_outcome(number, ""))
    assert fold.carry.quarantined == 8


def test_without_a_limit_one_source_may_say_everything() -> None:
    fold = _fold(source_share=1.0)
    for number in range(10):
        fold.apply(_outcome(number, "a"))
    assert (fold.carry.updates, fold.carry.quarantined, fold.keeps_memory) == (10, 0, False)


def test_outcomes_without_a_reward_take_no_share() -> None:
    fold = _fold()
    for number in range(10):
        fold.apply(_outcome(number, "a", None))
    assert fold.carry.quarantined == 0
    fold.apply(_outcome(10, "a"))
    assert fold.table.value[0, 0] == 0.25


def test_a_state_that_left_the_table_takes_its_shares_along() -> None:
    settings = {
        "learning": {"alpha": 0.25, "gamma": 0.0, "source_share": 0.5},
        "table": {"max_states": 1, "prune_visits": 5, "prune_age_s": 0.0},
    }
    fold = Fold(spec(), Settings().with_values(settings, "test"), lambda count: 0.0)
    for number, key in enumerate(("s0", "s0", "s0", "s1", "s0")):
        fold.apply(_outcome(number, "a", key=key))
    assert fold.carry.states_pruned == 2
    assert (fold.table.value[fold.table.rows["s0"], 0], fold.carry.quarantined) == (0.25, 1)


def test_two_estimators_have_shares_of_their_own() -> None:
    values = {"learning": {"alpha": 0.25, "gamma": 0.0, "source_share": 0.5, "method": "double_q"}}
    fold = Fold(spec(), Settings().with_values(values, "test"), lambda count: count % 2)
    for number in range(10):
        fold.apply(_outcome(number, "a"))
    assert fold.table.visits[0].tolist() == [2, 0, 0, 2, 0, 0]


@pytest.mark.parametrize("sampling", ["uniform", "prioritised"])
def test_replay_gives_no_source_more_than_its_share(sampling: str) -> None:
    """A value of 0 that everybody calls 1 is moved by the replay too; what nobody else says stays within the limit."""
    values = {
        "learning": {"alpha": 0.25, "gamma": 0.0, "source_share": 0.5},
        "replay": {"updates": 4, "sampling": sampling},
    }
    limited, free = (
        Fold(spec(), Settings().with_values(each, "test"), lambda count: 0.0)
        for each in (values, values | {"learning": {"alpha": 0.25, "gamma": 0.0}})
    )
    for number in range(50):
        limited.apply(_outcome(number, "a"))
        free.apply(_outcome(number, "a"))
    assert free.table.value[0, 0] > 0.9
    assert 0.4 < limited.table.value[0, 0] <= 0.5
    assert limited.replayed is not None
    assert limited.replayed.size == limited.carry.updates < 4


def test_the_same_outcomes_in_the_same_order_give_the_same_table_to_the_bit() -> None:
    rng = np.random.default_rng(5)
    steps = [
        _outcome(n, str(rng.choice(["a", "b", "c"], p=[0.6, 0.2, 0.2])), float(rng.uniform(-1, 1)), action=n % 3)
        for n in range(500)
    ]
    one, other = _fold(), _fold()
    one.apply_all(steps)
    other.apply_all(steps)
    assert one.carry.quarantined > 0
    assert one.carry == other.carry
    assert one.table.value.tobytes() == other.table.value.tobytes()


def test_shares_are_brought_back_by_folding_the_log_and_the_limit_is_part_of_what_a_table_belongs_to() -> None:
    assert _fold().keeps_memory
    stored = _fold(source_share=1.0).changes(replace=True)
    assert not _fold().fits(stored)


@pytest.mark.parametrize(
    "changes",
    [{"method": "n_step_sarsa"}, {"method": "monte_carlo"}, {"planning_steps": 5}, {"source_share": 0.125}],
)
def test_a_limit_that_could_not_be_kept_is_refused(changes: dict[str, float | str]) -> None:
    with pytest.raises(InvalidInput, match="source_share"):
        _fold(**changes)


def test_sarsa_and_expected_sarsa_keep_a_limit() -> None:
    for method in ("sarsa", "expected_sarsa"):
        fold = _fold(method=method)
        for number in range(10):
            fold.apply(_outcome(number, "a"))
        assert (fold.carry.updates, fold.carry.quarantined) == (2, 8)


def test_who_reported_an_outcome_reaches_learning() -> None:
    agent = small_agent()
    with Steersman.open("memory:", settings={}) as steersman:
        decision = steersman.agent(agent).decide({"load": 1, "backlog": 1, "weekend": False})
    said = Report(
        measurements={"reward": 0.5},
        next_state=None,
        next_refusals=(),
        terminated=None,
        truncated=False,
        executed=None,
        source="ann",
    )
    reported = outcome(decision, said, spec=agent, episodes=Episodes(), gamma=0.0, at=decision.decided_at)
    assert Recorder(agent.state, agent.actions, Encoder(agent.state)).transition(decision, reported).source == "ann"
