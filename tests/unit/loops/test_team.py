"""Several agents that act at once: who is told what, and that credit by difference solves what a shared reward does not."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from steersman.app import Steersman
from steersman.core.actions import Action, ActionSpace
from steersman.core.agent import AgentSpec
from steersman.core.errors import InvalidInput
from steersman.core.reward import Reward
from steersman.core.state import Flag, StateSchema
from steersman.loops.learn import refold
from steersman.loops.team import Mode, Team

STATE: dict[str, Any] = {"rain": False}
NIGHTS = ("monday", "tuesday", "wednesday", "thursday")
ROOM = 2.0
GUESTS = 24


def _guest(name: str, gamma: float = 0.0) -> AgentSpec:
    return AgentSpec(
        name=name,
        description="Chooses a night to go out, or none.",
        state=StateSchema(name="guest", fields=(Flag(name="rain"),)),
        actions=ActionSpace({"night": ("home", *NIGHTS)}),
        reward=Reward.plain(-4.0, 4.0),
        baseline=lambda state: "home",
        safe_action="home",
        settings={
            "learning": {"gamma": gamma, "alpha": 0.2},
            "exploration": {"epsilon": 0.3, "decay": 0.99, "floor": 0.0},
            "serving": {"baseline_share": 0.0, "cold_visits": 0},
        },
    )


def _joy(joint: Mapping[str, Action]) -> float:
    """Return Σ x·e^(−x/2) over the nights with x guests each: a night is best with two (El Farol; Wolpert & Tumer)."""
    crowds = Counter(each["night"] for each in joint.values() if each["night"] != "home")
    return sum(crowd * math.exp(-crowd / ROOM) for crowd in crowds.values())


def _play(steersman: Steersman, mode: Mode, rounds: int) -> tuple[Team, float]:
    """Return the team after some rounds and its mean joy over the last tenth of them."""
    agents = {f"lab/guest{i}": steersman.agent(_guest(f"lab/guest{i}")) for i in range(GUESTS)}
    team = Team(agents, mode=mode, utility=_joy if mode == "difference" else None)
    earned = []
    for _ in range(rounds):
        decisions = team.decide(dict.fromkeys(agents, STATE))
        joy = _joy({seat: each.executed for seat, each in decisions.items()})
        team.report(decisions, {"reward": joy} if mode == "cooperative" else None)
        earned.append(joy)
    last = earned[-rounds // 10 :]
    return team, sum(last) / len(last)


def test_credit_by_difference_beats_the_teams_reward_where_guests_crowd_each_other() -> None:
    best = len(NIGHTS) * ROOM * math.exp(-1.0)
    for seed in (0, 1):
        with Steersman.open("memory:", settings={}, seed=seed) as steersman:
            _, together = _play(steersman, "cooperative", 200)
        with Steersman.open("memory:", settings={}, seed=seed) as steersman:
            _, apart = _play(steersman, "difference", 200)
        assert apart > 0.95 * best
        assert together < 0.8 * best


def test_the_same_seed_plays_the_same_and_each_table_is_the_fold_of_its_own_log() -> None:
    tables = []
    for _ in range(2):
        with Steersman.open("memory:", settings={}) as steersman:
            team, _ = _play(steersman, "difference", 30)
            runtimes = [each._runtime for each in team.agents.values()]
            tables.append([each.fold.table.value.tobytes() for each in runtimes])
            assert [refold(each).table.value.tobytes() for each in runtimes] == tables[-1]
    assert tables[0] == tables[1]


def test_each_mode_tells_each_agent_its_part() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        a, b = steersman.agent(_guest("lab/a")), steersman.agent(_guest("lab/b"))
        states = {"left": STATE, "right": STATE}

        def told(team: Team, measurements: Any) -> list[float | None]:
            decisions = team.decide(states)
            team.report(decisions, measurements)
            return [a._runtime.log.outcomes(each.id)[-1].reward for each in decisions.values()]

        seats = {"left": a, "right": b}
        assert told(Team(seats), {"left": {"reward": 1.0}, "right": {"reward": 2.0}}) == [1.0, 2.0]
        assert told(Team(seats, mode="cooperative"), {"reward": 3.0}) == [3.0, 3.0]
        utility = {"left": 0.5, "right": 0.25}
        alone = Team(
            seats, mode="difference", utility=lambda z: sum(utility[s] for s, e in z.items() if e["night"] != "home")
        )
        decisions = alone.decide(states)
        alone.report(decisions)
        rewards = {seat: a._runtime.log.outcomes(each.id)[-1].reward for seat, each in decisions.items()}
        assert rewards == {seat: utility[seat] * (each.choice != "home") for seat, each in decisions.items()}


def test_one_agent_in_several_seats_learns_from_all_of_them_each_outcome_once() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        shared = steersman.agent(_guest("lab/shared", gamma=0.5))
        team = Team({"left": shared, "right": shared})
        for step in range(3):
            decisions = team.decide({"left": STATE, "right": STATE}, episode="week")
            assert [each.episode for each in decisions.values()] == ["week/left", "week/right"]
            assert [each.step for each in decisions.values()] == [step, step]
            over = step == 2
            team.report(
                decisions,
                {"left": {"reward": 1.0}, "right": {"reward": -1.0}},
                next_states=None if over else {"left": STATE, "right": STATE},
                terminated=over,
            )
        entries = shared.values(STATE)["night"].values()
        assert sum(each.visits for each in entries) == 6
        assert refold(shared._runtime).table.value.tobytes() == shared._runtime.fold.table.value.tobytes()


def test_what_does_not_fit_is_refused_before_anything_is_recorded() -> None:
    with Steersman.open("memory:", settings={}) as steersman:
        a, b = steersman.agent(_guest("lab/a")), steersman.agent(_guest("lab/b"))
        seats = {"left": a, "right": b}
        team, both = Team(seats), Team(seats, mode="cooperative")
        with pytest.raises(InvalidInput, match="Did you mean 'left'"):
            team.decide({"lefft": STATE})
        with pytest.raises(InvalidInput):
            team.decide({"left": STATE, "right": {"rain": "cats"}})
        assert a._runtime.log.decision_count("lab/a") == 0
        decisions = team.decide({"left": STATE, "right": STATE})
        cases: list[tuple[Team, Any, str]] = [
            (team, {"left": {"reward": 1.0}}, "'right' needs measurements"),
            (team, {"left": {"reward": 1.0}, "right": {"reward": 99.0}}, "outside"),
            (team, None, "needs measurements"),
            (both, {"left": {"reward": 1.0}, "right": {"reward": 1.0}}, "those of the team"),
            (Team(seats, mode="difference", utility=_joy), {"reward": 1.0}, "report none"),
            (Team(seats, mode="difference", utility=lambda z: math.nan), None, "finite"),
        ]
        for each, measurements, message in cases:
            with pytest.raises(InvalidInput, match=message):
                each.report(decisions, measurements)
        assert not a._runtime.log.outcomes(decisions["left"].id)
        for options in ({"mode": "together"}, {"mode": "difference"}, {"utility": _joy}, {"default": {"up": "home"}}):
            with pytest.raises(InvalidInput):
                Team(seats, **options)
        with pytest.raises(InvalidInput, match="at least one"):
            Team({})
