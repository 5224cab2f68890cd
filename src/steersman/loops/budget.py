"""The exploration budget: a cap on exploring decisions in a period, kept by any number of processes together.

Tokens are reserved in the store in blocks before they are used, so that no process can spend what another has; those of a
process that dies are burned. Without a token a decision does not explore, and its propensity says so.
"""

from steersman.core.ports import Grant, Log

_BLOCKS = 20
_LARGEST_BLOCK = 1_000
_RETRY_S = 10.0  # after a block of which nothing was left, or nothing is known


class Budget:
    """The tokens of one agent in this process. budget: for each period of `period_s` seconds."""

    def __init__(self, log: Log, agent: str, budget: int, period_s: float) -> None:
        self._log = log
        self._agent = agent
        self._budget = budget
        self._period_s = period_s
        self._block = max(1, min(_LARGEST_BLOCK, budget // _BLOCKS))
        self._period = -1
        self._tokens = 0
        self._grant: Grant | None = None
        self._asked_again_at = float("-inf")

    def allows(self, now: float) -> bool:
        """Return whether there is a token for a decision made now (unix seconds); ask for more before they run out.

        Raises StoreError where the store is closed. Time that goes back stays in the period that has begun.
        """
        self._turn(max(int(now // self._period_s), self._period))
        if self._grant is not None and self._grant.done():
            self._tokens += self._grant.granted
            self._asked_again_at = now + _RETRY_S if not self._grant.granted else now
            self._grant = None
        if self._tokens <= self._block // 2 and self._grant is None and now >= self._asked_again_at:
            self._grant = self._log.reserve_tokens(self._agent, self._period, self._block, self._budget)
        return self._tokens > 0

    def spend(self) -> None:
        """Use one token."""
        self._tokens -= 1

    def _turn(self, period: int) -> None:
        if period != self._period:
            self._period, self._tokens, self._grant, self._asked_again_at = period, 0, None, float("-inf")
