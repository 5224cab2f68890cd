"""A watch folds a log into windows: it sees what changed, names it, and is silent where nothing did."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from msgspec import structs

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.reward import Reward
from steersman.core.state import Category, Flag, Number, StateSchema
from steersman.core.values import Decision, Outcome
from steersman.stages.monitor.drift import Watch
from steersman.testing import log_rows

Rng = np.random.Generator
Draw = Callable[[Rng], float]
NOW = 1e5

SPEC = AgentSpec(
    name="lab/drifting",
    description="Decides about things that change.",
    state=StateSchema(
        name="drifting",
        fields=(
            Number(name="load", low=0, high=100, edges=(20, 50, 80)),
            Number(name="age", low=0, high=10),
            Category(name="size", options=("small", "large")),
            Flag(name="weekend"),
        ),
    ),
    actions=ActionSpace.flat("rest", "work"),
    reward=Reward.plain(-1.0, 1.0),
    baseline=lambda state: "rest",
    safe_action="rest",
)


def uniform(low: float, high: float) -> Draw:
    return lambda rng: float(rng.uniform(low, high))


def gauss(mean: float) -> Draw:
    return lambda rng: float(np.clip(rng.normal(mean, 0.2), -1.0, 1.0))


LOAD, AGE, REWARD, P95 = uniform(0, 100), uniform(0, 10), gauss(0.0), uniform(90, 110)


def rows(
    rng: Rng,
    count: int,
    *,
    load: Draw = LOAD,
    age: Draw = AGE,
    work: float = 0.5,
    reward: Draw = REWARD,
    p95: Draw = P95,
    start: float = 0.0,
) -> Iterator[tuple[Decision, Outcome]]:
    """Return decisions a second apart, each with its outcome."""
    for index in range(count):
        decision = structs.replace(
            log_rows.decision(f"d{start + index}", agent=SPEC.name, at=start + index),
            schema="drifting@1",
            state={
                "load": min(load(rng), 100.0),
                "age": age(rng),
                "size": "small" if rng.random() < 0.7 else "large",
                "weekend": bool(rng.random() < 0.3),
            },
            executed={"action": "work" if rng.random() < work else "rest"},
        )
        outcome = log_rows.outcome(decision, reward=reward(rng), at=start + index + 0.5)
        yield decision, structs.replace(outcome, measurements={"p95": p95(rng)})


def fold(watch: Watch, pairs: Iterator[tuple[Decision, Outcome]]) -> Watch:
    for decision, outcome in pairs:
        watch.add(decision)
        watch.add_outcome(decision, outcome)
    return watch


def told(watch: Watch, now: float = NOW) -> list[tuple[str, str, str]]:
    return [(each.kind, each.level, each.subject) for each in watch.signals(now)]


def steady(seed: int = 0) -> Watch:
    """Return a watch whose reference is full, and that has seen nothing else yet."""
    return fold(Watch(SPEC, guardrails={"p95": "lower"}), rows(np.random.default_rng(seed), 2_000))


def test_nothing_is_told_until_both_windows_are_full() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 499, load=uniform(90, 100)))
    assert (watch.drifts(), told(watch)) == ((), [])
    fold(watch, rows(np.random.default_rng(2), 1, load=uniform(90, 100)))
    assert ("drift", "act", "load") in told(watch)


def test_where_nothing_changes_nothing_is_told_and_figures_are_small() -> None:
    watch = steady()
    for seed in range(1, 11):
        fold(watch, rows(np.random.default_rng(seed), 500))
        assert told(watch) == []
    assert max(each.psi for each in watch.drifts()) < 0.1
    assert [(each.subject, each.of) for each in watch.drifts()] == [
        ("load", "feature"),
        ("load", "bounds"),
        ("age", "feature"),
        ("age", "bounds"),
        ("size", "feature"),
        ("weekend", "feature"),
        ("action", "action"),
    ]


def test_a_feature_that_moved_is_named_with_its_figures_and_since_when() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 1_000, load=uniform(50, 100), start=2_000.0))
    found = watch.signals(NOW)
    assert [(each.kind, each.level, each.subject) for each in found] == [("drift", "act", "load")]
    drift = watch.drifts()[0]
    assert found[0].figure == drift.psi > found[0].threshold == 0.25
    assert drift.reference == pytest.approx([0.2, 0.3, 0.3, 0.2], abs=0.04)
    assert drift.current == pytest.approx([0.0, 0.0, 0.6, 0.4], abs=0.07)
    assert found[0].since == 2_499.0  # when the current window was first full
    assert "PSI" in found[0].sentence


def test_a_moderate_drift_is_a_warning() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 500, load=uniform(12, 112)))
    assert [each.level for each in watch.drifts() if each.subject == "load" and each.of == "feature"] == ["warn"]


def test_a_number_without_edges_is_watched_in_equal_parts() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 500, age=uniform(5, 10)))
    assert told(watch) == [("drift", "act", "age")]


def test_values_that_are_clamped_more_often_are_told() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 500, load=uniform(0, 140)))
    assert ("drift", "act", "load at its bounds") in told(watch)


def test_other_actions_are_never_more_than_a_warning() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 500, work=1.0))
    assert told(watch) == [("drift", "warn", "choice of action")]


def test_small_windows_do_not_cry_wolf() -> None:
    alarms = above = 0
    for seed in range(40):
        watch = fold(Watch(SPEC, reference=100, current=100), rows(np.random.default_rng(seed), 200))
        alarms += any(each.level for each in watch.drifts())
        above += any(each.psi > 0.1 for each in watch.drifts())
    assert above >= 20  # by the custom alone, most of them would alarm
    assert alarms == 0


def test_states_that_come_in_runs_do_not_cry_wolf() -> None:
    alarms = above = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        runs = iter(np.repeat(rng.uniform(0, 100, 125), 20).tolist())
        watch = fold(Watch(SPEC), rows(rng, 2_500, load=lambda _, runs=runs: next(runs)))  # type: ignore[misc]
        alarms += any(each.level for each in watch.drifts())
        above += any(each.psi > 0.1 for each in watch.drifts())
    assert above >= 2
    assert alarms == 0


def test_decisions_of_another_schema_are_left_out() -> None:
    watch = steady()
    for decision, _ in rows(np.random.default_rng(1), 600, load=uniform(90, 100)):
        watch.add(structs.replace(decision, schema="drifting@2", state={}))
    assert watch.drifts() == ()


def test_options_and_choices_that_are_gone_share_a_bin() -> None:
    watch = steady()
    for decision, _ in rows(np.random.default_rng(1), 500):
        watch.add(structs.replace(decision, state={**decision.state, "size": "huge"}, executed={"action": "sleep"}))
    assert told(watch) == [("drift", "act", "size"), ("drift", "warn", "choice of action")]


def test_a_fall_of_rewards_is_told_soon_and_is_no_news_later() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 200, reward=gauss(-0.3), start=2_000.0))
    signal = watch.signals(NOW)[0]
    assert (signal.kind, signal.level, signal.subject) == ("reward shift", "act", "reward")
    assert signal.figure == pytest.approx(-0.3, abs=0.1)
    assert signal.since is not None
    assert 2_000.0 < signal.since < 2_200.0
    fold(watch, rows(np.random.default_rng(2), 2_200, reward=gauss(-0.3)))
    assert told(watch) == []


def test_a_fall_that_is_taken_back_in_part_is_told_by_what_is_left_of_it() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 300, reward=gauss(-0.5)))
    assert watch.signals(NOW)[0].figure == pytest.approx(-0.5, abs=0.05)
    fold(watch, rows(np.random.default_rng(2), 300, reward=gauss(-0.2)))
    assert watch.signals(NOW)[0].figure == pytest.approx(-0.2, abs=0.05)
    fold(watch, rows(np.random.default_rng(3), 300))
    assert told(watch) == []


def test_a_rise_of_rewards_is_no_alarm_and_can_be_seen() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 600, reward=gauss(0.3)))
    assert told(watch) == []
    assert watch.shift is not None
    assert watch.shift.after > watch.shift.before


def test_a_reward_bought_with_a_guardrail_is_hacking() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 500, reward=gauss(0.2), p95=uniform(100, 120)))
    assert told(watch) == [("reward hacking", "act", "p95")]


def test_a_component_of_the_reward_can_be_a_guardrail() -> None:
    watch = Watch(SPEC, guardrails={"speed": "higher"})
    for seed, count, mean, speed in ((0, 2_000, 0.0, 0.6), (1, 500, 0.2, 0.4)):
        rng = np.random.default_rng(seed)
        for decision, outcome in rows(rng, count, reward=gauss(mean)):
            watch.add_outcome(decision, structs.replace(outcome, components={"speed": float(rng.normal(speed, 0.2))}))
    assert told(watch, 3_000.0) == [("reward hacking", "act", "speed")]


def test_corrections_withdrawals_and_silence_say_nothing() -> None:
    watch = steady()
    for decision, outcome in rows(np.random.default_rng(1), 600, reward=gauss(-0.5)):
        watch.add_outcome(decision, structs.replace(outcome, revision=1))
        watch.add_outcome(decision, structs.replace(outcome, reward=None, kind="expired"))
    assert told(watch) == []


def test_an_agent_that_is_not_used_has_nothing_to_tell() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 500, load=uniform(50, 100)))
    assert told(watch, 2_500.0)
    assert told(watch, 2_500.0 + 8 * 86_400.0) == []


def test_what_is_declared_normal_is_told_no_more() -> None:
    watch = fold(steady(), rows(np.random.default_rng(1), 500, load=uniform(50, 100)))
    watch.rebase()
    assert told(watch) == []
    fold(watch, rows(np.random.default_rng(2), 500, load=uniform(50, 100)))
    assert watch.drifts()
    assert told(watch) == []
    fold(watch, rows(np.random.default_rng(3), 500))
    assert told(watch) == [("drift", "act", "load")]


@pytest.mark.parametrize(("reference", "current"), [(500, 99), (100, 200)])
def test_windows_that_are_too_small_are_refused(reference: int, current: int) -> None:
    with pytest.raises(InvalidInput, match="windows of"):
        Watch(SPEC, reference=reference, current=current)
