"""Consume: events in, decisions and outcomes into the log, answers out, and only then the acknowledgement.

A bus delivers at least once. What was made of an event lies in the log with the event's name (`Taken`), in one transaction:
an event that comes again finds it, is answered as before, and counts once. Nothing is acknowledged before the log has it.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from steersman.core.errors import DeadlineExceeded, InvalidInput, NotFound, SteersmanError, StoreError
from steersman.core.events import Event, encode
from steersman.core.ports import Bus, Delivery
from steersman.loops.answers import answer, noted
from steersman.loops.intake import Fault, Host, Intake, Part, Plan, Result, Work

_WAIT_S = 5.0
_TAKE_S = 0.5
_LOOK_S = 5.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


@dataclass(kw_only=True)
class Tally:
    """What a consumer has done since it began. events: by type and result. dead: by fault. waiting: as last looked."""

    events: Counter[tuple[str, Result]] = field(default_factory=Counter)
    dead: Counter[Fault] = field(default_factory=Counter)
    redelivered: int = 0
    answers: int = 0
    troubles: int = 0
    working: bool = True
    waiting: int | None = None


class Consumer:
    """Works off the entries of a bus, a batch at a time, in one thread."""

    def __init__(self, bus: Bus, host: Host, plan: Plan, *, say: Callable[[str], None] = lambda _: None) -> None:
        """say: is told when something keeps it from its work, and when that is over."""
        self._bus = bus
        self._host = host
        self._plan = plan
        self._say = say
        self._intake = Intake(host, plan)
        self._held: list[Delivery] = []
        self._trouble = ""
        self._looked_at = float("-inf")
        self.tally = Tally()

    def restore(self) -> None:
        """Let plugs remember what the log holds of the agents of their routes."""
        for name, plug in self._plan.plugs.items():
            routes = [each for routes in self._plan.routes.values() for each in routes if each.prepare == name]
            agents = {each.agent for each in routes}
            plug.restore(row for row in self._host.log.rows() if row.agent in agents)

    def run(self, stop: threading.Event, *, drain: bool = False) -> None:
        """Work until told to stop, or (`drain`) until nothing is waiting any more. Outages are waited out."""
        pause_s = _FIRST_PAUSE_S
        while not stop.is_set():
            try:
                worked = self.step(_TAKE_S)
                trouble = "" if worked else self._bus.health()
                if not trouble and self._looks(at_once=drain and not worked) == 0 and drain and not worked:
                    return
            except (StoreError, DeadlineExceeded) as error:
                self._tell(str(error))
                stop.wait(pause_s)
                pause_s = min(2.0 * pause_s, _LONGEST_PAUSE_S)
                continue
            self._tell(trouble)
            pause_s = _FIRST_PAUSE_S

    def _looks(self, *, at_once: bool) -> int | None:
        """Return how many entries are waiting, as counted now and then, or at once. Raises StoreError."""
        now = time.monotonic()
        if at_once or now - self._looked_at >= _LOOK_S:
            self._looked_at = now
            self.tally.waiting = self._bus.waiting()
        return self.tally.waiting

    def step(self, wait_s: float) -> int:
        """Work off one batch, and return how many entries it had.

        Raises StoreError or DeadlineExceeded where log or bus do not do their part. Nothing was acknowledged then: what
        waits for the log is tried again at the next call, what waits for the bus comes again by the bus.
        """
        if why := self._host.log.health():
            raise StoreError(f"nothing is taken from the bus while the store does not write: {why}")
        self._held = self._held or self._bus.take(self._plan.batch, wait_s)
        if not self._held:
            return 0
        works = self._intake.work_off(self._held)
        self._settle(works)
        count, self._held = len(self._held), []
        answers = [(part, answer) for work in works for part in work.parts if (answer := self._answer(part)) is not None]
        self._publish(answers)
        self._acknowledge(works)
        return count

    def _tell(self, trouble: str) -> None:
        """Say once that there is trouble, and once that it is over."""
        if trouble and not self._trouble:
            self.tally.troubles += 1
            self._say(f"waiting: {trouble}")
        elif self._trouble and not trouble:
            self._say("going on")
        self._trouble = trouble
        self.tally.working = not trouble

    def _settle(self, works: Sequence[Work]) -> None:
        """Wait once for all that was appended, and see what the log has of it. Raises StoreError or DeadlineExceeded."""
        self._host.log.append(()).wait(_WAIT_S)
        for work in works:
            for part in work.parts:
                self._wait(part)
                self._look(part)
                if part.fault is not None:
                    work.refuse(part.fault, part.reason)
            late = next((each.later for each in work.parts if each.later), "")
            if late and work.fault is None and work.delivery.attempt >= self._plan.attempts:
                work.refuse("unmatched", f"{late} Given up after {work.delivery.attempt} deliveries.")

    @staticmethod
    def _wait(part: Part) -> None:
        """Wait for a report's own receipt: on a shared store, others may have been first."""
        try:
            if part.receipt is not None:
                part.receipt.wait(_WAIT_S)
        except (StoreError, DeadlineExceeded):
            raise
        except NotFound as error:
            part.later = str(error)
        except SteersmanError as error:
            part.refuse("refused", error)

    def _look(self, part: Part) -> None:
        """Note what the log has of a part. It is what counts, whoever did it, and whatever was said here."""
        if part.route.do == "note":
            return
        part.known = self._host.log.taken(part.stream, part.key)
        if part.known is not None:
            part.later, part.fault = "", None
        elif part.fault is None and not part.later:
            part.later = f"{part.route.label}: the log did not take it."

    def _answer(self, part: Part) -> tuple[str, bytes] | None:
        """Return the answer to an event: the first time and each time again it is the same."""
        try:
            found = self._found(part)
            return None if found is None else (found.subject, encode(found))
        except SteersmanError as error:
            part.refuse("unanswered", error)
            return None

    def _found(self, part: Part) -> Event | None:
        """Return what a route emits, from what the log has; None where it emits nothing, or the log has cut it since."""
        if not part.route.emit:
            return None
        if part.known is None:
            return noted(part.route, part.event, part.noted) if part.noted else None
        name, asked = part.known.decision_id, part.route.do == "decide"
        decision, told = self._host.log.decision(name), [] if asked else self._host.log.outcomes(name)[-1:]
        if decision is None or not (asked or told):
            return None
        return answer(part.route, part.event, decision, None if asked else told[0])

    def _publish(self, answers: Sequence[tuple[Part, tuple[str, bytes]]]) -> None:
        """Publish answers together; where one of them does not fit, each by itself."""
        if not answers:
            return
        try:
            self._bus.publish(self._plan.out, [answer for _, answer in answers])
        except InvalidInput:
            for part, each in answers:
                try:
                    self._bus.publish(self._plan.out, [each])
                except InvalidInput as error:
                    part.refuse("unanswered", error)
        self.tally.answers += len(answers)

    def _acknowledge(self, works: Sequence[Work]) -> None:
        """Acknowledge what is in the log, put aside what nobody can use, and leave what came too early."""
        for work in works:
            for part in work.parts:
                if part.fault == "unanswered":
                    work.refuse(part.fault, part.reason)
        self._bus.done([each.delivery for each in works if each.result not in ("dead", "later")])
        for work in works:
            if work.fault is not None:
                self._bus.reject(work.delivery, f"{work.fault}: {work.reason}")
            self._count(work)

    def _count(self, work: Work) -> None:
        known = work.event is not None and (work.parts or work.event.kind in self._plan.types.names)
        self.tally.events[work.event.type if work.event is not None and known else "other", work.result] += 1
        self.tally.redelivered += work.delivery.attempt > 1
        if work.fault is not None:
            self.tally.dead[work.fault] += 1
