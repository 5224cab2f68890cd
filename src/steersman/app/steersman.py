"""All agents on one store."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, get_type_hints

from steersman.app import stores
from steersman.app.announcing import Announcer, open_announcer
from steersman.app.checkpoints import checkpoints_of
from steersman.app.checks import check_settings, isolated
from steersman.app.duties import Duties
from steersman.app.releases import open_production, sandbox
from steersman.app.tracking import runs_of, tracker_of
from steersman.app.words import audit_of, audit_of_key, checked_control
from steersman.core.actions import Choice
from steersman.core.agent import AgentSpec
from steersman.core.catalog import Catalog, load_file
from steersman.core.chain import Anchor, faults
from steersman.core.errors import InvalidInput, NotFound, StoreError
from steersman.core.ids import IdSource, TimeOrderedIds
from steersman.core.ports import Clock, Log, Meter, Progress, Receipt
from steersman.core.settings import SettingsFile
from steersman.core.tracking import KeptRuns
from steersman.core.training import Checkpoints
from steersman.core.values import ApiKey, AuditEvent, Control, ControlKind, Decision, Outcome
from steersman.loops import exchange, learn, share
from steersman.loops.agent import Agent
from steersman.loops.consume import Tally
from steersman.loops.explain import note_settings
from steersman.loops.follow import follow
from steersman.loops.rank import Ranker
from steersman.loops.runtime import Runtime, World
from steersman.loops.serving import Production

DEFAULT_RANKER = "personalizer/default"
CONTROL_WAIT_S = 5.0
_OPEN_WAIT_S = 2.0
"""Time that opening an agent waits for a shared store whose last look is a moment too old, as on a busy machine."""
_RECENT = 10_000
_BEFORE_ALL = -(2**62)
_CHUNK = 10_000


class Steersman:
    """All agents on one store. Use it as a context manager, or call `close()`."""

    def __init__(
        self,
        log: Log,
        *,
        catalog: Catalog | None = None,
        settings: SettingsFile | None = None,
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        seed: int = 0,
        clock: Clock = time.time,
        ids: IdSource | None = None,
        learn: bool = True,
        meters: Iterable[Meter] = (),
        audit_key: bytes = b"",
        production: Production | None = None,
        runs: KeptRuns | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.log = log
        self.production = production
        self.runs = runs or runs_of("memory:")
        self._audit_key = audit_key
        self._learns = learn
        self.catalog = catalog or Catalog()
        self.settings_file = settings or SettingsFile()
        self._overrides = overrides or {}
        self._world = World(
            log=log,
            clock=clock,
            ids=ids or TimeOrderedIds(clock),
            seed=seed,
            meters=tuple(meters),
            production=production,
            sandbox=sandbox,
            checkpoints=checkpoints or checkpoints_of("memory:"),
            tracker=partial(tracker_of, self.runs),
        )
        self._agents: dict[str, Agent] = {}
        self.rankers: dict[str, Ranker] = {}
        self._lock = threading.RLock()
        self._duties = Duties(self)
        self.consumed: Tally | None = None
        self.announcer: Announcer | None = None

    @classmethod
    def open(
        cls,
        url: str | os.PathLike[str] | None = None,
        *,
        agents: Iterable[AgentSpec] = (),
        settings: str | os.PathLike[str] | SettingsFile | Mapping[str, Mapping[str, Any]] | None = None,
        seed: int = 0,
        read_only: bool = False,
        moves: bool = False,
        clock: Clock = time.time,
        ids: IdSource | None = None,
        learn: bool = True,
        meters: Iterable[Meter] = (),
    ) -> "Steersman":
        """Open a store and return the agents on it.

        url: a file for the embedded store (default: STEERSMAN_STORE, else `.steersman/log.db` here; `sqlite:///…` is
        the same), `postgresql://…` for one that many processes share, or "memory:". agents: definitions of your own.
        settings: a TOML file (default: `steersman.toml` here), one that was read, or values by section instead. seed: the
        same seed gives the same decisions. learn: whether this process may learn for a shared store; for each agent one at a
        time does, and the others decide by what it learned. meters: who is told what agents do. moves: whether what is in
        production can be moved although the log is only read, as where another process owns it. Raises StoreError,
        StoreVersionError, Conflict (owned by another process), or InvalidInput, each with the way out.
        """
        values = settings if isinstance(settings, Mapping) else None
        if isinstance(settings, SettingsFile):
            file = settings
        else:
            file = SettingsFile.from_environment() if isinstance(settings, Mapping) else SettingsFile.read(settings)
        catalog = Catalog()
        for path in file.agent_files:
            for spec in load_file(path):
                catalog.add(spec)
        for spec in agents:
            catalog.add(spec)
        shared = file.settings("", {}, values)
        store = shared.store
        announcer = None if read_only else open_announcer(shared.bus, store.taken_s)
        log = stores.open_log(url, queue_rows=store.queue_rows, taken_s=store.taken_s, read_only=read_only)
        steersman = cls(
            log,
            catalog=catalog,
            settings=file,
            overrides=values,
            seed=seed,
            clock=clock,
            ids=ids,
            learn=learn and not read_only,
            meters=(*meters, *(() if announcer is None else (announcer,))),
            audit_key=stores.audit_key(url),
            production=open_production(url, log, shared.release, read_only=read_only and not moves),
            runs=runs_of(url),
            checkpoints=checkpoints_of(url),
        )
        if not read_only:
            steersman._duties.begin(watch=learn, jumps=clock is time.time)
        if announcer is not None:
            steersman.announcer = announcer
            announcer.begin(steersman)
        return steersman

    def agent(self, agent: str | AgentSpec) -> Agent:
        """Return an agent by name, or by a definition of your own. Raises NotFound, naming the nearest."""
        with self._lock:
            if isinstance(agent, AgentSpec):
                self.catalog.add(agent)
            name = agent if isinstance(agent, str) else agent.name
            if name not in self._agents:
                self._agents[name] = Agent(self._runtime(self.catalog.agent(name)))
            return self._agents[name]

    def _runtime(self, spec: AgentSpec) -> Runtime:
        settings = self.settings_file.settings(spec.name, spec.settings, self._overrides)
        check_settings(spec, settings)
        runtime = Runtime(spec, settings, self._world, isolated(spec), learns=self._learns)
        if self.log.shared:
            _patiently(partial(follow, runtime))
        else:
            learn.restore(runtime)
        share.take(runtime)
        note_settings(runtime)
        return runtime

    def opened(self) -> list[Agent]:
        """Return the agents that are at work here."""
        with self._lock:
            return list(self._agents.values())

    def _check_row(self, row: Decision | Outcome) -> None:
        """Raise InvalidInput for a row to import that the agent's definition, where it is known, does not allow."""
        if row.agent not in self.catalog.names():
            return
        spec = self.catalog.agent(row.agent)
        if isinstance(row, Decision):
            if row.schema == spec.state.id:
                spec.state.check(row.state)
                spec.actions.index(row.executed)
        elif row.reward is not None and not spec.reward.low <= row.reward <= spec.reward.high:
            raise InvalidInput(f"outcome of {row.decision_id}: reward {row.reward} lies outside the range of {row.agent}.")

    def ranker(self, name: str = DEFAULT_RANKER) -> Ranker:
        """Return a ranker on this store; the first time it learns what the log holds since it was last stored."""
        with self._lock:
            if name not in self.rankers:
                settings = self.settings_file.settings(name, {}, self._overrides)
                self.rankers[name] = Ranker(name, settings, self._world, learns=self._learns)
            return self.rankers[name]

    def decision(self, decision_id: str) -> tuple[Agent, Decision]:
        """Return a decision and its agent. Raises NotFound."""
        found = self.log.decision(decision_id)
        if found is None:
            raise NotFound(f"no decision {decision_id!r} in this store. `steersman export` prints all of them.")
        return self.agent(found.agent), found

    def outcomes(self, decision_id: str) -> list[Outcome]:
        """Return all revisions of a decision's outcome."""
        return self.log.outcomes(decision_id)

    def command(self, pack: str, name: str, options: Mapping[str, Any], progress: Progress) -> Any:
        """Run a pack's command, giving it the agents it asks for, and return its report.

        `options` become the command's own dataclass of options, which it names in its signature. Raises NotFound for an
        unknown pack or command, InvalidInput for options that it does not take.
        """
        command = self.catalog.command(pack, name)
        kind = get_type_hints(command)["options"]
        try:
            made = kind(**options)
        except TypeError as error:
            raise InvalidInput(f"{pack} {name}: {error}.") from error
        return command(self.agent, made, progress)

    def kill(self, scope: str = "*", *, actor: str, reason: str = "", active: bool = True) -> Receipt:
        """Stop (or with `active=False` release) learned actions for "*", a pack or an agent, from the next decision on."""
        return self.control("kill", scope, actor=actor, reason=reason, active=active)

    def control(
        self,
        kind: ControlKind,
        scope: str = "*",
        *,
        actor: str,
        reason: str = "",
        active: bool = True,
        choices: Mapping[str, Choice] | None = None,
        expires_in_s: float | None = None,
    ) -> Receipt:
        """Kill, pin, pause or set the mode of "*", a pack or an agent (`active=False` releases), from the next decision on.

        choices: what a pin holds, by dimension; of a mode {"mode": "shadow"}, the influence of what was learned. It holds in
        this process at once; returns when it is durable and audited, so that it holds after a restart as well. Raises
        InvalidInput for a pin that fits no agent or a mode that is none, and DeadlineExceeded where the store does not take
        it within 5 s.
        """
        at = self._world.clock()
        known = self.in_scope(scope) if kind == "pin" else ()  # a kill switch waits for no definition to load
        wanted = checked_control(kind, scope, active, actor, reason, choices or {}, expires_in_s, at, known=known)
        receipt = self.log.append((wanted, audit_of(wanted)))
        for agent in self.opened():
            agent.look_again()
        for ranker in list(self.rankers.values()):
            ranker.look_again()
        receipt.wait(CONTROL_WAIT_S)
        return receipt

    def in_scope(self, scope: str) -> list[AgentSpec]:
        """Return the definitions of the agents in a scope, as far as they are here and can be loaded."""
        found = []
        for name in self.catalog.names():
            if scope in ("*", name, name.partition("/")[0]):
                with suppress(NotFound):
                    found.append(self.catalog.agent(name))
        return found

    @staticmethod
    def control_in(
        url: str | os.PathLike[str] | None,
        kind: ControlKind,
        scope: str = "*",
        *,
        actor: str,
        reason: str = "",
        active: bool = True,
        choices: Mapping[str, Choice] | None = None,
        expires_in_s: float | None = None,
        known: Sequence[AgentSpec] = (),
    ) -> Control:
        """Set a control in a store that another process may own, and audit it; it takes effect within 0.25 s there.

        Nothing but the store is needed for it: no settings, no definitions; a pin is checked against those that are
        `known`. Raises NotFound without a store.
        """
        at = time.time()
        wanted = checked_control(kind, scope, active, actor, reason, choices or {}, expires_in_s, at, known=known)
        stores.append_in(url, wanted, audit_of(wanted))
        return wanted

    @staticmethod
    def add_key_in(url: str | os.PathLike[str] | None, key: ApiKey, *, actor: str, event: str) -> None:
        """Keep a key, or a change of one, in a store that another process may own, and audit it."""
        stores.append_in(url, key, audit_of_key(key, actor, event, time.time()), make=True)

    @staticmethod
    def keys_in(url: str | os.PathLike[str] | None) -> list[ApiKey]:
        """Return the keys of a store that another process may own."""
        with closing(stores.open_log(url, queue_rows=1, read_only=True)) as log:
            return log.keys()

    def add_key(self, key: ApiKey, *, actor: str, event: str) -> Receipt:
        """Keep a key, or a change of one, and audit it; waiting on the receipt is the acknowledgement."""
        return self.log.append((key, audit_of_key(key, actor, event, self._world.clock())))

    def note(self, event: str, subject: str, detail: str = "", *, actor: str) -> Receipt:
        """Put an event into the audit trail."""
        return self.log.append(
            (AuditEvent(at=self._world.clock(), actor=actor, event=event, subject=subject, detail=detail),)
        )

    def anchor(self) -> Anchor:
        """Return the head of the audit trail, to be kept where whoever can write the store cannot."""
        last = next((each for each in self.log.audit(_RECENT) if each.number), None)  # what waits has no number yet
        number, digest = (0, "") if last is None else (last.number, last.digest)
        return Anchor(number=number, digest=digest, at=self._world.clock())

    def verify_audit(self, anchors: Sequence[Anchor] = ()) -> list[str]:
        """Return what is wrong with the audit trail, in words; nothing where it is as it was written."""
        return list(faults(self._audit_key, self._trail(), anchors))

    def _trail(self) -> Iterator[AuditEvent]:
        """Yield all audit events by their numbers; all of one number come together, so that none is left out."""
        after, found = _BEFORE_ALL, self.log.trail(_BEFORE_ALL, _CHUNK)
        while len(found) == _CHUNK:
            whole = [each for each in found if each.number != found[-1].number] or found
            yield from whole
            after = whole[-1].number
            found = self.log.trail(after, _CHUNK)
        yield from found

    def export(self, agent: str | None = None) -> Iterator[bytes]:
        """Yield the log, or one agent's part, as JSON lines."""
        return exchange.export_lines(self.log, agent)

    def import_lines(self, lines: Iterable[bytes]) -> int:
        """Take in exported lines, learn from them, and return how many rows were new. All or nothing."""
        count, names = exchange.import_rows(self.log, exchange.read_lines(lines), self._check_row)
        for name in sorted(names & set(self.catalog.names())):
            self.agent(name).relearn()
        self.log.flush()
        return count

    @staticmethod
    def write_file(path: Path, lines: Iterable[bytes]) -> int:
        """Write exported lines to a file (Parquet where it ends in .parquet) and return how many rows there are."""
        if path.suffix == ".parquet":
            from steersman.backends.parquet import write_lines

            return write_lines(path, lines)
        count = -1  # the header is no row
        with path.open("wb") as file:
            for line in lines:
                file.write(line + b"\n")
                count += 1
        return count

    @staticmethod
    def read_file(path: Path) -> Iterator[bytes]:
        """Yield the lines of an exported file."""
        if path.suffix == ".parquet":
            from steersman.backends.parquet import read_lines

            yield from read_lines(path)
        else:
            with path.open("rb") as file:
                yield from file

    def close(self) -> None:
        """Make everything durable and release the store. Raises StoreError if something could not be made durable."""
        if self.announcer is not None:
            self.announcer.end()
        at_work = self._duties.end()
        for ranker in () if self.log.shared or not at_work else self.rankers.values():
            with suppress(StoreError):  # opening goes on from the last time, and learns the rest again
                ranker.store()
        if self.production is not None:
            self.production.close()
        self.log.close()

    def __enter__(self) -> "Steersman":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _patiently(duty: Callable[[], object]) -> None:
    """Do what needs a shared store that was just read, as soon as it was; raises the StoreError that lasts."""
    until = time.monotonic() + _OPEN_WAIT_S
    while True:
        try:
            duty()
        except StoreError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
