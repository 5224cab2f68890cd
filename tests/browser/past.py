"""A past for the pages of releases: a version that was promoted, an experiment, a rollback, and one that is on trial."""

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from steersman.app import Steersman

DAYS = 2
_HOUR_S = 3_600.0
_STEP_S = 120.0
_LOOK_EVERY = 10
_GOOD: dict[str, Any] = {"workers": 16, "cache": "warm"}
_ADA, _GRACE = "ada (a1b2c3)", "grace (d4e5f6)"


def same_ids() -> Callable[[], str]:
    """Return a source of ids that are the same each time, so that chance splits subjects in the same way."""
    counted = count()
    return lambda: f"00000000-0000-7000-8000-{next(counted):012x}"


class Past:
    """An agent in a time of its own, from two days ago until now."""

    def __init__(self, steersman: Steersman, at: list[float], now: float) -> None:
        self.agent = steersman.agent("lab/factored")
        self._log = steersman.log
        self._at, self._now, self._rng = at, now, np.random.default_rng(7)
        at[0] = now - DAYS * 24 * _HOUR_S

    def until(self, hours: float, languages: Sequence[float] | None = None) -> None:
        """Decide and report every two minutes until so many hours before now, and let a trial go on."""
        made = 0
        while self._at[0] < self._now + hours * _HOUR_S:
            self._at[0] += _STEP_S
            made += 1
            self._decide(languages)
            if made % _LOOK_EVERY == 0:
                self._log.flush()  # a trial sees what is durable
                self.agent.release.tick()

    def _decide(self, languages: Sequence[float] | None) -> None:
        decision = self.agent.decide({"language": str(self._rng.choice(["python", "go", "rust"], p=languages))})
        score = 0.5 * sum(decision.action[name] == good for name, good in _GOOD.items()) - 0.2 + self._rng.normal(0, 0.1)
        self.agent.report(decision, {"score": float(np.clip(score, -1, 1)), "cost": float(self._rng.uniform(1, 2))})


def live(steersman: Steersman, at: list[float], now: float) -> None:
    """Live through two days of releases; `at` is the clock of the store."""
    past = Past(steersman, at, now)
    release = past.agent.release
    past.until(-40)
    release.rollback("baseline", actor=_ADA, reason="releases begin here")
    release.start(actor=_ADA, reason="it has learned enough", plan="shadow 1h, 50% 4h", despite="the first one")
    past.until(-26)
    release.experiment("champion", "baseline", actor=_ADA, reason="what is learning worth?", lasts_s=6 * _HOUR_S)
    past.until(-19)
    release.drill(actor=_GRACE, share=0.5, decisions=2_000)
    bad = release.cut(actor=_GRACE, reason="to be looked at")
    past.until(-18)
    release.rollback("baseline", actor=_GRACE, reason="the outcomes looked odd")
    release.quarantine(bad.id, actor=_GRACE, reason="its outcomes were measured wrong")
    past.until(-10, (0.7, 0.2, 0.1))
    release.start(actor=_ADA, reason="it knows more by now", plan="shadow 1h, 20% 6h, 50% 30d", despite="it is asked for")
    past.until(-0.1, (0.7, 0.2, 0.1))
    at[0] = now
