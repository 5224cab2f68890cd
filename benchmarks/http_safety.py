"""P7 and P13 over HTTP: guards are never bypassed, and outcomes belong to their decisions.

    python benchmarks/http_safety.py [--decisions 1000000] [--reports 100000] [--batch 500]

P7 asks a real service for random decisions in batches, while values turn to NaN and infinity, stored rows are corrupted
between two lives of the service, exploration jumps, guards raise or are late, and controls are flipped over HTTP; an
independent predicate says what may be done. A seeded bug (choosing without the mask) must be caught. P13 reports outcomes
of decisions that were guessed, forged, another tenant's, reported before or too old; none may be accepted. A seeded bug
(one store for all tenants) must be caught.
"""

import argparse
import http.client
import json
import logging
import math
import random
import sqlite3
import sys
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from steersman.core.agent import AgentSpec
from steersman.core.errors import SteersmanError
from steersman.core.guards import Guard, Refusal
from steersman.core.sections import Service as Limits
from steersman.core.state import StateSchema
from steersman.core.values import Outcome
from steersman.stages.decide.choose import Situation
from steersman.testing.sampling import sample_state
from steersman.testing.serving import Running, bearer, make_key, serving
from steersman.testing.specs import small_agent

AGENT = "lab/small"
LIFE = 25_000
ARMS = (None, None, "champion", "baseline")
BUGS = ("", "choice without the mask", "one store for all tenants")


class Served:
    """A service at work in this process, so that what lies behind it can be disturbed, and the way to ask it over HTTP."""

    def __init__(self, running: Running) -> None:
        self.service = running.service
        self._line = http.client.HTTPConnection(running.url.removeprefix("http://"), timeout=120)

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """Return status and content of an answer."""
        headers = {"content-type": "application/json"} | (bearer(key) if key else {})
        self._line.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._line.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def close(self) -> None:
        """Close the connection."""
        self._line.close()


@contextmanager
def served(folder: Path, *agents: AgentSpec) -> Iterator[Served]:
    """Serve the store in a folder."""
    limits = Limits(rate_per_s=0, report_wait_s=60.0)
    with serving(str(folder / "log.db"), agents=agents, limits=limits) as running, closing(Served(running)) as found:
        yield found


# P7


@dataclass(kw_only=True)
class Weather:
    """What is wrong at the moment, as the guards see it."""

    broken: bool = False
    slow: bool = False


@dataclass(kw_only=True)
class Found:
    """Decisions made, violations seen, and how often the service would not begin on corrupt rows, or not answer."""

    decisions: int = 0
    violations: int = 0
    learned: int = 0
    refused_to_begin: int = 0
    unanswered: int = 0

    def __add__(self, other: "Found") -> "Found":
        return Found(**{name: value + getattr(other, name) for name, value in vars(self).items()})


def permitted(state: dict[str, Any], action: str, *, stopped: bool) -> bool:
    """Say what may be done, written apart from the product: the rules of `_guards` below in other words."""
    if action == "rest":
        return True
    if stopped:
        return False
    if action == "heavy":
        return state["load"] < 80 and not state["weekend"]
    return action == "light" or state["backlog"] <= 900


def _guards(weather: Weather) -> tuple[Guard, ...]:
    def by_load(state: Any) -> list[Refusal]:
        return [Refusal(where={"action": "heavy"}, reason="load")] if state["load"] >= 80 else []

    def by_calendar(state: Any) -> list[Refusal]:
        if weather.broken:
            raise RuntimeError("the calendar is down")
        return [Refusal(where={"action": "heavy"}, reason="weekend")] if state["weekend"] else []

    def by_backlog(state: Any) -> list[Refusal]:
        if weather.slow:
            time.sleep(0.004)
        return [Refusal(where={"action": "steady"}, reason="backlog")] if state["backlog"] > 900 else []

    return (
        Guard(name="load", refuse=by_load, deadline_ms=1_000.0),
        Guard(name="calendar", refuse=by_calendar, deadline_ms=1_000.0),
        Guard(name="backlog", refuse=by_backlog, deadline_ms=2.0),
    )


def violations(seed: int, count: int, *, batch: int = 500, bug: str = "") -> Found:
    """Make decisions in two lives of a service, its rows corrupted in between, and count those that were not permitted."""
    rng = np.random.default_rng(seed)
    found = Found()
    with tempfile.TemporaryDirectory() as name:
        for life in range(2):
            if life:
                _corrupt(Path(name) / "log.db", rng)
            with served(Path(name)) as service:
                found += _live(service, count // 2, batch, rng, bug)
    return found


def _live(served: Served, count: int, batch: int, rng: np.random.Generator, bug: str) -> Found:
    weather = Weather()
    spec = small_agent(guards=_guards(weather))
    steersman = served.service.tenants["default"]
    try:
        runtime = steersman.agent(spec)._runtime
    except (SteersmanError, ValueError, TypeError):
        return _refused(served, spec.state, rng)
    if bug == BUGS[1]:
        _remove_mask(runtime)
    found = Found()
    states = [sample_state(spec.state, rng) for _ in range(2_048)]
    while found.decisions < count:
        killed = _disturb(served, runtime, weather, rng)
        size = min(batch, count - found.decisions) if not weather.slow else 20
        found += _batch(served, states, size, rng, stopped=killed or weather.broken or weather.slow)
    return found


def _refused(served: Served, schema: StateSchema, rng: np.random.Generator) -> Found:
    """What cannot be read is not decided by: whoever asks gets a problem, and no action."""
    asked = {"agent": AGENT, "state": sample_state(schema, rng)}
    answers = [served.ask("POST", "/v1/decisions", asked) for _ in range(10)]
    return Found(refused_to_begin=1, violations=sum(status == 200 for status, _ in answers))


def _batch(served: Served, states: list[dict[str, Any]], size: int, rng: np.random.Generator, *, stopped: bool) -> Found:
    asked = [
        {"agent": AGENT, "state": states[place], "arm": ARMS[place % 4]} for place in rng.integers(len(states), size=size)
    ]
    status, answer = served.ask("POST", "/v1/decisions/batch", {"decisions": asked})
    if status != 200:
        raise SystemExit(f"the service answered {status}: {answer}")
    found = Found(decisions=size)
    reports = []
    for each, made in zip(asked, answer["results"], strict=True):
        if "problem" in made:
            found.unanswered += 1
            continue
        found.violations += not permitted(each["state"], made["action"]["action"], stopped=stopped)
        found.learned += made["arm"] == "champion"
        reports.append({"decision_id": made["id"], "measurements": {"reward": float(rng.uniform(-1, 1))}})
    served.ask("POST", "/v1/outcomes/batch", {"outcomes": reports[:20]})
    return found


MODES = {0: "shadow", 1: "advisory", 5: "shadow", 7: "advisory", 10: "off"}
"""With which of the things that break which mode is set: none of them lets anything past a guard."""


def _disturb(served: Served, runtime: Any, weather: Weather, rng: np.random.Generator) -> bool:
    """Break something, mend what was broken before; return whether the kill switch is on."""
    what = int(rng.integers(12))
    with runtime.lock:
        table = runtime.fold.table
        table.value[:] = rng.normal(size=table.value.shape)
        if what == 0 and len(table.value):
            table.value[int(rng.integers(len(table.value)))] = math.nan
        elif what == 1:
            table.value[:, 3] = rng.choice([math.inf, 1e308])
        elif what == 2:
            table.value[:] = rng.choice([-math.inf, math.nan])
        elif what == 3:
            runtime.fold.carry.schedule.epsilon = float(rng.choice([0.0, 0.5, 1.0]))
        weather.broken = what == 4
        weather.slow = what == 5 and rng.random() < 0.3
    _control(served, "pause", active=what == 6)
    _control(served, "pin", active=what in (7, 8), choices={"action": str(rng.choice(["heavy", "steady"]))})
    _control(served, "kill", active=what == 9)
    _control(served, "mode", active=what in MODES, choices={"mode": MODES.get(what, "live")})
    return what == 9


def _control(served: Served, kind: str, *, active: bool, choices: dict[str, str] | None = None) -> None:
    body: dict[str, Any] = {"kind": kind, "scope": AGENT, "active": active, "reason": "drill"}
    if active and choices:
        body["choices"] = choices
    status, answer = served.ask("POST", "/v1/controls", body)
    if status != 200:
        raise SystemExit(f"{kind}: the service answered {status}: {answer}")


def _corrupt(store: Path, rng: np.random.Generator) -> None:
    """Put what no learner writes into stored rows of the table."""
    wrong: tuple[Any, ...] = (1e308, -1e308, 9e999)
    if rng.random() < 0.25:
        wrong = (*wrong, "what?", b"\x00\xff")  # no number at all
    with closing(sqlite3.connect(store)) as connection:
        places = connection.execute("SELECT state_key, slot FROM entries").fetchall()
        for key, slot in places:
            if rng.random() < 0.3:
                column = str(rng.choice(["value", "td_variance", "reward_mean"]))
                value = wrong[int(rng.integers(len(wrong)))]
                connection.execute(
                    f"UPDATE entries SET {column} = ? WHERE state_key = ? AND slot = ?",
                    (value, key, slot),
                )
        connection.commit()


def _remove_mask(runtime: Any) -> None:
    """The seeded bug: the policy is asked without what the guards said."""
    original = runtime.chooser.choose

    def choose(table: Any, now: Situation) -> Any:
        return original(table, Situation(**{**_fields(now), "allowed": np.ones(4, dtype=bool)}))

    runtime.chooser.choose = choose


def _fields(now: Situation) -> dict[str, Any]:
    return {name: getattr(now, name) for name in now.__struct_fields__}


# P13


@dataclass(kw_only=True)
class Accepted:
    """Reports that should have been refused: how many were made of each kind, and how many were accepted.

    extra: outcomes in the logs beyond those that were rightly reported.
    """

    tried: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    extra: int = 0

    @property
    def held(self) -> bool:
        """Whether none was."""
        return not self.extra and not any(self.accepted.values())


def forgeries(count: int, *, batch: int = 500, seed: int = 0, bug: str = "") -> Accepted:
    """Report outcomes that nobody may report, and say which were accepted."""
    rng = random.Random(seed)
    found = Accepted()
    never = replace(small_agent({"episodes": {"accept_until_s": 0.0}}), name="lab/late")
    with tempfile.TemporaryDirectory() as name:
        mine, theirs = [make_key(Path(name) / "log.db", "decide", "report", tenant=tenant) for tenant in ("mine", "theirs")]
        with served(Path(name), small_agent(), never) as service:
            _forge_all(service, mine, theirs, found, count, batch, rng, bug)
    return found


def _forge_all(
    service: Served, mine: str, theirs: str, found: Accepted, count: int, batch: int, rng: random.Random, bug: str
) -> None:
    foreign = _decide(service, theirs, AGENT, batch)
    real = _decide(service, mine, AGENT, batch)
    late = _decide(service, mine, "lab/late", batch)
    told = _decide(service, mine, AGENT, batch)
    right = _report(service, mine, [(each, 0.5) for each in told])
    if bug == BUGS[2]:
        one = service.service.tenants.get("theirs")
        service.service.tenants.known = lambda name: one  # type: ignore[method-assign]
    kinds: dict[str, Callable[[], str]] = {
        "guessed": lambda: _guess(rng),
        "forged": lambda: _forge(rng.choice(real), rng),
        "foreign": lambda: rng.choice(foreign),
        "replayed with another outcome": lambda: rng.choice(told),
        "past accept_until": lambda: rng.choice(late),
        "no id at all": lambda: rng.choice(_ODD),
    }
    for kind, draw in kinds.items():
        for size in _sizes(count // len(kinds), batch):
            taken = _report(service, mine, [(draw(), rng.uniform(-1, 0)) for _ in range(size)])
            found.tried[kind] = found.tried.get(kind, 0) + size
            found.accepted[kind] = found.accepted.get(kind, 0) + taken
    found.extra = sum(_logged(service, tenant) for tenant in ("mine", "theirs")) - right


_ODD = (
    "",
    "0",
    "../../etc/passwd",
    "' OR 1=1 --",
    "%00",
    "\u202e",
    "null",
    "-1",
    "x" * 200,
    "00000000-0000-7000-8000-000000000000",
)


def _sizes(count: int, batch: int) -> Iterator[int]:
    while count > 0:
        yield min(count, batch)
        count -= batch


def _decide(served: Served, key: str, agent: str, count: int) -> list[str]:
    state = {"load": 10.0, "backlog": 10.0, "weekend": False}
    body = {"decisions": [{"agent": agent, "state": state}] * count}
    status, answer = served.ask("POST", "/v1/decisions/batch", body, key)
    if status != 200 or any("problem" in each for each in answer["results"]):
        raise SystemExit(f"the service answered {status}: {str(answer)[:500]}")
    return [each["id"] for each in answer["results"]]


def _report(served: Served, key: str, said: list[tuple[str, float]]) -> int:
    """Report outcomes; return how many were accepted."""
    body = {"outcomes": [{"decision_id": name, "measurements": {"reward": reward}} for name, reward in said if name]}
    status, answer = served.ask("POST", "/v1/outcomes/batch", body, key)
    if status != 200:
        raise SystemExit(f"the service answered {status}: {str(answer)[:500]}")
    return sum("problem" not in each for each in answer["results"])


def _guess(rng: random.Random) -> str:
    """Return an id as the service would make one now."""
    whole = int(time.time() * 1000) << 80 | 0x7 << 76 | rng.getrandbits(12) << 64 | 0b10 << 62 | rng.getrandbits(62)
    return str(uuid.UUID(int=whole))


def _forge(name: str, rng: random.Random) -> str:
    """Return a real id with one digit changed."""
    place = rng.choice([index for index, each in enumerate(name) if each != "-"])
    return name[:place] + rng.choice([each for each in "0123456789abcdef" if each != name[place]]) + name[place + 1 :]


def _logged(served: Served, tenant: str) -> int:
    log = served.service.tenants[tenant].log
    log.flush(60.0)
    return sum(isinstance(row, Outcome) for name in log.agents() for row in log.rows(name))


def _be_quiet() -> None:
    """Say nothing about rows that this script has spoilt."""
    warnings.simplefilter("ignore", RuntimeWarning)
    logging.disable()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--reports", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500)
    given = parser.parse_args()
    _be_quiet()
    caught = violations(0, 5_000, batch=given.batch, bug=BUGS[1])
    print(f"P7 seeded bug ({BUGS[1]}): {caught.violations:,} of {caught.decisions:,} caught", flush=True)
    mixed = forgeries(2_000, batch=200, bug=BUGS[2])
    print(f"P13 seeded bug ({BUGS[2]}): {mixed.accepted.get('foreign', 0):,} foreign ids accepted", flush=True)
    found, seed = Found(), 0
    while found.decisions < given.decisions:
        seed += 1
        with ProcessPoolExecutor(1, initializer=_be_quiet) as pool:  # what services leave behind goes with their process
            size = min(2 * LIFE, given.decisions - found.decisions)
            found += pool.submit(violations, seed, size, batch=given.batch).result()
    print(
        f"P7: {found.violations} violations in {found.decisions:,} decisions over HTTP (rate ≤ {3 / found.decisions:.1e} at "
        f"95 % if 0); {found.learned:,} by the learned policy, {found.unanswered} unanswered; would not begin on corrupt "
        f"rows {found.refused_to_begin} times"
    )
    forged = forgeries(given.reports, batch=given.batch)
    for kind, tried in forged.tried.items():
        print(f"P13: {kind}: {forged.accepted[kind]} of {tried:,} accepted")
    print(f"P13: outcomes in the logs beyond those that were rightly reported: {forged.extra}")
    good = caught.violations and mixed.accepted.get("foreign") and not found.violations and forged.held
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
