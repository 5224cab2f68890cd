"""The client: ask, report, and do without the service when it is not there."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from steersman.client.delivery import Delivery
from steersman.client.exchange import Exchange, NoAnswer, Request, error_of, may_come_later
from steersman.client.messages import Ask, Choice, Decided, Problem, Reported, Said, encode
from steersman.core.errors import InvalidInput, Overloaded, SteersmanError, StoreError
from steersman.core.state import Scalar

T = TypeVar("T")

Fallback = Callable[[str, Mapping[str, Scalar]], Mapping[str, Choice] | Choice]


class AsyncClient:
    """A client of one service, for one event loop.

    url: of the service. key: as `steersman keys create` printed it. deadline_s: how long a call may take, all tries
    together. fallback: called with an agent's name and a state when the service does not decide in time, and returns what
    to do instead; best the agent's own baseline. queue: outcomes that may wait here while the service is away.
    """

    def __init__(
        self, url: str, *, key: str = "", deadline_s: float = 1.0, fallback: Fallback | None = None, queue: int = 10_000
    ) -> None:
        if deadline_s <= 0 or queue < 1:
            raise InvalidInput(
                f"deadline_s {deadline_s} and queue {queue}: give a time above 0 s and room for one at least."
            )
        self._exchange = Exchange(url, key)
        self._deadline_s = deadline_s
        self._fallback = fallback
        self._delivery = Delivery(self._exchange, queue, deadline_s)

    # deciding

    async def decide(
        self,
        agent: str,
        state: Mapping[str, Scalar],
        *,
        episode: str | None = None,
        subject: str | None = None,
        arm: str | None = None,
        observed_at: float | None = None,
        deadline_s: float | None = None,
    ) -> Decided:
        """Return a decision; `decision.action` is what to do.

        Asking twice makes two decisions, so it is tried again only while the service certainly made none: it could not be
        reached, or turned the request away. Else, and after the deadline, the fallback decides (`recorded` is false then).
        Without a fallback raises DeadlineExceeded or StoreError; always raises what the caller must mend: InvalidInput,
        NotFound, Conflict, NotPermitted.
        """
        ask = Ask(agent=agent, state=state, episode=episode, subject=subject, arm=arm, observed_at=observed_at)
        request = Request(method="POST", path="/v1/decisions", body=encode(ask), again=False)
        try:
            return await self._exchange.ask(request, Decided, self._limit(deadline_s))
        except NoAnswer as none:
            return self._decide_here(ask, none.error)

    async def decide_batch(self, asks: Sequence[Ask], *, deadline_s: float | None = None) -> list[Decided | SteersmanError]:
        """Return a decision for each question, in order, or the error that keeps it from being answered."""
        request = Request(method="POST", path="/v1/decisions/batch", body=encode({"decisions": asks}), again=False)
        try:
            answers = await self._exchange.ask_batch(request, Decided, len(asks), self._limit(deadline_s))
        except NoAnswer as none:
            return [self._decide_here(each, none.error) for each in asks]
        return [self._decided(each, answer) for each, answer in zip(asks, answers, strict=True)]

    def _decided(self, ask: Ask, answer: Decided | Problem) -> Decided | SteersmanError:
        if isinstance(answer, Decided):
            return answer
        error = error_of(answer)
        return self._decide_here(ask, error) if self._fallback and may_come_later(answer) else error

    def _decide_here(self, ask: Ask, why: SteersmanError) -> Decided:
        if self._fallback is None:
            raise why
        chosen = self._fallback(ask.agent, ask.state)
        return Decided(
            id="",
            agent=ask.agent,
            action=dict(chosen) if isinstance(chosen, Mapping) else {"action": chosen},
            arm="baseline",
            reason=f"decided by the client's fallback: {why}",
            policy="fallback",
            episode=ask.episode or "",
            recorded=False,
            durable=False,
        )

    # reporting

    async def report(
        self,
        decision: Decided | str,
        measurements: Mapping[str, float],
        *,
        next_state: Mapping[str, Scalar] | None = None,
        terminated: bool | None = None,
        truncated: bool = False,
        executed: Mapping[str, Choice] | Choice | None = None,
        source: str = "",
        correct: bool = False,
        revision: int | None = None,
        deadline_s: float | None = None,
    ) -> Reported:
        """Report what came of a decision; "stored" means that it is durable.

        The same outcome may be reported any number of times. One that cannot be delivered in time is "waiting": it is
        sent later, and `close` says if that failed, or the service refused it then. Raises what the caller must mend:
        InvalidInput, NotFound, Conflict, and Overloaded when too many wait already.
        """
        if isinstance(decision, Decided) and not decision.recorded:
            return Reported(decision_id=decision.id, status="unrecorded")
        said = Said(
            decision_id=decision if isinstance(decision, str) else decision.id,
            measurements=measurements,
            next_state=next_state,
            terminated=terminated,
            truncated=truncated,
            executed=executed,
            source=source,
            correct=correct,
            revision=revision,
        )
        body = encode(said)
        self._exchange.demand_open()
        if self._delivery.outbox.holds(said.decision_id):
            return self._delivery.keep(said)  # it must not overtake what was said before
        try:
            request = Request(method="POST", path="/v1/outcomes", body=body)
            return await self._exchange.ask(request, Reported, self._limit(deadline_s))
        except NoAnswer as none:
            return self._delivery.keep(said, str(none))

    async def report_batch(
        self, outcomes: Sequence[Said], *, deadline_s: float | None = None
    ) -> list[Reported | SteersmanError]:
        """Report many outcomes; return what became of each, in order. Those that cannot be delivered wait."""
        request = Request(method="POST", path="/v1/outcomes/batch", body=encode({"outcomes": outcomes}))
        try:
            answers = await self._exchange.ask_batch(request, Reported, len(outcomes), self._limit(deadline_s))
        except NoAnswer as none:
            return [self._kept(each, none.error) for each in outcomes]
        return [self._reported(each, answer) for each, answer in zip(outcomes, answers, strict=True)]

    def _reported(self, said: Said, answer: Reported | Problem) -> Reported | SteersmanError:
        if isinstance(answer, Reported):
            return answer
        error = error_of(answer)
        return self._kept(said, error) if may_come_later(answer) else error

    def _kept(self, said: Said, why: SteersmanError) -> Reported | SteersmanError:
        try:
            return self._delivery.keep(said, str(why))
        except Overloaded as full:
            return full

    async def withdraw(self, decision: Decided | str, *, source: str = "", deadline_s: float | None = None) -> Reported:
        """Take back what was reported of a decision. Raises StoreError or DeadlineExceeded if it cannot be delivered."""
        name = decision if isinstance(decision, str) else decision.id
        request = Request(method="DELETE", path=f"/v1/decisions/{name}/outcome", query={"source": source})
        return await self._get(request, Reported, deadline_s)

    # reading

    async def explain(self, decision: Decided | str, *, deadline_s: float | None = None) -> dict[str, Any]:
        """Return what was known when a decision was made, and what came of it, as the API writes it."""
        name = decision if isinstance(decision, str) else decision.id
        return await self._get(Request(method="GET", path=f"/v1/decisions/{name}/explanation"), dict[str, Any], deadline_s)

    async def read(
        self, path: str, query: Mapping[str, str | int | float] | None = None, *, deadline_s: float | None = None
    ) -> dict[str, Any]:
        """Return the answer of any other address of the API, such as `read("/v1/decisions", {"limit": 10})`."""
        return await self._get(Request(method="GET", path=path, query=query), dict[str, Any], deadline_s)

    def _limit(self, deadline_s: float | None) -> float:
        return self._deadline_s if deadline_s is None else deadline_s

    async def _get(self, request: Request, kind: type[T], deadline_s: float | None) -> T:
        try:
            return await self._exchange.ask(request, kind, self._limit(deadline_s))
        except NoAnswer as none:
            raise none.error from none

    # delivering later

    @property
    def refused(self) -> list[tuple[Said, SteersmanError]]:
        """Outcomes that waited and were refused then, with the reason."""
        return list(self._delivery.refused)

    @property
    def waiting(self) -> list[Said]:
        """Outcomes that are not delivered yet, oldest first. Those that were refused meanwhile are in `refused`."""
        return list(self._delivery.outbox)

    async def flush(self, *, deadline_s: float | None = None) -> int:
        """Deliver what waits now, as far as that succeeds before the deadline; return how many still wait."""
        return await self._delivery.flush(self._limit(deadline_s))

    async def close(self) -> None:
        """Deliver what waits and close the connections.

        Raises StoreError if outcomes still wait, or waited and were refused: it says how many, and why. Closing again does
        nothing.
        """
        if self._exchange.closed:
            return
        await self.flush()
        await self._delivery.stop()
        await self._exchange.close()
        if undelivered := self._delivery.undelivered():
            raise StoreError(undelivered)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
