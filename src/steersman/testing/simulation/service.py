"""The service under test: the real loops behind a thin door that answers once what it did is durable."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from steersman.app import Steersman
from steersman.core.catalog import Catalog
from steersman.core.errors import DeadlineExceeded, SteersmanError, StoreError
from steersman.core.ports import Receipt
from steersman.core.settings import SettingsFile
from steersman.core.values import Decision
from steersman.testing.simulation import agents
from steersman.testing.simulation.clock import SeededIds
from steersman.testing.simulation.judge import Judge
from steersman.testing.simulation.messages import Reply, Request
from steersman.testing.simulation.parts import Parts, Scene
from steersman.testing.simulation.store import FaultyLog

Answer = Callable[[Reply], None]


class Service:
    """One process after the other on one log. `up` is false between two of them: what arrives then is lost."""

    def __init__(self, scene: Scene, parts: Parts, judge: Judge, log: FaultyLog, seed: int) -> None:
        self._scene = scene
        self._parts = parts
        self._judge = judge
        self._seed = seed
        self._ids = parts.ids or SeededIds(scene.clock.wall, scene.rng)
        self._owed: list[tuple[Receipt, Request, Reply, Answer]] = []
        self.log = log
        self.settings: agents.Values = {}
        self.steersman: Steersman
        self.up = False

    def start(self, settings: agents.Values) -> None:
        """Open the agents on the log, under these settings, and have them looked at."""
        self.settings = {**settings, **self._parts.overrides}
        clock = self._scene.clock
        self.steersman = Steersman(
            self.log,
            catalog=Catalog(),
            settings=SettingsFile(),
            overrides=self.settings,
            seed=self._seed,
            clock=clock.wall,
            ids=self._ids,
        )
        self.steersman._world = replace(self.steersman._world, timer=clock.timer)  # the one thing it does not ask for
        for name in agents.NAMES:
            spec = self._parts.spec(agents.agent(name, self._scene.conditions, clock))
            self._parts.opened(self.steersman.agent(spec))
        self.up = True
        self._judge.recovered(self.log, self.steersman, self.settings)

    def stop(self) -> None:
        """Close in good order; on a full disk, what waits is lost."""
        with suppress(StoreError):
            self.steersman.close()
        self.release()
        self.crash(0)

    def crash(self, torn: int) -> None:
        """Die; the first `torn` appends that waited had reached the disk."""
        self.up = False
        self._owed = []
        self.log = self.log.crashed(torn)

    def commit(self) -> None:
        """Let the disk do its work, and answer those who waited for it."""
        self.log.commit()
        self.release()

    def release(self) -> None:
        """Answer those whose receipts are done."""
        done = [each for each in self._owed if each[0].done()]
        self._owed = [each for each in self._owed if not each[0].done()]
        for _, request, reply, answer in done:
            self._answer(request, reply, answer)

    def handle(self, request: Request, answer: Answer) -> None:
        """Do what a request asks for and answer: at once where it failed, else when it is durable."""
        if not self.up:
            return
        try:
            receipt, decision = self._do(request)
        except SteersmanError as error:
            self._answer(request, Reply(number=request.number, status=type(error).__name__), answer)
            return
        except Exception as error:  # noqa: BLE001 - nothing else may ever come out of the loops
            self._judge.found(f"{request.verb} raised {error!r}")
            return
        reply = Reply(number=request.number, status="ok", decision=decision)
        if receipt is None:
            self._answer(request, reply, answer)
        else:
            self._owed.append((receipt, request, reply, answer))
            self.release()

    def switch(self, scope: str, reason: str, *, active: bool) -> bool:
        """Flip a kill switch and return whether that was acknowledged."""
        try:
            self.steersman.kill(scope, actor="operator", reason=reason, active=active)
        except DeadlineExceeded:
            return False
        finally:
            self.release()
        return True

    def sweep(self) -> None:
        """Close decisions that waited too long, as the service does every minute."""
        for name in agents.NAMES:
            with suppress(SteersmanError):
                self._scene.note("expired", name, self.steersman.agent(name).expire())

    def _do(self, request: Request) -> tuple[Receipt | None, Decision | None]:
        agent = self.steersman.agent(request.agent)
        if request.verb == "withdraw":
            return agent.withdraw(request.decision), None
        if request.verb == "decide":
            decision = agent.decide(request.state or {}, episode=request.episode, arm=request.arm)
            self._judge.decided(decision, self.log)
            return (self.log.append(()) if request.waits else None), decision
        receipt = agent.report(
            request.decision,
            {"reward": request.reward},
            next_state=request.next_state,
            terminated=request.terminated,
            executed=request.executed,
            source=request.client,
            correct=request.correct,
        )
        return receipt, None

    def _answer(self, request: Request, reply: Reply, answer: Answer) -> None:
        self._scene.note("answered", request.number, request.verb, request.intent, reply.status, reply.decision)
        self._judge.answered(request, reply, self.log)
        answer(reply)
