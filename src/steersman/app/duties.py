"""Duties: what an open store does by itself, in threads of its own: follow the log, sweep, and watch what is on trial."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol, cast

from steersman.app.releases import Jumps
from steersman.core.catalog import Catalog
from steersman.core.errors import DeadlineExceeded, StoreError
from steersman.core.ports import Log, SharedLog
from steersman.loops.agent import Agent
from steersman.loops.rank import Ranker
from steersman.loops.serving import Production

SWEEP_S = 60.0
FOLLOW_S = 0.5
FOLLOW_PAUSE_S = 0.005
WATCH_S = 0.25
WATCH_ROUNDS = 20
TRAIN_S = 1.0
JOIN_S = 15.0


class Host(Protocol):
    """Whose duties these are."""

    log: Log
    catalog: Catalog
    production: Production | None

    @property
    def rankers(self) -> Mapping[str, Ranker]:
        """The rankers at work, by name."""

    def agent(self, agent: str) -> Agent:
        """Return an agent by name."""

    def opened(self) -> list[Agent]:
        """Return the agents that are at work."""


class Duties:
    """The threads of one open store."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []

    def begin(self, *, watch: bool, jumps: bool) -> None:
        """Begin; watch: trials too. jumps: look out for a clock that jumps."""
        loops: list[tuple[str, Callable[[], None]]] = [("sweep", self._sweep)]
        if self._host.log.shared:
            loops.append(("follow", self._follow))
        if watch:
            loops.append(("watch", partial(self._watch, Jumps() if jumps else None)))
            loops.append(("judge", self._judge))
            loops.append(("train", self._train))
        self._threads = [threading.Thread(target=each, daemon=True, name=f"steersman_{name}") for name, each in loops]
        for each in self._threads:
            each.start()

    def end(self) -> bool:
        """End; return whether there was anything at work."""
        self._closing.set()
        for each in self._threads:
            if each is not threading.current_thread():
                each.join(JOIN_S)
        self._follow_once_more()
        return bool(self._threads)

    def _follow(self) -> None:
        """Follow a shared log as soon as there is news, and now and then in case none was heard."""
        log = cast(SharedLog, self._host.log)
        more = False
        while not self._closing.is_set():
            if not more:
                log.watch(FOLLOW_S)
            more = False
            for agent in self._host.opened():
                try:
                    more |= not self._closing.is_set() and agent.follow()
                except Exception as error:  # noqa: BLE001 - told by `doctor`, and tried again; the other agents go on
                    agent.note_failure(error)
            self._maintain_rankers()
            self._closing.wait(FOLLOW_PAUSE_S)

    def _maintain_rankers(self) -> None:
        """Let rankers follow the log, close what waited too long, and store what they learned."""
        for each in list(self._host.rankers.values()):
            try:
                each.maintain()
            except Exception as error:  # noqa: BLE001 - tried again in a moment; the others go on
                each.failed(error)

    def _follow_once_more(self) -> None:
        """Learn what was reported last: a program that only reports and ends has no other time for it."""
        log = self._host.log
        for agent in self._host.opened() if self._threads and log.shared and not log.health() else ():
            with suppress(StoreError, DeadlineExceeded):  # whoever learns next begins where this one stopped
                agent.follow()

    def _watch(self, jumps: Jumps | None) -> None:
        """Follow trials as often as one looks at the kill switch: what does harm is rolled back within a second."""
        jumped_s = 0.0
        while not self._closing.wait(WATCH_S):
            jumped_s = jumped_s or (0.0 if jumps is None else jumps.look())
            agents = self._watched()
            if jumped_s:
                told = [self._try(each, partial(each.release.clock_jumped, jumped_s)) for each in agents]
                jumped_s = 0.0 if all(told) else jumped_s
            for agent in agents:
                self._try(agent, agent.release.follow)

    def _judge(self) -> None:
        """Cut and judge versions, and watch for drift: what takes seconds keeps no rollback waiting."""
        rounds = 0
        while not self._closing.wait(WATCH_S):
            rounds += 1
            for agent in self._host.opened():
                if self._closing.is_set():
                    return
                self._try(agent, agent.release.propose)
                if rounds % WATCH_ROUNDS == 0:
                    self._try(agent, agent.watch)

    def _train(self) -> None:
        """Train networks where that is due: what takes minutes keeps nothing else waiting."""
        while not self._closing.wait(TRAIN_S):
            for agent in self._host.opened():
                if not self._closing.is_set():
                    self._try(agent, agent.pipeline.run_if_due)

    @staticmethod
    def _try(agent: Agent, duty: Callable[[], object]) -> bool:
        """Do a duty for an agent; return whether it was done. What fails is told by `doctor`, and tried again."""
        try:
            duty()
        except Exception as error:  # noqa: BLE001 - the other agents go on
            agent.note_failure(error)
            return False
        return True

    def _watched(self) -> list[Agent]:
        """Return the agents at work, and those of which a trial is under way."""
        for name in self._on_trial():
            with suppress(Exception):  # whoever asks for the agent is told
                self._host.agent(name)
        return self._host.opened()

    def _on_trial(self) -> set[str]:
        production = self._host.production
        try:
            moves = [] if production is None else production.under_way()
            return {each.agent for each in moves} & set(self._host.catalog.names())
        except Exception:  # noqa: BLE001 - looked at again in a moment; the agents at work are followed all the same
            return set()

    def _sweep(self) -> None:
        """Every minute, close what waited too long, exchange with kin where it is time, and cut what is past retention."""
        while not self._closing.wait(SWEEP_S):
            self._maintain_rankers()
            for agent in self._host.opened():
                for duty in (agent.expire, partial(agent.share, if_due=True), partial(self._cut, agent)):
                    self._try(agent, duty)

    def _cut(self, agent: Agent) -> None:
        """Cut what is past retention, until the next minute begins."""
        until = time.monotonic() + SWEEP_S / 2
        while not self._closing.is_set() and time.monotonic() < until and agent.cut():
            pass
