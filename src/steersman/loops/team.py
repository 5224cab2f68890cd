"""A team: several agents that decide at the same time, and how they share what comes of it."""

from collections.abc import Callable, Mapping
from typing import Literal

from steersman.core.actions import Action, Choice
from steersman.core.errors import InvalidInput, nearest
from steersman.core.ports import Receipt
from steersman.core.state import StateValues
from steersman.core.values import Decision
from steersman.loops.agent import Agent
from steersman.maths.credit import difference_rewards

Mode = Literal["independent", "cooperative", "difference"]
Utility = Callable[[Mapping[str, Action]], float]
"""What the team earns by a joint action: each seat's action by the seat's name. A pure function."""

_MODES = ("independent", "cooperative", "difference")


class Team:
    """Agents by seat that decide at once. The mode says what each of them learns from.

    - independent: its own measurements;
    - cooperative: the team's measurements, the same for all;
    - difference: what it has added, G(z) − G(z with its own action replaced by its default), by the team's `utility` G.

    An agent may take several seats: then all of them decide by one table and learn into it, each outcome once. That is
    how agents of one definition share experience; agents of their own may share by `kinship`. `default` holds an action
    by seat, the agent's safe action where it says nothing; `measurement` is the name under which difference rewards are
    reported. Raises InvalidInput for a team that cannot work.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        *,
        mode: Mode = "independent",
        utility: Utility | None = None,
        default: Mapping[str, Action | Choice] | None = None,
        measurement: str = "reward",
    ) -> None:
        if not agents:
            raise InvalidInput("a team needs at least one agent.")
        if mode not in _MODES:
            raise InvalidInput(f"team: mode {mode!r} is none of {', '.join(_MODES)}.{nearest(str(mode), _MODES)}")
        if (mode == "difference") != (utility is not None):
            raise InvalidInput(f"team: a utility belongs to mode 'difference' and to no other; the mode is {mode!r}.")
        self.agents = dict(agents)
        self.mode: Mode = mode
        self._utility = utility
        self._measurement = measurement
        given = default or {}
        self._check_seats("default", given)
        self._default: dict[str, Action] = {
            seat: agent.spec.actions.action(given.get(seat, agent.spec.safe_action)) for seat, agent in agents.items()
        }

    def decide(self, states: Mapping[str, StateValues], *, episode: str | None = None) -> dict[str, Decision]:
        """Decide for the seats that have a state, in the team's order, and return their decisions.

        Within an episode each seat has an episode of its own, named after both. Raises InvalidInput for an unknown seat
        or a state that does not fit, before anyone has decided.
        """
        self._check_seats("states", states)
        present = {seat: agent for seat, agent in self.agents.items() if seat in states}
        for seat, agent in present.items():
            agent.spec.state.check(states[seat])
        return {
            seat: agent.decide(states[seat], episode=None if episode is None else f"{episode}/{seat}", subject=seat)
            for seat, agent in present.items()
        }

    def report(
        self,
        decisions: Mapping[str, Decision],
        measurements: Mapping[str, float] | Mapping[str, Mapping[str, float]] | None = None,
        *,
        next_states: Mapping[str, StateValues] | None = None,
        terminated: bool | None = None,
        truncated: bool = False,
    ) -> dict[str, Receipt]:
        """Report what came of decisions that were made together, and let each agent learn its part.

        measurements: by seat (independent), of the team (cooperative), or none (difference: they follow from the actions).
        next_states: by seat, within an episode. Raises InvalidInput where anything does not fit, before anything is
        reported; each outcome is then acknowledged by a receipt of its own.
        """
        self._check_seats("decisions", decisions)
        following = next_states or {}
        self._check_seats("next_states", following)
        shares = self._shares(decisions, measurements)
        for seat, share in shares.items():
            spec = self.agents[seat].spec
            spec.reward.check(share)
            if seat in following:
                spec.state.check(following[seat])
        return {
            seat: self.agents[seat].report(
                decisions[seat],
                share,
                next_state=following.get(seat),
                terminated=terminated,
                truncated=truncated,
            )
            for seat, share in shares.items()
        }

    def _shares(
        self,
        decisions: Mapping[str, Decision],
        measurements: Mapping[str, float] | Mapping[str, Mapping[str, float]] | None,
    ) -> dict[str, dict[str, float]]:
        """Return what each seat is told."""
        if self._utility is not None:
            if measurements is not None:
                raise InvalidInput("team: in mode 'difference' measurements follow from the actions; report none.")
            joint = {seat: each.executed for seat, each in decisions.items()}
            rewards = difference_rewards(self._utility, joint, self._default)
            return {seat: {self._measurement: reward} for seat, reward in rewards.items()}
        told: dict[str, dict[str, float]] = {}
        for seat in decisions:
            own = measurements if self.mode == "cooperative" else (measurements or {}).get(seat)
            if not isinstance(own, Mapping):
                raise InvalidInput(f"team: in mode {self.mode!r} seat {seat!r} needs measurements, got {own!r}.")
            told[seat] = {name: value for name, value in own.items() if not isinstance(value, Mapping)}
            if len(told[seat]) != len(own):
                raise InvalidInput(f"team: in mode {self.mode!r} measurements are those of the team, not of each seat.")
        return told

    def _check_seats(self, what: str, given: Mapping[str, object]) -> None:
        for seat in given:
            if seat not in self.agents:
                raise InvalidInput(f"team: {what} of an unknown seat {seat!r}.{nearest(str(seat), self.agents)}")
