"""The exchange: what a market says on a bus, and what it is answered in time.

What has happened is told in any case, as soon as the bus takes it. A question is asked once, and waited for: an answer that
is late or missing is no answer. Whoever decides may be a thread beside, or a process elsewhere.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec

from steersman.core.errors import SteersmanError, StoreError
from steersman.core.events import Event, KillSwitched, decode, encode
from steersman.core.ports import Bus

ANSWERS = {"strategy.chosen": "signal", "size.chosen": "order"}
"""Types of answers, and where they name the event that they answer."""
_AT_ONCE = 500
_TAKE_S = 0.25
_PAUSE_S = 0.05


class Exchange:
    """Tells, asks and listens. patience_s: how long an answer is waited for. scopes: those of kill switches that bear on it.

    stop: whether to wait no longer. stopped: who threw a kill switch, by scope, as far as the bus tells (`bus.announce`).
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        *,
        patience_s: float,
        scopes: Sequence[str] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._patience_s = patience_s
        self._scopes = scopes
        self._stop = stop
        self._due: list[Event] = []
        self._given_up: set[str] = set()
        self.stopped: dict[str, str] = {}
        self.asked = 0
        self.answered = 0
        self.too_late = 0

    @property
    def due(self) -> int:
        """How many events the bus has not taken yet."""
        return len(self._due)

    def tell(self, events: Sequence[Event] = ()) -> bool:
        """Tell what has happened, and what is still due; return whether the bus took it. What it did not is told later."""
        self._due += events
        if self._due:
            try:
                self._publish(self._due)
            except StoreError:
                return False
            self._due = []
        return True

    def ask(self, questions: Sequence[Event]) -> dict[str, Event]:
        """Return answers by the id of the question; those that did not come in time are missing."""
        found: dict[str, Event] = {}
        wanted = {each.id for each in questions}
        self.asked += len(wanted)
        if wanted and self._asks(questions):
            until = time.monotonic() + self._patience_s
            while wanted - found.keys() and (left := until - time.monotonic()) > 0.0 and not self._stop():
                found |= {name: each for name, each in self._listen(min(left, _TAKE_S)).items() if name in wanted}
        self.answered += len(found)
        self._given_up |= wanted - found.keys()
        return found

    def listen(self) -> None:
        """Take note of what has come since, without waiting."""
        self._listen(0.0)

    def finish(self) -> bool:
        """Tell what is still due, as long as patience lasts; return whether all was told."""
        until = time.monotonic() + self._patience_s
        while not (told := self.tell()) and time.monotonic() < until and not self._stop():
            time.sleep(_PAUSE_S)
        return told

    def _asks(self, questions: Sequence[Event]) -> bool:
        """Publish questions after all that is due before them; a question that the bus does not take is not asked again."""
        if not self.tell():
            return False
        try:
            self._publish(questions)
        except StoreError:
            return False
        return True

    def _publish(self, events: Sequence[Event]) -> None:
        self._bus.publish(self._stream, [(each.subject, encode(each)) for each in events])

    def _listen(self, wait_s: float) -> Mapping[str, Event]:
        """Return answers that have come, by what they answer; the first one counts, as each is the same anyway."""
        deliveries = self._bus.take(_AT_ONCE, wait_s)
        if not deliveries:
            if self._bus.health():
                time.sleep(min(wait_s, _PAUSE_S))
            return {}
        found: dict[str, Event] = {}
        for delivery in deliveries:
            try:
                self._heard(decode(delivery.body), found)
            except SteersmanError:
                continue  # nothing that this market could use; whoever reads it next may
        with suppress(StoreError):  # then they come again, and are known
            self._bus.done(deliveries)
        return found

    def _heard(self, event: Event, found: dict[str, Event]) -> None:
        if event.type == "kill.switched":
            self._switched(msgspec.convert(event.data, KillSwitched))
        elif event.type in ANSWERS:
            name = str(event.data.get(ANSWERS[event.type], ""))
            self.too_late += name in self._given_up
            self._given_up.discard(name)
            found.setdefault(name, event)

    def _switched(self, said: KillSwitched) -> None:
        if said.scope not in self._scopes:
            return
        if said.active:
            self.stopped[said.scope] = f"kill switch of {said.scope!r} by {said.actor}: {said.reason}"
        else:
            self.stopped.pop(said.scope, None)
