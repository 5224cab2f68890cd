"""Who reads which partition: each is leased to one consumer of a group at a time, so that a key's entries keep their order.

The server's clock counts. A consumer that dies lets its leases run out; one that joins is left its share at the next look.
"""

from typing import Any

_CLAIM = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, lease = ARGV[1], tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, me)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - lease)
local share = math.ceil((#KEYS - 1) / redis.call('ZCARD', KEYS[1]))
local mine = {}
for i = 2, #KEYS do
  if redis.call('GET', KEYS[i]) == me then
    if #mine < share or ARGV[i + 1] == '1' then
      redis.call('PEXPIRE', KEYS[i], lease)
      mine[#mine + 1] = i - 2
    else
      redis.call('DEL', KEYS[i])
    end
  end
end
for i = 2, #KEYS do
  if #mine < share and redis.call('SET', KEYS[i], me, 'PX', lease, 'NX') then
    mine[#mine + 1] = i - 2
  end
end
return mine
"""
_LEAVE = """
redis.call('ZREM', KEYS[1], ARGV[1])
for i = 2, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
"""


class Shares:
    """One consumer's leases on the partitions of a stream. lease_ms: after which a silent consumer is dead."""

    def __init__(self, stream: str, group: str, consumer: str, *, partitions: int, lease_ms: int) -> None:
        self._me = consumer
        self._lease_ms = lease_ms
        self._keys = [f"{stream}:{group}:consumers", *(f"{stream}:{group}:{each}:owner" for each in range(partitions))]

    def claim(self, client: Any, busy: set[int]) -> set[int]:
        """Return the partitions that are this consumer's now. Those that are `busy` are not given up for others."""
        flags = ["1" if each in busy else "0" for each in range(len(self._keys) - 1)]
        found = client.eval(_CLAIM, len(self._keys), *self._keys, self._me, self._lease_ms, *flags)
        return {int(each) for each in found}

    def leave(self, client: Any) -> None:
        """Give all of them up at once."""
        client.eval(_LEAVE, len(self._keys), *self._keys, self._me)
