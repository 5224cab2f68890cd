"""P19: what serves is what the last move names, to the hash, whoever moves, whoever dies, and never a mixture of two.

    python benchmarks/rollback.py [--rounds 500] [--workers 2] [--quick]

Two workers decide without a pause on one PostgreSQL store, while another process promotes a version and rolls it back, again
and again, and is killed (SIGKILL) at random moments, in the middle of moves. Afterwards the log is held against the moves:
each decision must be by a version that was in production within the last second, in the part that the move gave it, with the
values of that very artefact. Two planted bugs, a worker that never looks again and one that serves one version's table
under another's name, must be found.
"""

import argparse
import random
import subprocess
import sys
import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from steersman import Steersman
from steersman.core.agent import AgentSpec
from steersman.core.errors import Conflict
from steersman.core.values import Decision
from steersman.core.versions import Deployment
from steersman.loops import promote, serving
from steersman.loops.agent import Agent
from steersman.loops.cut import frozen_now, keep
from steersman.policies import artefact
from steersman.stages.release.assignment import to_challenger
from steersman.stages.release.plan import steps
from steersman.testing.crew import BATCH, Post, crew
from steersman.testing.postgres import PostgresServer
from steersman.testing.specs import small_agent

WITHIN_S = 1.0
STATE = {"load": 10, "backlog": 5, "weekend": False}
BUGS = ("never looks again", "a mixture")
PLAN = steps("50% 1h")
SETTINGS: dict[str, dict[str, Any]] = {"exploration": {"schedule": "constant", "epsilon": 0.1}}


@dataclass(kw_only=True)
class Found:
    """What came of it. stale: decisions by what was not in production within the last second; worst_s: how long before."""

    decisions: int = 0
    moves: int = 0
    promotions: int = 0
    rollbacks: int = 0
    kills: int = 0
    stale: int = 0
    mixed: int = 0
    gaps: int = 0
    wrong_at_end: int = 0
    worst_s: float = 0.0

    @property
    def held(self) -> bool:
        """Whether every decision was by what was in production."""
        return not (self.stale or self.mixed or self.gaps or self.wrong_at_end) and self.decisions > 0


def spec() -> AgentSpec:
    """Return the agent: nothing is reported, so nothing is learned, and versions stay apart."""
    return replace(small_agent({"learning": {"gamma": 0.0}, **SETTINGS}), name="lab/rollback")


def run(url: str, rounds: int, *, workers: int, bug: str = "", seed: int = 0) -> Found:
    """Let workers decide while somebody moves and is killed; hold the log against the moves."""
    versions = _versions(url)
    with crew(__file__, url, workers, {"bug": bug}) as hands:
        hands.reach(workers * BATCH)
        kills = _move_about(url, versions, rounds, random.Random(seed))
        time.sleep(WITHIN_S)
        hands.finish()
    found = _judge(url, versions)
    found.kills = kills
    return found


def _versions(url: str) -> tuple[str, str]:
    """Keep two versions that value every action otherwise; return their names."""
    with Steersman.open(url, agents=[spec()], settings={}) as steersman:
        agent = steersman.agent("lab/rollback")
        agent.report(agent.decide(STATE), {"reward": 0.0}).wait(30)
        deadline = time.monotonic() + 30
        while not agent._runtime.fold.carry.transitions and time.monotonic() < deadline:
            time.sleep(0.02)
        first, second = _kept(agent, 0.5), _kept(agent, -0.5)
        agent.release.rollback(first, actor="bench")
    return first, second


def _kept(agent: Agent, value: float) -> str:
    box = agent._runtime
    frozen = frozen_now(box)
    made = artefact.Frozen(
        **{**vars(frozen), "value": np.full_like(frozen.value, value), "visits": np.full_like(frozen.visits, 50)}
    )
    place = box.world.production
    if place is None:
        raise SystemExit("there is no registry")
    return keep(box, place, made, position=0, outcomes=0, actor="bench", reason=f"all {value}").id


def _move_about(url: str, versions: Sequence[str], rounds: int, chance: random.Random) -> int:
    """Have the mover begun anew whenever it was killed, until so many rounds are in the store; return the kills."""
    kills = 0
    with Steersman.open(url, agents=[spec()], settings={}, read_only=True) as steersman:
        release = steersman.agent("lab/rollback").release
        while (done := release.now.number) < 3 * rounds:
            mover = subprocess.Popen([sys.executable, __file__, "--mover", url, *versions, str(3 * rounds)])
            try:
                mover.wait(chance.uniform(3.0, 8.0) + 0.1 * (release.now.number == done))
            except subprocess.TimeoutExpired:
                mover.kill()
                kills += 1
            mover.wait()
    return kills


def move(url: str, first: str, second: str, until: int) -> None:
    """Promote the second version and roll it back to the first, over and over, from wherever the last mover stopped."""
    with Steersman.open(url, agents=[spec()], settings={}, read_only=True, moves=True) as steersman:
        box = steersman.agent("lab/rollback")._runtime
        while (now := promote.standing(box)).number < until:
            try:
                if now.under_way:
                    promote.promote(box, now, actor="bench", reason="", evidence={})
                elif now.champion == second:
                    promote.roll_back(box, actor="bench", reason="", to=first)
                else:
                    promote.start(box, second, actor="bench", plan=PLAN)
            except Conflict:
                continue


def _judge(url: str, versions: Sequence[str]) -> Found:
    with Steersman.open(url, agents=[spec()], settings={}, read_only=True) as steersman:
        agent = steersman.agent("lab/rollback")
        moves = agent.release.moves(1_000_000)[::-1]
        known = {
            name: tuple(agent._runtime.serving.load(name).table.slot_values(_row(agent, name)).tolist()) for name in versions
        }
        found = Found(
            moves=len(moves),
            promotions=sum(each.move == "promoted" for each in moves),
            rollbacks=sum(each.move == "rolled back" for each in moves),
            gaps=sum(each.number != place + 1 for place, each in enumerate(moves)),
        )
        times = [each.at for each in moves]
        for row in steersman.log.rows("lab/rollback"):
            if isinstance(row, Decision) and row.subject.startswith("s") and row.arm != "safe":
                _hold_against(row, moves, times, known, found)
    return found


def _row(agent: Agent, version: str) -> int | None:
    box = agent._runtime
    checked, _ = box.spec.state.check(STATE)
    row: int | None = box.serving.load(version).table.place(box.encoder.key(box.encoder.bins(checked)), checked)
    return row


def _hold_against(
    row: Decision, moves: Sequence[Deployment], times: Sequence[float], known: dict[str, tuple[float, ...]], found: Found
) -> None:
    """Count a decision, and whether it is by what was in production then, or within the second before."""
    found.decisions += 1
    if known.get(row.version) != row.values:
        found.mixed += 1
        return
    last = bisect_right(times, row.decided_at) - 1
    after = moves[last:][:2]
    for place in range(min(last + len(after) - 1, len(moves) - 1), -1, -1):
        ended = moves[place + 1].at if place + 1 < len(moves) else float("inf")
        if _fits(row, moves[place]):
            late = max(row.decided_at - ended, 0.0)
            found.worst_s = max(found.worst_s, late)
            found.stale += late > WITHIN_S
            found.wrong_at_end += last == len(moves) - 1 and row.decided_at - times[-1] > WITHIN_S and place != last
            return
    found.mixed += 1


def _fits(row: Decision, then: Deployment) -> bool:
    """Return whether a decision has all that a move says, and nothing of another one."""
    if row.release != then.release:
        return False
    if not then.under_way:
        return row.version == then.champion and row.stage == "full"
    mine = then.challenger if to_challenger(then.release, row.subject, then.share) else then.champion
    return (row.version, row.stage, row.challenger_share) == (mine, then.stage, then.share)


# a worker


def work(url: str, post: Post) -> None:
    """Decide without a pause until told to stop."""
    if post.plan["bug"] == BUGS[0]:
        serving.LOOK_S = float("inf")
    with Steersman.open(url, agents=[spec()], settings={}, learn=False) as steersman:
        agent = steersman.agent("lab/rollback")
        if post.plan["bug"] == BUGS[1]:
            _mix(agent)
        post.ready()
        number = 0
        while not post.stopped:
            for _ in range(BATCH):
                number += 1
                agent.decide(STATE, subject=f"s{number}")
            steersman.log.flush(30)
            post.batch_done()
            time.sleep(0.02)


def _mix(agent: Agent) -> None:
    """Serve what was loaded last under the name of what is asked for."""
    box = agent._runtime.serving
    load = box.load

    def mixed(version: str) -> serving.Served:
        known = list(box._loaded.values())
        return replace(load(version), table=known[-1].table) if known else load(version)

    box.load = mixed  # type: ignore[method-assign]


def main() -> None:
    """Run the harness, a worker or the mover."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a short form: 10 rounds")
    parser.add_argument("--worker", nargs=3, metavar=("URL", "FOLDER", "NUMBER"))
    parser.add_argument("--mover", nargs=4, metavar=("URL", "FIRST", "SECOND", "UNTIL"))
    given = parser.parse_args()
    if given.worker:
        with Post(*given.worker[1:]) as post:
            work(given.worker[0], post)
        return
    if given.mover:
        move(given.mover[0], given.mover[1], given.mover[2], int(given.mover[3]))
        return
    server = PostgresServer(durable=True)
    try:
        bad = {bug: run(server.url(f"bug{place}"), 10, workers=given.workers, bug=bug) for place, bug in enumerate(BUGS)}
        found = run(server.url(), 10 if given.quick else given.rounds, workers=given.workers)
    finally:
        server.close()
    for bug, each in bad.items():
        _print(f"seeded bug ({bug}): stale, mixed of decisions", f"{each.stale:,}, {each.mixed:,} of {each.decisions:,}")
    _print("moves, promotions, rollbacks", f"{found.moves:,}, {found.promotions:,}, {found.rollbacks:,}")
    _print("   movers killed in the middle", f"{found.kills:,}")
    _print("   numbers left out or given twice", f"{found.gaps:,}")
    _print("decisions by two workers" if given.workers == 2 else "decisions", f"{found.decisions:,}")
    _print("   by a mixture", f"{found.mixed:,}")
    _print("   by what was not in production within the last second", f"{found.stale:,}")
    _print("   not by the last champion, a second after the last move", f"{found.wrong_at_end:,}")
    _print("   longest after a move that the old one still served", f"{1000 * found.worst_s:.0f} ms")
    caught = bad[BUGS[0]].stale and bad[BUGS[1]].mixed
    sys.exit(0 if found.held and caught and found.promotions + found.rollbacks >= 2 * found.moves // 3 - 2 else 1)


def _print(what: str, number: str) -> None:
    print(f"{what:<74}{number}", flush=True)


if __name__ == "__main__":
    main()
