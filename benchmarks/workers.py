"""P9 and P10 with several worker processes on one PostgreSQL store.

    python benchmarks/workers.py [--decisions 1000000] [--flips 30] [--kills 30] [--quick]

P9: somebody else flips the kill switch while workers decide as fast as they can; in every third flip a worker is killed
(SIGKILL) and started again while the switch is on. P10: workers race for one exploration budget, and are killed at random.
Both are judged from the log by code apart from the product, and a bug is planted for each: what does not find its bug
proves nothing.
"""

import argparse
import random
import sys
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

from steersman import Steersman
from steersman.core.values import Decision
from steersman.loops.agent import Agent
from steersman.loops.budget import Budget
from steersman.loops.hands import Hands, Held
from steersman.testing.crew import BATCH, Crew, Post, crew
from steersman.testing.postgres import PostgresServer
from steersman.testing.sampling import sample_state
from steersman.testing.specs import small_agent

AGENT = "lab/small"
ACTIONS = ("rest", "light", "steady", "heavy")
WAIT_S = 60.0
LATE_S = 1.0
LEAST_RATE = 1_000.0
BUGS = ("never looks again", "spends before it is granted")

# P9: the kill switch


@dataclass(frozen=True, kw_only=True)
class Window:
    """When the switch was certainly on (unix seconds), and which worker began meanwhile."""

    on_at: float
    off_at: float
    begun: str = ""


@dataclass(kw_only=True)
class Switched:
    """What came of flipping the switch. `rate`: decisions a second while it was off.

    `worst_s`: when the last learned action was decided, after the switch was durable.
    """

    flips: int
    restarts: int
    decisions: int = 0
    rate: float = 0.0
    while_on: int = 0
    late: int = 0
    worst_s: float = 0.0
    served_after_restart: int = 0
    learned_after_restart: int = 0
    audited: int = 0

    @property
    def held(self) -> bool:
        """Whether every flip was obeyed in time, by restarted workers at once, and audited."""
        tested = self.while_on > 0 and (self.served_after_restart > 0 or not self.restarts)
        return tested and not self.late and not self.learned_after_restart and self.audited == 2 * self.flips


def switch(url: str, flips: int, *, workers: int = 2, bug: str = "") -> Switched:
    """Flip the switch so many times under load; in every third flip a worker is killed and begins again."""
    rng = random.Random(0)
    with crew(__file__, url, workers, {"bug": bug, "budget": -1}) as hands:
        began = time.monotonic()
        windows = []
        for flip in range(flips):
            time.sleep(rng.uniform(0.3, 0.8))
            windows.append(_flip(url, hands, rng, restart=flip % 3 == 2))
        hands.finish()
        elapsed = time.monotonic() - began
    found = Switched(flips=flips, restarts=sum(bool(each.begun) for each in windows))
    for row in decisions_of(url, AGENT):
        _judge_switched(row, windows, found)
    off_s = elapsed - sum(each.off_at - each.on_at for each in windows)
    found.rate = (found.decisions - found.while_on) / off_s
    with Steersman.open(url, settings={}, read_only=True) as steersman:
        told = Counter(each.event for each in steersman.log.audit(10_000) if each.actor == "a third party")
    found.audited = told["kill switch on"] + told["kill switch off"]
    return found


def _flip(url: str, hands: Crew, rng: random.Random, *, restart: bool) -> Window:
    Steersman.control_in(url, "kill", "*", actor="a third party", reason="drill")
    on_at = time.time()
    begun = ""
    if restart:
        time.sleep(rng.uniform(0.0, 1.0))
        begun = hands.again(rng.randrange(len(hands.at_work)))
    time.sleep(max(0.0, on_at + LATE_S - time.time()) + rng.uniform(0.2, 0.6))
    off_at = time.time()
    Steersman.control_in(url, "kill", "*", actor="a third party", reason="drill", active=False)
    return Window(on_at=on_at, off_at=off_at, begun=begun)


def _judge_switched(row: Decision, windows: list[Window], found: Switched) -> None:
    found.decisions += 1
    place = bisect_right([each.on_at for each in windows], row.decided_at) - 1
    if place < 0 or row.decided_at >= windows[place].off_at:
        return
    learned = row.arm != "safe"
    found.while_on += 1
    if learned:
        delay = row.decided_at - windows[place].on_at
        found.worst_s = max(found.worst_s, delay)
        found.late += delay > LATE_S
    if row.subject == windows[place].begun:
        found.served_after_restart += 1
        found.learned_after_restart += learned


# P10: the exploration budget


@dataclass(kw_only=True)
class Spent:
    """What came of an exploration budget. `unlogged`: explored, and lost from the queue of a worker that was killed."""

    budget: int
    kills: int
    decisions: int = 0
    explored: int = 0
    unlogged: int = 0
    reserved: int = 0

    @property
    def burned(self) -> int:
        """How many tokens were given out and not used."""
        return self.reserved - self.explored - self.unlogged

    @property
    def held(self) -> bool:
        """Whether the budget was used, and not exceeded by a single decision."""
        return 0 < self.explored + self.unlogged <= self.reserved <= self.budget


def spend(url: str, decisions: int, *, kills: int, workers: int = 2, bug: str = "") -> Spent:
    """Decide so often under a budget of a tenth of it, killing workers by and by, and count what explored."""
    rng = random.Random(1)
    found = Spent(budget=decisions // 10, kills=kills)
    with crew(__file__, url, workers, {"bug": bug, "budget": found.budget}) as hands:
        for kill in range(kills):
            hands.reach(decisions * (kill + 1) // (kills + 1))
            time.sleep(rng.uniform(0.0, 0.1))
            hands.again(rng.randrange(workers))
        hands.reach(decisions)
        hands.finish()
        seen = hands.noted()
    logged = set()
    for row in decisions_of(url, AGENT):
        found.decisions += 1
        if explored(row):
            logged.add(row.id)
    found.explored, found.unlogged = len(logged), len(seen - logged)
    found.reserved = _reserved(url)
    return found


def explored(row: Decision) -> bool:
    """Say whether a decision explored, from its row alone: the champion took what was not the best it knew."""
    action = str(row.executed["action"])
    if row.arm != "champion":
        return False
    if row.reason.startswith("cold state"):
        return action != "light"
    known = dict(zip(ACTIONS, row.values, strict=True))
    if float(row.state["load"]) >= 80:
        del known["heavy"]
    return known[action] < max(known.values())


def _reserved(url: str) -> int:
    """Return how many tokens the store gave out."""
    server, _, schema = url.partition("?schema=")
    with psycopg.connect(server) as connection:
        found = connection.execute(f"SELECT sum(reserved) FROM {schema}.tokens").fetchone()
    return int(found[0]) if found and found[0] is not None else 0


# the processes


def decisions_of(url: str, agent: str) -> Iterator[Decision]:
    """Yield the decisions of an agent from the log."""
    with Steersman.open(url, settings={}, read_only=True) as steersman:
        yield from (row for row in steersman.log.rows(agent) if isinstance(row, Decision))


def work(url: str, post: Post) -> None:
    """Decide, and report some of it, until told to stop; note what explored."""
    _plant(post.plan["bug"])
    budget = {"epsilon": 0.3, "schedule": "constant", "budget": post.plan["budget"], "budget_period_s": 1e9}
    spec = small_agent({"learning": {"gamma": 0.0}, "exploration": budget})
    rng = np.random.default_rng(post.number)
    states = [sample_state(spec.state, rng) for _ in range(1_000)]
    with Steersman.open(url, agents=[spec], settings={}) as steersman:
        agent = steersman.agent(AGENT)
        post.ready()
        while not post.stopped:
            _decide(agent, states, rng, post)
            steersman.log.flush(WAIT_S)
            post.batch_done()


def _decide(agent: Agent, states: list[dict[str, Any]], rng: np.random.Generator, post: Post) -> None:
    for index in range(BATCH):
        decision = agent.decide(states[int(rng.integers(len(states)))], subject=post.name)
        if explored(decision):
            post.note(decision.id)
        if index % 5 == 0:
            agent.report(decision, {"reward": float(rng.uniform(-1, 1))})


def _plant(bug: str) -> None:
    if bug == "never looks again":
        correct = Hands.look

        def look_once(hands: Hands) -> Held:
            return correct(hands) if hands.looked_at < 0 else hands._held()

        Hands.look = look_once  # type: ignore[method-assign, assignment]
    elif bug == "spends before it is granted":
        Budget.allows = _hasty  # type: ignore[method-assign, assignment]


def _hasty(budget: Budget, now: float) -> bool:
    """Use tokens as soon as they are asked for, and find out later whether there were any."""
    budget._turn(int(now // budget._period_s))
    if budget._grant is not None and budget._grant.done():
        budget._asked_again_at = now if budget._grant.granted else float("inf")
        budget._grant = None
    if budget._tokens <= budget._block // 2 and budget._grant is None and now >= budget._asked_again_at:
        budget._grant = budget._log.reserve_tokens(budget._agent, budget._period, budget._block, budget._budget)
        budget._tokens += budget._block
    return budget._tokens > 0


# what is printed


def main() -> None:
    """Run the harness, or a worker of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=int, default=30)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a short form of everything")
    parser.add_argument("--worker", nargs=3, metavar=("URL", "FOLDER", "NUMBER"))
    given = parser.parse_args()
    if given.worker:
        with Post(*given.worker[1:]) as post:
            work(given.worker[0], post)
        return
    if given.quick:
        given.flips, given.decisions, given.kills = 3, 20_000, 3
    server = PostgresServer(durable=True)
    try:
        held = [promise(server, given) for promise in (_p9, _p10)]
    finally:
        server.close()
    sys.exit(0 if all(held) else 1)


def _p9(server: PostgresServer, given: argparse.Namespace) -> bool:
    bad = switch(server.url("p9_bug"), 1, workers=given.workers, bug=BUGS[0])
    found = switch(server.url("p9"), given.flips, workers=given.workers)
    _print("P9 seeded bug (a worker never looks again): learned actions too late", f"{bad.late:,}")
    _print("P9 flips, with a worker killed and begun again while it was on", f"{found.flips:,}, {found.restarts:,}")
    _print(
        "   decisions, while it was on, a second while it was off",
        f"{found.decisions:,}, {found.while_on:,}, {found.rate:,.0f}",
    )
    _print("   last learned action after the switch was durable", f"{found.worst_s * 1e3:,.0f} ms")
    _print("   learned actions later than 1 s", f"{found.late:,}")
    _print(
        "   of workers begun meanwhile: decisions, learned",
        f"{found.served_after_restart:,}, {found.learned_after_restart:,}",
    )
    _print("   flips in the audit, on and off", f"{found.audited:,} of {2 * found.flips:,}")
    return found.held and found.rate >= LEAST_RATE and bad.late > 0


def _p10(server: PostgresServer, given: argparse.Namespace) -> bool:
    bad = spend(server.url("p10_bug"), 10_000, kills=0, workers=given.workers, bug=BUGS[1])
    found = spend(server.url("p10"), given.decisions, kills=given.kills, workers=given.workers)
    _print("P10 seeded bug (tokens used before they are granted): explored, budget", f"{bad.explored:,}, {bad.budget:,}")
    _print("P10 decisions, workers killed and begun again", f"{found.decisions:,}, {found.kills:,}")
    _print("   explored, of a budget of", f"{found.explored:,}, {found.budget:,}")
    _print("   explored and lost with a worker before it was durable", f"{found.unlogged:,}")
    _print("   tokens given out, burned", f"{found.reserved:,}, {found.burned:,}")
    return found.held and not bad.held and bad.explored > bad.budget


def _print(what: str, number: str) -> None:
    print(f"{what:<74}{number}", flush=True)


if __name__ == "__main__":
    main()
