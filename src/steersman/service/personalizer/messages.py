"""Bodies and answers in the words of the Personalizer API, versions 1.0 to 1.1-preview.3."""

from typing import Annotated, Any

import msgspec

Text = Annotated[str, msgspec.Meta(max_length=256)]
Objects = list[dict[str, Any]]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    pass


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class RankableAction(_Body, frozen=True, kw_only=True):
    """An action: its id, and objects with features of it."""

    id: Text
    features: Objects | None = None


class RankRequest(_Body, frozen=True, kw_only=True):
    """A question for a ranking. The first action that is not excluded is the baseline."""

    actions: list[RankableAction]
    context_features: Objects | None = None
    excluded_actions: list[str] | None = None
    event_id: Text | None = None
    defer_activation: bool | None = None


class RankedAction(_Answer, frozen=True, kw_only=True):
    """An action and the probability with which it was to be chosen."""

    id: str
    probability: float


class RankResponse(_Answer, frozen=True, kw_only=True):
    """The ranking: the chosen action first, the others by falling probability, excluded ones last."""

    ranking: list[RankedAction]
    event_id: str
    reward_action_id: str


class RewardRequest(_Body, frozen=True, kw_only=True):
    """A reward from -1 to 1."""

    value: float


class SlotRequest(_Body, frozen=True, kw_only=True):
    """A place to fill: what would be there without a ranking, and what must not be."""

    id: Text
    baseline_action: str
    features: Objects | None = None
    excluded_actions: list[str] | None = None


class MultiSlotRankRequest(_Body, frozen=True, kw_only=True):
    """A question for one action for each slot."""

    actions: list[RankableAction]
    slots: list[SlotRequest]
    context_features: Objects | None = None
    event_id: Text | None = None
    defer_activation: bool | None = None


class SlotResponse(_Answer, frozen=True, kw_only=True):
    """A slot and its action."""

    id: str
    reward_action_id: str


class MultiSlotRankResponse(_Answer, frozen=True, kw_only=True):
    """An action for each slot, in the order of the request."""

    slots: list[SlotResponse]
    event_id: str


class SlotReward(_Body, frozen=True, kw_only=True):
    """A reward of one slot, from -1 to 1."""

    slot_id: Text
    value: float


class MultiSlotRewardRequest(_Body, frozen=True, kw_only=True):
    """Rewards by slot."""

    reward: list[SlotReward]


class PersonalizerError(_Answer, frozen=True, kw_only=True):
    """What went wrong: a code for programs, a message with the way out for people."""

    code: str
    message: str


class ErrorResponse(_Answer, frozen=True, kw_only=True):
    """The answer to what could not be done."""

    error: PersonalizerError
