"""Sharing: what an agent gives, what others make of it, and how far it may be believed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from steersman.core.actions import ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.kinship import Kinship, shared_key
from steersman.core.reward import Reward
from steersman.core.settings import Settings
from steersman.core.state import Number, StateSchema
from steersman.core.values import Contribution
from steersman.policies.prior import Prior
from steersman.policies.tabular import QTable
from steersman.stages.share import agreement, borrow
from steersman.stages.share.contribute import REST, Evidence, Rows, changes, contributions, evidence, look

SCHEMA = StateSchema(name="kin", fields=(Number(name="load", low=0, high=60, edges=(10, 20, 40)),))
LOW, MID = "load=low", "load=mid"
SPACE = ActionSpace.flat("a", "b", "c")


def _spec(name: str = "lab/me", *, low: float = 0.0, high: float = 1.0, space: ActionSpace = SPACE, **kin: Any) -> AgentSpec:
    roles = {f"{dimension}={choice}": f"role-{choice}" for dimension, choice in space.slot_names}
    given: dict[str, Any] = {"category": "c", "project": lambda state: {"load": state["load"] / 60}, "roles": roles}
    return AgentSpec(
        name=name,
        description="For tests.",
        state=SCHEMA,
        actions=space,
        reward=Reward.plain(low, high),
        baseline=lambda state: space.actions[0],
        safe_action=space.actions[0],
        kinship=Kinship(**{**given, **kin}),
    )


def _settings(**sections: dict[str, Any]) -> Settings:
    bandit = {"learning": {"gamma": 0.0, "alpha": 1.0, "alpha_schedule": "visits", "alpha_scale": 1.0}}
    return Settings().with_values({**bandit, **sections}, "test")


def _table(
    spec: AgentSpec, seen: dict[tuple[int, int], tuple[float, int]], *, variance: float = 0.01, estimators: int = 1
) -> QTable:
    """Return a table that holds (mean, visits) by (bin of the load, slot)."""
    table = QTable(spec.actions, estimators=estimators)
    for (index, slot), (mean, visits) in seen.items():
        row = table.intern(str(index), {"load": index})
        table.value[row, slot], table.visits[row, slot] = mean, visits
        table.td_variance[row, slot], table.reward_m2[row, slot] = variance, variance * visits
        table.updated_at[row, slot] = 100.0 + index
    return table


def _name(spec: AgentSpec) -> Any:
    assert spec.kinship is not None
    kinship = spec.kinship
    return lambda bins: shared_key(kinship, spec.state, bins)


def _given(spec: AgentSpec, seen: dict[tuple[int, int], tuple[float, int]], settings: Settings | None = None) -> Rows:
    return contributions(spec, settings or _settings(), look(spec, settings or _settings(), _table(spec, seen)), _name(spec))


def _evidence(spec: AgentSpec, seen: dict[tuple[int, int], tuple[float, int]]) -> dict[tuple[str, str], Evidence]:
    return evidence(spec, _settings(), look(spec, _settings(), _table(spec, seen)), _name(spec))


def _rows(
    source: str, values: dict[str, float], *, pool: str = "category/c", key: str = LOW, count: float = 20.0
) -> list[Contribution]:
    return [
        Contribution(pool=pool, source=source, key=key, role=role, value=value, count=count, variance=0.01, updated_at=1.0)
        for role, value in values.items()
    ]


def _priors(rows: list[Contribution], spec: AgentSpec | None = None, own: Any = None, **sections: Any) -> dict[str, Prior]:
    pools: dict[str, list[Contribution]] = {}
    for row in rows:
        pools.setdefault(row.pool, []).append(row)
    return borrow.priors(spec or _spec(), _settings(**sections), own or {}, pools)


GOOD = {"role-a": 0.4, "role-b": 0.7, "role-c": 0.55}

# giving


def test_own_evidence_counts_by_a_tenth_in_the_category_and_a_twentieth_in_the_fleet() -> None:
    given = _given(_spec(), {(0, 1): (0.75, 20)})
    assert given[("category/c", LOW, "role-b")].count == pytest.approx(2.0)
    assert given[("fleet", LOW, "role-b")].count == pytest.approx(1.0)
    assert {row.value for row in given.values()} == {0.75}
    assert {row.source for row in given.values()} == {"lab/me"}


def test_the_count_of_a_constant_step_is_an_effective_one() -> None:
    settings = _settings(learning={"gamma": 0.0, "alpha": 0.1})
    assert _given(_spec(), {(0, 1): (0.75, 500)}, settings)[("fleet", LOW, "role-b")].count == pytest.approx(0.05 * 19)


def test_table_states_of_one_shared_key_are_merged() -> None:
    """The bins 0 to 10 and 10 to 20 are both low: counts add, values are weighted, variances pooled."""
    spec = _spec()
    seen = _evidence(spec, {(0, 1): (0.9, 10), (1, 1): (0.6, 20), (2, 1): (0.1, 5)})
    guess = 0.25**2
    assert set(seen) == {(LOW, "role-b"), (MID, "role-b")}
    assert seen[LOW, "role-b"].count == 30.0
    assert seen[LOW, "role-b"].value == pytest.approx((10 * 0.9 + 20 * 0.6) / 30)
    assert seen[LOW, "role-b"].variance == pytest.approx((10 * (guess + 0.1) / 11 + 20 * (guess + 0.2) / 21) / 30)
    assert seen[LOW, "role-b"].updated_at == 101.0


def test_slots_of_one_role_are_merged() -> None:
    spec = _spec(roles={"action=a": "x", "action=b": "x", "action=c": "y"})
    seen = _evidence(spec, {(0, 0): (0.2, 10), (0, 1): (0.8, 30)})
    assert [seen[LOW, "x"].count, seen[LOW, "x"].value] == pytest.approx([40.0, 0.65])


@settings(deadline=None)
@given(st.floats(0.1, 500.0))
def test_agents_of_other_reward_ranges_give_the_same(width: float) -> None:
    spec, other = _spec(), _spec(low=0.0, high=width)
    ours = _given(spec, {(0, 1): (0.75, 20), (0, 2): (0.25, 8)})
    settings, table = (
        _settings(),
        _table(other, {(0, 1): (0.75 * width, 20), (0, 2): (0.25 * width, 8)}, variance=0.01 * width**2),
    )
    theirs = contributions(other, settings, look(other, settings, table), _name(other))
    assert set(ours) == set(theirs)
    for place, row in ours.items():
        assert (row.value, row.variance, row.count) == pytest.approx(
            (theirs[place].value, theirs[place].variance, theirs[place].count)
        )


def test_a_slot_of_a_factored_space_has_its_part_of_the_bounds() -> None:
    spec = _spec(high=10.0, space=ActionSpace({"x": (0, 1), "y": (2, 3)}))
    assert _given(spec, {(0, 0): (2.5, 4)})[("fleet", LOW, "role-0")].value == pytest.approx(0.5)


def test_only_sure_entries_are_transferred_and_the_rest_of_the_state_together() -> None:
    spec = _spec(group="g")
    seen = {(0, 0): (0.4, 30), (0, 1): (0.9, 7), (0, 2): (0.5, 4), (2, 0): (0.4, 6), (2, 1): (0.9, 4)}
    given = {place: row for place, row in _given(spec, seen).items() if place[0] == "group/g"}
    assert {(key, role): row.count for (_, key, role), row in given.items()} == {
        (LOW, "role-a"): 30.0,
        (LOW, "role-b"): 7.0,
        (MID, "role-a"): 6.0,
    }
    doubtful = {(0, 0): (0.4, 30), (0, 1): (0.8, 4), (0, 2): (0.5, 4)}
    together = _given(spec, doubtful)[("group/g", LOW, REST)]
    assert [together.count, together.value] == pytest.approx([8.0, 0.65])


def test_an_agent_without_kinship_or_bounds_gives_nothing() -> None:
    seen = look(_spec(), _settings(), _table(_spec(), {(0, 1): (0.75, 20)}))
    assert contributions(replace(_spec(), kinship=None), _settings(), seen, _name(_spec())) == {}
    assert _given(_spec(), {(0, 1): (0.75, 20)}, _settings(learning={"gamma": 1.0})) == {}
    assert (
        _given(_spec(group="g"), {(0, 1): (0.75, 20)}, _settings(hierarchy={"enabled": False}, transfer={"enabled": False}))
        == {}
    )


@settings(deadline=None)
@given(
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 2)), st.tuples(st.floats(0, 1), st.integers(1, 99)), max_size=8
    )
)
def test_pushing_again_appends_nothing(seen: dict[tuple[int, int], tuple[float, int]]) -> None:
    given = _given(_spec(group="g"), seen)
    assert changes({}, given, 5.0) == list(given.values())
    assert changes(given, _given(_spec(group="g"), seen), 5.0) == []


def test_only_what_changed_is_given_and_what_is_gone_is_taken_back() -> None:
    before = _given(_spec(), {(0, 1): (0.75, 20), (2, 1): (0.5, 3)})
    now = _given(_spec(), {(0, 1): (0.75, 20), (0, 2): (0.25, 2)})
    rows = changes(before, now, 5.0)
    assert {(row.pool, row.key, row.role, row.count > 0) for row in rows} == {
        ("category/c", LOW, "role-c", True),
        ("fleet", LOW, "role-c", True),
        ("category/c", MID, "role-b", False),
        ("fleet", MID, "role-b", False),
    }
    assert len(changes(before, {}, 5.0)) == len(before)


# agreement


def test_levels_are_taken_out_and_effects_remain() -> None:
    effects, levels = np.array([[0.2, 0.0, -0.2]]), np.array([[0.3, 0.5, 0.6]])
    value = levels[:, :, None] + effects[:, None, :]
    found, heights = agreement.effects(value, np.ones(value.shape))
    assert found == pytest.approx(effects)
    assert heights == pytest.approx(levels)


def test_a_source_that_is_paid_more_does_not_lift_the_choice_that_it_alone_has_tried() -> None:
    value = np.array([[[0.3, 0.5, 0.0], [0.0, 0.9, 0.8]]])  # the second lies 0.4 higher: b 0.5, c 0.4
    found, _ = agreement.effects(value, np.array([[[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]]]))
    assert found[0, 1] - found[0, 0] == pytest.approx(0.2, abs=0.03)
    assert found[0, 2] < found[0, 1]


def test_a_source_that_knows_one_role_says_nothing_about_effects() -> None:
    value, precision = np.array([[[0.3, 0.5], [0.9, 0.0]]]), np.array([[[1.0, 1.0], [1.0, 0.0]]])
    found, levels = agreement.effects(value, precision)
    assert found == pytest.approx(np.array([[-0.1, 0.1]]))
    assert levels[0, 0] == pytest.approx(0.4)


@pytest.mark.parametrize(("apart", "low", "high"), [(0.0, 0.0, 0.0004), (0.2, 0.025, 0.06)])
def test_disagreement_is_what_lies_beyond_the_noise(apart: float, low: float, high: float) -> None:
    rng = np.random.default_rng(1)
    common = rng.normal(0.0, 0.2, (9, 1, 5))
    value = common + rng.normal(0.0, apart, (9, 10, 5)) + rng.normal(0.0, 0.05, (9, 10, 5))
    found = agreement.disagreement(value, np.full(value.shape, 0.05**2), 0.0005)
    assert low <= found <= high


def test_without_a_comparison_the_guess_stands() -> None:
    assert agreement.disagreement(np.zeros((2, 1, 3)), np.ones((2, 1, 3)), 0.01) == 0.01


# borrowing


def test_a_prior_compares_choices_in_the_agents_own_units() -> None:
    prior = _priors([row for name in ("lab/x", "lab/y", "lab/z") for row in _rows(name, GOOD)], _spec(low=0.0, high=10.0))[
        LOW
    ]
    assert prior.sources == ("category/c",)
    assert prior.effects[0] == pytest.approx([-1.5, 1.5, 0.0])
    assert prior.level == pytest.approx([5.5])
    assert (prior.weights > 1.0).all()


def test_what_was_given_by_the_agent_itself_does_not_come_back() -> None:
    assert _priors(_rows("lab/me", GOOD)) == {}
    lone, joined = (
        _priors(_rows("lab/x", GOOD)),
        _priors([*_rows("lab/x", GOOD), *_rows("lab/me", {"role-a": 1.0, "role-b": 0.0})]),
    )
    assert lone[LOW].effects == pytest.approx(joined[LOW].effects)
    assert lone[LOW].weights == pytest.approx(joined[LOW].weights)


def test_a_prior_is_worth_its_part_of_kappa_at_most() -> None:
    many = [
        row
        for index in range(9)
        for pool in ("category/c", "fleet")
        for row in _rows(f"lab/{pool}-{index}", GOOD, pool=pool)
    ]
    found = _priors(many)[LOW]
    assert found.sources == ("category/c", "fleet")
    assert found.weights[0] == pytest.approx([7.0] * 3)
    assert found.weights[1] == pytest.approx([5.0] * 3)


@settings(deadline=None)
@given(st.floats(0.02, 30.0))
def test_a_prior_is_worth_no_more_than_the_evidence_behind_it(count: float) -> None:
    found = _priors([row for name in ("lab/x", "lab/y") for row in _rows(name, GOOD, count=count)])
    weights = found[LOW].weights if found else np.zeros(1)
    assert (weights <= 2.0 * count + 1e-9).all()


def test_kin_that_disagree_are_hardly_believed() -> None:
    rng = np.random.default_rng(0)
    keys = [f"load={level} late={late}" for level in ("low", "mid", "high") for late in ("low", "high")]

    def pool(apart: float) -> list[Contribution]:
        return [
            row
            for index in range(6)
            for key in keys
            for row in _rows(f"lab/{index}", {f"role-{c}": 0.5 + float(rng.normal(0.0, apart)) for c in "abc"}, key=key)
        ]

    alike, unlike = _priors(pool(0.01)), _priors(pool(0.25))
    assert min(prior.weights.min() for prior in alike.values()) > 5.0
    assert max((prior.weights.max() for prior in unlike.values()), default=0.0) < 0.5


def test_a_single_relative_is_judged_by_the_agents_own_evidence() -> None:
    keys = ("load=low", "load=mid", "load=high")
    rows = [row for key in keys for row in _rows("lab/x", GOOD, pool="group/g", key=key)]
    same = {(row.key, row.role): Evidence(value=row.value, count=20.0, variance=0.01, updated_at=1.0) for row in rows}
    turned = {place: replace(each, value=1.0 - each.value) for place, each in same.items()}
    spec = _spec(group="g")
    assert _priors(rows, spec, same)[LOW].weights.min() > 5.0
    found = _priors(rows, spec, turned)
    assert not found or found[LOW].weights.max() < 1.0


def test_a_twin_among_strangers_is_taken_for_a_stranger() -> None:
    rng = np.random.default_rng(0)
    twin = _rows("lab/x", GOOD, pool="group/g")

    def fleet(apart: float) -> list[Contribution]:
        return [
            row
            for index in range(6)
            for key in (LOW, MID)
            for row in _rows(
                f"lab/{index}", {f"role-{c}": 0.5 + float(rng.normal(0.0, apart)) for c in "abc"}, pool="fleet", key=key
            )
        ]

    def weight(rows: list[Contribution]) -> float:
        prior = _priors([*twin, *rows], _spec(group="g"))[LOW]
        return float(prior.weights[0].max()) if prior.sources[0] == "transfer/lab/x" else 0.0

    assert weight(fleet(0.01)) > 5.0
    assert weight(fleet(0.25)) < 0.5


@settings(deadline=None)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_transfer_shrinks_toward_the_mean_of_the_source_and_keeps_the_order(a: float, b: float, c: float) -> None:
    """0.8 × a negative value would make a bad action look better; 0.8 × its distance from the mean does not."""
    spec = _spec(low=-1.0, high=1.0, group="g")
    values = {"role-a": a, "role-b": b, "role-c": c}
    found = _priors(_rows("lab/x", values, pool="group/g"), spec)[LOW]
    assert found.sources == ("transfer/lab/x",)
    scaled = np.array([a, b, c])
    assert found.effects[0] == pytest.approx(0.8 * 2.0 * (scaled - scaled.mean()), abs=1e-9)


def test_a_mapping_puts_a_sources_words_into_the_agents() -> None:
    spec = _spec(group="g", mapping={"lab/x": {"gentle": "role-a"}})
    rows = _rows("lab/x", {"gentle": 0.9, "role-b": 0.1}, pool="group/g")
    assert _priors(rows, spec)[LOW].effects[0] == pytest.approx([0.32, -0.32, 0.0])
    assert _priors(rows, _spec(group="g")) == {}


def test_choices_that_a_relative_does_not_name_stand_where_it_says_the_rest_does() -> None:
    spec = _spec(group="g")
    found = _priors(_rows("lab/x", {"role-b": 0.8, REST: 0.5}, pool="group/g"), spec)[LOW]
    assert found.effects[0] == pytest.approx([-0.08, 0.16, -0.08])
    assert _priors(_rows("lab/x", {"role-b": 0.8}, pool="group/g"), spec) == {}


def test_each_source_is_heard_once_in_a_state_through_the_nearest_pool() -> None:
    rows = [
        *_rows("lab/x", GOOD, pool="group/g"),
        *(row for name in ("lab/x", "lab/y") for row in _rows(name, GOOD)),
        *(row for name in ("lab/x", "lab/y", "lab/z") for row in _rows(name, GOOD, pool="fleet")),
        *_rows("lab/x", GOOD, key=MID),
    ]
    found = _priors(rows, _spec(group="g"))
    assert found[LOW].sources == ("transfer/lab/x", "category/c", "fleet")
    assert found[MID].sources == ("category/c",)
    without = _priors([row for row in rows if row.source != "lab/x"], _spec(group="g"))
    assert found[LOW].effects[1:] == pytest.approx(without[LOW].effects)
    assert found[LOW].weights[1:] == pytest.approx(without[LOW].weights, rel=0.2)


def test_switched_off_nothing_is_borrowed() -> None:
    rows = [*_rows("lab/x", GOOD, pool="group/g"), *_rows("lab/y", GOOD)]
    spec = _spec(group="g")
    assert _priors(rows, spec, transfer={"enabled": False})[LOW].sources == ("category/c",)
    assert _priors(rows, spec, hierarchy={"enabled": False})[LOW].sources == ("transfer/lab/x",)
    assert _priors(rows, spec, hierarchy={"enabled": False}, transfer={"enabled": False}) == {}


def test_roles_that_the_agent_does_not_play_are_left_aside() -> None:
    assert _priors(_rows("lab/x", {"other": 0.9, "strange": 0.1})) == {}


def test_a_row_taken_back_is_as_if_it_had_never_been_given() -> None:
    rows = _rows("lab/x", GOOD) + [changed(row, count=0.0) for row in _rows("lab/y", {"role-a": 1.0, "role-b": 0.0})]
    found, alone = _priors(rows), _priors(_rows("lab/x", GOOD))
    assert found[LOW].effects == pytest.approx(alone[LOW].effects)
