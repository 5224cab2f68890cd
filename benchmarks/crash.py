"""Kills the process, or cuts the power, at random moments, and checks what clients were told against what is there.

P1: an acknowledged outcome survives the death of the process. P2: and a power cut (emulated: only what was fsynced is
kept). P3: each outcome is learned exactly once: the stored table is bit-equal to a replay of the log.

Eight client threads decide, report, wait for the acknowledgement and write the id to a ledger of their own; one report
in ten is a repetition, also of what an earlier life acknowledged. Controls that must lose or be caught: commits without
fsync under power cuts, and bugs planted here (never in the product). A harness that cannot fail proves nothing.

Usage: python benchmarks/crash.py --kills 500 --cuts 300 [--workload log|loop] [--json]
"""

import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

CLIENTS = 8
REPEATED = 0.10
NEVER_REPORTED = 0.05
KILL_AFTER_S = (0.010, 0.300)
LIVES_OF_A_STORE = 20
SHIM = Path(__file__).with_name("fsync_only_shim.c")


@dataclass(kw_only=True)
class Findings:
    """What some trials found."""

    trials: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    differences: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        """Count another's in."""
        self.trials += other.trials
        self.acknowledged += other.acknowledged
        self.lost += other.lost
        self.twice += other.twice
        self.differences += other.differences
        self.errors += other.errors

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.twice or self.differences or self.errors)


class Workload(Protocol):
    """Something that decides and reports on a store; a process opens it, eight threads use it, another process checks."""

    def decide(self, chance: random.Random) -> str:
        """Decide and return the id."""

    def report(self, name: str) -> None:
        """Report the outcome of a decision, the same for the same id, and return once it is acknowledged."""


def reward(name: str) -> float:
    """Return the reward that belongs to an id."""
    return zlib.crc32(name.encode()) % 1000 / 999 - 0.5


# the workload at the level of the log, with a small fold of its own


class Fold:
    """Count, mean, spread and a moving average of the rewards, by state and slot: the order shows in the last bit."""

    def __init__(self, entries: dict[tuple[str, int], Any] | None = None) -> None:
        self.entries = dict(entries or {})

    def apply(self, name: str, value: float) -> tuple[str, int]:
        """Learn one outcome and return the entry that changed."""
        from steersman.core.values import Entry

        code = zlib.crc32(name.encode())
        place = (f"state {code % 5}", code % 3)
        old = self.entries.get(place, Entry(0.0, 0, 0.0, 0.0, 0.0, 0.0))
        visits = old.visits + 1
        mean = old.reward_mean + (value - old.reward_mean) / visits
        self.entries[place] = Entry(
            old.value + 0.1 * (value - old.value),
            visits,
            0.9 * old.td_variance + 0.1 * (value - old.value) ** 2,
            mean,
            old.reward_m2 + (value - old.reward_mean) * (value - mean),
            float(visits),
        )
        return place


class LogWorkload:
    """Appends decisions and outcomes, and what a small fold learned from them, to the log itself."""

    AGENT = "crash/log"
    checks_repetitions = True

    def __init__(self, store: Path) -> None:
        from steersman.backends.sql import SqliteLog

        self._log = SqliteLog(store)
        stored = self._log.learned(self.AGENT)
        self._fold = Fold(stored[0].entries if stored else None)
        self._lock = threading.Lock()

    def decide(self, chance: random.Random) -> str:
        """Append a decision."""
        from steersman.testing.log_rows import decision

        made = decision(agent=self.AGENT, at=time.time())
        self._log.append((made,))
        return made.id

    def report(self, name: str) -> None:
        """Append an outcome with what was learned from it, unless it is there already."""
        from steersman.core.values import Learned
        from steersman.testing.log_rows import decision, outcome

        with self._lock:
            if self.checks_repetitions and self._log.outcomes(name):
                receipt = self._log.append(())
            else:
                place = self._fold.apply(name, reward(name))
                changed = {place: self._fold.entries[place]}
                learned = Learned(agent=self.AGENT, entries=changed, states={}, removed=set(), episodes={}, carry=b"{}")
                row = outcome(decision(name, agent=self.AGENT), reward=reward(name), at=time.time())
                receipt = self._log.append((row,), learned)
        receipt.wait()

    @classmethod
    def check(cls, store: Path, acknowledged: set[str]) -> Findings:
        """Compare a store with what was acknowledged, and its table with a replay of its log."""
        from steersman.backends.sql import SqliteLog

        log = SqliteLog(store)
        found = Findings(trials=1, acknowledged=len(acknowledged))
        there: Counter[str] = Counter()
        stored = log.learned(cls.AGENT)
        table, position = (stored[0].entries, stored[1]) if stored else ({}, 0)
        replayed = Fold()
        for place, decision, outcome in log.history(cls.AGENT):
            there[decision.id] += outcome.reward == reward(decision.id)
            if place <= position and there[decision.id] == 1:
                replayed.apply(decision.id, outcome.reward or 0.0)
            found.differences += place > position  # an outcome that is there and was not learned
        found.lost = sum(name not in there for name in acknowledged)
        found.twice = sum(count - 1 for count in there.values() if count > 1)
        found.differences += sum(table.get(each) != entry for each, entry in replayed.entries.items())
        found.differences += len(table.keys() - replayed.entries.keys())
        log.close()
        return found


class LoopWorkload:
    """The whole loop: `Steersman.open`, `agent.decide`, `agent.report`."""

    AGENT = "crash/loop"

    def __init__(self, store: Path) -> None:
        self._steersman = self._open(store)
        self._agent = self._steersman.agent(self.AGENT)

    @classmethod
    def _open(cls, store: Path) -> Any:
        import steersman as s

        spec = s.AgentSpec(
            name=cls.AGENT,
            description="Decides while it is being killed.",
            state=s.StateSchema(name="crash", fields=(s.Number(name="load", low=0.0, high=1.0, edges=(0.3, 0.6)),)),
            actions=s.ActionSpace.flat("left", "right", "wait"),
            reward=s.Reward.plain(-1.0, 1.0),
            baseline=lambda state: "wait",
            safe_action="wait",
        )
        return s.Steersman.open(store, agents=[spec])

    def decide(self, chance: random.Random) -> str:
        """Decide for a random state."""
        return str(self._agent.decide({"load": chance.random()}).id)

    def report(self, name: str) -> None:
        """Report the reward that belongs to the id."""
        self._agent.report(name, {"reward": reward(name)}).wait()

    @classmethod
    def check(cls, store: Path, acknowledged: set[str]) -> Findings:
        """Compare a store with what was acknowledged, and its table with a replay of its log."""
        from steersman.loops.learn import refold

        steersman = cls._open(store)
        log = steersman.log
        found = Findings(trials=1, acknowledged=len(acknowledged))
        there = Counter(outcome.decision_id for _, _, outcome in log.history(cls.AGENT))
        found.lost = sum(name not in there for name in acknowledged)
        found.twice = sum(count - 1 for count in there.values() if count > 1)
        stored = log.learned(cls.AGENT)
        if stored is not None:
            last = max((position for position, _, _ in log.history(cls.AGENT)), default=0)
            found.differences += last > stored[1]
            replayed = refold(steersman.agent(cls.AGENT)._runtime, until=stored[1]).changes(replace=True).entries
            found.differences += sum(
                stored[0].entries.get(place) != replayed.get(place) for place in stored[0].entries | replayed
            )
        steersman.close()
        return found


WORKLOADS: dict[str, Any] = {"log": LogWorkload, "loop": LoopWorkload}


# bugs, planted in the child alone


def acknowledge_before_the_commit() -> None:
    """Plant: the receipt does not wait."""
    from steersman.backends.sql.queue import QueueReceipt

    QueueReceipt.wait = lambda self, timeout_s=None: None  # type: ignore[method-assign]  # the bug


def no_unique_key() -> None:
    """Plant: nothing refuses an outcome that is there already."""
    from sqlalchemy import UniqueConstraint

    from steersman.backends.sql import compose, schema
    from steersman.backends.sql.sqlite import store
    from steersman.backends.sql.sqlite.admission import Admission

    unique = {each for each in schema.outcomes.constraints if isinstance(each, UniqueConstraint)}
    schema.outcomes.constraints -= unique
    store.DEFINITIONS = compose.composed("sqlite").definitions  # type: ignore[attr-defined]
    Admission.check = lambda self, rows, batches: None  # type: ignore[method-assign]  # the bug
    LogWorkload.checks_repetitions = False


def learning_outside_the_transaction() -> None:
    """Plant: rows are committed first, and what was learned from them after."""
    from steersman.backends.sql.sqlite import transaction

    write_learned = transaction.write_learned

    def write(connection: sqlite3.Connection, batch: Any, audit_key: bytes = b"", taken_s: float = 0.0) -> None:
        transaction.write_learned = lambda connection, batch: None
        correct(connection, batch, audit_key, taken_s)
        connection.execute("BEGIN")
        write_learned(connection, batch)
        connection.execute("COMMIT")

    correct = transaction.write
    transaction.write = write


def commits_without_fsync() -> None:
    """Plant: synchronous=NORMAL, which a kill cannot show and a power cut does."""
    from steersman.backends.sql.sqlite import connect

    correct = connect.writer

    def writer(path: Path) -> sqlite3.Connection:
        connection = correct(path)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    connect.writer = writer


BUGS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "acknowledge before the commit": acknowledge_before_the_commit,
    "no unique key": no_unique_key,
    "learn outside the transaction": learning_outside_the_transaction,
    "commit without fsync": commits_without_fsync,
}


# the child that is killed


def live(workload: type, store: Path, ledger: Path, seed: int, ready: int) -> None:
    """Open the store and let eight clients at it, until killed."""
    known = ledger.read_text().split()[-200:] if ledger.exists() else []
    ledger_file = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    session: Workload = workload(store)
    recent = deque(known, maxlen=200)
    threads = [threading.Thread(target=client, args=(session, recent, ledger_file, seed + i)) for i in range(CLIENTS)]
    os.write(ready, b"!")
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def client(session: Workload, recent: "deque[str]", ledger: int, seed: int) -> None:
    """Decide, report, wait, and note the acknowledgement; sometimes say it again, or forget to."""
    chance = random.Random(seed)
    while True:
        name = session.decide(chance)
        if chance.random() < NEVER_REPORTED:
            continue
        for each in [name] + ([chance.choice([name, *recent])] if chance.random() < REPEATED else []):
            session.report(each)
            os.write(ledger, f"{each}\n".encode())
        recent.append(name)


# the parent that kills


def fork_and_kill(work: Callable[[int], None], after_s: float) -> str:
    """Run work in a child, kill it a while after it is ready, and return what went wrong with it, if anything did."""
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        os.close(readable)
        try:
            threading.excepthook = lambda args: _say_and_exit(writable, args.exc_value)
            work(writable)
        except BaseException as error:  # noqa: BLE001 - told to the parent
            _say_and_exit(writable, error)
        os._exit(0)
    os.close(writable)
    said = os.read(readable, 1)
    time.sleep(after_s)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while more := os.read(readable, 65_536):
        said += more
    os.close(readable)
    return said.decode(errors="replace").lstrip("!")


def _say_and_exit(pipe: int, error: BaseException | None) -> None:
    os.write(pipe, f"{type(error).__name__}: {error}\n".encode())
    os._exit(1)


def trials(folder: Path, *, count: int, cut: bool, bug: str, workload: str, seed: int) -> Iterator[Findings]:
    """Kill `count` children, on a store that lives through twenty of them, and yield what each left behind."""
    chance = random.Random(seed)
    kind = WORKLOADS[workload]
    for number in range(count):
        place = folder / f"store {number // LIVES_OF_A_STORE}"
        place.mkdir(exist_ok=True)
        store, ledger, shadow = place / "live" / "log.db", place / "ledger", place / "shadow"
        store.parent.mkdir(exist_ok=True)

        def work(
            ready: int, number: int = number, shadow: Path = shadow, store: Path = store, ledger: Path = ledger
        ) -> None:
            if cut:
                os.environ["SHADOW"] = str(shadow)
            BUGS[bug]()
            live(kind, store, ledger, seed=seed * 1_000_003 + number * CLIENTS, ready=ready)

        if cut:
            _copy_files(store.parent, shadow)
        error = fork_and_kill(work, chance.uniform(*KILL_AFTER_S))
        if cut:
            _copy_files(shadow, store.parent)
        acknowledged = set(ledger.read_text().split()) if ledger.exists() else set()
        yield examine(kind, store, acknowledged, error)
        if (number + 1) % LIVES_OF_A_STORE == 0:
            shutil.rmtree(place)


def examine(kind: Any, store: Path, acknowledged: set[str], error: str) -> Findings:
    """Check a store; one that cannot be opened has lost everything."""
    from steersman.core.errors import SteersmanError

    try:
        found: Findings = kind.check(store, acknowledged)
    except SteersmanError as refused:
        found = Findings(trials=1, acknowledged=len(acknowledged), lost=len(acknowledged), errors=[str(refused)])
    if error:
        found.errors.append(error)
    return found


def _copy_files(source: Path, target: Path) -> None:
    """Make `target` hold the store's files of `source`, and nothing else."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for each in source.iterdir() if source.exists() else ():
        if each.name in ("log.db", "log.db-wal"):
            shutil.copyfile(each, target / each.name)


def serve(options: dict[str, Any], *, until_found: bool) -> None:
    """Run trials in this process, which forks the children, and print a line for each; `until_found`: stop at a finding."""
    import steersman.app
    import steersman.backends.sql  # what is imported now, the children need not import

    assert steersman.app
    with tempfile.TemporaryDirectory(prefix="crash ") as folder:
        for found in trials(Path(folder), **options):
            print(json.dumps(asdict(found)), flush=True)
            if until_found and not found.clean:
                return


# the harness


def build_shim(folder: Path) -> Path | None:
    """Compile the power-cut emulator; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SHIM), "-ldl"], check=True)
    return library


def run(
    count: int,
    *,
    shim: Path | None = None,
    bug: str = "",
    workload: str = "log",
    seed: int = 1,
    until_found: bool = False,
) -> Findings:
    """Run trials in a process of their own (with the shim: power cuts) and return what they found together."""
    options = {"count": count, "cut": shim is not None, "bug": bug, "workload": workload, "seed": seed}
    environment = dict(os.environ) | ({"LD_PRELOAD": str(shim)} if shim else {})
    asked = json.dumps({"options": options, "until_found": until_found})
    command = [sys.executable, str(Path(__file__).resolve()), "--serve", asked]
    total = Findings()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as server:
        assert server.stdout is not None
        for line in server.stdout:
            total.add(Findings(**json.loads(line)))
    if total.trials < count and not (until_found and not total.clean):
        raise SystemExit(f"the trials ended early: {total}")
    return total


CONTROLS = (  # the bug, whether it takes a power cut to show, the finding that must be there
    ("acknowledge before the commit", False, "lost"),
    ("no unique key", False, "twice"),
    ("learn outside the transaction", False, "differences"),
    ("commit without fsync", True, "lost"),
)


def measure(*, kills: int, cuts: int, controls: int, workload: str, shim: Path | None, seed: int = 1) -> dict[str, Any]:
    """Run everything and return the findings by name; `controls` is how many trials a planted bug may take to show."""
    results: dict[str, Any] = {}
    if kills:
        results["kill -9"] = asdict(run(kills, workload=workload, seed=seed))
    if cuts and shim is not None:
        results["power cut"] = asdict(run(cuts, shim=shim, workload=workload, seed=seed + 1))
    for bug, cut, finding in CONTROLS:
        if controls and not (cut and shim is None):
            found = asdict(run(controls, shim=shim if cut else None, bug=bug, seed=seed + 2, until_found=True))
            results[f"control: {bug}"] = found | {"caught": bool(found[finding])}
    return results


def passed(results: dict[str, Any]) -> bool:
    """Return whether nothing was found where nothing may be, and something in each control."""
    return all(found["caught"] if name.startswith("control") else Findings(**found).clean for name, found in results.items())


def show(results: dict[str, Any], shim: Path | None) -> None:
    """Print the findings."""
    for name, found in results.items():
        counts = f"{found['lost']} lost, {found['twice']} twice, {found['differences']} differences"
        if name.startswith("control"):
            verdict = "caught" if found["caught"] else "NOT CAUGHT"
            print(f"{name:42} {verdict} after {found['trials']} trials: {counts}")
        else:
            print(f"{name:42} {found['trials']} trials, {found['acknowledged']} acknowledgements checked: {counts}")
            if Findings(**found).clean:
                print(f"{'':42} so the rate of failures is at most 3/{found['trials']} = {3 / found['trials']:.4f}")
        for error in found["errors"][:5]:
            print(f"    {error.strip()}")
    if shim is None:
        print("power cuts: not run, there is no C compiler (or no Linux) to build the emulator with")


def main() -> int:
    """Measure and print; return 1 if something was lost or a planted bug was not caught."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--cuts", type=int, default=300)
    parser.add_argument("--controls", type=int, default=60, help="trials that a planted bug may take to show; 0: none")
    parser.add_argument("--workload", choices=sorted(WORKLOADS), default="log")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(**json.loads(options.serve))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        shim = build_shim(Path(folder))
        results = measure(
            kills=options.kills,
            cuts=options.cuts,
            controls=options.controls,
            workload=options.workload,
            shim=shim,
            seed=options.seed,
        )
    if options.json:
        print(json.dumps(results))
    else:
        show(results, shim)
    return 0 if passed(results) else 1


if __name__ == "__main__":
    sys.exit(main())
