"""Kin: what a running agent knows of those it shares with, and what it has given them."""

import threading
from collections.abc import Mapping

from steersman.core.agent import AgentSpec
from steersman.core.kinship import Kinship, shared_key
from steersman.core.settings import Settings
from steersman.core.values import Belief
from steersman.maths.statistics import value_bounds
from steersman.policies.prior import OwnEvidence, Prior
from steersman.policies.tabular import QTable
from steersman.stages.share.contribute import Rows

_NAMES = 8_192


class Kin:
    """One agent's side of sharing. `steersman.loops.share` replaces `priors` and `given` as a whole, under `sharing`."""

    def __init__(self, kinship: Kinship, spec: AgentSpec, settings: Settings) -> None:
        self.kinship = kinship
        self.priors: dict[str, Prior] = {}
        self.given: Rows | None = None
        self.shared_at = float("-inf")
        self.sharing = threading.Lock()
        self._schema = spec.state
        self._own = OwnEvidence(settings.learning)
        low, high = value_bounds(spec.reward.low, spec.reward.high, settings.learning.gamma)
        parts = len(spec.actions.dimensions)
        self._bounds = (low / parts, high / parts)
        self._names: dict[tuple[tuple[str, int], ...], str] = {}

    def name(self, bins: Mapping[str, int]) -> str:
        """Return the shared key of a table state; the last ones are kept, up to a bound."""
        place = tuple(sorted(bins.items()))
        name = self._names.get(place)
        if name is None:
            if len(self._names) >= _NAMES:
                self._names.clear()
            name = self._names[place] = shared_key(self.kinship, self._schema, bins)
        return name

    def borrowed(self, bins: Mapping[str, int], table: QTable, row: int | None) -> tuple[Belief, ...]:
        """Return what others say about a state, on the level of the agent's own values; empty where nobody says anything."""
        prior = self.priors.get(self.name(bins)) if self.priors else None
        if prior is None:
            return ()
        return prior.beliefs(*self._own.of(table, row), self._bounds)
