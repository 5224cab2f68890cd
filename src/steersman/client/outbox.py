"""The outbox: outcomes that could not be delivered, in order, bounded."""

from collections import Counter, deque
from collections.abc import Iterator
from itertools import islice

from steersman.client.messages import Said
from steersman.core.errors import Overloaded


class Outbox:
    """Outcomes that wait to be delivered. What does not fit is refused, and what is in it leaves only when it is settled."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[Said] = deque()
        self._ids: Counter[str] = Counter()

    def put(self, said: Said) -> None:
        """Take an outcome in, behind all others. Raises Overloaded when there is no room."""
        if len(self._waiting) >= self._capacity:
            raise Overloaded(
                f"{self._capacity} outcomes wait for the service already, so that of {said.decision_id} was not taken. "
                "Report it again later, or give the client a longer queue."
            )
        self._waiting.append(said)
        self._ids[said.decision_id] += 1

    def holds(self, decision_id: str) -> bool:
        """Return whether an outcome of a decision waits: a later one must not overtake it."""
        return decision_id in self._ids

    def first(self, count: int) -> list[Said]:
        """Return the oldest outcomes; they stay until they are settled."""
        return list(islice(self._waiting, count))

    def settle(self, kept: list[Said], count: int) -> None:
        """Take the oldest `count` away, except for those `kept`, which go on waiting in their order."""
        for _ in range(count):
            gone = self._waiting.popleft()
            self._ids[gone.decision_id] -= 1
            if not self._ids[gone.decision_id]:
                del self._ids[gone.decision_id]
        self._waiting.extendleft(reversed(kept))
        self._ids.update(each.decision_id for each in kept)

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Said]:
        return iter(tuple(self._waiting))
