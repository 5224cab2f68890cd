"""The exchange: what a market says on a bus, and what it is answered in time.

What has happened is told in any case, as soon as the bus takes it. A question is asked once, and waited for: an answer that
is late or missing is no answer. Whoever decides may be a thread beside, or a process elsewhere.

Two things are waited for longer. Who was killed keeps its part of a stream until the bus takes it for dead, so at the
beginning an answer may be under way for that long. And what was answered in an earlier run is answered again.
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
_SILENCE_S = 3.0


class Exchange:
    """Tells, asks and listens. patience_s: how long an answer is waited for; settle_s: from the first question on, at least.

    scopes: those of kill switches that bear on it. stop: whether to wait no longer. known: whether the log has the answer to
    a question, by its id. say: is told once of each silence; silence: what may be behind it. stopped: who threw a kill
    switch, by scope, as far as the bus tells (`bus.announce`). again: questions whose answers the log had.
    """

    def __init__(
        self,
        bus: Bus,
        stream: str,
        *,
        patience_s: float,
        scopes: Sequence[str] = (),
        stop: Callable[[], bool] = lambda: False,
        settle_s: float = 0.0,
        known: Callable[[str], bool] = lambda _: False,
        say: Callable[[str], None] = lambda _: None,
        silence: str = "",
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._patience_s = patience_s
        self._scopes = scopes
        self._stop = stop
        self._settle_s = settle_s
        self._known = known
        self._say = say
        self._silence = silence
        self._settled_at: float | None = None
        self._silent_s = 0.0
        self._told_of_silence = False
        self._due: list[Event] = []
        self._given_up: set[str] = set()
        self.stopped: dict[str, str] = {}
        self.asked = 0
        self.answered = 0
        self.too_late = 0
        self.again = 0

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
        wanted = {each.id for each in questions}
        sure = {each for each in wanted if self._known(each)}
        self.asked += len(wanted)
        self.again += len(sure)
        found = self._answers(wanted, sure) if wanted and self._asks(questions, insist=bool(sure)) else {}
        self.answered += len(found)
        self._given_up |= wanted - found.keys()
        return found

    def _answers(self, wanted: set[str], sure: set[str]) -> dict[str, Event]:
        """Wait for answers: for those that are sure to come as long as it takes."""
        found: dict[str, Event] = {}
        began = time.monotonic()
        if self._settled_at is None:
            self._settled_at = began + self._settle_s
        until = max(began + self._patience_s, self._settled_at)
        while (missing := wanted - found.keys()) and not self._stop():
            left = until - time.monotonic()
            if left <= 0.0 and not missing & sure:
                break
            heard = self._listen(min(left, _TAKE_S) if left > 0.0 else _TAKE_S)
            found |= {name: each for name, each in heard.items() if name in wanted}
            self._mind_silence(began, bool(heard))
            began = time.monotonic()
        return found

    def _mind_silence(self, since: float, heard: bool) -> None:
        """Add up for how long answers were waited for in vain, and say it once; an answer ends it."""
        self._silent_s = 0.0 if heard else self._silent_s + time.monotonic() - since
        self._told_of_silence &= not heard
        if self._silent_s >= min(_SILENCE_S, 3.0 * self._patience_s) and not self._told_of_silence:
            self._told_of_silence = True
            trouble = self._bus.health()
            self._say(f"the bus cannot be reached: {trouble}" if trouble else self._silence)

    def listen(self) -> None:
        """Take note of what has come since, without waiting."""
        self._listen(0.0)

    def finish(self) -> bool:
        """Tell what is still due, as long as patience lasts; return whether all was told."""
        until = time.monotonic() + self._patience_s
        while not (told := self.tell()) and time.monotonic() < until and not self._stop():
            time.sleep(_PAUSE_S)
        return told

    def _asks(self, questions: Sequence[Event], *, insist: bool) -> bool:
        """Publish questions after all that is due before them, and return whether the bus took them.

        One that it does not take is not asked again, unless the answer to any is known: then it must be heard (`insist`).
        """
        while not self._stop():
            began = time.monotonic()
            with suppress(StoreError):
                if self.tell():
                    self._publish(questions)
                    return True
            if not insist:
                return False
            time.sleep(_PAUSE_S)
            self._mind_silence(began, heard=False)
        return False

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
