"""Kinship: what an agent has in common with others, so that they can tell each other what they have seen."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from steersman.core.actions import ActionSpace
from steersman.core.errors import InvalidInput, nearest
from steersman.core.state import Category, Field, Flag, Number, Scalar, StateSchema, StateValues, finite

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_LEVELS = ("low", "mid", "high")


@dataclass(frozen=True, kw_only=True)
class Kinship:
    """Whom an agent belongs to, and how its states and choices are called there.

    `category` is the family within the fleet, `group` the few agents that do nearly the same. `project` names what
    matters about a state in words that others use too, each in [0, 1] (complexity, urgency, size, risk …). `roles` gives
    the part that a choice plays, by "dimension=choice"; of a dimension all choices have one, or none has. Where two
    agents of a group use other words, `mapping` holds, by source agent, {the source's role: the role here}.
    """

    category: str
    group: str = ""
    project: Callable[[StateValues], Mapping[str, float]]
    roles: Mapping[str, str]
    mapping: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (self.category, *([self.group] if self.group else ())):
            if not _NAME.fullmatch(name):
                raise InvalidInput(f"kinship: {name!r} is no category or group; use lower case, as in 'core-testing'.")
        known = set(self.roles.values())
        for source, words in self.mapping.items():
            for role in words.values():
                if role not in known:
                    raise InvalidInput(f"kinship: mapping of {source}: no role {role!r} here.{nearest(role, known)}")

    def check(self, actions: ActionSpace) -> None:
        """Raise InvalidInput for a role of a choice that is not there, naming the nearest, or a dimension named in part."""
        known = [slot_name(*each) for each in actions.slot_names]
        for slot in self.roles:
            if slot not in known:
                raise InvalidInput(f"kinship: {slot!r} is no choice of the agent.{nearest(slot, known)}")
        for dimension, choices in actions.dimensions.items():
            without = [slot_name(dimension, each) for each in choices if slot_name(dimension, each) not in self.roles]
            if 0 < len(without) < len(choices):
                named = ", ".join(without)
                raise InvalidInput(f"kinship: no role for {named}. Give all choices of {dimension} one, or none.")

    def pools(self) -> tuple[str, ...]:
        """Return the names of the pools that the agent gives to and takes from, the nearest first."""
        return (*((self.group_pool,) if self.group else ()), self.category_pool, FLEET)

    @property
    def category_pool(self) -> str:
        """The pool of the category."""
        return f"category/{self.category}"

    @property
    def group_pool(self) -> str:
        """The pool of the similarity group."""
        return f"group/{self.group}"


FLEET = "fleet"


def slot_name(dimension: str, choice: object) -> str:
    """Return what roles are keyed by: "dimension=choice"."""
    return f"{dimension}={choice}"


def shared_key(kinship: Kinship, schema: StateSchema, bins: Mapping[str, int]) -> str:
    """Return the name of a table state among kin, such as "complexity=high urgency=low": each feature in three bins.

    It is a function of the bins alone, so that what was learned and what is asked for meet under one name, in every
    process: the state that is projected has each number in the middle of its bin (of its range, where it has no edges).
    Raises InvalidInput for a feature that is not a number in [0, 1].
    """
    features = kinship.project({each.name: _middle(each, bins.get(each.name, 0)) for each in schema.fields})
    return " ".join(f"{name}={_level(name, features[name])}" for name in sorted(features))


def _middle(each: Field, index: int) -> Scalar:
    match each:
        case Number(low=low, high=high, edges=edges):
            ends = (min(low, *edges), *edges, max(high, *edges)) if edges else (low, high)
            return (ends[index] + ends[index + 1]) / 2.0
        case Flag():
            return bool(index)
        case Category(options=options):
            return options[index]


def _level(name: str, value: object) -> str:
    number = finite(value, name=f"shared feature {name}")
    if not 0.0 <= number <= 1.0:
        raise InvalidInput(f"shared feature {name}: {number} lies outside [0, 1]. Scale it in `project`.")
    return _LEVELS[min(math.floor(number * len(_LEVELS)), len(_LEVELS) - 1)]
