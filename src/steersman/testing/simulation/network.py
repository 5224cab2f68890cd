"""A network between clients and the service: late, lost, twice, out of order, or cut."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from steersman.testing.simulation.clock import Events


@dataclass(kw_only=True)
class Weather:
    """How bad the network is now: shares of messages lost and doubled, mean delay in seconds, share of slow ones."""

    loss: float = 0.0
    doubled: float = 0.0
    delay_s: float = 0.01
    slow: float = 0.0


class Network:
    """Carries messages between the service and each client. Delays are drawn one by one, so messages overtake."""

    def __init__(self, events: Events, rng: np.random.Generator) -> None:
        self._events = events
        self._rng = rng
        self.weather = Weather()
        self.cut: set[str] = set()
        """The clients that are cut off, in both directions."""

    def carry(self, client: str, deliver: Callable[[], None]) -> None:
        """Deliver a message to or from a client, some time later, perhaps twice or never."""
        if client in self.cut or self._rng.random() < self.weather.loss:
            return
        for _ in range(2 if self._rng.random() < self.weather.doubled else 1):
            self._events.after(self._delay_s(), lambda: None if client in self.cut else deliver())

    def _delay_s(self) -> float:
        delay = float(self._rng.exponential(self.weather.delay_s))
        return delay * 200 if self._rng.random() < self.weather.slow else delay
