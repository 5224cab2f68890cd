"""The judge: looks at each decision and answer as it is given, and at the whole log whenever a process has begun."""

from collections.abc import Iterable, Iterator

from steersman.app import Steersman
from steersman.core.values import Decision
from steersman.testing.simulation import invariants
from steersman.testing.simulation.agents import ACCEPT_S, NAMES, Values, permitted
from steersman.testing.simulation.messages import Reply, Request
from steersman.testing.simulation.parts import Scene
from steersman.testing.simulation.store import FaultyLog

SAFE_AFTER_S = 1.0
_REPLAYED = 3


class Judge:
    """Collects what should never be. `violations` is empty after a run in which all promises were kept."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._switches: dict[str, tuple[bool, float]] = {}
        self._switched: dict[str, int] = {}
        self.violations: list[str] = []

    def found(self, what: str) -> None:
        """Keep a violation, with the time."""
        self.violations.append(f"at {self._scene.clock.now:.3f} s: {what}")

    def switched(self, scope: str, drill: int, *, active: bool, in_process: bool, acknowledged: bool) -> None:
        """Keep that a kill switch was flipped: one flipped in another process may take a second to be seen."""
        known_from = self._scene.clock.now + (0.0 if in_process else SAFE_AFTER_S)
        self._switches[scope] = (active, known_from)
        if acknowledged:
            self._switched[scope] = drill

    def decided(self, decision: Decision, log: FaultyLog) -> None:
        """Check a decision at the moment at which it is made."""
        action = str(decision.executed["action"])
        if not permitted(decision.state, action, self._scene.conditions):
            self.found(f"forbidden: {action} in {decision.state}")
        now = self._scene.clock.now
        scopes = ("*", decision.agent.partition("/")[0], decision.agent)
        stopped = any(
            self._switches[each][0] and now >= self._switches[each][1] for each in scopes if each in self._switches
        )
        if (stopped or now - log.read_at > SAFE_AFTER_S) and (decision.arm, action) != ("safe", "rest"):
            self.found(f"a learned action, {action}, under the kill switch")

    def answered(self, request: Request, reply: Reply, log: FaultyLog) -> None:
        """Check an answer against what the one who asked deserves."""
        if reply.status not in self._deserved(request, log):
            self.found(f"{request.intent} {request.verb} of {request.decision} was answered with {reply.status}")

    def _deserved(self, request: Request, log: FaultyLog) -> set[str]:
        match request.intent:
            case "forged" | "foreign":
                return {"NotFound"}
            case "poison":
                return {"InvalidInput", "NotFound"}
            case "contrary":
                return {"Conflict"}
            case "again":
                return {"ok", "Conflict"} if request.decision in self._scene.ledger.revised else {"ok"}
            case _:
                return self._deserved_by_honest(request, log)

    def _deserved_by_honest(self, request: Request, log: FaultyLog) -> set[str]:
        if request.verb == "decide":
            return {"ok", "Conflict"} if request.episode else {"ok"}
        decision = log.decision(request.decision)
        if decision is None:
            return {"NotFound"}
        allowed = {"ok", "Overloaded"}
        late = self._scene.clock.wall() - decision.decided_at > ACCEPT_S
        if late or request.decision in self._scene.ledger.revised:
            allowed.add("Conflict")
        return allowed

    def recovered(self, log: FaultyLog, steersman: Steersman, settings: Values) -> None:
        """Check everything, after a process has opened the log."""
        self._look(self._broken_switches(log))
        self.inspect(log, steersman, settings)

    def inspect(self, log: FaultyLog, steersman: Steersman, settings: Values) -> None:
        """Check the log against the ledger, and what was learned against the log."""
        ledger = self._scene.ledger
        self._look(invariants.broken_rows(log, ledger))
        self._look(invariants.lost(log, ledger))
        for name in NAMES:
            agent = steersman.agent(name)
            numbers = [position for position, _, _ in log.history(name)]
            if invariants.falling(numbers):
                self.found(f"positions of {name} do not rise: {numbers}")
            self._look(invariants.unlike_replay(agent))
            self._look(invariants.out_of_bounds(agent))
            self._look(invariants.unlike_bandit(agent, log, settings))

    def replayed(self, log: FaultyLog, steersman: Steersman) -> None:
        """Check that the last decisions of each agent come out the same again."""
        for name in NAMES:
            self._look(invariants.unlike_itself(steersman.agent(name), log, _REPLAYED))

    def _look(self, check: Iterable[str]) -> None:
        try:
            for each in check:
                self.found(each)
        except Exception as error:  # noqa: BLE001 - what cannot even be looked at is broken
            self.found(f"a check raised {error!r}")

    def _broken_switches(self, log: FaultyLog) -> Iterator[str]:
        now, found = self._scene.clock.now, log.controls()
        self._switches = {each.scope: (each.active, now) for each in found}
        drills = {each.scope: int(each.reason.partition(" ")[2]) for each in found}
        for scope, drill in self._switched.items():
            if drills.get(scope, -1) < drill:
                yield f"kill switch of {scope}: drill {drill} was acknowledged, drill {drills.get(scope)} is what is left"
