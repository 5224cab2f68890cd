"""Faults: what goes wrong, when, for how long. Every one ends, so that a run does."""

from collections.abc import Callable

from steersman.core.values import Control
from steersman.testing.simulation import agents
from steersman.testing.simulation.judge import Judge
from steersman.testing.simulation.network import Weather
from steersman.testing.simulation.parts import Scene
from steersman.testing.simulation.service import Service

_SCOPES = ("*", "lab", *agents.NAMES)


class Faults:
    """Lets one thing after the other go wrong, for as long as somebody is at work."""

    def __init__(self, scene: Scene, service: Service, judge: Judge, clients: list[str], busy: Callable[[], bool]) -> None:
        self._scene = scene
        self._service = service
        self._judge = judge
        self._clients = clients
        self._busy = busy
        self._drills = 0
        self.crashes = 0
        self._all = (
            *(self._crash, self._crash, self._restart, self._reconfigure, self._fill_disk, self._fill_disk),
            *(self._cut, self._bad_weather, self._bad_weather, self._set_clock, self._set_clock, self._break_guard),
            *(self._slow_guard, self._kill, self._kill, self._kill_elsewhere, self._hide_switches, self._sweep),
        )

    def strike(self, left: int) -> None:
        """Let something go wrong, and that many more things after it."""
        if not self._busy():
            return
        fault = self._all[int(self._scene.rng.random() * len(self._all))]
        if self._service.up:
            self._scene.note(fault.__name__)
            fault()
        if left:
            self._scene.events.after(self._scene.wait_s(1.2), lambda: self.strike(left - 1))

    def end(self) -> None:
        """Let everything be well again."""
        self._scene.network.weather, self._scene.network.cut = Weather(), set()
        self._scene.conditions.broken = self._scene.conditions.slow = False
        self._service.log.fill("")
        self._service.log.unreadable = False

    def _for_a_while(self, mean_s: float, end: Callable[[], None]) -> None:
        self._scene.events.after(self._scene.wait_s(mean_s), end)

    def _crash(self) -> None:
        """Die in the middle: of what waited for the disk, the first part may have reached it."""
        self.crashes += 1
        waiting = self._service.log.waiting_entries()
        self._service.crash(int(self._scene.rng.random() * (waiting + 1)))
        self._for_a_while(0.5, lambda: self._service.start(self._service.settings))

    def _restart(self) -> None:
        self._service.stop()
        self._for_a_while(0.2, lambda: self._service.start(self._service.settings))

    def _reconfigure(self) -> None:
        self._service.stop()
        settings = agents.some_settings(self._scene.rng)
        self._for_a_while(0.2, lambda: self._service.start(settings))

    def _fill_disk(self) -> None:
        log = self._service.log
        log.fill("the disk is full")

        def empty() -> None:
            log.fill("")
            if log is self._service.log and self._service.up:
                self._service.commit()

        self._for_a_while(2.0, empty)

    def _cut(self) -> None:
        client = self._clients[int(self._scene.rng.random() * len(self._clients))]
        self._scene.network.cut.add(client)
        self._for_a_while(3.0, lambda: self._scene.network.cut.discard(client))

    def _bad_weather(self) -> None:
        rng = self._scene.rng
        loss, doubled, delay, slow = (float(each) for each in rng.random(4))
        self._scene.network.weather = Weather(loss=loss * 0.4, doubled=doubled * 0.5, delay_s=delay * 0.1, slow=slow * 0.1)

    def _set_clock(self) -> None:
        draw, clock = self._scene.rng.random(), self._scene.clock
        if draw < 0.4:
            clock.step(-self._scene.wait_s(0.5))
        elif draw < 0.8:
            clock.step(self._scene.wait_s(20.0))
        else:
            clock.drift(1.0 + float(self._scene.rng.normal(0.0, 0.01)))

    def _break_guard(self) -> None:
        self._scene.conditions.broken = True
        self._for_a_while(1.5, self._mend_guard)

    def _slow_guard(self) -> None:
        self._scene.conditions.slow = True
        self._for_a_while(1.5, self._mend_guard)

    def _mend_guard(self) -> None:
        self._scene.conditions.broken = self._scene.conditions.slow = False

    def _kill(self, scope: str = "", *, active: bool = True) -> None:
        """Flip a kill switch, and back after a while if there is a process to do it."""
        scope = scope or _SCOPES[int(self._scene.rng.random() * len(_SCOPES))]
        if not self._service.up:
            return
        self._drills += 1
        told = self._service.switch(scope, f"drill {self._drills}", active=active)
        self._judge.switched(scope, self._drills, active=active, in_process=True, acknowledged=told)
        if active:
            self._for_a_while(2.0, lambda: self._kill(scope, active=False))

    def _kill_elsewhere(self) -> None:
        """Flip a kill switch from another process, which writes into the same store."""
        log = self._service.log
        if log.health():
            return  # the disk is full for the other one as well
        self._drills += 1
        scope = _SCOPES[int(self._scene.rng.random() * len(_SCOPES))]
        log.append((self._flip(scope),))
        self._service.commit()
        self._judge.switched(scope, self._drills, active=True, in_process=False, acknowledged=True)
        self._for_a_while(3.0, lambda: self._kill(scope, active=False))

    def _flip(self, scope: str) -> Control:
        reason = f"drill {self._drills}"
        return Control(scope=scope, active=True, actor="elsewhere", reason=reason, at=self._scene.clock.wall())

    def _hide_switches(self) -> None:
        log = self._service.log
        log.unreadable = True
        self._for_a_while(1.5, lambda: setattr(log, "unreadable", False))

    def _sweep(self) -> None:
        self._service.sweep()
