"""`MemoryReleases`: versions, moves and verdicts as plainly as they can be kept."""

import threading
from collections.abc import Mapping

import msgspec

from steersman.core.errors import Conflict, NotFound, StoreError, nearest
from steersman.core.ports import Log
from steersman.core.values import AuditEvent
from steersman.core.versions import (
    Deployment,
    Judgement,
    PolicyVersion,
    address,
    check_address,
    check_follows,
    encoded,
    short,
)


class _Kept:
    """What outlives a process, if a simulation says so. Rows are kept as JSON, so that nobody changes them."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.versions: dict[str, dict[str, tuple[PolicyVersion, bytes]]] = {}
        self.moves: dict[str, list[bytes]] = {}
        self.judgements: dict[str, bytes] = {}


class MemoryReleases:
    """The `Registry` and `Releases` ports without a disk, beside a log that takes their audit events."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kept = _Kept()

    def over(self, log: Log) -> "MemoryReleases":
        """Return the same versions, moves and verdicts beside another log, as another process finds them."""
        other = MemoryReleases(log)
        other._kept = self._kept
        return other

    def keep(self, version: PolicyVersion, artefact: bytes) -> None:
        """Keep a version; to keep it again changes nothing. Raises InvalidInput where its name is not the hash."""
        check_address(version, artefact)
        kept = msgspec.json.decode(encoded(version), type=PolicyVersion)
        self._kept.versions.setdefault(version.agent, {}).setdefault(version.id, (kept, bytes(artefact)))

    def artefact(self, agent: str, version: str) -> bytes:
        """Return a version's artefact. Raises NotFound, and StoreError where its hash is another."""
        found = self._kept.versions.get(agent, {}).get(version)
        if found is None:
            raise self._unknown(agent, version)
        if address(found[1]) != version:
            raise StoreError(f"the artefact of version {short(version)} of {agent} is not the one that was kept.")
        return found[1]

    def versions(self, agent: str, limit: int = 100) -> list[PolicyVersion]:
        """Return the agent's last versions, newest first."""
        mine = [kept for kept, _ in self._kept.versions.get(agent, {}).values()]
        return sorted(mine, key=lambda each: (each.cut_at, each.id), reverse=True)[:limit]

    def version(self, agent: str, name: str) -> PolicyVersion:
        """Return a version by the beginning of its name. Raises NotFound, and Conflict where several begin so."""
        found = [kept for key, (kept, _) in self._kept.versions.get(agent, {}).items() if name and key.startswith(name)]
        if not found:
            raise self._unknown(agent, name)
        if len(found) > 1:
            raise Conflict(f"{len(found)} versions of {agent} begin with {name!r}. Give more of the name.")
        return found[0]

    def name(self, agent: str, aliases: Mapping[str, str]) -> None:
        """Do nothing: who has which part is what the last move says, and nobody else keeps names here."""

    def move(self, deployment: Deployment, *events: AuditEvent) -> None:
        """Make a move, with the events that tell of it. Raises Conflict unless it follows the last move."""
        body = encoded(deployment)
        with self._kept.lock:
            moves = self._kept.moves.setdefault(deployment.agent, [])
            check_follows(deployment, _move(moves[-1]) if moves else None)
            self._log.append(events)
            moves.append(body)

    def current(self) -> list[Deployment]:
        """Return the last move of each agent, by agent."""
        with self._kept.lock:
            return [_move(self._kept.moves[agent][-1]) for agent in sorted(self._kept.moves) if self._kept.moves[agent]]

    def moves(self, agent: str, limit: int = 100) -> list[Deployment]:
        """Return the last moves of an agent, newest first."""
        return [_move(each) for each in self._kept.moves.get(agent, [])[::-1][:limit]]

    def at(self, agent: str, at: float) -> Deployment | None:
        """Return the move with the greatest number of those up to a time; None before the first."""
        return next((each for each in self.moves(agent, limit=2**63 - 1) if each.at <= at), None)

    def judge(self, judgement: Judgement, *events: AuditEvent) -> None:
        """Keep a verdict, with the events that tell of it; to keep it again changes nothing. Raises Conflict for another."""
        body = encoded(judgement)
        with self._kept.lock:
            known = self._kept.judgements.get(judgement.id)
            if known is None:
                self._log.append(events)
                self._kept.judgements[judgement.id] = body
            elif known != body:
                raise Conflict(f"there is another verdict of the name {judgement.id!r}; verdicts are never changed.")

    def judgements(self, agent: str, limit: int = 100) -> list[Judgement]:
        """Return the last verdicts on an agent's versions, newest first."""
        found = (msgspec.json.decode(body, type=Judgement) for body in list(self._kept.judgements.values()))
        mine = [each for each in found if each.agent == agent]
        return sorted(mine, key=lambda each: (each.at, each.id), reverse=True)[:limit]

    def close(self) -> None:
        """There is nothing to let go."""

    def _unknown(self, agent: str, name: str) -> NotFound:
        return NotFound(f"{agent} has no version {name!r}.{nearest(name, map(short, self._kept.versions.get(agent, {})))}")


def _move(body: bytes) -> Deployment:
    return msgspec.json.decode(body, type=Deployment)
